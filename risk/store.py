"""The SQL that writes and reads the tables of risk: accounts, balances, entries, deposits, withdrawals, limits."""

from collections.abc import Iterable
from typing import Any

import msgspec
import psycopg

from marketdata import arrays
from marketdata.store import ASSET_UNITS, EPOCH, Scales, Statement, microseconds
from matching.engine.messages import (
    HOUSE_ACCOUNT_IDS,
    AccountFrozen,
    AccountOpened,
    BalanceChanged,
    DepositCredited,
    EntryPosted,
    Limits,
    LimitsChanged,
    WithdrawalChanged,
)

Connection = psycopg.Connection[Any]

INSERT_ENTRIES = f"""
INSERT INTO risk_entry (id, sequence, account_id, asset_id, amount, balance, entry_type, reference, posted_at)
SELECT e.id, e.sequence, e.account_id, e.asset_id, e.amount, e.balance, e.entry_type, e.reference, {EPOCH}
FROM unnest(%s::bourse_entry_row[]) AS e
"""

UPSERT_BALANCES = """
INSERT INTO risk_balance (account_id, asset_id, available, held)
SELECT b.account_id, b.asset_id, b.available, b.held FROM unnest(%s::bourse_balance_row[]) AS b
ON CONFLICT (account_id, asset_id) DO UPDATE SET available = excluded.available, held = excluded.held
"""

UPSERT_WITHDRAWAL = f"""
INSERT INTO risk_withdrawal (id, account_id, asset_id, amount, destination, status, note, requested_at, updated_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, {EPOCH}, {EPOCH})
ON CONFLICT (id) DO UPDATE SET status = excluded.status, note = excluded.note, updated_at = excluded.updated_at
"""

_encode_limits = msgspec.json.Encoder().encode
_decode_limits = msgspec.json.Decoder(Limits).decode


def entries_statement(entries: list[EntryPosted], scales: Scales, now: int) -> Statement:
    """Insert the entries of one batch, all posted at `now`."""
    return INSERT_ENTRIES, [now, arrays.rows([_entry_row(entry, scales.assets[entry.asset_id]) for entry in entries])]


def _entry_row(entry: EntryPosted, suffix: str) -> str:
    return (
        f"{entry.id},{entry.sequence},{entry.account_id},{entry.asset_id},{entry.amount}{suffix},"
        f"{entry.balance}{suffix},{entry.entry_type},{entry.reference}"
    )


def balances_statement(balances: Iterable[BalanceChanged], scales: Scales) -> Statement:
    """Bring balances up to date; at most one of each account and asset."""
    return UPSERT_BALANCES, [arrays.rows([_balance_row(each, scales.assets[each.asset_id]) for each in balances])]


def _balance_row(balance: BalanceChanged, suffix: str) -> str:
    return f"{balance.account_id},{balance.asset_id},{balance.available}{suffix},{balance.held}{suffix}"


def account_statement(event: AccountOpened) -> Statement:
    """Insert an account."""
    return (
        "INSERT INTO risk_account (id, user_id, name, frozen, freeze_note, opened_at) "
        f"VALUES (%s, %s, %s, false, '', {EPOCH})",
        [event.account_id, event.user_id, event.name, event.opened_at],
    )


def frozen_statement(event: AccountFrozen) -> Statement:
    """Freeze or unfreeze an account."""
    return (
        "UPDATE risk_account SET frozen = %s, freeze_note = %s WHERE id = %s",
        [event.frozen, event.note, event.account_id],
    )


def deposit_statement(event: DepositCredited, scales: Scales) -> Statement:
    """Insert a deposit."""
    return (
        "INSERT INTO risk_deposit (id, account_id, asset_id, amount, reference, credited_at) "
        f"VALUES (%s, %s, %s, %s, %s, {EPOCH})",
        [
            event.id,
            event.account_id,
            event.asset_id,
            f"{event.amount}{scales.assets[event.asset_id]}",
            event.reference,
            event.credited_at,
        ],
    )


def withdrawal_statement(event: WithdrawalChanged, scales: Scales) -> Statement:
    """Insert a withdrawal or bring it up to date."""
    return UPSERT_WITHDRAWAL, [
        event.id,
        event.account_id,
        event.asset_id,
        f"{event.amount}{scales.assets[event.asset_id]}",
        event.destination,
        event.status,
        event.note,
        event.requested_at,
        event.updated_at,
    ]


def limits_statement(event: LimitsChanged) -> Statement:
    """Set or remove an account's limits, or set the defaults."""
    if event.limits is None:
        return "DELETE FROM risk_limit WHERE account_id = %s", [event.account_id]
    return (
        "INSERT INTO risk_limit (account_id, limits) VALUES (%s, %s) "
        "ON CONFLICT (coalesce(account_id, 0)) DO UPDATE SET limits = excluded.limits",
        [event.account_id, _encode_limits(event.limits).decode()],
    )


def load_accounts(connection: Connection) -> tuple[list[AccountOpened], list[int]]:
    """Every user account, and the ids of the frozen ones."""
    rows = connection.execute(
        f"SELECT id, user_id, name, {microseconds('opened_at')}, frozen FROM risk_account "
        "WHERE id <> ALL(%s) ORDER BY id",
        [list(HOUSE_ACCOUNT_IDS)],
    ).fetchall()
    return [AccountOpened(*row[:4]) for row in rows], [row[0] for row in rows if row[4]]


def load_balances(connection: Connection) -> list[BalanceChanged]:
    """Every balance that is not zero."""
    rows = connection.execute(
        f"""SELECT account_id, asset_id, trunc(available * a.unit), trunc(held * a.unit)
        FROM risk_balance JOIN {ASSET_UNITS} a ON a.id = asset_id
        WHERE available <> 0 OR held <> 0 ORDER BY account_id, asset_id"""
    )
    return [BalanceChanged(*row) for row in rows]


def load_withdrawals(connection: Connection) -> list[WithdrawalChanged]:
    """Every pending withdrawal, oldest first."""
    rows = connection.execute(
        f"""SELECT w.id, account_id, asset_id, trunc(amount * a.unit), destination, status, note,
        {microseconds("requested_at")}, {microseconds("updated_at")}
        FROM risk_withdrawal w JOIN {ASSET_UNITS} a ON a.id = asset_id WHERE status = 'pending' ORDER BY w.id"""
    )
    return [WithdrawalChanged(*row) for row in rows]


def load_limits(connection: Connection) -> list[LimitsChanged]:
    """The defaults first, then every account's own limits."""
    rows = connection.execute("SELECT account_id, limits FROM risk_limit ORDER BY account_id NULLS FIRST").fetchall()
    defaults = [] if rows and rows[0][0] is None else [LimitsChanged(None, Limits())]
    return defaults + [LimitsChanged(account_id, _decode_limits(limits)) for account_id, limits in rows]
