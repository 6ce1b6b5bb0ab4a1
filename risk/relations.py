"""Who belongs together, from what is stored: one owner, the same address or browser, the same way in or out for money.

What too many share ties nobody: an office's address, an exchange's deposit source. Neither does test money, whose
references begin with "demo".
"""

from ipaddress import ip_address
from typing import Any

from django.db import connection

from marketdata.queries import rows_of
from matching.engine.messages import FEES_ACCOUNT_ID
from risk.surveillance.messages import Relation, Relations

SHARED_BY_MAX = 20
"""Users with one thing in common; more than that is a crowd."""

SEEN_DAYS = 90

OWNERS = """
SELECT 'owner', a.id, b.id, 'one owner: ' || u.username
FROM risk_account a JOIN risk_account b ON b.user_id = a.user_id AND b.id > a.id JOIN trading_user u ON u.id = a.user_id
"""

SEEN = """
WITH shared AS (
    SELECT kind, value, array_agg(user_id) AS users FROM risk_sighting
    WHERE last_at > now() - %(days)s * interval '1 day'
    GROUP BY kind, value HAVING count(*) BETWEEN 2 AND %(most)s
)
SELECT s.kind, a.id, b.id, s.kind || ' ' || s.value FROM shared s
JOIN risk_account a ON a.user_id = ANY(s.users) JOIN risk_account b ON b.user_id = ANY(s.users) AND b.id > a.id
WHERE a.user_id <> b.user_id
"""

MONEY = """
WITH ways AS (
    SELECT 'funding' AS kind, reference AS way, account_id FROM risk_deposit
    WHERE reference <> '' AND reference NOT LIKE 'demo%%'
    UNION SELECT 'withdrawal_target', destination, account_id FROM risk_withdrawal WHERE destination <> ''
), shared AS (
    SELECT kind, way, array_agg(w.account_id) AS accounts FROM ways w JOIN risk_account a ON a.id = w.account_id
    GROUP BY kind, way HAVING count(DISTINCT a.user_id) BETWEEN 2 AND %(most)s
)
SELECT s.kind, a.id, b.id, replace(s.kind, '_', ' ') || ' ' || s.way FROM shared s
JOIN risk_account a ON a.id = ANY(s.accounts) JOIN risk_account b ON b.id = ANY(s.accounts) AND b.id > a.id
WHERE a.user_id <> b.user_id
"""

NOTE = """
INSERT INTO risk_sighting (user_id, kind, value, first_at, last_at) VALUES (%s, %s, %s, now(), now())
ON CONFLICT (kind, value, user_id) DO UPDATE SET last_at = excluded.last_at RETURNING xmax = 0
"""


def load() -> Relations:
    """What ties accounts now; house accounts are tied to nobody."""
    arguments: dict[str, Any] = {"days": SEEN_DAYS, "most": SHARED_BY_MAX}
    return Relations(
        Relation(kind, account_id, other_id, evidence)
        for sql in (OWNERS, SEEN, MONEY)
        for kind, account_id, other_id, evidence in rows_of(sql=sql, arguments=arguments)
        if account_id > FEES_ACCOUNT_ID
    )


def note_sighting(*, user_id: int, kind: str, value: str) -> bool:
    """A user acts from an address or with a browser ("address", "device"); whether for the first time.

    What is no address, and this machine's own, says nothing about anybody.
    """
    if kind == "address" and not _tells_somebody(value):
        return False
    with connection.cursor() as cursor:
        cursor.execute(NOTE, [user_id, kind, value[:64]])
        row = cursor.fetchone()
    return row is not None and bool(row[0])


def _tells_somebody(address: str) -> bool:
    try:
        return not ip_address(address).is_loopback
    except ValueError:
        return False
