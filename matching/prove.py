"""The proof: the journal, replayed from its first command in a fresh exchange, gives what production has stored.

Stretch by stretch every row of the history is compared with what its command must have left, then the whole state at
the end, and then the stored money is added up by itself. The first difference found ends the proof.
"""

import time
from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import astuple

from marketdata.store import microseconds
from matching import audit, snapshot, store
from matching.audit import AssetSum
from matching.engine.messages import AnyCommand, PlaceOrder
from matching.exchange import Exchange
from matching.history import History
from matching.snapshot import Snapshot
from matching.state import State
from matching.stored import ORDERS, Connection, Difference, Row, compare_last, described_columns, order_row
from orders import store as orders_store

STRETCH_COMMANDS = 5_000
OPEN_ORDERS_AT_ONCE = 20_000
LAST_DAY = 2**31 - 1

Progress = Callable[[int, int], None]
"""Called with the commands replayed so far and those of the whole journal."""

_decode = msgspec.json.Decoder(AnyCommand).decode


class Proof(NamedTuple):
    """What was compared without a difference, and who has how much of every asset."""

    commands: int
    orders: int
    trades: int
    entries: int
    deposits: int
    withdrawals: int
    assets: list[AssetSum]
    seconds: float


class Differs(Exception):
    """The database is not what its journal gives. The text names the command and what differs."""


def prove_database(*, progress: Progress | None = None) -> Proof:
    """Prove the default database, as it is at this moment; a running worker does not mind. Raises Differs."""
    with store.connect() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return prove(connection=connection, progress=progress)


def prove(*, connection: Connection, progress: Progress | None = None) -> Proof:
    """Prove what the transaction at hand sees, which must see the same all along. Raises Differs."""
    began = time.monotonic()
    end = _journal_end(connection)
    exchange, history = Exchange(), History()
    state = exchange.state
    difference = None
    while difference is None and state.sequence < end:
        after = state.sequence
        stopped = _replay(connection, exchange, history)
        difference = history.compare(connection, state, after) or stopped
        if progress is not None:
            progress(state.sequence, end)
    difference = difference or _end_difference(connection, state, history)
    if difference is None and (finding := audit.first_finding(connection)):
        difference = Difference(None, finding)
    if difference is not None:
        raise Differs(_named(connection, difference))
    return Proof(
        state.sequence,
        history.orders,
        history.trades,
        history.entries,
        history.deposits,
        history.withdrawals,
        audit.asset_sums(connection),
        time.monotonic() - began,
    )


# ---------------------------------------------------------------------------------------------- the journal


def _journal_end(connection: Connection) -> int:
    """The last sequence that the journal has or should have."""
    row = connection.execute(
        """SELECT greatest((SELECT max(sequence) FROM matching_enginestate),
        (SELECT max(sequence) FROM matching_journalentry))"""
    ).fetchone()
    assert row is not None
    return int(row[0] or 0)


def _replay(connection: Connection, exchange: Exchange, history: History) -> Difference | None:
    """Apply the next stretch of the journal; a Difference if it is not what a journal must be."""
    state = exchange.state
    rows = connection.execute(
        f"""SELECT sequence, {microseconds("received_at")}, kind, account_id, market_id, payload
        FROM matching_journalentry WHERE sequence > %s ORDER BY sequence LIMIT %s""",
        [state.sequence, STRETCH_COMMANDS],
        prepare=True,
    ).fetchall()
    if not rows:
        return Difference(state.sequence + 1, "it is missing at the end of the journal")
    commands: list[AnyCommand] = []
    broken = None
    try:
        for row in rows:
            commands.append(_decode(row[5]))
    except msgspec.MsgspecError as error:
        broken = Difference(state.sequence + len(commands) + 1, f"its payload in the journal is no command: {error}")
    if history.forgets_client_orders:
        _find_client_orders(connection, state, commands)
    for row, command in zip(rows, commands, strict=False):
        sequence, received_at, *named = row[:5]
        if sequence != state.sequence + 1:
            return Difference(state.sequence + 1, "it is missing in the journal")
        if received_at < state.now:
            return Difference(sequence, f"it was received at {received_at}, before the one before it ({state.now})")
        config = command.__struct_config__
        expected = [config.tag, getattr(command, "account_id", None), getattr(command, "market_id", None)]
        if named != expected:
            return Difference(sequence, f"the journal's columns say {named}, its payload {expected}")
        try:
            history.note(sequence, exchange.apply(command, received_at))
        except Exception as error:  # noqa: BLE001 - whatever a journal that was tampered with can lead to
            return Difference(sequence, f"it cannot be replayed: {type(error).__name__} {error}")
    known = len(state.client_orders)
    state.forget_old_client_orders()
    history.forgets_client_orders |= len(state.client_orders) < known
    return broken


def _find_client_orders(connection: Connection, state: State, commands: list[AnyCommand]) -> None:
    """Ask the database, as the worker does, for earlier orders whose client order ids memory has let go."""
    unknown = [
        (command.account_id, command.client_order_id)
        for command in commands
        if type(command) is PlaceOrder
        and command.client_order_id is not None
        and (command.account_id, command.client_order_id) not in state.client_orders
    ]
    if unknown:
        found = orders_store.find_client_orders(connection, unknown)
        state.client_orders.update({key: order for key, order in found.items() if order[0] <= state.sequence})


def _named(connection: Connection, difference: Difference) -> str:
    """The difference with the command it belongs to."""
    if difference.sequence is None:
        return f"The journal was replayed without a difference, but {difference.text}."
    row = connection.execute(
        "SELECT kind, account_id FROM matching_journalentry WHERE sequence = %s", [difference.sequence]
    ).fetchone()
    if row is None:
        return f"Command {difference.sequence}: {difference.text}."
    account = "" if row[1] is None else f", account {row[1]}"
    return f"Command {difference.sequence} ({row[0]}{account}): {difference.text}."


# ---------------------------------------------------------------------------------------------- the end


def _end_difference(connection: Connection, state: State, history: History) -> Difference | None:
    """What only the end of the journal can show: what is still open, the rules, the books, and rows beyond."""
    return (
        history.compare_volumes(connection, state, last_day=LAST_DAY)
        or _open_orders_difference(connection, state, history)
        or _accounts_difference(connection, state, history)
        or _snapshot_difference(snapshot.take(state), store.load_within(connection), history)
        or _stray_rows(connection, state)
    )


def _open_orders_difference(connection: Connection, state: State, history: History) -> Difference | None:
    """The first open order that is not stored as it is, by the last command that touched it."""
    found: list[Difference] = []
    ids = sorted(history.open_orders)
    for start in range(0, len(ids), OPEN_ORDERS_AT_ONCE):
        part = ids[start : start + OPEN_ORDERS_AT_ONCE]
        expected: dict[int, tuple[int, Row]] = {}
        for id in part:
            sequence, order = history.open_orders[id]
            expected[id] = (sequence, order_row(order))
        if difference := compare_last(connection, state, ORDERS, expected):
            found.append(difference)
    return min(found, key=lambda each: each.sequence or 0, default=None)


def _accounts_difference(connection: Connection, state: State, history: History) -> Difference | None:
    """The accounts with what a snapshot does not have: the house's own, and why one is frozen."""
    stored = connection.execute(
        f"""SELECT id, coalesce(user_id, 0), name, frozen, freeze_note, {microseconds("opened_at")}
        FROM risk_account ORDER BY id"""
    ).fetchall()
    expected = [
        (each.id, each.owner, each.name, each.frozen, history.freeze_notes.get(each.id, ""), each.opened_at)
        for each in state.accounts.values()
    ]
    columns = ("id", "user_id", "name", "frozen", "freeze_note", "opened_at")
    return _part_difference(
        "account", columns, {row[0]: row for row in expected}, {row[0]: row for row in stored}, history
    )


def _snapshot_difference(replayed: Snapshot, stored: Snapshot, history: History) -> Difference | None:
    """The first part of the whole state that differs."""
    for name, part, by in (
        ("asset", "assets", 1),
        ("market", "markets", 1),
        ("balance", "balances", 2),
        ("limits", "limits", 1),
        ("fee override", "fee_overrides", 2),
        ("volume", "volumes", 2),
        ("withdrawal", "withdrawals", 1),
    ):
        want, have = getattr(replayed, part), getattr(stored, part)
        if want != have:
            columns = (want or have)[0].__struct_fields__
            difference = _part_difference(name, columns, _keyed(want, by), _keyed(have, by), history)
            return difference or Difference(None, f"the order of {part} is another one in the database")
    if replayed.fee_tiers != stored.fee_tiers:
        columns = stored.fee_tiers.__struct_fields__
        text = described_columns(columns, astuple(replayed.fee_tiers), astuple(stored.fee_tiers))
        return Difference(history.touched.get(("fee tiers",)), f"the fee {text}")
    for part in ("last_prices", "breaker_points"):
        if difference := _part_difference(
            "last trade of market",
            ("id", part),
            _pairs(getattr(replayed, part)),
            _pairs(getattr(stored, part)),
            history,
        ):
            return difference
    if difference := _queue_difference(replayed, stored):
        return difference
    exchange_sequence = history.touched.get(("exchange",))
    for part in ("sequence", "now", "trade_id", "entry_id", "halted", "halt_note", "placed", "accounts", "frozen"):
        want, have = getattr(replayed, part), getattr(stored, part)
        if want != have:
            sequence = exchange_sequence if part.startswith("halt") else replayed.sequence
            return Difference(sequence, f"the exchange's {part} is {have} in the database, {want} by the journal")
    return None


def _queue_difference(replayed: Snapshot, stored: Snapshot) -> Difference | None:
    """The books, in FIFO order, by the first place that another order has."""
    for want, have in zip(replayed.orders, stored.orders, strict=False):
        if want.id != have.id:
            text = (
                f"order {want.id} comes at its place in the book of market {want.market_id}, {want.side} {want.price}"
            )
            return Difference(want.priority, f"{text}, but order {have.id} does in the database")
        # An order in the book does not know when it was last updated; that was compared with the history.
        if astuple(want)[:-1] != astuple(have)[:-1]:
            text = described_columns(want.__struct_fields__[:-1], astuple(want)[:-1], astuple(have)[:-1])
            return Difference(want.priority, f"open order {want.id}: {text}")
    if len(replayed.orders) != len(stored.orders):
        counts = f"{len(stored.orders)} orders are open in the database, {len(replayed.orders)} by the journal"
        return Difference(None, counts)
    return None


def _part_difference(
    name: str, columns: Iterable[str], want: dict[Any, Row], have: dict[Any, Row], history: History
) -> Difference | None:
    """The first entry of a part of the state that differs, by the last command that touched it."""
    found: list[Difference] = []
    for key in [*want, *(key for key in have if key not in want)]:
        if want.get(key) == have.get(key):
            continue
        parts = key if isinstance(key, tuple) else (key,)
        title = f"{name} {', '.join('everyone' if part is None else str(part) for part in parts)}"
        if key not in have:
            text = f"{title} is missing"
        elif key not in want:
            text = f"{title} is stored, but no command made it"
        else:
            text = f"{title}: {described_columns(tuple(columns), want[key], have[key])}"
        found.append(Difference(history.touched.get((name, *parts)), text))
    return min(found, key=lambda each: each.sequence or LAST_DAY, default=None)


def _keyed(structs: Iterable[msgspec.Struct], by: int) -> dict[Hashable, Row]:
    """Structs as rows by their first `by` fields."""
    rows = [astuple(struct) for struct in structs]
    return {row[:by] if by > 1 else row[0]: row for row in rows}


def _pairs(values: dict[int, Any]) -> dict[Any, Row]:
    return {key: (key, value) for key, value in values.items()}


def _stray_rows(connection: Connection, state: State) -> Difference | None:
    """Rows beyond everything that was compared, which no command has made."""
    for name, table, id, last in (
        ("trade", "marketdata_trade", "id", state.trade_id),
        ("entry", "risk_entry", "id", state.ledger.entry_id),
        ("order", "orders_order", "id", state.sequence),
        ("deposit", "risk_deposit", "id", state.sequence),
        ("withdrawal", "risk_withdrawal", "id", state.sequence),
        ("announcement of command", "notifications_announcement", "sequence", state.sequence),
        ("journal row", "matching_journalentry", "sequence", state.sequence),
    ):
        row = connection.execute(
            f"SELECT {id} FROM {table} WHERE {id} > %s OR {id} <= 0 ORDER BY {id} LIMIT 1",
            [last],
        ).fetchone()
        if row is not None:
            return Difference(None, f"{name} {row[0]} is stored, and no command made it")
    return None
