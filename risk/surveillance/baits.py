"""Baits: large orders near the touch that their owners pull when a small order of theirs on the other side has traded.

One such cycle proves nothing. `Baits` follows every group of tied accounts through all of theirs and tells when one
has repeated it; spoofing (one or two orders) and layering (a ladder) differ in how many prices the bait stands at.
"""

from collections import deque
from collections.abc import Callable, Mapping
from heapq import heappop, heappush

from matching.engine.messages import Side
from risk.surveillance.messages import (
    Alert,
    Books,
    Canceled,
    MarketView,
    Moved,
    Observation,
    Parameter,
    Placed,
    Relations,
    Severity,
    Traded,
)

SECOND = 1_000_000
CYCLES_MAX = 64
PULLS_MAX = 64
FILLS_MAX = 64
FILLS_MICROSECONDS = 10 * SECOND
"""What a party sold this long before still counts as offered by it."""

PARTIES_MAX = 50_000
OPPOSITE: dict[Side, Side] = {"buy": "sell", "sell": "buy"}


class Resting:
    """An order in the book, as its party's. `pulled_at` None: it is still there."""

    __slots__ = ("account_id", "id", "party", "placed_at", "price", "pulled_at", "remaining", "sequence", "side")

    def __init__(
        self, party: "Party", id: int, account_id: int, side: Side, price: int, remaining: int, at: int, sequence: int
    ) -> None:
        self.party = party
        self.id = id
        self.account_id = account_id
        self.side: Side = side
        self.price = price
        self.remaining = remaining
        self.placed_at = at
        self.sequence = sequence
        self.pulled_at: int | None = None


class Cycle:
    """Fills of a party on one side while its bait stood on the other. Quantities in base units, times as everywhere.

    `bait`: the quantity that stood; `offered`: what the party genuinely offered on the side of its fills.
    """

    __slots__ = (
        "accounts", "bait", "bait_filled", "began_at", "depth", "due", "fills", "first_at", "first_sequence", "last_at",
        "last_sequence", "offered", "orders", "party", "prices", "pulled", "side",
    )  # fmt: skip

    def __init__(self, party: "Party", side: Side, orders: list[Resting], offered: int, at: int) -> None:
        self.party = party
        self.side: Side = side
        self.orders = {order.id for order in orders}
        self.accounts = {order.account_id for order in orders}
        self.prices = {order.price for order in orders}
        self.bait = sum(order.remaining for order in orders)
        self.pulled = sum(order.remaining for order in orders if order.pulled_at is not None)
        self.bait_filled = 0
        self.offered = offered
        self.fills = 0
        self.depth = 0.0
        self.began_at = at
        self.due = 0
        self.first_sequence = min(order.sequence for order in orders)
        self.first_at = min(order.placed_at for order in orders)
        self.last_sequence = 0
        self.last_at = 0


class Party:
    """A group of tied accounts on one market: its resting orders, its last pulls, and its cycles of each side."""

    __slots__ = ("book", "cycles", "fills", "kept", "market_id", "muted_until", "open", "pulls", "resting")

    def __init__(self, market_id: int, book: MarketView) -> None:
        self.market_id = market_id
        self.book = book
        self.resting: dict[Side, dict[int, Resting]] = {"buy": {}, "sell": {}}
        self.pulls: dict[Side, deque[Resting]] = {"buy": deque(maxlen=PULLS_MAX), "sell": deque(maxlen=PULLS_MAX)}
        self.fills: dict[Side, deque[tuple[int, int]]] = {
            "buy": deque(maxlen=FILLS_MAX),
            "sell": deque(maxlen=FILLS_MAX),
        }
        self.open: dict[Side, Cycle | None] = {"buy": None, "sell": None}
        self.cycles: deque[Cycle] = deque(maxlen=CYCLES_MAX)
        self.kept: deque[int] = deque(maxlen=CYCLES_MAX)
        self.muted_until = 0


class Baits:
    """Follows baits and calls `repeated(party)` after every cycle that was completed; parameters as in `spoofing`."""

    def __init__(
        self,
        values: Mapping[str, float],
        relations: Relations,
        books: Books,
        fits: Callable[[Cycle], bool],
    ) -> None:
        self._relations = relations
        self._books = books
        self._fits = fits
        self._ratio = values["size_ratio"]
        self._depth_share = values["depth_share"]
        self._near = values["near"]
        self._age = int(values["bait_age"] * SECOND)
        self._delay = int(values["pull_delay"] * SECOND)
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
                    self._pull(order, seen)
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

    def _pull(self, order: Resting, seen: Canceled | Moved) -> None:
        """The owner took an order away."""
        party = order.party
        order.pulled_at = seen.at
        party.pulls[order.side].append(order)
        cycle = party.open[order.side]
        if cycle is not None and order.id in cycle.orders:
            cycle.pulled += order.remaining
            cycle.last_sequence, cycle.last_at = seen.sequence, seen.at
            self._schedule(cycle)

    def _move(self, moved: Moved) -> None:
        """An amend is a pull of what was, and a new order; what is merely made larger is not pulled."""
        order = self._orders.get(moved.order_id)
        if order is None:
            return
        if moved.price == moved.old_price and moved.remaining >= moved.old_remaining:
            order.remaining = moved.remaining
            return
        old = order.party.resting[order.side].pop(order.id)
        self._pull(old, moved)
        again = Resting(
            old.party, old.id, old.account_id, old.side, moved.price, moved.remaining, moved.at, moved.sequence
        )
        self._orders[again.id] = again
        again.party.resting[again.side][again.id] = again

    def _trade(self, trade: Traded) -> None:
        maker = self._orders.get(trade.maker_order_id)
        if maker is not None:
            maker.remaining = trade.maker_remaining
            cycle = maker.party.open[maker.side]
            if cycle is not None and maker.id in cycle.orders:
                cycle.bait_filled += trade.quantity
            if not trade.maker_remaining:
                del self._orders[maker.id], maker.party.resting[maker.side][maker.id]
            self._fill(maker.party, maker.side, trade, maker.account_id)
        party = self._parties.get((self._relations.group_of(trade.taker_account_id), trade.market_id))
        if party is not None and (maker is None or party is not maker.party):
            self._fill(party, trade.taker_side, trade, trade.taker_account_id)

    def _fill(self, party: Party, side: Side, trade: Traded, account_id: int) -> None:
        """The party traded on `side`: is there a bait on the other?"""
        party.fills[side].append((trade.at, trade.quantity))
        bait_side = OPPOSITE[side]
        cycle = party.open[bait_side]
        if cycle is None:
            cycle = self._opened(party, bait_side, trade)
            if cycle is None:
                return
            party.open[bait_side] = cycle
            self._schedule(cycle)
        cycle.fills += trade.quantity
        cycle.accounts.add(account_id)
        cycle.last_sequence, cycle.last_at = trade.sequence, trade.at

    def _opened(self, party: Party, bait_side: Side, trade: Traded) -> Cycle | None:
        """The cycle that a fill opens, if what the party shows on the other side is large enough to be bait."""
        standing, pulls = party.resting[bait_side], party.pulls[bait_side]
        if not standing and not pulls:
            return None
        at, book = trade.at, party.book
        touch = trade.best_bid if bait_side == "buy" else trade.best_ask
        reach = self._near * book.reach.value
        if touch is None:
            return None
        orders = [
            order
            for order in standing.values()
            if at - order.placed_at <= self._age and abs(order.price - touch) <= reach
        ]
        for order in reversed(pulls):
            if order.pulled_at is None or at - order.pulled_at > self._lead:
                break
            if at - order.placed_at <= self._age and abs(order.price - touch) <= reach:
                orders.append(order)
        bait = sum(order.remaining for order in orders)
        if bait < self._depth_share * book.depth.value or bait < self._ratio * trade.quantity:
            return None
        offered = self._offered(party, OPPOSITE[bait_side], trade, 3 * reach)
        if bait < self._ratio * offered:
            return None
        cycle = Cycle(party, bait_side, orders, offered, at)
        cycle.depth = book.depth.value
        return cycle

    def _offered(self, party: Party, side: Side, trade: Traded, reach: float) -> int:
        """What the party genuinely offers on `side`: what it has just traded there, and what rests not too far away."""
        touch = trade.best_bid if side == "buy" else trade.best_ask
        offered = sum(
            order.remaining
            for order in party.resting[side].values()
            if touch is None or abs(order.price - touch) <= reach
        )
        for at, quantity in reversed(party.fills[side]):
            if trade.at - at > FILLS_MICROSECONDS:
                break
            offered += quantity
        return offered

    # ------------------------------------------------------------------------------------------ what it comes to

    def _schedule(self, cycle: Cycle) -> None:
        """Look at a cycle again: a moment after most of its bait was pulled, or when it is too late for that."""
        due = cycle.began_at + self._delay
        if cycle.pulled >= self._pulled_share * cycle.bait:
            due = min(due, max(cycle.last_at, cycle.began_at) + self._settle)
        if due != cycle.due:
            cycle.due = due
            self._scheduled += 1
            heappush(self._due, (due, self._scheduled, cycle))

    def _settled(self, cycle: Cycle, at: int) -> list[Party]:
        """The cycle is over: its bait is gone and nothing came in its place, or it was no bait."""
        party = cycle.party
        if party.open[cycle.side] is not cycle or cycle.due > at:
            return []
        party.open[cycle.side] = None
        book = party.book
        touch = book.side(cycle.side).best()
        reach = self._near * book.reach.value
        left = sum(
            order.remaining
            for order in party.resting[cycle.side].values()
            if touch is None or abs(order.price - touch) <= reach
        )
        if not self._fits(cycle):
            return []
        if (
            cycle.pulled < self._pulled_share * cycle.bait
            or left > (1 - self._pulled_share) * cycle.bait
            or cycle.bait < self._ratio * cycle.fills
        ):
            party.kept.append(at)
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


PARAMETERS = (
    Parameter("cycles", 3, 2, 64, "cycles", "So many times a bait was pulled after an opposite fill."),
    Parameter("cycle_share", 0.5, 0, 1, "of opportunities", "The share of large opposite orders that were so pulled."),
    Parameter("size_ratio", 3, 1, 100, "times", "The bait is so many times as large as what was really offered."),
    Parameter("depth_share", 0.2, 0, 10, "of depth", "The bait is this share of the usual depth near the touch."),
    Parameter("near", 2, 0.1, 100, "reaches", "The bait is no further from the touch: times the usual ten levels."),
    Parameter("bait_age", 300, 1, 86_400, "seconds", "The bait was placed no longer before the fill."),
    Parameter("pull_delay", 30, 0.1, 3600, "seconds", "The bait was pulled no later after the fill."),
    Parameter("pull_lead", 2, 0, 60, "seconds", "Or no earlier before the fill."),
    Parameter("settle", 1, 0, 60, "seconds", "So long after the pull nothing has come in the bait's place."),
    Parameter("pulled_share", 0.6, 0.1, 1, "of the bait", "At least so much of the bait was pulled."),
    Parameter("bait_filled", 0.5, 0, 1, "of the baits", "No more of all baits was filled."),
    Parameter("horizon", 1800, 60, 86_400, "seconds", "Cycles this far back count together."),
    Parameter("mute", 600, 0, 86_400, "seconds", "The same group is not reported again for so long."),
)
"""What spoofing and layering have in common."""


def judged(detector: str, party: Party, values: Mapping[str, float], now: int, what: str) -> Alert | None:
    """The alert about a party that has completed a cycle, if that makes it a pattern; `what`: the bait, for people."""
    since = now - int(values["horizon"] * SECOND)
    cycles = [cycle for cycle in party.cycles if cycle.began_at >= since]
    kept = sum(at >= since for at in party.kept)
    share = len(cycles) / (len(cycles) + kept)
    bait = sum(cycle.bait for cycle in cycles)
    filled = sum(cycle.bait_filled for cycle in cycles) / bait
    if (
        now < party.muted_until
        or len(cycles) < values["cycles"]
        or share < values["cycle_share"]
        or filled > values["bait_filled"]
    ):
        return None
    party.muted_until = now + int(values["mute"] * SECOND)
    accounts = sorted(set().union(*(cycle.accounts for cycle in cycles)))
    ratios = sorted(cycle.bait / max(cycle.offered, cycle.fills) for cycle in cycles)
    ratio = ratios[len(ratios) // 2]
    severity: Severity = "high" if len(cycles) >= 2 * values["cycles"] else "medium"
    who = f"account {accounts[0]}" if len(accounts) == 1 else f"{len(accounts)} tied accounts"
    return Alert(
        detector=detector,
        severity=severity,
        account_ids=tuple(accounts),
        market_id=party.market_id,
        first_sequence=min(cycle.first_sequence for cycle in cycles),
        last_sequence=max(cycle.last_sequence for cycle in cycles),
        first_at=min(cycle.first_at for cycle in cycles),
        last_at=max(cycle.last_at for cycle in cycles),
        figures={
            "cycles": len(cycles),
            "cycle_share": share,
            "size_ratio": ratio,
            "depth_share": bait / max(1.0, sum(cycle.depth for cycle in cycles)),
            "pulled_share": sum(cycle.pulled for cycle in cycles) / bait,
            "bait_filled": filled,
            "prices": max(len(cycle.prices) for cycle in cycles),
            "bait_quantity": bait / len(cycles),
            "filled_quantity": sum(cycle.fills for cycle in cycles) / len(cycles),
        },
        thresholds=dict(values),
        text=f"{who[0].upper()}{who[1:]} traded {len(cycles)} times behind {what} {ratio:.1f} times as large on the"
        f" other side and then pulled it.",
    )
