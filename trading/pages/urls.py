"""Every path that answers with a page for people."""

from django.urls import URLPattern, URLResolver, include, path

from trading.pages import floor, home, shell

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("trade/", floor.first, name="trade-first"),
    path("trade/<str:market>", floor.trade, name="trade"),
    path("manifest.webmanifest", shell.manifest, name="manifest"),
    path("sw.js", shell.service_worker, name="service-worker"),
    path("offline", shell.offline, name="offline"),
    path("", include("trading.pages.urls_account")),
]
