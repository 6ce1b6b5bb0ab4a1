"""Every path that answers with a page for people."""

from django.urls import URLPattern, URLResolver, include, path

from trading.pages import home

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("", include("trading.pages.urls_account")),
]
