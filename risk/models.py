"""Accounts, balances and the double-entry ledger as the matching worker last committed them; alerts and their cases.

Only risk/store.py writes the money, only risk/cases.py alerts and cases. The database refuses what must never be: a
negative balance, an entry that is changed or deleted, a set of entries that does not sum to zero (migration 0002).
"""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce

from marketdata.fields import AmountField
from marketdata.models import Asset
from matching.engine.messages import EXTERNAL_ACCOUNT_ID, FEES_ACCOUNT_ID


class Account(models.Model):
    """A user's account, or one of the house's two: external (the outside world) and fees."""

    id = models.IntegerField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="accounts")
    name = models.CharField(max_length=32)
    frozen = models.BooleanField(default=False)
    freeze_note = models.TextField(blank=True, default="")
    opened_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="account_user_name")]

    def __str__(self) -> str:
        return f"account {self.id}"


class Balance(models.Model):
    """What an account owns of an asset: available plus held."""

    pk = models.CompositePrimaryKey("account_id", "asset_id")
    account = models.ForeignKey(Account, on_delete=models.PROTECT)
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, db_index=False)
    available = AmountField()
    held = AmountField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(held__gte=0), name="balance_held_not_negative"),
            models.CheckConstraint(
                condition=Q(available__gte=0) | Q(account_id__in=[EXTERNAL_ACCOUNT_ID, FEES_ACCOUNT_ID]),
                name="balance_available_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"balance {self.account_id} {self.asset_id}"


class Entry(models.Model):
    """One line of the ledger. The entries of one sequence sum to zero per asset; append-only."""

    id = models.BigIntegerField(primary_key=True)
    sequence = models.BigIntegerField(help_text="The command that caused it.")
    account = models.ForeignKey(Account, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    asset = models.ForeignKey(Asset, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    amount = AmountField()
    balance = AmountField(help_text="Of the account in this asset after the entry.")
    entry_type = models.CharField(max_length=12)
    reference = models.BigIntegerField(help_text="Trade id or withdrawal id, 0 if neither.")
    posted_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "entries"
        indexes = [models.Index(fields=["account", "id"], name="entry_account")]

    def __str__(self) -> str:
        return f"entry {self.id}"


class Deposit(models.Model):
    """A credit from the outside world; its id is the sequence of its command."""

    id = models.BigIntegerField(primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.PROTECT)
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT)
    amount = AmountField()
    reference = models.CharField(max_length=128, blank=True)
    credited_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"deposit {self.id}"


class Withdrawal(models.Model):
    """An amount on its way out: pending (held), paid or refused; its id is the sequence of its request."""

    id = models.BigIntegerField(primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.PROTECT)
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT)
    amount = AmountField()
    destination = models.CharField(max_length=256, blank=True)
    status = models.CharField(max_length=8)
    note = models.TextField(blank=True)
    requested_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["pending", "paid", "refused"]), name="withdrawal_status_known"
            )
        ]
        indexes = [models.Index(fields=["id"], condition=Q(status="pending"), name="withdrawal_pending")]

    def __str__(self) -> str:
        return f"withdrawal {self.id}"


class Limit(models.Model):
    """What an account may do; the row without an account holds the defaults. `limits` is the message's JSON."""

    account = models.OneToOneField(Account, null=True, on_delete=models.PROTECT)
    limits = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(Coalesce("account_id", 0), name="limit_one_per_account"),
        ]

    def __str__(self) -> str:
        return f"limits of {self.account_id or 'everyone'}"


class Sighting(models.Model):
    """An address or a browser from which a user was seen acting; what two users have in common ties their accounts."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=8)
    value = models.CharField(max_length=64)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "value", "user"], name="sighting_once"),
            models.CheckConstraint(condition=Q(kind__in=["address", "device"]), name="sighting_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


class DetectorSetting(models.Model):
    """A detector's parameter that an operator has set; without a row its default holds (risk/surveillance)."""

    detector = models.CharField(max_length=32)
    parameter = models.CharField(max_length=48)
    value = models.FloatField()
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["detector", "parameter"], name="detector_setting_once")]

    def __str__(self) -> str:
        return f"{self.detector} {self.parameter} = {self.value:g}"


class Case(models.Model):
    """Alerts about one group of accounts and one kind of conduct, and what operators made of them."""

    STATES = (
        ("new", "New"),
        ("investigating", "Investigating"),
        ("waiting", "Awaiting information"),
        ("escalated", "Escalated"),
        ("reported", "Reported to the authority"),
        ("no_action", "Closed: no action"),
        ("acted", "Closed: acted upon"),
        ("false_positive", "Closed: false positive"),
        ("duplicate", "Closed: duplicate"),
    )
    CLOSED = ("no_action", "acted", "false_positive", "duplicate")
    SEVERITIES = (("low", "Low"), ("medium", "Medium"), ("high", "High"))

    id = models.BigAutoField(primary_key=True)
    detector = models.CharField(max_length=32, help_text="Of its first alert.")
    severity = models.CharField(max_length=6, choices=SEVERITIES, help_text="The highest of its alerts.")
    account_ids = ArrayField(models.IntegerField())
    market = models.ForeignKey(
        "marketdata.Market", null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    first_at = models.DateTimeField(help_text="When what its alerts tell of began.")
    last_at = models.DateTimeField()
    alerts_count = models.IntegerField(default=0)
    opened_at = models.DateTimeField()
    state = models.CharField(max_length=16, choices=STATES, default="new")
    assignee = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    outcome = models.TextField(blank=True, default="")
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["no_action", "acted", "false_positive", "duplicate"], closed_at__isnull=False)
                | Q(state__in=["new", "investigating", "waiting", "escalated", "reported"], closed_at__isnull=True),
                name="case_closed_when_closed",
            ),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=True) | ~Q(outcome=""), name="case_closed_with_reason"
            ),
        ]
        indexes = [
            models.Index(fields=["-id"], condition=Q(closed_at__isnull=True), name="case_open"),
            GinIndex(fields=["account_ids"], name="case_accounts"),
        ]

    def __str__(self) -> str:
        return f"case {self.id}"

    @property
    def detector_words(self) -> str:
        """The detector's name, to be read."""
        return self.detector.replace("_", " ")


class Alert(models.Model):
    """A detector's finding with its evidence: the journal's range, the numbers, the thresholds of that moment."""

    id = models.BigAutoField(primary_key=True)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="alerts")
    detector = models.CharField(max_length=32)
    severity = models.CharField(max_length=6, choices=Case.SEVERITIES)
    account_ids = ArrayField(models.IntegerField())
    market = models.ForeignKey(
        "marketdata.Market", null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    first_sequence = models.BigIntegerField()
    last_sequence = models.BigIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    figures = models.JSONField()
    thresholds = models.JSONField()
    text = models.TextField()
    raised_at = models.DateTimeField()
    evidence = models.BinaryField(null=True, help_text="The replayed book, made when it is looked at first.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "detector",
                Coalesce("market_id", 0),
                "account_ids",
                "first_sequence",
                "last_sequence",
                name="alert_said_once",
            )
        ]
        indexes = [models.Index(fields=["raised_at"], name="alert_raised_at")]

    def __str__(self) -> str:
        return f"alert {self.id}"

    @property
    def detector_words(self) -> str:
        """The detector's name, to be read."""
        return self.detector.replace("_", " ")


class CaseNote(models.Model):
    """A line of a case's history: what was written, changed or done, and by whom. Append-only."""

    id = models.BigAutoField(primary_key=True)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="notes")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, help_text="note, state, assigned, alert, warn, throttle, freeze, release.")
    text = models.TextField()
    inbox_id = models.BigIntegerField(null=True, help_text="The control command filed with it.")
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.text
