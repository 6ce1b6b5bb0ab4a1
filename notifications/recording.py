"""Recording events for people, in the transaction of what caused them: the list, the outbox, and the news of both.

Who changes a person's notifications holds their row of `Recipient` until the commit, so that sequences come in the
order of commits and whoever follows them misses nothing.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.db.models import Count
from django.utils import timezone

from notifications import rules
from notifications.models import Delivery, Preference, Recipient
from notifications.rules import KINDS, Channel

NEWS_CHANNEL = "bourse_notifications"
"""The NOTIFY channel; the payload is ids of users with commas between."""

NEWS_USERS_MAX = 500
BATCH_ROWS = 1_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")

# What is final stays as it was told; only a partly filled order goes on.
_NOTIFY = """
INSERT INTO notifications_notification AS known
    (user_id, account_id, subject, kind, figures, sequence, shown, happened_at)
SELECT * FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::text[], %s::jsonb[], %s::bigint[], %s::bool[],
    %s::timestamptz[])
ON CONFLICT (user_id, subject) DO UPDATE
SET kind = EXCLUDED.kind, figures = EXCLUDED.figures, sequence = EXCLUDED.sequence,
    shown = known.shown OR EXCLUDED.shown, happened_at = EXCLUDED.happened_at, read_at = NULL
WHERE known.kind = 'order_partly_filled'
    AND (known.kind, known.figures) IS DISTINCT FROM (EXCLUDED.kind, EXCLUDED.figures)
RETURNING user_id, subject, id
"""
# What has not set out yet takes the later figures along.
_DELIVER = """
INSERT INTO notifications_delivery AS known
    (key, user_id, channel, kind, account_id, figures, happened_at, next_at)
SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[], %s::int[], %s::jsonb[], %s::timestamptz[],
    %s::timestamptz[])
ON CONFLICT (key) DO UPDATE SET figures = EXCLUDED.figures, happened_at = EXCLUDED.happened_at
WHERE known.attempts = 0 AND known.state = 'pending'
"""
_OPEN_DIGEST = """
INSERT INTO notifications_delivery AS known (key, user_id, channel, kind, figures, digest, happened_at, next_at)
VALUES (%s, %s, 'email', 'digest', '{}', true, %s, %s)
ON CONFLICT (user_id, channel) WHERE digest AND attempts = 0 AND state = 'pending'
DO UPDATE SET figures = known.figures
RETURNING id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """An event for a person; the fields are those of `notifications.record`."""

    user_id: int
    kind: str
    key: str
    figures: Mapping[str, str]
    at: int
    account_id: int | None = None
    silent: bool = False


@dataclass(frozen=True, slots=True)
class _Recorded:
    """News with the notification that it became."""

    id: int
    news: News
    channels: frozenset[Channel]

    @property
    def moment(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.news.at)


def record_all(news: Iterable[News], *, now: datetime | None = None) -> int:
    """Tell people of events, all or none; how many were not told before (a change of an order's notification counts).

    Of several about one order the last one stays. `now`: from when on deliveries are due (default: the clock).
    """
    latest = {(each.user_id, rules.subject(kind=each.kind, key=each.key)): each for each in news}
    if not latest:
        return 0
    recorded = 0
    with transaction.atomic():
        recipients = _hold({user_id for user_id, _ in latest})
        known = [(subject, each) for (user_id, subject), each in latest.items() if user_id in recipients]
        for batch in _batches(known):
            recorded += _record(batch, recipients, now or timezone.now())
        _keep_sequences(recipients.values())
    return recorded


def tell_news(user_ids: Iterable[int]) -> None:
    """Let the web processes look, once the transaction at hand is committed."""
    with connection.cursor() as cursor:
        for batch in _batches(sorted(user_ids), NEWS_USERS_MAX):
            cursor.execute("SELECT pg_notify(%s, %s)", [NEWS_CHANNEL, ",".join(map(str, batch))])


def hold(*, user_id: int) -> Recipient:
    """The person's row, held until the end of the transaction; made if need be."""
    return _hold({user_id})[user_id]


def _hold(user_ids: set[int]) -> dict[int, Recipient]:
    """The rows of those who exist, held in the order of their ids so that nobody waits in a circle."""
    users = get_user_model().objects.filter(pk__in=user_ids).order_by("pk").values_list("pk", flat=True)
    Recipient.objects.bulk_create([Recipient(user_id=pk) for pk in users], ignore_conflicts=True)
    return {row.pk: row for row in Recipient.objects.select_for_update().filter(pk__in=user_ids).order_by("pk")}


def _record(batch: Sequence[tuple[str, News]], recipients: Mapping[int, Recipient], now: datetime) -> int:
    user_ids = {news.user_id for _, news in batch}
    chosen = _channels(batch, user_ids)
    rows: list[tuple[Any, ...]] = []
    for subject, news in batch:
        recipient = recipients[news.user_id]
        recipient.sequence += 1
        happened_at = EPOCH + timedelta(microseconds=news.at)
        shown = "in_app" in chosen[news.user_id, news.kind] and not news.silent
        figures = json.dumps(dict(news.figures))
        rows.append(
            (news.user_id, news.account_id, subject, news.kind, figures, recipient.sequence, shown, happened_at)
        )
    ids = {(user_id, subject): id_ for user_id, subject, id_ in _execute(_NOTIFY, rows)}
    recorded = [
        _Recorded(ids[news.user_id, subject], news, frozenset() if news.silent else chosen[news.user_id, news.kind])
        for subject, news in batch
        if (news.user_id, subject) in ids
    ]
    _send_out(recorded, recipients, now)
    tell_news({each.news.user_id for each in recorded})
    return len(recorded)


def _channels(batch: Sequence[tuple[str, News]], user_ids: set[int]) -> dict[tuple[int, str], frozenset[Channel]]:
    """By which channels each person is told of each kind in the batch."""
    preferences: dict[int, dict[tuple[str, Channel], bool]] = {user_id: {} for user_id in user_ids}
    kinds = {news.kind for _, news in batch}
    for choice in Preference.objects.filter(user__in=user_ids, kind__in=kinds):
        preferences[choice.user_id][choice.kind, choice.channel] = choice.on  # type: ignore[index]
    asked = {(news.user_id, news.kind) for _, news in batch}
    return {(user_id, kind): rules.channels(kind=kind, preferences=preferences[user_id]) for user_id, kind in asked}


def _send_out(recorded: Sequence[_Recorded], recipients: Mapping[int, Recipient], now: datetime) -> None:
    """Put into the outbox what leaves the house: each event by itself, fills by e-mail into their digest."""
    leaving = [each for each in recorded if each.channels & {"email", "webhook"}]
    if not leaving:
        return
    user_ids = {each.news.user_id for each in leaving}
    users = get_user_model().objects.filter(pk__in=user_ids, is_active=True).exclude(email="")
    with_email = set(users.values_list("pk", flat=True))
    rows: list[tuple[Any, ...]] = []
    gathered: dict[int, list[int]] = {}
    for each in leaving:
        news = each.news
        by = {channel for channel in ("email", "webhook") if channel in each.channels}
        if not recipients[news.user_id].webhook_url:
            by.discard("webhook")
        if news.user_id not in with_email:
            by.discard("email")
        if "email" in by and KINDS[news.kind].gathered:
            by.discard("email")
            gathered.setdefault(news.user_id, []).append(each.id)
        figures = json.dumps(dict(news.figures))
        for channel in by:
            key = f"{each.id}.{news.kind}.{channel}"
            rows.append((key, news.user_id, channel, news.kind, news.account_id, figures, each.moment, now))
    if rows:
        _execute(_DELIVER, rows)
    if gathered:
        _gather(gathered, recipients, now)


def _gather(gathered: Mapping[int, Sequence[int]], recipients: Mapping[int, Recipient], now: datetime) -> None:
    """Put notifications into their people's open digests; where there is none, one opens and sets out in a while."""
    recent = dict(
        Delivery.objects.filter(
            user__in=gathered, channel="email", digest=True, happened_at__gt=now - timedelta(hours=1)
        )
        .values_list("user")
        .annotate(Count("id"))
    )
    with connection.cursor() as cursor:
        for user_id, notification_ids in gathered.items():
            recipient = recipients[user_id]
            wait = rules.digest_seconds(chosen_minutes=recipient.digest_minutes, recent=recent.get(user_id, 0))
            key = f"digest.{user_id}.{recipient.sequence}"
            cursor.execute(_OPEN_DIGEST, [key, user_id, now, now + timedelta(seconds=wait)])
            cursor.execute(
                """UPDATE notifications_notification SET digest_id = %s WHERE id = ANY(%s)""",
                [*cursor.fetchone(), list(notification_ids)],
            )


def _keep_sequences(recipients: Iterable[Recipient]) -> None:
    for batch in _batches(list(recipients)):
        Recipient.objects.bulk_update(batch, ["sequence"])


def _execute(sql: str, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """A statement over arrays, one a column; what it returns."""
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(column) for column in zip(*rows, strict=True)])
        return list(cursor.fetchall()) if cursor.description else []


def _batches(items: Sequence[T], size: int = BATCH_ROWS) -> Iterator[Sequence[T]]:
    return (items[at : at + size] for at in range(0, len(items), size))
