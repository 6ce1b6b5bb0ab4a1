"""The fee table in force, overrides and traded volumes as the matching worker last committed them.

Only fees/store.py writes here. Rates are in millionths (1,500 is 0.15 %).
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce

from marketdata.fields import AmountField
from marketdata.models import Asset, Market


class FeeTier(models.Model):
    """Rates from a 30-day volume on, the volume in the valuation asset."""

    volume = AmountField(unique=True)
    maker_rate = models.IntegerField()
    taker_rate = models.IntegerField()
    valuation_asset = models.ForeignKey(Asset, null=True, on_delete=models.PROTECT)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(volume__gte=0), name="fee_tier_volume_not_negative")]

    def __str__(self) -> str:
        return f"from {self.volume}: {self.maker_rate}/{self.taker_rate}"


class FeeOverride(models.Model):
    """Rates of an account, of a market, or of an account on a market."""

    account_id = models.IntegerField(null=True)
    market = models.ForeignKey(Market, null=True, on_delete=models.PROTECT)
    maker_rate = models.IntegerField()
    taker_rate = models.IntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Coalesce("account_id", 0), Coalesce("market_id", 0), name="fee_override_one_per_target"
            ),
        ]

    def __str__(self) -> str:
        return (
            f"{self.account_id or 'everyone'} on {self.market or 'every market'}: {self.maker_rate}/{self.taker_rate}"
        )


class DailyVolume(models.Model):
    """What an account traded on a UTC day, in the valuation asset."""

    pk = models.CompositePrimaryKey("account_id", "day")
    account_id = models.IntegerField()
    day = models.IntegerField(help_text="Days since 1970-01-01.")
    volume = AmountField()

    class Meta:
        indexes = [models.Index(fields=["day"], name="daily_volume_day")]

    def __str__(self) -> str:
        return f"account {self.account_id} day {self.day}"
