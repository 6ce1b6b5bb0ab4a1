"""What operators see of orders: every one ever placed."""

from django.contrib import admin

from marketdata.admin import ReadOnlyAdmin, recent
from orders.models import Order


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    """Orders; search by order id or account id."""

    list_display = (
        "id",
        "account_id",
        "market",
        "side",
        "order_type",
        "price",
        "quantity",
        "filled_quantity",
        "status",
        "reason",
        "created_at",
    )
    list_select_related = ("market",)
    list_filter = (
        recent("status", "open", "filled", "canceled", "expired", "rejected"),
        recent("side", "buy", "sell"),
        recent("order_type", "limit", "market"),
    )
    exact_numbers = ("id", "account_id")
