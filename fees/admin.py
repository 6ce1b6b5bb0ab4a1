"""What operators see of fee rules. Rates are millionths: 1,500 is 0.15 %."""

from django.contrib import admin

from fees.models import FeeOverride, FeeTier
from marketdata.admin import ReadOnlyAdmin


@admin.register(FeeTier)
class FeeTierAdmin(ReadOnlyAdmin):
    """The tier table in force."""

    list_display = ("volume", "maker_rate", "taker_rate", "valuation_asset")
    list_select_related = ("valuation_asset",)
    ordering = ("volume",)


@admin.register(FeeOverride)
class FeeOverrideAdmin(ReadOnlyAdmin):
    """Rates of an account, a market, or an account on a market."""

    list_display = ("id", "account_id", "market", "maker_rate", "taker_rate")
    list_select_related = ("market",)
    exact_numbers = ("account_id",)
