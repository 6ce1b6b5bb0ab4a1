"""One batch, one transaction: what a batch did, as the statements of the apps' stores, and the whole state back.

`encode` folds a batch's commands and events into statements (an order changed five times is written once);
`Pipeline` (matching/pipeline.py) runs them as one transaction; `load` reads the whole state back as a Snapshot.
"""

import logging
from typing import Any

import msgspec
import psycopg
from django.db import connections
from psycopg.abc import Buffer
from psycopg.adapt import Loader

from fees import store as fees_store
from fees.schedule import MICROSECONDS_PER_DAY
from marketdata import arrays
from marketdata import store as marketdata_store
from marketdata.store import EPOCH, Scales, Statement, microseconds
from matching.announcements import breaker_text, exchange_text, market_text
from matching.engine import messages
from matching.engine.messages import AnyCommand, AnyEvent, OrderState, OrderUpdated
from matching.slow_queries import TimedCursor
from matching.snapshot import Snapshot
from matching.state import State
from notifications import store as notifications_store
from orders import store as orders_store
from risk import store as risk_store
from risk.breakers import SECOND, Breaker

logger = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

INSERT_JOURNAL = f"""
INSERT INTO matching_journalentry (sequence, received_at, kind, account_id, market_id, payload)
SELECT %s + j.number, {EPOCH}, j.kind, j.account_id, j.market_id, j.payload
FROM unnest(%s::text[], %s::int[], %s::int[], %s::text[]) WITH ORDINALITY
    AS j (kind, account_id, market_id, payload, number)
"""

UPDATE_ENGINE = f"""
UPDATE matching_enginestate SET sequence = %s, received_at = {EPOCH}, trade_id = %s, entry_id = %s,
    halted = %s, halt_note = %s, lane_position = COALESCE(%s, lane_position) WHERE id = 1
"""

INBOX_DONE = """
UPDATE matching_inboxcommand i SET done_at = clock_timestamp(), sequence = d.sequence, result = d.result
FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS d (id, sequence, result) WHERE i.id = d.id
"""

_encode = msgspec.json.Encoder().encode
_WITH_A_NEW_ORDER = (messages.OrderPlaced, messages.OrderRejected)
_INTERNAL_EVENTS = (messages.EntryPosted, messages.BalanceChanged, messages.VolumeChanged)
_TAGS = {command: command.__struct_config__.tag for command in messages.AnyCommand.__args__}


class _WholeNumber(Loader):
    """Reads NUMERIC as int: the stores ask for amounts in units, truncated to no decimals."""

    def load(self, data: Buffer) -> int:
        return int(bytes(data))


class Batch:
    """What was taken and applied together: commands with their sequences, all received at `now` (microseconds).

    `lane_position`: where the order lane goes on after it, "" if it stays where it was.
    """

    __slots__ = ("commands", "events", "first_sequence", "inbox", "lane_position", "now")

    def __init__(self, first_sequence: int, now: int) -> None:
        self.first_sequence = first_sequence
        self.now = now
        self.commands: list[AnyCommand] = []
        self.events: list[list[AnyEvent]] = []
        self.inbox: dict[int, int] = {}
        self.lane_position = ""

    @property
    def last_sequence(self) -> int:
        """That of its last command."""
        return self.first_sequence + len(self.commands) - 1

    def add(self, command: AnyCommand, events: list[AnyEvent], inbox_id: int | None = None) -> None:
        """The next command and what it did; `inbox_id` if it came by the control lane."""
        if inbox_id is not None:
            self.inbox[inbox_id] = len(self.commands)
        self.commands.append(command)
        self.events.append(events)


def connection_parameters() -> dict[str, Any]:
    """How to reach the database on a connection that is ours for as long as we keep it, as psycopg takes it."""
    parameters = connections["session" if "session" in connections.settings else "default"].get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(name, None)
    return parameters


def connect() -> Connection:
    """A connection of our own to the database, in autocommit, that reads NUMERIC as whole numbers."""
    parameters = connection_parameters()
    connection = psycopg.connect(**parameters, autocommit=True, prepare_threshold=None, cursor_factory=TimedCursor)
    connection.adapters.register_loader("numeric", _WholeNumber)
    return connection


# ---------------------------------------------------------------------------------------------- encode


def encode(batch: Batch, state: State, scales: Scales) -> list[Statement]:
    """The statements of a batch, in an order that respects foreign keys. `state` is as after the batch."""
    now = batch.now
    statements: list[Statement] = [_journal_statement(batch)]
    placed: list[OrderState] = []
    updates: dict[int, OrderUpdated] = {}
    trades: list[messages.TradeExecuted] = []
    entries: list[messages.EntryPosted] = []
    balances: dict[tuple[int, int], messages.BalanceChanged] = {}
    volumes: dict[tuple[int, int], messages.VolumeChanged] = {}
    for number, events in enumerate(batch.events, start=batch.first_sequence):
        for event in events:
            if isinstance(event, messages.EntryPosted):
                entries.append(event)
            elif isinstance(event, messages.BalanceChanged):
                balances[event.account_id, event.asset_id] = event
            elif isinstance(event, _WITH_A_NEW_ORDER):
                placed.append(event.order)
            elif isinstance(event, messages.OrderUpdated):
                updates[event.id] = event
            elif isinstance(event, messages.TradeExecuted):
                trades.append(event)
            elif isinstance(event, messages.VolumeChanged):
                volumes[event.account_id, event.day] = event
            else:
                statements += _rare_statements(event, number, now, scales)
    if placed:
        statements.append(orders_store.insert_statement(placed, updates, scales, now))
        for order in placed:
            updates.pop(order.id, None)
    if updates:
        statements.append(orders_store.update_statement(updates.values(), scales, now))
    if trades:
        statements.append(marketdata_store.trades_statement(trades, scales, now))
        statements.append(marketdata_store.candles_statement(trades, scales, now))
    if entries:
        statements.append(risk_store.entries_statement(entries, scales, now))
    if balances:
        statements.append(risk_store.balances_statement(balances.values(), scales))
    if volumes:
        assert state.schedule.valuation_asset_id is not None
        suffix = scales.assets[state.schedule.valuation_asset_id]
        statements.append(fees_store.volumes_statement(volumes.values(), suffix))
    if batch.inbox:
        statements.append(_inbox_statement(batch))
    statements.append(
        (
            UPDATE_ENGINE,
            [
                *(state.sequence, now, state.trade_id, state.ledger.entry_id, state.halted, state.halt_note),
                batch.lane_position or None,
            ],
        )
    )
    return statements


def _journal_statement(batch: Batch) -> Statement:
    commands = batch.commands
    return INSERT_JOURNAL, [
        batch.first_sequence - 1,
        batch.now,
        arrays.words([_TAGS[type(command)] for command in commands]),
        arrays.numbers([getattr(command, "account_id", None) for command in commands]),
        arrays.numbers([getattr(command, "market_id", None) for command in commands]),
        arrays.texts([_encode(command).decode() for command in commands]),
    ]


def _inbox_statement(batch: Batch) -> Statement:
    """Mark filed commands done, each with its sequence and the events its asker may want to know."""
    results = [
        _encode([event for event in batch.events[index] if not isinstance(event, _INTERNAL_EVENTS)]).decode()
        for index in batch.inbox.values()
    ]
    return INBOX_DONE, [
        arrays.numbers(batch.inbox),
        arrays.numbers([batch.first_sequence + index for index in batch.inbox.values()]),
        arrays.texts(results),
    ]


def _rare_statements(event: AnyEvent, sequence: int, now: int, scales: Scales) -> list[Statement]:
    """The statements of an event that is no order, trade, entry, balance or volume."""
    match event:
        case messages.AssetCreated():
            scales.learn(event)
            return [marketdata_store.asset_statement(event)]
        case messages.MarketChanged():
            scales.learn(event)
            announcement = _announce(event, sequence, event.market_id, market_text(event), event.changed_at)
            return [marketdata_store.market_statement(event, scales), announcement]
        case messages.BreakerTripped():
            text = breaker_text(event, quote_scale=scales.quote_scales[event.market_id])
            return [_announce(event, sequence, event.market_id, text, event.tripped_at)]
        case messages.ExchangeStateChanged():
            return [_announce(event, sequence, None, exchange_text(event), event.changed_at)]
        case messages.AccountOpened():
            return [risk_store.account_statement(event)]
        case messages.AccountFrozen():
            return [risk_store.frozen_statement(event)]
        case messages.DepositCredited():
            return [risk_store.deposit_statement(event, scales)]
        case messages.WithdrawalChanged():
            return [risk_store.withdrawal_statement(event, scales)]
        case messages.LimitsChanged():
            return [risk_store.limits_statement(event)]
        case messages.FeeTiersChanged():
            return fees_store.tiers_statements(event, scales)
        case messages.FeeOverrideChanged():
            return [fees_store.override_statement(event)]
    return []


_ANNOUNCEMENT_TYPES = {
    messages.MarketChanged: "market_changed",
    messages.BreakerTripped: "breaker_tripped",
    messages.ExchangeStateChanged: "exchange_changed",
}


def _announce(event: AnyEvent, sequence: int, market_id: int | None, text: str, at: int) -> Statement:
    return notifications_store.announcement_statement(
        sequence=sequence,
        market_id=market_id,
        announcement_type=_ANNOUNCEMENT_TYPES[type(event)],
        text=text,
        announced_at=at,
    )


# ---------------------------------------------------------------------------------------------- load


def load(connection: Connection) -> Snapshot:
    """The state at the end of the journal, read in one consistent snapshot of the database."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return load_within(connection)


def load_within(connection: Connection) -> Snapshot:
    """The state as the transaction at hand sees it; it must be one that sees the same all along."""
    row = connection.execute(
        f"SELECT sequence, {microseconds('received_at')}, trade_id, entry_id, halted, halt_note "
        "FROM matching_enginestate"
    ).fetchone()
    assert row is not None, "the engine's row is missing: the database is not migrated"
    sequence, now, trade_id, entry_id, halted, halt_note = row
    markets = marketdata_store.load_markets(connection)
    accounts, frozen = risk_store.load_accounts(connection)
    fee_tiers = fees_store.load_tiers(connection)
    points = {market.market_id: _load_breaker_points(connection, market, now) for market in markets}
    return Snapshot(
        sequence=sequence,
        now=now,
        trade_id=trade_id,
        entry_id=entry_id,
        halted=halted,
        halt_note=halt_note,
        assets=marketdata_store.load_assets(connection),
        markets=markets,
        last_prices=marketdata_store.load_last_prices(connection),
        breaker_points={market_id: found for market_id, found in points.items() if found},
        accounts=accounts,
        frozen=frozen,
        balances=risk_store.load_balances(connection),
        limits=risk_store.load_limits(connection),
        fee_tiers=fee_tiers,
        fee_overrides=fees_store.load_overrides(connection),
        volumes=fees_store.load_volumes(
            connection, valuation_asset_id=fee_tiers.valuation_asset_id, day=now // MICROSECONDS_PER_DAY
        ),
        withdrawals=risk_store.load_withdrawals(connection),
        placed=_load_placed(connection, now),
        orders=orders_store.load_open_orders(connection),
    )


def _load_breaker_points(connection: Connection, market: messages.MarketChanged, now: int) -> list[tuple[int, int]]:
    """The points the market's breaker would have kept of the trades within its window."""
    breaker = Breaker()
    for second, price in marketdata_store.load_breaker_points(connection, market, now):
        breaker.record(price, second * SECOND, market.parameters.breaker_window)
    return breaker.points(now, market.parameters.breaker_window)


def _load_placed(connection: Connection, now: int) -> dict[int, int]:
    """How many orders each account placed or amended within the second of the last command."""
    rows = connection.execute(
        f"""WITH RECURSIVE recent AS (
            (SELECT sequence, received_at, kind, account_id FROM matching_journalentry
             WHERE received_at >= {EPOCH} ORDER BY sequence DESC LIMIT 1)
            UNION ALL
            SELECT j.sequence, j.received_at, j.kind, j.account_id
            FROM recent r JOIN matching_journalentry j ON j.sequence = r.sequence - 1 WHERE j.received_at >= {EPOCH})
        SELECT account_id, count(*) FROM recent
        WHERE kind IN ('place_order', 'amend_order') GROUP BY account_id""",
        [now // SECOND * SECOND] * 2,
    )
    return dict(rows.fetchall())


def load_scales(connection: Connection) -> Scales:
    """The scales of all assets and markets."""
    scales = Scales()
    for asset in marketdata_store.load_assets(connection):
        scales.learn(asset)
    for market in marketdata_store.load_markets(connection):
        scales.learn(market)
    return scales


def load_lane_position(connection: Connection) -> str:
    """Where the order lane goes on after the last batch, in the lane's own words."""
    row = connection.execute("SELECT lane_position FROM matching_enginestate").fetchone()
    assert row is not None
    position: str = row[0]
    return position


def skip_request(connection: Connection, *, position: str) -> None:
    """Let the order lane go on after a request that cannot be executed, so that it does not stop those behind it."""
    logger.error("The request before position %s of the order lane cannot be executed: left out", position)
    connection.execute("UPDATE matching_enginestate SET lane_position = %s", [position])


def take_inbox(connection: Connection, *, limit: int, excluded: set[int]) -> list[tuple[int, AnyCommand]]:
    """The oldest filed commands that are not done, leaving out those that are in a batch already.

    One that is no command at all (filed by another version, or by hand) is put aside.
    """
    rows = connection.execute(
        "SELECT id, payload FROM matching_inboxcommand WHERE done_at IS NULL AND id <> ALL(%s) ORDER BY id LIMIT %s",
        [list(excluded), limit],
        prepare=True,
    )
    found: list[tuple[int, AnyCommand]] = []
    for inbox_id, payload in rows.fetchall():
        try:
            found.append((inbox_id, _decode_command(payload)))
        except msgspec.MsgspecError:
            put_aside(connection, inbox_id=inbox_id)
    return found


def put_aside(connection: Connection, *, inbox_id: int) -> None:
    """Mark a filed command that cannot be executed, so that it does not stop everything behind it."""
    logger.error("Filed command %d cannot be executed: put aside", inbox_id)
    connection.execute(
        "UPDATE matching_inboxcommand SET done_at = clock_timestamp(), result = '[]' WHERE id = %s", [inbox_id]
    )


_decode_command = msgspec.json.Decoder(AnyCommand).decode
