"""A person's notifications as they are read: a page of the list, what is unread, what has changed, marking as read.

`account_id` limits everything to one account, for programs that act for no other; None: all of the person.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

from django.db import transaction
from django.db.models import QuerySet
from msgspec import Meta

from notifications import recording
from notifications.models import Notification, Recipient
from notifications.rules import KINDS
from notifications.words import path, words

UNREAD_MAX = 1_000
"""Nobody counts further."""

CHANGES_MAX = 50
"""More changes than that are not told one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A notification in words. `sequence` grows with every change; that of an order changes as the order does."""

    id: int
    sequence: int
    kind: str
    level: Literal["info", "success", "warning", "danger"]
    title: str
    text: str
    path: Annotated[str, Meta(description="Where on the site there is more about it; empty: nowhere.")]
    account_id: int | None
    figures: dict[str, str]
    at: Annotated[str, Meta(description="ISO 8601, UTC, microseconds.", extra_json_schema={"format": "date-time"})]
    read: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed up to `sequence`, oldest first; `notifications` None: too much to be told one by one."""

    sequence: int
    unread: int
    notifications: list[Told] | None


def listed(
    *,
    user_id: int,
    account_id: int | None = None,
    limit: int,
    before: int | None = None,
    unread: bool = False,
    group: str | None = None,
) -> list[Told]:
    """Up to `limit` notifications, the last changed first; `before`: only those of lower sequences.

    `unread`: only these; `group`: only kinds of that group (notifications.rules.GROUPS).
    """
    rows = _shown(user_id, account_id).order_by("-sequence")
    if before is not None:
        rows = rows.filter(sequence__lt=before)
    if unread:
        rows = rows.filter(read_at=None)
    if group is not None:
        rows = rows.filter(kind__in=[kind for kind, rule in KINDS.items() if rule.group == group])
    return [told(row) for row in rows[:limit]]


def unread(*, user_id: int, account_id: int | None = None, limit: int = UNREAD_MAX) -> int:
    """How many are unread, counted up to `limit`."""
    return _shown(user_id, account_id).filter(read_at=None)[:limit].count()


def changes(*, user_id: int, account_id: int | None = None, since: int) -> Changes:
    """What has changed after the sequence `since`.

    What changes while this is read has a higher sequence than the answer, and so belongs to the next one.
    """
    sequence = Recipient.objects.filter(pk=user_id).values_list("sequence", flat=True).first() or 0
    rows = _shown(user_id, account_id).filter(sequence__gt=since, sequence__lte=sequence).order_by("sequence")
    found = [told(row) for row in rows[: CHANGES_MAX + 1]]
    left = unread(user_id=user_id, account_id=account_id)
    return Changes(sequence, left, found if len(found) <= CHANGES_MAX else None)


def mark_read(*, user_id: int, account_id: int | None = None, ids: Collection[int] | None = None, now: datetime) -> int:
    """Mark notifications as read, all of them without `ids`; how many are still unread."""
    with transaction.atomic():
        recipient = recording.hold(user_id=user_id)
        rows = _shown(user_id, account_id).filter(read_at=None)
        if (rows if ids is None else rows.filter(pk__in=ids)).update(read_at=now):
            recipient.sequence += 1
            recipient.save(update_fields=["sequence"])
            recording.tell_news([user_id])
    return unread(user_id=user_id, account_id=account_id)


def told(row: Notification) -> Told:
    """A notification in words."""
    title, text = words(kind=row.kind, figures=row.figures)
    return Told(
        id=row.pk,
        sequence=row.sequence,
        kind=row.kind,
        level=KINDS[row.kind].level,
        title=title,
        text=text,
        path=path(kind=row.kind, figures=row.figures),
        account_id=row.account_id,
        figures=row.figures,
        at=row.happened_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        read=row.read_at is not None,
    )


def _shown(user_id: int, account_id: int | None) -> QuerySet[Notification]:
    rows = Notification.objects.filter(user_id=user_id, shown=True)
    return rows if account_id is None else rows.filter(account_id=account_id)
