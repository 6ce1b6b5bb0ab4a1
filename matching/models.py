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

    class Meta:
        verbose_name_plural = "journal entries"

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
    lane_position = models.TextField(
        default="", db_default="", help_text="Where the order lane between processes goes on."
    )

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="engine_state_one_row")]

    def __str__(self) -> str:
        return f"engine at {self.sequence}"


class FollowerCursor(models.Model):
    """How far a consumer of the journal has come; moved in the transaction of what it wrote."""

    name = models.CharField(primary_key=True, max_length=32)
    sequence = models.BigIntegerField(help_text="The last command it has dealt with.")
    failed_at = models.DateTimeField(null=True, help_text="When it failed last; empty once it goes on.")
    failure = models.TextField(blank=True, default="")

    def __str__(self) -> str:
        return f"{self.name} at {self.sequence}"


class Checkpoint(models.Model):
    """The exchange's whole state after a command, so that a replay need not begin at the first. Made by a follower."""

    sequence = models.BigIntegerField(primary_key=True)
    received_at = models.DateTimeField(db_index=True)
    snapshot = models.BinaryField(help_text="matching.snapshot.Snapshot as JSON, compressed with zlib.")

    def __str__(self) -> str:
        return f"checkpoint {self.sequence}"


class ProveRun(models.Model):
    """A run of `manage.py prove`: what the proof said, for the operator's desk."""

    id = models.BigAutoField(primary_key=True)
    ran_at = models.DateTimeField(auto_now_add=True)
    proved = models.BooleanField()
    commands = models.BigIntegerField(help_text="Replayed without a difference; 0 if there was one.")
    seconds = models.FloatField()
    finding = models.TextField(blank=True, default="", help_text="The first difference.")

    def __str__(self) -> str:
        return f"proof of {self.ran_at:%Y-%m-%d %H:%M}: {'proved' if self.proved else 'NOT PROVED'}"
