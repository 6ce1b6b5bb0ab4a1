"""Who steps ahead of somebody's large resting orders, by a better price right after them, and leaves with them."""

from collections import defaultdict, deque
from typing import NamedTuple

from risk.surveillance.chance import binomial_tail
from risk.surveillance.messages import Canceled, Placed, Traded

SECOND = 1_000_000
SOON = 3 * SECOND
"""So soon after the large order the other one comes."""

TOGETHER = 3 * SECOND // 2
"""So soon after the large order has left the other one leaves."""

LARGE_MAX = 2_000
SHADOWS_MAX = 5_000
ACCOUNTS_MAX = 20_000
HITS_MAX = 64


class _Large:
    __slots__ = ("account_id", "at", "buys", "ended_at", "price")

    def __init__(self, placed: Placed) -> None:
        assert placed.price is not None
        self.account_id = placed.account_id
        self.at = placed.at
        self.buys = placed.side == "buy"
        self.price = placed.price
        self.ended_at = 0


class Step(NamedTuple):
    """An order that was one step ahead of a large one, from its beginning to its end."""

    account_id: int
    customer_id: int
    at: int
    sequence: int
    ended_at: int
    ended_sequence: int


class Steps(NamedTuple):
    """The steps of an account ahead of a customer, and how that compares with chance."""

    customer_id: int
    account_id: int
    steps: list[Step]
    orders: int
    large: int
    expected: float
    chance: float
    elsewhere: int


class _Shadow(NamedTuple):
    placed: Placed
    large: tuple[_Large, ...]


class SteppingAhead:
    """The large resting orders of one market, and the orders that came right after them at a better price."""

    def __init__(self, *, window: int, large: float) -> None:
        self._window = window
        self._times = large
        self._median = 0.0
        self._seen = 0
        self._large: dict[int, _Large] = {}
        self._recent: deque[_Large] = deque(maxlen=64)
        self._shadows: dict[int, _Shadow] = {}
        self._placed: defaultdict[int, int] = defaultdict(int)
        self._began: dict[int, deque[int]] = {}
        self._hits: dict[int, deque[Step]] = {}
        self._since = 0

    def place(self, placed: Placed) -> None:
        """An order rests."""
        if placed.at - self._since > self._window:
            self._forget(placed.at)
        self._placed[placed.account_id] += 1
        recent = self._recent
        while recent and recent[0].at < placed.at - SOON:
            recent.popleft()
        if recent and (large := self._stepped_ahead_of(placed)) and len(self._shadows) < SHADOWS_MAX:
            self._shadows[placed.order_id] = _Shadow(placed, large)
        self._seen += 1
        if placed.quantity > self._median:
            self._median = self._median * (1.01 + 0.5 / self._seen) if self._median else float(placed.quantity)
        else:
            self._median /= 1.01 + 0.5 / self._seen
        if self._seen > 50 and placed.resting >= self._times * self._median and len(self._large) < LARGE_MAX:
            large_one = self._large[placed.order_id] = _Large(placed)
            recent.append(large_one)
            self._began.setdefault(placed.account_id, deque(maxlen=256)).append(placed.at)

    def _stepped_ahead_of(self, placed: Placed) -> tuple[_Large, ...]:
        price, buys = placed.price, placed.side == "buy"
        assert price is not None
        return tuple(
            large
            for large in self._recent
            if large.buys == buys
            and large.account_id != placed.account_id
            and not large.ended_at
            and (price > large.price if buys else price < large.price)
        )

    def end(self, order_id: int, observation: Canceled | Traded) -> list[Steps]:
        """An order has left the book; what that completes."""
        large = self._large.pop(order_id, None)
        if large is not None:
            large.ended_at = observation.at
        shadow = self._shadows.pop(order_id, None)
        if shadow is None:
            return []
        filled = type(observation) is Traded
        found = []
        for one in shadow.large:
            with_it = one.ended_at and 0 <= observation.at - one.ended_at <= TOGETHER
            if with_it or (filled and not one.ended_at):
                found.append(self._hit(shadow.placed, one, observation))
        return found

    def _hit(self, placed: Placed, large: _Large, observation: Canceled | Traded) -> Steps:
        hits = self._hits.setdefault(placed.account_id, deque(maxlen=HITS_MAX))
        while hits and hits[0].at < observation.at - self._window:
            hits.popleft()
        hits.append(
            Step(
                placed.account_id, large.account_id, placed.at, placed.sequence, observation.at, observation.sequence
            )
        )  # fmt: skip
        steps = [hit for hit in hits if hit.customer_id == large.account_id]
        began = [at for at in self._began[large.account_id] if at > observation.at - self._window]
        span = max(began[-1] - began[0] + 60 * SECOND, len(began) * SOON)
        orders = max(self._placed[placed.account_id], len(steps))
        chance = min(1.0, len(began) * SOON / span)
        return Steps(
            large.account_id, placed.account_id, steps, orders, len(began), orders * chance,
            binomial_tail(count=len(steps), trials=orders, chance=chance), len(hits) - len(steps),
        )  # fmt: skip

    def _forget(self, now: int) -> None:
        """A window is over: counts begin anew, and so does what is too old."""
        self._since = now
        self._placed.clear()
        for hits in self._hits.values():
            while hits and hits[0].at < now - self._window:
                hits.popleft()
        self._hits = {account_id: hits for account_id, hits in self._hits.items() if hits}
        self._began = {account_id: began for account_id, began in self._began.items() if began[-1] > now - self._window}
        old = now - 4 * self._window
        self._large = {order_id: one for order_id, one in self._large.items() if one.at > old}
        self._shadows = {order_id: one for order_id, one in self._shadows.items() if one.placed.at > old}
