"""What keeps notifications bounded, however much happens: the newest are kept, and nobody has an endless outbox."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from notifications.rules import KINDS

KEPT_CHANGES = 1_000
"""A person keeps what changed within so many changes; security news is kept for its time whatever comes after."""

KEPT_DAYS = 90
SENT_DAYS = 7
WAITING_MAX = 5_000
"""Events that may wait for one webhook; of more, the oldest are given up."""

ROWS_MAX = 5_000
"""As many rows of each table go in one call, so that none takes long."""

_GATHERED = (
    """EXISTS (SELECT FROM notifications_delivery d WHERE d.id = n.digest_id AND d.state IN ('pending', 'failed'))"""
)
_FORGET = f"""
DELETE FROM notifications_notification WHERE id IN (
    SELECT n.id FROM notifications_recipient r
    JOIN LATERAL (
        SELECT * FROM notifications_notification WHERE user_id = r.user_id AND sequence <= r.sequence - %(kept)s
        ORDER BY sequence LIMIT %(rows)s) n ON true
    WHERE (NOT n.kind = ANY(%(security)s) OR n.happened_at < %(old)s) AND NOT {_GATHERED} LIMIT %(rows)s)
"""  # noqa: S608 - our own constants
_FORGET_OLD = f"""
DELETE FROM notifications_notification WHERE id IN (
    SELECT n.id FROM (SELECT * FROM notifications_notification ORDER BY id LIMIT %(rows)s) n
    WHERE n.happened_at < %(old)s AND NOT {_GATHERED})
"""  # noqa: S608
_DONE = """
SELECT id FROM notifications_delivery WHERE state = %(state)s AND done_at < %(before)s ORDER BY done_at LIMIT %(rows)s
"""
_LET_GO = f"UPDATE notifications_notification SET digest_id = NULL WHERE digest_id IN ({_DONE})"  # noqa: S608
_FORGET_DELIVERIES = f"DELETE FROM notifications_delivery WHERE id IN ({_DONE})"  # noqa: S608
_GIVE_UP = """
UPDATE notifications_delivery SET state = 'dead', done_at = %(now)s, last_error = 'Too many events were waiting.'
WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY user_id ORDER BY id DESC) AS place FROM notifications_delivery
        WHERE state IN ('pending', 'failed') AND channel = 'webhook') waiting
    WHERE place > %(waiting)s LIMIT %(rows)s)
"""


def tidy(*, now: datetime) -> None:
    """Forget what nobody looks at any more, and give up what waits behind too much; a bounded part of it each time."""
    old = now - timedelta(days=KEPT_DAYS)
    arguments: dict[str, Any] = {
        "kept": KEPT_CHANGES,
        "rows": ROWS_MAX,
        "security": [kind for kind, rule in KINDS.items() if rule.always],
        "old": old,
        "waiting": WAITING_MAX,
        "now": now,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in (_GIVE_UP, _FORGET, _FORGET_OLD):
            cursor.execute(statement, arguments)
        for state, before in (("sent", now - timedelta(days=SENT_DAYS)), ("dead", old)):
            for statement in (_LET_GO, _FORGET_DELIVERIES):
                cursor.execute(statement, {**arguments, "state": state, "before": before})
