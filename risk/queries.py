"""An account's balances, statement, deposits and withdrawals, and a user's accounts, one SQL statement each.

Every function takes the account it is asked for. Amounts come back as text in whole assets, times as ISO 8601.
"""

from dataclasses import dataclass
from typing import Any, Literal

from marketdata.queries import floor_of, require_asset, rows_of
from marketdata.shapes import ID_MAX, DecimalText, Page, TimeText, amount_text, page_of, time_text
from risk.models import Account as AccountRow

EntryType = Literal["deposit", "withdrawal", "correction", "trade", "fee"]
WithdrawalStatus = Literal["pending", "paid", "refused"]


class UnknownAccount(LookupError):
    """The user has no such account."""


class UnknownDeposit(LookupError):
    """The account has no such deposit."""


class UnknownWithdrawal(LookupError):
    """The account has no such withdrawal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of a user. A frozen account can cancel orders, but not place or withdraw."""

    id: int
    name: str
    frozen: bool
    opened_at: TimeText


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What the account has of an asset: balance = available + held."""

    asset: str
    available: DecimalText
    held: DecimalText
    balance: DecimalText


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the statement; `balance` is the account's in that asset after it.

    `reference` is the trade, deposit or withdrawal it belongs to, null if none.
    """

    id: int
    sequence: int
    asset: str
    amount: DecimalText
    balance: DecimalText
    type: EntryType
    reference: int | None
    posted_at: TimeText


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """A credit from outside."""

    id: int
    asset: str
    amount: DecimalText
    reference: str
    credited_at: TimeText


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """An amount on its way out: pending (held), paid or refused. `note` is the operator's."""

    id: int
    asset: str
    amount: DecimalText
    destination: str
    status: WithdrawalStatus
    note: str
    requested_at: TimeText
    updated_at: TimeText


def accounts(*, user_id: int, only_account_id: int | None = None) -> list[Account]:
    """The user's accounts in the order they were opened, or only the one with that id."""
    rows = AccountRow.objects.filter(user_id=user_id).order_by("id")
    if only_account_id is not None:
        rows = rows.filter(id=only_account_id)
    return [
        Account(id=id_, name=name, frozen=frozen, opened_at=time_text(opened_at))
        for id_, name, frozen, opened_at in rows.values_list("id", "name", "frozen", "opened_at")
    ]


def account(*, user_id: int, name: str) -> Account:
    """The user's account of that name. Raises UnknownAccount."""
    found = AccountRow.objects.filter(user_id=user_id, name=name).first()
    if found is None:
        raise UnknownAccount(name)
    return Account(id=found.id, name=found.name, frozen=found.frozen, opened_at=time_text(found.opened_at))


def balances(*, account_id: int) -> list[Balance]:
    """The account's funds in every asset, zeros too, in the order of the assets."""
    sql = """
        SELECT a.symbol, a.scale, coalesce(b.available, 0), coalesce(b.held, 0)
        FROM marketdata_asset a LEFT JOIN risk_balance b ON b.asset_id = a.id AND b.account_id = %(account_id)s
        ORDER BY a.id
    """
    return [
        Balance(
            asset=asset,
            available=amount_text(available, scale),
            held=amount_text(held, scale),
            balance=amount_text(available + held, scale),
        )
        for asset, scale, available, held in rows_of(sql=sql, arguments={"account_id": account_id})
    ]


def entries(*, account_id: int, limit: int, before: int | None = None, asset: str | None = None) -> Page[Entry]:
    """The account's statement, newest first, lines with an id below `before`. Raises UnknownAsset."""
    columns = "r.sequence, r.amount, r.balance, r.entry_type, r.reference, r.posted_at"
    rows, floor = _newest("risk_entry", columns, account_id=account_id, limit=limit, before=before, asset=asset)
    found = [
        Entry(
            id=id_,
            sequence=sequence,
            asset=symbol,
            amount=amount_text(amount, scale),
            balance=amount_text(balance, scale),
            type=entry_type,
            reference=reference or None,
            posted_at=time_text(posted_at),
        )
        for id_, symbol, scale, sequence, amount, balance, entry_type, reference, posted_at in rows
    ]
    return page_of(rows=found, ids=[entry.id for entry in found], limit=limit, floor=floor)


def deposits(*, account_id: int, limit: int, before: int | None = None, asset: str | None = None) -> Page[Deposit]:
    """The account's deposits, newest first, those with an id below `before`. Raises UnknownAsset."""
    rows, floor = _newest(
        "risk_deposit", _DEPOSIT_COLUMNS, account_id=account_id, limit=limit, before=before, asset=asset
    )
    found = [_deposit(row) for row in rows]
    return page_of(rows=found, ids=[deposit.id for deposit in found], limit=limit, floor=floor)


def withdrawals(
    *,
    account_id: int,
    limit: int,
    before: int | None = None,
    asset: str | None = None,
    status: WithdrawalStatus | None = None,
) -> Page[Withdrawal]:
    """The account's withdrawals, newest first, those with an id below `before`. Raises UnknownAsset."""
    rows, floor = _newest(
        "risk_withdrawal",
        _WITHDRAWAL_COLUMNS,
        account_id=account_id,
        limit=limit,
        before=before,
        asset=asset,
        status=status,
    )
    found = [_withdrawal(row) for row in rows]
    return page_of(rows=found, ids=[withdrawal.id for withdrawal in found], limit=limit, floor=floor)


def deposit(*, account_id: int, deposit_id: int) -> Deposit:
    """One deposit of the account. Raises UnknownDeposit."""
    rows = _one("risk_deposit", _DEPOSIT_COLUMNS, account_id=account_id, id_=deposit_id)
    if not rows:
        raise UnknownDeposit(deposit_id)
    return _deposit(rows[0])


def withdrawal(*, account_id: int, withdrawal_id: int) -> Withdrawal:
    """One withdrawal of the account. Raises UnknownWithdrawal."""
    rows = _one("risk_withdrawal", _WITHDRAWAL_COLUMNS, account_id=account_id, id_=withdrawal_id)
    if not rows:
        raise UnknownWithdrawal(withdrawal_id)
    return _withdrawal(rows[0])


_DEPOSIT_COLUMNS = "r.amount, r.reference, r.credited_at"
_WITHDRAWAL_COLUMNS = "r.amount, r.destination, r.status, r.note, r.requested_at, r.updated_at"


def _newest(
    table: str,
    columns: str,
    *,
    account_id: int,
    limit: int,
    before: int | None,
    asset: str | None,
    status: str | None = None,
) -> tuple[list[tuple[Any, ...]], int | None]:
    """(id, asset symbol, scale, columns) of up to `limit` + 1 rows of the account, newest first; the page's floor."""
    arguments = {
        "account_id": account_id,
        "before": before or ID_MAX,
        "asset": asset,
        "status": status,
        "limit": limit,
    }
    conditions = ["account_id = %(account_id)s", "id < %(before)s"]
    filters = ["asset_id = (SELECT id FROM marketdata_asset WHERE symbol = %(asset)s)"] if asset else []
    filters += ["status = %(status)s"] if status else []
    floor = None
    if filters:
        ids = f"SELECT id FROM {table} WHERE {' AND '.join(conditions)}"  # noqa: S608
        floor = floor_of(ids=[ids], arguments=arguments)
    conditions += [*filters, "id >= %(floor)s"]
    sql = f"""
        SELECT r.id, a.symbol, a.scale, {columns}
        FROM (
            SELECT * FROM {table} WHERE {" AND ".join(conditions)} ORDER BY id DESC LIMIT %(limit)s + 1
        ) r JOIN marketdata_asset a ON a.id = r.asset_id ORDER BY r.id DESC
    """  # noqa: S608
    rows = rows_of(sql=sql, arguments=arguments | {"floor": 1 if floor is None else floor + 1})
    if not rows and asset:
        require_asset(symbol=asset)
    return rows, floor


def _one(table: str, columns: str, *, account_id: int, id_: int) -> list[tuple[Any, ...]]:
    sql = f"""
        SELECT r.id, a.symbol, a.scale, {columns}
        FROM {table} r JOIN marketdata_asset a ON a.id = r.asset_id
        WHERE r.id = %(id)s AND r.account_id = %(account_id)s
    """  # noqa: S608
    return rows_of(sql=sql, arguments={"account_id": account_id, "id": id_})


def _deposit(row: tuple[Any, ...]) -> Deposit:
    id_, symbol, scale, amount, reference, credited_at = row
    return Deposit(
        id=id_, asset=symbol, amount=amount_text(amount, scale), reference=reference, credited_at=time_text(credited_at)
    )


def _withdrawal(row: tuple[Any, ...]) -> Withdrawal:
    id_, symbol, scale, amount, destination, status, note, requested_at, updated_at = row
    return Withdrawal(
        id=id_,
        asset=symbol,
        amount=amount_text(amount, scale),
        destination=destination,
        status=status,
        note=note,
        requested_at=time_text(requested_at),
        updated_at=time_text(updated_at),
    )
