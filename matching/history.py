"""What a replay of the journal must have left in the tables, a stretch at a time.

Only what is still open is remembered from one stretch to the next, and which command last touched what.
"""

from msgspec.structs import astuple

from matching.engine import messages
from matching.engine.messages import AnyEvent, OrderState, OrderUpdated
from matching.state import State
from matching.stored import (
    ANNOUNCEMENTS,
    DEPOSITS,
    ENTRIES,
    ORDERS,
    PLACED,
    REQUESTED,
    TRADES,
    VOLUMES,
    WITHDRAWALS,
    Connection,
    Difference,
    Row,
    compare,
    compare_last,
    order_row,
    placed_row,
)


class History:
    """What a replay has done in the stretch at hand, and what is still open of everything before.

    `touched`: (what, key, ...) -> the last command that changed it. `open_orders` and `pending`: order and withdrawal
    id -> its last command and state. `volumes`: (account, day) -> volume of the days that are not over.
    `forgets_client_orders`: the replay's memory no longer has every client order id.
    """

    def __init__(self) -> None:
        self.touched: dict[Row, int] = {}
        self.open_orders: dict[int, tuple[int, OrderState | OrderUpdated]] = {}
        self.freeze_notes: dict[int, str] = {}
        self.volumes: dict[tuple[int, int], int] = {}
        self.volumes_over = 0
        self.forgets_client_orders = False
        self.orders = self.trades = self.entries = self.deposits = self.withdrawals = 0
        self._start()

    def _start(self) -> None:
        self._trades: list[Row] = []
        self._entries: list[Row] = []
        self._placed: list[Row] = []
        self._ended: dict[int, tuple[int, Row]] = {}
        self._deposits: list[Row] = []
        self._requested: list[Row] = []
        self._withdrawals: dict[int, tuple[int, Row]] = {}
        self._announcements: list[Row] = []

    def note(self, sequence: int, events: list[AnyEvent]) -> None:
        """Take what the command of `sequence` has done."""
        touched = self.touched
        for event in events:
            kind = type(event)
            if kind is messages.EntryPosted:
                self._entries.append(astuple(event))
            elif kind is messages.BalanceChanged:
                touched["balance", event.account_id, event.asset_id] = sequence  # type: ignore[union-attr]
            elif kind is messages.OrderPlaced or kind is messages.OrderRejected:
                order = event.order  # type: ignore[union-attr]
                self._placed.append(placed_row(order))
                self._note_order(sequence, order)
            elif kind is messages.OrderUpdated:
                self._note_order(sequence, event)  # type: ignore[arg-type]
            elif kind is messages.TradeExecuted:
                self._trades.append(astuple(event))
                touched["last trade of market", event.market_id] = sequence  # type: ignore[union-attr]
            else:
                self._note_rare(sequence, event)

    def _note_order(self, sequence: int, order: OrderState | OrderUpdated) -> None:
        if order.status == "open":
            self.open_orders[order.id] = (sequence, order)
        else:
            self._ended[order.id] = (sequence, order_row(order))
            self.open_orders.pop(order.id, None)

    def _note_rare(self, sequence: int, event: AnyEvent) -> None:
        touched = self.touched
        match event:
            case messages.VolumeChanged():
                self.volumes[event.account_id, event.day] = event.volume
                touched["volume", event.account_id, event.day] = sequence
            case messages.DepositCredited():
                self._deposits.append(astuple(event))
            case messages.WithdrawalChanged():
                if event.id == sequence:
                    self._requested.append((*astuple(event)[:5], event.requested_at))
                if event.status != "pending":
                    row = (event.id, event.status, event.note, event.updated_at)
                    self._withdrawals[event.id] = (sequence, row)
                touched["withdrawal", event.id] = sequence
            case messages.AssetCreated():
                touched["asset", event.asset_id] = sequence
            case messages.AccountOpened():
                touched["account", event.account_id] = sequence
            case messages.AccountFrozen():
                touched["account", event.account_id] = sequence
                self.freeze_notes[event.account_id] = event.note
            case messages.MarketChanged():
                touched["market", event.market_id] = sequence
                self._announcements.append((sequence, event.market_id, "market_changed", event.changed_at))
            case messages.BreakerTripped():
                self._announcements.append((sequence, event.market_id, "breaker_tripped", event.tripped_at))
            case messages.ExchangeStateChanged():
                touched["exchange",] = sequence
                self._announcements.append((sequence, None, "exchange_changed", event.changed_at))
            case messages.LimitsChanged():
                touched["limits", event.account_id] = sequence
            case messages.FeeTiersChanged():
                touched["fee tiers",] = sequence
            case messages.FeeOverrideChanged():
                touched["fee override", event.account_id, event.market_id] = sequence

    def compare(self, connection: Connection, state: State, after: int) -> Difference | None:
        """The first difference of the stretch after the command `after` up to the replay's `state`; then forget it."""
        stretch = {"after": after, "last": state.sequence}
        trades = {"after": state.trade_id - len(self._trades), "last": state.trade_id}
        entries = {"after": state.ledger.entry_id - len(self._entries), "last": state.ledger.entry_id}
        found = [
            compare(connection, state, TRADES, self._trades, trades, _second),
            compare(connection, state, ENTRIES, self._entries, entries, _second),
            compare(connection, state, PLACED, self._placed, stretch, _first),
            compare_last(connection, state, ORDERS, self._ended),
            compare(connection, state, DEPOSITS, self._deposits, stretch, _first),
            compare(connection, state, REQUESTED, self._requested, stretch, _first),
            compare_last(connection, state, WITHDRAWALS, self._withdrawals),
            compare(connection, state, ANNOUNCEMENTS, self._announcements, stretch, _first),
            self.compare_volumes(connection, state, last_day=state.day - 1),
        ]
        self.orders += len(self._placed)
        self.trades += len(self._trades)
        self.entries += len(self._entries)
        self.deposits += len(self._deposits)
        self.withdrawals += len(self._requested)
        self._start()
        return min((each for each in found if each is not None), key=lambda each: each.sequence or 0, default=None)

    def compare_volumes(self, connection: Connection, state: State, *, last_day: int) -> Difference | None:
        """The first difference of the daily volumes up to `last_day` that were not compared yet; then forget them."""
        if last_day <= self.volumes_over:
            return None
        over = sorted(
            (day, account_id, volume) for (account_id, day), volume in self.volumes.items() if day <= last_day
        )
        days = {"after": self.volumes_over, "last": last_day, "unit": _valuation_unit(state)}
        sequences = {(day, account_id): self.touched["volume", account_id, day] for day, account_id, _ in over}
        difference = compare(connection, state, VOLUMES, over, days, lambda row: sequences.get(row[:2], state.sequence))
        for day, account_id, _ in over:
            del self.volumes[account_id, day]
            del self.touched["volume", account_id, day]
        self.volumes_over = last_day
        return difference


def _valuation_unit(state: State) -> int:
    valuation = state.schedule.valuation_asset_id
    return 1 if valuation is None else state.assets[valuation].unit


def _first(row: Row) -> int:
    return int(row[0])


def _second(row: Row) -> int:
    return int(row[1])
