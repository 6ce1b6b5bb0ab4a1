"""Baits: large orders near the touch that their owners pull when a small order of theirs on the other side has traded.

One such cycle proves nothing. `Baits` follows every group of tied accounts through all of theirs; what makes a pattern
of them is in `bait_patterns`.
"""

from collections import deque
from collections.abc import Mapping
from heapq import heappop, heappush
from typing import NamedTuple

from matching.engine.messages import Side
from risk.surveillance.messages import (
    Books,
    Canceled,
    MarketView,
    Moved,
    Observation,
    Placed,
    Relations,
    Traded,
)

SECOND = 1_000_000
CYCLES_MAX = 64
PULLS_MAX = 64
FILLS_MAX = 64
FILLS_MICROSECONDS = 10 * SECOND
"""What a party traded so long before its bait still counts as offered by it."""

PARTIES_MAX = 50_000
OPPOSITE: dict[Side, Side] = {"buy": "sell", "sell": "buy"}


class Resting:
    """An order in the book, as its party's. `pulled_at` None: it is still there."""

    __slots__ = (
        "account_id", "filled", "id", "party", "placed_at", "price", "pulled_at", "remaining", "sequence", "side",
    )  # fmt: skip

    def __init__(
        self, party: "Party", id: int, account_id: int, side: Side, price: int, remaining: int, at: int, sequence: int
    ) -> None:
        self.party = party
        self.id = id
        self.account_id = account_id
        self.side: Side = side
        self.price = price
        self.remaining = remaining
        self.filled = 0
        self.placed_at = at
        self.sequence = sequence
        self.pulled_at: int | None = None


class Cycle:
    """A bait that stood near the touch and was pulled. Quantities in base units, times as everywhere.

    `bait`: the quantity that stood; `offered`: what the party genuinely offered on the other side meanwhile, traded or
    not; `traded`: what of that was traded; `linked`: it was, or was placed together with the bait.
    """

    __slots__ = (
        "accounts", "bait", "depth", "due", "first_at", "first_sequence", "last_at", "last_sequence", "linked",
        "offered", "orders", "party", "prices", "pulled", "side", "traded",
    )  # fmt: skip

    def __init__(self, party: "Party", side: Side, orders: list[Resting]) -> None:
        self.party = party
        self.side: Side = side
        self.orders = {order.id: order for order in orders}
        self.accounts = {order.account_id for order in orders}
        self.prices = {order.price for order in orders}
        self.bait = sum(order.remaining for order in orders)
        self.pulled = 0
        self.offered = 0
        self.traded = 0
        self.linked = False
        self.depth = party.book.depth.value
        self.due = 0
        self.first_sequence = min(order.sequence for order in orders)
        self.first_at = min(order.placed_at for order in orders)
        self.last_sequence = 0
        self.last_at = 0

    @property
    def filled(self) -> int:
        """What of the bait was traded after all."""
        return sum(order.filled for order in self.orders.values())


class Fill(NamedTuple):
    """A trade of a party."""

    at: int
    account_id: int
    quantity: int


class Party:
    """A group of tied accounts on one market: its resting orders, its last pulls and fills, and its cycles.

    `kept`: when a bait was pulled and something came in its place; `others`: when an order as large was pulled that was
    no bait, as nothing small stood on the other side; `rolled_at`: when what came in a linked bait's place was seen.
    """

    __slots__ = (
        "book",
        "cycles",
        "fills",
        "kept",
        "market_id",
        "muted_until",
        "open",
        "others",
        "pulls",
        "resting",
        "rolled_at",
    )

    def __init__(self, market_id: int, book: MarketView) -> None:
        self.market_id = market_id
        self.book = book
        self.resting: dict[Side, dict[int, Resting]] = {"buy": {}, "sell": {}}
        self.pulls: dict[Side, deque[Resting]] = {"buy": deque(maxlen=PULLS_MAX), "sell": deque(maxlen=PULLS_MAX)}
        self.fills: dict[Side, deque[Fill]] = {"buy": deque(maxlen=FILLS_MAX), "sell": deque(maxlen=FILLS_MAX)}
        self.open: dict[Side, Cycle | None] = {"buy": None, "sell": None}
        self.cycles: deque[Cycle] = deque(maxlen=CYCLES_MAX)
        self.kept: deque[int] = deque(maxlen=CYCLES_MAX)
        self.others: deque[int] = deque(maxlen=CYCLES_MAX)
        self.rolled_at: dict[Side, int] = {"buy": 0, "sell": 0}
        self.muted_until = 0


class Baits:
    """Follows the baits of every party."""

    def __init__(self, values: Mapping[str, float], relations: Relations, books: Books) -> None:
        self._relations = relations
        self._books = books
        self._ratio = values["size_ratio"]
        self._depth_share = values["depth_share"]
        self._near = values["near"]
        self._age = int(values["bait_age"] * SECOND)
        self._together = values["together"] * SECOND
        self._together_lives = values["together_lives"]
        self._lead = int(values["pull_lead"] * SECOND)
        self._settle = int(values["settle"] * SECOND)
        self._pulled_share = values["pulled_share"]
        self._horizon = int(values["horizon"] * SECOND)
        self._orders: dict[int, Resting] = {}
        self._parties: dict[tuple[int, int], Party] = {}
        self._due: list[tuple[int, int, Cycle]] = []
        self._scheduled = 0

    def observe(self, seen: Observation) -> list[Party]:
        """Take the next observation; the parties that have just completed a cycle."""
        found: list[Party] = []
        while self._due and self._due[0][0] <= seen.at:
            found += self._settled(heappop(self._due)[2], seen.at)
        kind = type(seen)
        if kind is Placed:
            assert isinstance(seen, Placed)
            if seen.resting:
                self._rest(seen)
        elif kind is Canceled:
            assert isinstance(seen, Canceled)
            order = self._orders.pop(seen.order_id, None)
            if order is not None:
                del order.party.resting[order.side][order.id]
                if seen.cause == "owner":
                    self._pull(order, seen.sequence, seen.at, seen.best_bid if order.side == "buy" else seen.best_ask)
        elif kind is Traded:
            assert isinstance(seen, Traded)
            self._trade(seen)
        elif kind is Moved:
            assert isinstance(seen, Moved)
            self._move(seen)
        return found

    def advance(self, now: int) -> list[Party]:
        """Time has come to `now`."""
        found: list[Party] = []
        while self._due and self._due[0][0] <= now:
            found += self._settled(heappop(self._due)[2], now)
        if len(self._parties) > PARTIES_MAX:
            self._forget(now)
        return found

    # ------------------------------------------------------------------------------------------ what happens

    def _party(self, account_id: int, market_id: int) -> Party:
        key = (self._relations.group_of(account_id), market_id)
        party = self._parties.get(key)
        if party is None:
            party = self._parties[key] = Party(market_id, self._books.book(market_id))
        return party

    def _rest(self, placed: Placed) -> None:
        assert placed.price is not None
        party = self._party(placed.account_id, placed.market_id)
        order = Resting(
            party, placed.order_id, placed.account_id, placed.side, placed.price, placed.resting, placed.at,
            placed.sequence,
        )  # fmt: skip
        self._orders[order.id] = order
        party.resting[order.side][order.id] = order

    def _trade(self, trade: Traded) -> None:
        maker = self._orders.get(trade.maker_order_id)
        if maker is not None:
            maker.remaining = trade.maker_remaining
            maker.filled += trade.quantity
            if not trade.maker_remaining:
                del self._orders[maker.id], maker.party.resting[maker.side][maker.id]
            maker.party.fills[maker.side].append(Fill(trade.at, maker.account_id, trade.quantity))
        taker = self._party(trade.taker_account_id, trade.market_id)
        if maker is None or taker is not maker.party:
            taker.fills[trade.taker_side].append(Fill(trade.at, trade.taker_account_id, trade.quantity))

    def _move(self, moved: Moved) -> None:
        """An amend away from the touch, or to less, is a pull; what stays near the touch stays bait."""
        order = self._orders.get(moved.order_id)
        if order is None:
            return
        book = order.party.book
        touch = book.side(order.side).best()
        if touch is None or abs(moved.price - touch) <= self._near * book.reach.value:
            order.price, order.remaining = moved.price, moved.remaining
            return
        del order.party.resting[order.side][order.id]
        self._pull(order, moved.sequence, moved.at, touch)
        again = Resting(
            order.party, order.id, order.account_id, order.side, moved.price, moved.remaining, moved.at, moved.sequence
        )
        self._orders[again.id] = again
        again.party.resting[again.side][again.id] = again

    def _pull(self, order: Resting, sequence: int, at: int, touch: int | None) -> None:
        """The owner took an order away."""
        party = order.party
        order.pulled_at = at
        party.pulls[order.side].append(order)
        cycle = party.open[order.side]
        if cycle is None:
            cycle = party.open[order.side] = self._opened(party, order, touch)
        elif order.id in cycle.orders:
            cycle.pulled += order.remaining
        if cycle is not None:
            cycle.last_sequence, cycle.last_at = sequence, at
            cycle.due = at + self._settle
            self._scheduled += 1
            heappush(self._due, (cycle.due, self._scheduled, cycle))

    def _opened(self, party: Party, pulled: Resting, touch: int | None) -> Cycle | None:
        """What the pull of an order begins, if it was part of something large enough to be bait."""
        at, side, book = pulled.pulled_at, pulled.side, party.book
        assert at is not None
        if touch is None:
            return None
        reach = self._near * book.reach.value
        orders = [pulled, *party.resting[side].values()]
        for order in reversed(party.pulls[side]):
            assert order.pulled_at is not None
            if at - order.pulled_at > self._lead:
                break
            if order is not pulled and order.pulled_at > pulled.placed_at:
                orders.append(order)
        orders = [order for order in orders if at - order.placed_at <= self._age and abs(order.price - touch) <= reach]
        bait = sum(order.remaining for order in orders)
        if not bait or bait < self._depth_share * book.depth.value:
            return None
        cycle = Cycle(party, side, orders)
        self._offered(cycle, at, 3 * reach)
        if not cycle.offered or bait < self._ratio * cycle.offered:
            if not party.others or at - party.others[-1] > self._lead:
                party.others.append(at)
            return None
        cycle.linked = cycle.linked or cycle.first_at <= party.rolled_at[side]
        cycle.pulled = sum(order.remaining for order in orders if order.pulled_at is not None)
        return cycle

    def _offered(self, cycle: Cycle, at: int, reach: float) -> None:
        """What the party genuinely offers on the other side: what it has traded there, and what rests not too far."""
        party, side = cycle.party, OPPOSITE[cycle.side]
        touch = party.book.side(side).best()
        together = min(self._together, self._together_lives * party.book.life.value)
        placed = [order.placed_at for order in cycle.orders.values()]
        earliest, latest = min(placed) - together, max(placed) + together
        for order in party.resting[side].values():
            if touch is None or abs(order.price - touch) <= reach:
                cycle.offered += order.remaining
                if earliest <= order.placed_at <= latest and any(
                    abs(order.placed_at - at) <= together for at in placed
                ):
                    cycle.linked = True
                cycle.accounts.add(order.account_id)
                if order.sequence < cycle.first_sequence and at - order.placed_at < self._age:
                    cycle.first_sequence, cycle.first_at = order.sequence, order.placed_at
        if cycle.offered or (party.fills[side] and party.fills[side][-1].at >= cycle.first_at):
            self._add_fills(cycle, party.fills[side])

    def _add_fills(self, cycle: Cycle, fills: deque[Fill]) -> None:
        """What was traded while the bait stood; what was traded shortly before is offered, too, but proves nothing."""
        placed_at = min(order.placed_at for order in cycle.orders.values())
        for fill in reversed(fills):
            if fill.at < placed_at - FILLS_MICROSECONDS:
                break
            cycle.offered += fill.quantity
            cycle.accounts.add(fill.account_id)
            if fill.at >= placed_at:
                cycle.traded += fill.quantity
                cycle.linked = True

    # ------------------------------------------------------------------------------------------ what it comes to

    def _settled(self, cycle: Cycle, at: int) -> list[Party]:
        """The cycle is over: its bait is gone and nothing came in its place, or it was no bait."""
        party = cycle.party
        if party.open[cycle.side] is not cycle or cycle.due > at:
            return []
        party.open[cycle.side] = None
        book = party.book
        touch = book.side(cycle.side).best()
        reach = 3 * self._near * book.reach.value
        left = sum(
            order.remaining
            for order in party.resting[cycle.side].values()
            if touch is None or abs(order.price - touch) <= reach
        )
        if cycle.pulled < self._pulled_share * cycle.bait or left > (1 - self._pulled_share) * cycle.bait:
            party.kept.append(at)
            if cycle.linked:
                party.rolled_at[cycle.side] = at
            return []
        party.cycles.append(cycle)
        return [party]

    def _forget(self, now: int) -> None:
        """Forget parties that show nothing and have done nothing for long."""
        old = now - self._horizon
        self._parties = {
            key: party
            for key, party in self._parties.items()
            if any(party.resting.values()) or (party.cycles and party.cycles[-1].last_at > old)
        }
