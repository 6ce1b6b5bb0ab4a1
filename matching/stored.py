"""The tables as `prove` reads them: amounts in units by the replay's scales, rows in order, a stretch at a time.

What is stored is compared with what the journal gives row by row and column by column; a difference names the command
that should have written the row.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader

from marketdata import arrays
from marketdata.store import microseconds
from matching.engine import messages
from matching.engine.messages import OrderState, OrderUpdated
from matching.state import State

Connection = psycopg.Connection[Any]
Row = tuple[Any, ...]


class Difference(NamedTuple):
    """Something stored is not what the journal gives. `sequence`: the command that last wrote it, None: unknown."""

    sequence: int | None
    text: str


class Table(NamedTuple):
    """How rows of one kind are named and read; the first `key` columns tell them apart."""

    name: str
    columns: tuple[str, ...]
    select: str
    key: int = 1


class _Units(Loader):
    """Reads an amount in units as int; one that is no whole number of units stays text, and so equals nothing."""

    def load(self, data: Buffer) -> int | str:
        text = bytes(data)
        try:
            return int(text)
        except ValueError:
            return text.decode()


def _units(*columns: str, unit: str) -> str:
    return ", ".join(f"trim_scale({column} * {unit})" for column in columns)


_MARKET_UNITS = "LEFT JOIN unnest(%(markets)s::int[], %(base)s::numeric[], %(quote)s::numeric[]) AS u (id, base, quote)"
_ASSET_UNITS = "LEFT JOIN unnest(%(assets)s::int[], %(units)s::numeric[]) AS u (id, unit) ON u.id = asset_id"

TRADES = Table(
    "trade",
    messages.TradeExecuted.__struct_fields__,
    f"""SELECT t.id, sequence, market_id, {_units("price", unit="u.quote")}, {_units("quantity", unit="u.base")},
    {_units("notional", unit="u.quote")}, taker_side, maker_order_id, taker_order_id, maker_account_id,
    taker_account_id, trim_scale(maker_fee * CASE taker_side WHEN 'buy' THEN u.quote ELSE u.base END),
    trim_scale(taker_fee * CASE taker_side WHEN 'buy' THEN u.base ELSE u.quote END), {microseconds("executed_at")}
    FROM marketdata_trade t {_MARKET_UNITS} ON u.id = market_id
    WHERE t.id > %(after)s AND t.id <= %(last)s ORDER BY t.id""",
)
ENTRIES = Table(
    "entry",
    messages.EntryPosted.__struct_fields__,
    f"""SELECT e.id, sequence, account_id, asset_id, {_units("amount", "balance", unit="u.unit")}, entry_type,
    reference, {microseconds("posted_at")} FROM risk_entry e {_ASSET_UNITS}
    WHERE e.id > %(after)s AND e.id <= %(last)s ORDER BY e.id""",
)
PLACED = Table(
    "order",
    (
        "id", "account_id", "market_id", "client_order_id", "side", "order_type", "time_in_force", "post_only",
        "self_trade_prevention", "quote_amount", "maker_rate", "taker_rate", "request_digest", "created_at",
    ),
    f"""SELECT o.id, account_id, market_id, client_order_id, side, order_type, time_in_force, post_only,
    self_trade_prevention, {_units("quote_amount", unit="u.quote")}, maker_rate, taker_rate, request_digest,
    {microseconds("created_at")} FROM orders_order o {_MARKET_UNITS} ON u.id = market_id
    WHERE o.id > %(after)s AND o.id <= %(last)s ORDER BY o.id""",
)  # fmt: skip
ORDERS = Table(
    "order",
    (
        "id", "price", "quantity", "filled_quantity", "filled_notional", "remaining", "prevented_quantity", "held",
        "status", "reason", "priority", "updated_at",
    ),
    f"""SELECT o.id, {_units("price", unit="u.quote")}, {_units("quantity", "filled_quantity", unit="u.base")},
    {_units("filled_notional", unit="u.quote")}, {_units("remaining", "prevented_quantity", unit="u.base")},
    trim_scale(held * CASE side WHEN 'buy' THEN u.quote ELSE u.base END), status, reason, priority,
    {microseconds("updated_at")} FROM orders_order o {_MARKET_UNITS} ON u.id = market_id
    WHERE o.id = ANY(%(ids)s::bigint[]) ORDER BY o.id""",
)  # fmt: skip
DEPOSITS = Table(
    "deposit",
    messages.DepositCredited.__struct_fields__,
    f"""SELECT d.id, account_id, asset_id, {_units("amount", unit="u.unit")}, reference, {microseconds("credited_at")}
    FROM risk_deposit d {_ASSET_UNITS} WHERE d.id > %(after)s AND d.id <= %(last)s ORDER BY d.id""",
)
REQUESTED = Table(
    "withdrawal",
    ("id", "account_id", "asset_id", "amount", "destination", "requested_at"),
    f"""SELECT w.id, account_id, asset_id, {_units("amount", unit="u.unit")}, destination,
    {microseconds("requested_at")} FROM risk_withdrawal w {_ASSET_UNITS}
    WHERE w.id > %(after)s AND w.id <= %(last)s ORDER BY w.id""",
)
WITHDRAWALS = Table(
    "withdrawal",
    ("id", "status", "note", "updated_at"),
    f"""SELECT id, status, note, {microseconds("updated_at")} FROM risk_withdrawal
    WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id""",
)
ANNOUNCEMENTS = Table(
    "announcement",
    ("sequence", "market_id", "announcement_type", "announced_at"),
    f"""SELECT sequence, market_id, announcement_type, {microseconds("announced_at")} FROM notifications_announcement
    WHERE sequence > %(after)s AND sequence <= %(last)s ORDER BY sequence, id""",
)
VOLUMES = Table(
    "volume of day, account",
    ("day", "account_id", "volume"),
    f"""SELECT day, account_id, {_units("volume", unit="%(unit)s::numeric")} FROM fees_dailyvolume
    WHERE day > %(after)s AND day <= %(last)s ORDER BY day, account_id""",
    key=2,
)


def order_row(order: OrderState | OrderUpdated) -> Row:
    """What can change about an order, as ORDERS reads it."""
    return (
        order.id, order.price, order.quantity, order.filled_quantity, order.filled_notional, order.remaining,
        order.prevented_quantity, order.held, order.status, order.reason, order.priority, order.updated_at,
    )  # fmt: skip


def placed_row(order: OrderState) -> Row:
    """What never changes about an order, as PLACED reads it."""
    return (
        order.id, order.account_id, order.market_id, order.client_order_id, order.side, order.order_type,
        order.time_in_force, order.post_only, order.self_trade_prevention, order.quote_amount, order.maker_rate,
        order.taker_rate, order.request_digest, order.created_at,
    )  # fmt: skip


def compare_last(
    connection: Connection, state: State, table: Table, expected: dict[int, tuple[int, Row]]
) -> Difference | None:
    """The first difference of the rows with the ids of `expected`: id -> the last command that wrote it, the row."""
    rows = [expected[id][1] for id in sorted(expected)]
    ids = {"ids": arrays.numbers(expected)}
    found = None
    for want, have in _differing(_stored(connection, state, table, ids), rows, table):
        row = want or have
        assert row is not None
        each = Difference(expected[row[0]][0], _described(table, want, have))
        if found is None or (each.sequence or 0) < (found.sequence or 0):
            found = each
    return found


def compare(
    connection: Connection,
    state: State,
    table: Table,
    expected: list[Row],
    bounds: dict[str, Any],
    sequence_of: Callable[[Row], int],
) -> Difference | None:
    """The first difference of the rows within `bounds`."""
    for want, have in _differing(_stored(connection, state, table, bounds), expected, table):
        row = want or have
        assert row is not None
        return Difference(sequence_of(row), _described(table, want, have))
    return None


def _stored(connection: Connection, state: State, table: Table, parameters: dict[str, Any]) -> list[Row]:
    """The rows of a table, amounts in units by the replay's scales, whatever the stored assets and markets say."""
    markets, assets = state.markets.values(), state.assets.values()
    scales = {
        "markets": arrays.numbers([market.id for market in markets]),
        "base": arrays.numbers([market.base.unit for market in markets]),
        "quote": arrays.numbers([market.quote.unit for market in markets]),
        "assets": arrays.numbers([asset.id for asset in assets]),
        "units": arrays.numbers([asset.unit for asset in assets]),
    }
    cursor = connection.cursor()
    cursor.adapters.register_loader("numeric", _Units)
    return cursor.execute(table.select, scales | parameters, prepare=True).fetchall()


def _differing(stored: list[Row], expected: list[Row], table: Table) -> Iterator[tuple[Row | None, Row | None]]:
    """Pairs of rows with the same key, both in the order of their keys, that differ or lack the other one."""
    if stored == expected:
        return
    key = table.key
    wanted, found = iter(expected), iter(stored)
    want, have = next(wanted, None), next(found, None)
    while want is not None or have is not None:
        if have is None or (want is not None and want[:key] < have[:key]):
            yield want, None
            want = next(wanted, None)
        elif want is None or have[:key] < want[:key]:
            yield None, have
            have = next(found, None)
        else:
            if want != have:
                yield want, have
            want, have = next(wanted, None), next(found, None)


def _described(table: Table, want: Row | None, have: Row | None) -> str:
    row = have if want is None else want
    assert row is not None
    name = f"{table.name} {', '.join(str(part) for part in row[: table.key])}"
    if have is None:
        return f"{name} is missing"
    if want is None:
        return f"{name} is stored, but no command made it"
    return f"{name}: {described_columns(table.columns, want, have)}"


def described_columns(columns: Sequence[str], want: Row, have: Row) -> str:
    """Which columns differ and how."""
    return "; ".join(
        f"{column} is {stored!s} in the database, {replayed!s} by the journal"
        for column, replayed, stored in zip(columns, want, have, strict=True)
        if stored != replayed
    )
