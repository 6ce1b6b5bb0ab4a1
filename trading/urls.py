"""Every path that Django answers; order entry is routed before Django, in `trading/asgi.py`."""

from django.contrib import admin
from django.urls import include, path, re_path

import fees.api
import marketdata.api
import orders.api
import risk.api
from trading import health
from trading.api import keys, money, notifications, schema, server

v1 = [
    path("time", server.Time.as_view()),
    path("assets", marketdata.api.Assets.as_view()),
    path("markets", marketdata.api.Markets.as_view()),
    path("markets/<str:market>", marketdata.api.Market.as_view()),
    path("markets/<str:market>/depth", orders.api.Depth.as_view()),
    path("markets/<str:market>/ticker", orders.api.Ticker.as_view()),
    path("markets/<str:market>/candles", marketdata.api.Candles.as_view()),
    path("markets/<str:market>/trades", marketdata.api.Trades.as_view()),
    path("markets/<str:market>/trades/export", marketdata.api.TradesExport.as_view()),
    path("announcements", marketdata.api.Announcements.as_view()),
    path("orders", orders.api.Orders.as_view()),
    path("orders/batch", orders.api.EntryOnly.as_view()),
    path("orders/test", orders.api.EntryOnly.as_view()),
    path("orders/export", orders.api.OrdersExport.as_view()),
    path("orders/<int:order_id>", orders.api.Order.as_view()),
    path("orders/by-client-id/<path:client_order_id>", orders.api.OrderByClientId.as_view()),
    path("fills", orders.api.Fills.as_view()),
    path("fills/export", orders.api.FillsExport.as_view()),
    path("balances", risk.api.Balances.as_view()),
    path("entries", risk.api.Entries.as_view()),
    path("entries/export", risk.api.EntriesExport.as_view()),
    path("fees", fees.api.Fees.as_view()),
    path("deposits", money.Deposits.as_view()),
    path("withdrawals", money.Withdrawals.as_view()),
    path("accounts", money.Accounts.as_view()),
    path("notifications", notifications.Notifications.as_view()),
    path("notifications/read", notifications.Read.as_view()),
    path("api-keys", keys.Keys.as_view()),
    path("api-keys/<int:key_id>", keys.Key.as_view()),
]

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("admin/", admin.site.urls),
    path("api/v1/", include(v1)),
    path("api/schema/", schema.Schema.as_view(), name="schema"),
    path("api/docs/", schema.Documentation.as_view(url_name="schema"), name="docs"),
    re_path(r"^api/", server.Nothing.as_view()),
    path("", include("trading.pages.urls")),
]
handler400 = "trading.pages.errors.bad_request"
handler403 = "trading.pages.errors.forbidden"
handler404 = "trading.pages.errors.not_found"
handler500 = "trading.pages.errors.server_error"
