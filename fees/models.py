"""The fee table in force, overrides and traded volumes as the matching worker last committed them, and the fee books.

Only fees/store.py writes the former. The books are kept by the follower (trading/books) in fees/books_store.py. Rates
are in millionths (1,500 is 0.15 %).
"""

from django.db import models
from django.db.models import F, Q
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


class RateChange(models.Model):
    """A rate that holds for every order from the command `sequence` on; the history of what everybody pays.

    With a `tier`: an account's rates on every market by its 30-day `volume`. Without one: an exception (FeeOverride) of
    an account, a market or both as it stands from then on, rates empty: removed. Only trading/books writes here.
    """

    class Reason(models.TextChoices):
        """Why a rate changed."""

        OPENED = "opened", "account opened"
        VOLUME = "volume", "30-day volume reached"
        NIGHTLY = "nightly", "30-day volume fell at midnight"
        TIER_TABLE = "tier_table", "new tier table"
        OVERRIDE = "override", "override by an operator"
        PROMOTION = "promotion", "promotion"

    account_id = models.IntegerField(null=True)
    market = models.ForeignKey(
        Market, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    maker_rate = models.IntegerField(null=True)
    taker_rate = models.IntegerField(null=True)
    tier = models.SmallIntegerField(null=True, help_text="Counted from 0; empty: an exception from the tiers.")
    volume = AmountField(null=True, help_text="Of 30 days, in the valuation asset.")
    reason = models.CharField(max_length=12, choices=Reason.choices)
    sequence = models.BigIntegerField(help_text="The first command for which it holds.")
    since = models.DateTimeField()

    class Meta:
        verbose_name = "rate change"
        verbose_name_plural = "rate history"
        constraints = [
            models.CheckConstraint(
                condition=Q(tier=None, reason__in=["override", "promotion"])
                | Q(tier__gte=0, market=None, account_id__isnull=False, maker_rate__isnull=False),
                name="rate_change_tier_or_exception",
            ),
        ]
        indexes = [
            models.Index(
                fields=["account_id", "sequence", "id"], condition=Q(tier__isnull=False), name="rate_change_tier"
            ),
            models.Index(
                fields=["market", "account_id", "sequence", "id"],
                condition=Q(tier__isnull=True),
                name="rate_change_exception",
            ),
            models.Index(fields=["account_id", "-id"], name="rate_change_account"),
        ]

    def __str__(self) -> str:
        return f"rates of {self.account_id or 'everyone'} from {self.sequence}"


ROLES = (("maker", "maker"), ("taker", "taker"))


class FeeDay(models.Model):
    """Fees of a UTC day's trades by market, role, the asset they were taken in, and the rate and tier of the orders.

    `tier` is empty for orders with rates of their own. `value` is in the market's quote asset, each fee at the price
    of its trade. Only trading/books writes here.
    """

    day = models.DateField()
    market = models.ForeignKey(
        Market, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    role = models.CharField(max_length=5, choices=ROLES)
    asset = models.ForeignKey(Asset, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    tier = models.SmallIntegerField(null=True)
    rate = models.IntegerField(help_text="Millionths.")
    fees = AmountField(help_text="In the asset; negative: rebates.")
    value = AmountField(help_text="In the market's quote asset.")
    notional = AmountField(help_text="In the market's quote asset.")
    trades = models.BigIntegerField()

    class Meta:
        verbose_name = "fee day"
        verbose_name_plural = "fee report"
        constraints = [
            models.UniqueConstraint(
                "day", "market", "role", "asset", Coalesce("tier", -1), "rate", name="fee_day_one_of_a_kind"
            ),
        ]

    def __str__(self) -> str:
        return f"fees of {self.day}, market {self.market_id}, {self.role}"


class AccountDay(models.Model):
    """What an account traded on a market on a UTC day, and the fees it paid. Only trading/books writes here."""

    account_id = models.IntegerField()
    day = models.DateField()
    market = models.ForeignKey(
        Market, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    maker_notional = AmountField(help_text="In the market's quote asset.")
    taker_notional = AmountField(help_text="In the market's quote asset.")
    base_fees = AmountField(help_text="In the market's base asset.")
    quote_fees = AmountField(help_text="In the market's quote asset.")
    value = AmountField(help_text="Of all fees in the market's quote asset.")
    trades = models.BigIntegerField()

    class Meta:
        verbose_name = "account's day"
        verbose_name_plural = "what if"
        constraints = [
            models.UniqueConstraint(fields=["account_id", "day", "market"], name="account_day_one_per_market"),
        ]
        indexes = [models.Index(fields=["day"], name="account_day_day")]

    def __str__(self) -> str:
        return f"account {self.account_id}, {self.day}, market {self.market_id}"


class LedgerDay(models.Model):
    """The ledger's entries of a UTC day by class of accounts, asset and type. Only trading/books writes here.

    A credit adds to what an account is owed, a debit takes from it: balance = credits - debits.
    """

    class AccountClass(models.TextChoices):
        """Whose accounts."""

        USERS = "users", "users"
        FEES = "fees", "fees"
        EXTERNAL = "external", "outside world"

    day = models.DateField()
    account_class = models.CharField(max_length=8, choices=AccountClass.choices)
    asset = models.ForeignKey(Asset, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    entry_type = models.CharField(max_length=12)
    debits = AmountField()
    credits = AmountField()
    entries = models.BigIntegerField()

    class Meta:
        verbose_name = "ledger day"
        verbose_name_plural = "trial balance and income"
        constraints = [
            models.UniqueConstraint(
                fields=["day", "account_class", "asset", "entry_type"], name="ledger_day_one_of_a_kind"
            ),
            models.CheckConstraint(condition=Q(debits__gte=0, credits__gte=0), name="ledger_day_not_negative"),
        ]

    def __str__(self) -> str:
        return f"ledger of {self.day}, {self.account_class}, {self.entry_type}"


class Promotion(models.Model):
    """Rates that hold from `starts_at` to `ends_at` for an account or everyone, on a market or on all.

    Written by trading/books/promotions.py, which files an override for each of its steps.
    """

    class State(models.TextChoices):
        """What has become of it."""

        WAITING = "waiting", "waits for approval"
        PLANNED = "planned", "planned"
        RUNNING = "running", "running"
        ENDED = "ended", "ended"
        CANCELED = "canceled", "canceled"

    account_id = models.IntegerField(null=True, blank=True, help_text="Empty: everyone.")
    market = models.ForeignKey(
        Market, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="Empty: all."
    )
    maker_rate = models.IntegerField(help_text="Millionths; negative: a rebate.")
    taker_rate = models.IntegerField(help_text="Millionths.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    note = models.CharField(max_length=200)
    state = models.CharField(max_length=8, choices=State.choices, default=State.PLANNED)
    result = models.TextField(blank=True, default="", help_text="What happened, if it was not as planned.")
    created_by = models.CharField(max_length=150)
    approved_by = models.CharField(max_length=150, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(starts_at__lt=F("ends_at")), name="promotion_has_a_length")]
        indexes = [models.Index(fields=["state", "starts_at"], name="promotion_state")]

    def __str__(self) -> str:
        return f"promotion {self.pk}: {self.note}"


class PromotionStep(models.Model):
    """One override of a promotion: the commands that set it and put back what was before, by their inbox ids."""

    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, related_name="steps")
    account_id = models.IntegerField(null=True)
    market = models.ForeignKey(Market, null=True, on_delete=models.PROTECT, related_name="+")
    start_inbox_id = models.BigIntegerField(unique=True)
    end_inbox_id = models.BigIntegerField(null=True, unique=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "promotion", Coalesce("account_id", 0), Coalesce("market_id", 0), name="promotion_step_one_per_target"
            ),
        ]

    def __str__(self) -> str:
        return f"step {self.pk} of promotion {self.promotion_id}"
