"""An account's balances, statement, deposits and withdrawals, and a user's accounts, one SQL statement each.

Every function takes the account it is asked for. Amounts come back as text in whole assets, times as ISO 8601.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

from marketdata.paging import PageAsked, Paging, rows_of
from marketdata.queries import require_asset
from marketdata.shapes import DecimalText, Page, TimeText, amount_text, time_text
from risk.models import Account as AccountRow

EntryType = Literal["deposit", "withdrawal", "correction", "trade", "fee"]
WithdrawalStatus = Literal["pending", "paid", "refused"]
T = TypeVar("T")


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


def entries(
    *,
    account_id: int,
    limit: int,
    before: int | None = None,
    after: int | None = None,
    start: int | None = None,
    end: int | None = None,
    asset: str | None = None,
) -> Page[Entry]:
    """The account's statement; the page is as in PageAsked. Raises UnknownAsset."""
    asked = PageAsked(limit=limit, before=before, after=after, start=start, end=end)
    return _page(_ENTRIES, _entry, account_id=account_id, asked=asked, asset=asset)


def deposits(
    *,
    account_id: int,
    limit: int,
    before: int | None = None,
    after: int | None = None,
    start: int | None = None,
    end: int | None = None,
    asset: str | None = None,
) -> Page[Deposit]:
    """The account's deposits; the page is as in PageAsked. Raises UnknownAsset."""
    asked = PageAsked(limit=limit, before=before, after=after, start=start, end=end)
    return _page(_DEPOSITS, _deposit, account_id=account_id, asked=asked, asset=asset)


def withdrawals(
    *,
    account_id: int,
    limit: int,
    before: int | None = None,
    after: int | None = None,
    start: int | None = None,
    end: int | None = None,
    asset: str | None = None,
    status: WithdrawalStatus | None = None,
) -> Page[Withdrawal]:
    """The account's withdrawals; the page is as in PageAsked, times those of asking. Raises UnknownAsset."""
    asked = PageAsked(limit=limit, before=before, after=after, start=start, end=end)
    return _page(_WITHDRAWALS, _withdrawal, account_id=account_id, asked=asked, asset=asset, status=status)


def deposit(*, account_id: int, deposit_id: int) -> Deposit:
    """One deposit of the account. Raises UnknownDeposit."""
    rows = _one(_DEPOSITS, account_id=account_id, id_=deposit_id)
    if not rows:
        raise UnknownDeposit(deposit_id)
    return _deposit(rows[0])


def withdrawal(*, account_id: int, withdrawal_id: int) -> Withdrawal:
    """One withdrawal of the account. Raises UnknownWithdrawal."""
    rows = _one(_WITHDRAWALS, account_id=account_id, id_=withdrawal_id)
    if not rows:
        raise UnknownWithdrawal(withdrawal_id)
    return _withdrawal(rows[0])


class _List(NamedTuple):
    """A table of an account's rows: its name, the column that says when, and the columns to read."""

    table: str
    time: str
    columns: str


_ENTRIES = _List("risk_entry", "posted_at", "r.sequence, r.amount, r.balance, r.entry_type, r.reference, r.posted_at")
_DEPOSITS = _List("risk_deposit", "credited_at", "r.amount, r.reference, r.credited_at")
_WITHDRAWALS = _List(
    "risk_withdrawal", "requested_at", "r.amount, r.destination, r.status, r.note, r.requested_at, r.updated_at"
)


def _page(
    of: _List,
    made: Callable[[tuple[Any, ...]], T],
    *,
    account_id: int,
    asked: PageAsked,
    asset: str | None,
    status: str | None = None,
) -> Page[T]:
    """A page of the account's rows; `made` takes a row of id, asset symbol, scale and the columns."""
    paging = Paging[T](table=of.table, time=of.time, asked=asked)
    arguments = {"account_id": account_id, "asset": asset, "status": status}
    conditions = ["account_id = %(account_id)s", *paging.conditions]
    filters = ["asset_id = (SELECT id FROM marketdata_asset WHERE symbol = %(asset)s)"] if asset else []
    filters += ["status = %(status)s"] if status else []
    if filters:
        ids = f"SELECT id FROM {of.table} WHERE {' AND '.join(conditions)}"  # noqa: S608
        conditions += [*filters, *paging.stop(ids=[ids], arguments=arguments)]
    sql = f"""
        SELECT r.id, a.symbol, a.scale, {of.columns}
        FROM (
            SELECT * FROM {of.table} WHERE {" AND ".join(conditions)} {paging.order} LIMIT %(limit)s + 1
        ) r JOIN marketdata_asset a ON a.id = r.asset_id {paging.order_of("r")}
    """  # noqa: S608
    rows = rows_of(sql=sql, arguments=paging.arguments | arguments)
    if not rows and asset:
        require_asset(symbol=asset)
    return paging.page(rows=[made(row) for row in rows], ids=[row[0] for row in rows])


def _one(of: _List, *, account_id: int, id_: int) -> list[tuple[Any, ...]]:
    sql = f"""
        SELECT r.id, a.symbol, a.scale, {of.columns}
        FROM {of.table} r JOIN marketdata_asset a ON a.id = r.asset_id
        WHERE r.id = %(id)s AND r.account_id = %(account_id)s
    """  # noqa: S608
    return rows_of(sql=sql, arguments={"account_id": account_id, "id": id_})


def _entry(row: tuple[Any, ...]) -> Entry:
    id_, symbol, scale, sequence, amount, balance, entry_type, reference, posted_at = row
    return Entry(
        id=id_,
        sequence=sequence,
        asset=symbol,
        amount=amount_text(amount, scale),
        balance=amount_text(balance, scale),
        type=entry_type,
        reference=reference or None,
        posted_at=time_text(posted_at),
    )


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
