"""What operators see of the journal, of the commands filed in the inbox and what became of them."""

from django.contrib import admin

from marketdata.admin import ReadOnlyAdmin
from matching.models import EngineState, FollowerCursor, InboxCommand, JournalEntry, ProveRun


@admin.register(JournalEntry)
class JournalEntryAdmin(ReadOnlyAdmin):
    """Every command taken, as it was taken; search by sequence."""

    list_display = ("sequence", "received_at", "kind", "account_id", "market_id", "payload")
    exact_numbers = ("sequence",)


@admin.register(InboxCommand)
class InboxCommandAdmin(ReadOnlyAdmin):
    """Commands that move money or rules, who asked, and the answer; search by id."""

    list_display = ("id", "actor", "payload", "created_at", "outcome")
    exact_numbers = ("id",)

    @admin.display(description="Outcome")
    def outcome(self, row: InboxCommand) -> str:
        """What has become of it."""
        if row.done_at is None:
            return "queued"
        if row.sequence is None:
            return "put aside"
        refused = '"event":"CommandRefused"' in (row.result or "")
        return f"{'refused' if refused else 'applied'} at sequence {row.sequence}"


@admin.register(EngineState)
class EngineStateAdmin(ReadOnlyAdmin):
    """Where the journal ends."""

    list_display = ("sequence", "received_at", "trade_id", "entry_id", "halted", "halt_note")


@admin.register(FollowerCursor)
class FollowerCursorAdmin(ReadOnlyAdmin):
    """How far the consumers of the journal have come, and what stopped those that failed."""

    list_display = ("name", "sequence", "failed_at", "failure")


@admin.register(ProveRun)
class ProveRunAdmin(ReadOnlyAdmin):
    """Runs of `manage.py prove` and what they found."""

    list_display = ("ran_at", "proved", "commands", "seconds", "finding")
