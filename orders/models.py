"""Orders, every one ever placed, as the matching worker last committed them. Only orders/store.py writes here."""

from django.db import models
from django.db.models import Q

from marketdata.fields import AmountField
from marketdata.models import Market


class Order(models.Model):
    """An order; its id is the sequence of the command that placed it. Amounts in human units, rates in millionths."""

    id = models.BigIntegerField(primary_key=True)
    account_id = models.IntegerField()
    market = models.ForeignKey(Market, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    client_order_id = models.CharField(max_length=64, null=True)
    side = models.CharField(max_length=4)
    order_type = models.CharField(max_length=8)
    time_in_force = models.CharField(max_length=3)
    post_only = models.BooleanField()
    self_trade_prevention = models.CharField(max_length=12)
    price = AmountField(null=True)
    quantity = AmountField(null=True)
    quote_amount = AmountField(null=True)
    filled_quantity = AmountField()
    filled_notional = AmountField()
    remaining = AmountField(help_text="What rests, or was left when the order ended.")
    prevented_quantity = AmountField()
    held = AmountField(help_text="Still held for it: quote units for buys, base units for sells.")
    status = models.CharField(max_length=8)
    reason = models.CharField(max_length=32, null=True)
    maker_rate = models.IntegerField()
    taker_rate = models.IntegerField()
    priority = models.BigIntegerField(help_text="Orders the queue of a price level.")
    request_digest = models.BigIntegerField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account_id", "client_order_id"],
                condition=Q(client_order_id__isnull=False),
                name="order_client_order_id",
            ),
            models.CheckConstraint(
                condition=Q(filled_quantity__gte=0, filled_notional__gte=0, remaining__gte=0, held__gte=0),
                name="order_amounts_not_negative",
            ),
            models.CheckConstraint(condition=Q(status="open") | Q(held=0), name="order_ended_holds_nothing"),
        ]
        indexes = [
            models.Index(fields=["account_id", "id"], name="order_account"),
            models.Index(
                fields=["market", "side", "price", "priority"], condition=Q(status="open"), name="order_open_book"
            ),
            models.Index(fields=["account_id", "id"], condition=Q(status="open"), name="order_open_account"),
        ]

    def __str__(self) -> str:
        return f"order {self.id}"
