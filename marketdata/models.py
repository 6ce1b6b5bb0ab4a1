"""Assets, markets, trades and candles as the worker last committed them. Only marketdata/store.py writes here."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q

from marketdata.fields import AmountField


class Asset(models.Model):
    """Something that can be owned and traded, counted in units of 10^-scale."""

    id = models.IntegerField(primary_key=True)
    symbol = models.CharField(max_length=16, unique=True)
    name = models.CharField(max_length=64)
    scale = models.SmallIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(scale__range=(0, 18)), name="asset_scale_range")]

    def __str__(self) -> str:
        return self.symbol


class Market(models.Model):
    """A base asset traded for a quote asset: its filters, circuit breaker and state. Amounts in human units."""

    id = models.IntegerField(primary_key=True)
    symbol = models.CharField(max_length=33, unique=True)
    base = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    quote = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    tick_size = AmountField()
    lot_size = AmountField()
    min_quantity = AmountField()
    max_quantity = AmountField()
    min_notional = AmountField()
    max_notional = AmountField()
    reference_price = AmountField(null=True)
    price_band = models.IntegerField(help_text="Millionths around the last trade; 0: off.")
    breaker_move = models.IntegerField(help_text="Millionths within the window; 0: off.")
    breaker_window = models.IntegerField(help_text="Seconds.")
    breaker_pause = models.IntegerField(help_text="Seconds.")
    state = models.CharField(max_length=12)
    note = models.TextField(blank=True)
    reopens_at = models.DateTimeField(null=True)
    breaker_since = models.BigIntegerField(help_text="The breaker looks only at trades of later sequences.")
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(tick_size__gt=0, lot_size__gt=0), name="market_steps_positive"),
            models.CheckConstraint(condition=Q(min_quantity__lte=F("max_quantity")), name="market_quantity_range"),
            models.CheckConstraint(
                condition=Q(state__in=["open", "post_only", "cancel_only", "halted"]), name="market_state_known"
            ),
        ]

    def __str__(self) -> str:
        return self.symbol


class Trade(models.Model):
    """One match between a maker and a taker. Append-only: the database refuses changes."""

    id = models.BigIntegerField(primary_key=True)
    sequence = models.BigIntegerField(help_text="The command that caused the trade.")
    market = models.ForeignKey(Market, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    price = AmountField()
    quantity = AmountField()
    notional = AmountField()
    taker_side = models.CharField(max_length=4)
    maker_order_id = models.BigIntegerField(db_index=True)
    taker_order_id = models.BigIntegerField(db_index=True)
    maker_account_id = models.IntegerField()
    taker_account_id = models.IntegerField()
    maker_fee = AmountField(help_text="In the asset the maker received; negative: a rebate.")
    taker_fee = AmountField(help_text="In the asset the taker received.")
    executed_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["market", "id"], name="trade_market"),
            models.Index(fields=["maker_account_id", "id"], name="trade_maker_account"),
            models.Index(fields=["taker_account_id", "id"], name="trade_taker_account"),
            BrinIndex(fields=["executed_at"], name="trade_executed_at", autosummarize=True, pages_per_range=32),
        ]
        constraints = [models.CheckConstraint(condition=Q(price__gt=0, quantity__gt=0), name="trade_positive")]

    def __str__(self) -> str:
        return f"trade {self.id}"


class Candle(models.Model):
    """What was traded on a market within an interval of so many seconds; intervals without trades have no row.

    Written with the trades, in the same transaction. Other intervals than these are put together on reading
    (marketdata/candles.py).
    """

    pk = models.CompositePrimaryKey("market_id", "seconds", "open_time")
    market = models.ForeignKey(Market, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    seconds = models.IntegerField(help_text="1, 60, 900, 3600 or 86400.")
    open_time = models.DateTimeField()
    open = AmountField()
    high = AmountField()
    low = AmountField()
    close = AmountField()
    volume = AmountField(help_text="Base asset.")
    quote_volume = AmountField()
    trades = models.IntegerField()
    taker_buy_volume = AmountField(help_text="Of the volume, what takers bought.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(low__gt=0, low__lte=F("open"), high__gte=F("open"))
                & Q(low__lte=F("close"), high__gte=F("close")),
                name="candle_prices_in_order",
            ),
            models.CheckConstraint(
                condition=Q(trades__gt=0, volume__gt=0, taker_buy_volume__range=(0, F("volume"))),
                name="candle_of_trades",
            ),
        ]

    def __str__(self) -> str:
        return f"candle {self.market_id} {self.seconds} {self.open_time}"
