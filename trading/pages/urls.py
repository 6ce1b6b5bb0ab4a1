"""Every path that answers with a page for people."""

from django.urls import URLPattern, URLResolver, include, path

from trading.pages import floor, home, orders, portfolio, shell, status

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("trade/", floor.first, name="trade-first"),
    path("trade/<str:market>", floor.trade, name="trade"),
    path("portfolio", portfolio.portfolio, name="portfolio"),
    path("portfolio/transfers", portfolio.transfers, name="transfers"),
    path("portfolio/deposit", portfolio.deposit, name="deposit"),
    path("portfolio/withdraw", portfolio.withdraw, name="withdraw"),
    path("portfolio/statement", portfolio.entries, name="statement"),
    path("orders", orders.open_orders, name="orders"),
    path("orders/history", orders.history, name="order-history"),
    path("orders/fills", orders.fills, name="fills"),
    path("orders/<int:order_id>", orders.order, name="order"),
    path("status", status.status, name="status"),
    path("manifest.webmanifest", shell.manifest, name="manifest"),
    path("sw.js", shell.service_worker, name="service-worker"),
    path("offline", shell.offline, name="offline"),
    path("", include("trading.pages.urls_account")),
]
