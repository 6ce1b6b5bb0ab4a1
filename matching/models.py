"""The journal of every command taken, the control lane's inbox, and how far the worker has come."""

from django.db import models


class JournalEntry(models.Model):
    """A command as it was taken: replaying all of them gives everything else. Append-only, sequences without a gap."""

    sequence = models.BigIntegerField(primary_key=True)
    received_at = models.DateTimeField()
    kind = models.CharField(max_length=24)
    account_id = models.IntegerField(null=True)
    market_id = models.IntegerField(null=True)
    payload = models.TextField(help_text="The command as JSON; amounts in units.")

    def __str__(self) -> str:
        return f"{self.sequence} {self.kind}"


class InboxCommand(models.Model):
    """A command that moves money or rules, waiting for the worker or done. `result` is the answer's JSON."""

    id = models.BigAutoField(primary_key=True)
    payload = models.TextField(help_text="The command as JSON; amounts in units.")
    actor = models.CharField(max_length=64, help_text="Who asked.")
    created_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True)
    sequence = models.BigIntegerField(null=True, help_text="Its place in the journal.")
    result = models.TextField(null=True)

    class Meta:
        indexes = [models.Index(fields=["id"], condition=models.Q(done_at__isnull=True), name="inbox_waiting")]

    def __str__(self) -> str:
        return f"inbox {self.id}"


class EngineState(models.Model):
    """The one row that says where the journal ends, and what no other table holds."""

    id = models.SmallIntegerField(primary_key=True)
    sequence = models.BigIntegerField()
    received_at = models.DateTimeField()
    trade_id = models.BigIntegerField()
    entry_id = models.BigIntegerField()
    halted = models.BooleanField()
    halt_note = models.TextField(blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="engine_state_one_row")]

    def __str__(self) -> str:
        return f"engine at {self.sequence}"
