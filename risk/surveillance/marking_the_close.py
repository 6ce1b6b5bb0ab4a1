"""Marking the close: who pushes the price right before a fixing, where everybody's holdings are valued at it.

At every fixing the windows before it are looked at: who took or stepped ahead on one side only, was hardly there
before, and swept further than the price usually goes. Who then stops and turns back within minutes is reported.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from risk.surveillance.messages import Alert, Books, Observation, Parameter, Placed, Relations, Traded
from risk.surveillance.prices import SECOND, Prices

PARTS = (1, 2, 5, 15, 60)
"""The window before a fixing is looked at as a whole, and its last parts by themselves."""

LOOK_EVERY = 10 * SECOND
MINUTE = 60 * SECOND

EARLIER = 4
"""What accounts did in a part of the window is compared with so many times its length before it, or a whole window."""

TRADES_MAX = 50_000
QUOTES_MAX = 20_000
REMEMBERED_MAX = 20_000
BACK_ORDERS_MIN = 2
MEMORY_WINDOWS = 9
"""So many windows before a fixing are remembered, to know what is usual for everybody."""


class _Deeds:
    """What a group of accounts did in the window to one side, and against it (base units; distances: quote units).

    `swept`: from the touch to the worst price that its orders got; `step`: by how much its quotes were the best ones.
    """

    __slots__ = ("accounts", "earlier", "earlier_trades", "first_at", "first_sequence", "last_at", "last_sequence",
                 "orders", "other", "quotes", "quotes_other", "same", "step", "swept")  # fmt: skip

    def __init__(self) -> None:
        self.accounts: set[int] = set()
        self.orders: dict[int, int] = {}
        self.earlier_trades: list[Traded] = []
        self.same = self.other = self.earlier = 0
        self.swept = self.step = self.quotes = self.quotes_other = 0
        self.first_at = self.last_at = self.first_sequence = self.last_sequence = 0

    def take(self, trade: Traded) -> None:
        """Take to the side in question."""
        self.same += trade.quantity
        touch = trade.best_ask if trade.taker_side == "buy" else trade.best_bid
        reach = 0 if touch is None else abs(trade.price - touch)
        known = self.orders.get(trade.taker_order_id, 0)
        self.orders[trade.taker_order_id] = max(reach, known)
        self.swept += max(0, reach - known)
        self.mark(trade, trade.taker_account_id)

    def busiest(self, window: int) -> tuple[int, int]:
        """The most that it took in a stretch of `window` microseconds before, and with how many orders at most."""
        most = most_orders = quantity = first = 0
        orders: Counter[int] = Counter()
        for trade in self.earlier_trades:
            quantity += trade.quantity
            orders[trade.taker_order_id] += 1
            while (oldest := self.earlier_trades[first]).at <= trade.at - window:
                quantity -= oldest.quantity
                orders[oldest.taker_order_id] -= 1
                if not orders[oldest.taker_order_id]:
                    del orders[oldest.taker_order_id]
                first += 1
            most, most_orders = max(most, quantity), max(most_orders, len(orders))
        return most, most_orders

    def mark(self, observation: Traded | Placed, account_id: int) -> None:
        """This is one of the deeds."""
        self.accounts.add(account_id)
        if not self.first_sequence:
            self.first_at, self.first_sequence = observation.at, observation.sequence
        self.last_at, self.last_sequence = observation.at, observation.sequence


class _Suspicion(NamedTuple):
    """A part of the window, and the groups that were on one side of it only; `taken` by everybody in it."""

    fixing: int
    window: int
    up: bool
    start: float
    end: float
    usual: float
    taken: int
    stepped: int
    groups: tuple[_Deeds, ...]


class _Market:
    __slots__ = ("looked_at", "prices", "quotes", "suspicions", "trades")

    def __init__(self) -> None:
        self.looked_at = 0
        self.prices = Prices()
        self.trades: deque[Traded] = deque(maxlen=TRADES_MAX)
        self.quotes: deque[Placed] = deque(maxlen=QUOTES_MAX)
        self.suspicions: list[_Suspicion] = []


class MarkingTheClose:
    """Finds accounts that push the price into a fixing."""

    NAME = "marking_the_close"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        Parameter("every", 3600, 60, 86_400, "seconds", "A fixing comes at every multiple of this since 00:00 UTC."),
        Parameter("window", 300, 15, 3600, "seconds", "So long before a fixing, and its last parts, are looked at."),
        Parameter("share", 0.2, 0.05, 1, "of volume", "They took, or stepped, this share of all in the window."),
        Parameter("orders", 3, 2, 100, "orders", "Fewer orders than this are no pattern (in the last seconds: 2)."),
        Parameter("sudden", 0.3, 0, 100, "minutes", "In the last seconds: what is usually taken in so many minutes."),
        Parameter("many", 8, 3, 1000, "orders", "With so many orders the share below is enough."),
        Parameter("many_share", 0.05, 0.01, 1, "of volume", "The share that is enough with many orders."),
        Parameter("sigmas", 0.2, 0, 20, "times", "Their orders swept so many times what the price usually moves."),
        Parameter("one_sided", 0.2, 0, 1, "of volume", "They took no more than this to the other side."),
        Parameter("haste", 4, 1, 100, "times", "They were so many times as fast as in the time before."),
        Parameter("busiest", 3, 0, 100, "times", "They took so many times as much as in any stretch as long before."),
        Parameter("turned", 0.2, 0, 1, "of volume", "They turned this part of it around afterwards."),
        Parameter("reversal_time", 600, 10, 3600, "seconds", "So soon after the fixing they did."),
    )

    def __init__(self, values: Mapping[str, float], relations: Relations, books: Books) -> None:
        self._values = values
        self._relations = relations
        self._every = int(values["every"] * SECOND)
        self._window = int(values["window"] * SECOND)
        self._reversal_time = int(values["reversal_time"] * SECOND)
        self._markets: dict[int, _Market] = {}
        self._fixing = 0
        self._times: dict[tuple[int, int], int] = {}

    def observe(self, observation: Observation) -> list[Alert]:
        """Take the next observation; what it completes is said when the next second begins."""
        kind = type(observation)
        if kind is Placed:
            assert isinstance(observation, Placed)
            market = self._market(observation.market_id)
            at = observation.at
            market.prices.see(at, observation.best_bid, observation.best_ask)
            if observation.resting and self._every - at % self._every <= self._window:
                market.quotes.append(observation)
        elif kind is Traded:
            assert isinstance(observation, Traded)
            self._market(observation.market_id).trades.append(observation)
        return []

    def advance(self, now: int) -> list[Alert]:
        """Time has come to `now`: look at fixings that have passed, and at what became of the last ones."""
        fixing = now - now % self._every
        if fixing != self._fixing:
            if self._fixing:
                for market in self._markets.values():
                    market.suspicions = self._suspicions(market, fixing)
                    market.quotes.clear()
            self._fixing = fixing
        alerts: list[Alert] = []
        for market_id, market in self._markets.items():
            if market.suspicions:
                alerts += self._undone(market_id, market, now)
        return alerts

    def _market(self, market_id: int) -> _Market:
        market = self._markets.get(market_id)
        if market is None:
            market = self._markets[market_id] = _Market()
        return market

    # ------------------------------------------------------------------------------------------ at the fixing

    def _suspicions(self, market: _Market, fixing: int) -> list[_Suspicion]:
        """Every part of the window in which somebody was on one side only, the longest first."""
        oldest = fixing - MEMORY_WINDOWS * self._window
        trades = market.trades
        while trades and trades[0].at < oldest:
            trades.popleft()
        found = []
        for part in PARTS:
            window = self._window // part
            start, end = market.prices.at(fixing - window), market.prices.at(fixing - SECOND)
            if start is None or end is None or not market.prices.count:
                continue
            usual = market.prices.usual(window / SECOND)
            for up in (True, False):
                deeds = self._deeds(market, fixing, window, up)
                taken = sum(deed.same + deed.other for deed in deeds)
                stepped = sum(deed.step for deed in deeds)
                groups = tuple(deed for deed in deeds if self._one_sided(deed, window))
                if part == PARTS[-1] and sum(deed.same for deed in groups) < self._sudden(market, fixing):
                    continue
                if self._enough(groups, taken, stepped, usual, window):
                    found.append(_Suspicion(fixing, window, up, start, end, usual, taken, stepped, groups))
        return found

    def _sudden(self, market: _Market, fixing: int) -> float:
        """What has to be taken in the very last seconds to matter (base units)."""
        earlier = [trade for trade in market.trades if trade.at < fixing]
        if not earlier:
            return 0.0
        span = max(MINUTE, fixing - earlier[0].at)
        return self._values["sudden"] * sum(trade.quantity for trade in earlier) * MINUTE / span

    def _one_sided(self, deed: _Deeds, window: int) -> bool:
        """Whether a group was there for one side only, and hardly before."""
        values = self._values
        if len(deed.orders) + deed.quotes < 2:
            return False
        most, most_orders = deed.busiest(window)
        return (
            deed.same >= values["busiest"] * most
            and len(deed.orders) + deed.quotes >= most_orders
            and deed.other <= values["one_sided"] * deed.same
            and deed.quotes_other <= values["one_sided"] * (deed.quotes + len(deed.orders))
            and deed.same * max(EARLIER, self._window // window) >= values["haste"] * deed.earlier
        )

    def _enough(self, groups: Sequence[_Deeds], taken: int, stepped: int, usual: float, window: int) -> bool:
        """Whether the groups did enough together to make the price."""
        values = self._values
        orders = sum(len(deed.orders) + deed.quotes for deed in groups)
        share = max(
            sum(deed.same for deed in groups) / max(1, taken),
            sum(deed.step for deed in groups) / max(1, stepped) if any(deed.quotes for deed in groups) else 0.0,
        )
        fewest = 2 if window == self._window // PARTS[-1] else values["orders"]
        if sum(deed.swept + deed.step for deed in groups) < values["sigmas"] * usual:
            return False
        return (orders >= fewest and share >= values["share"]) or (
            orders >= values["many"] and share >= values["many_share"]
        )

    def _deeds(self, market: _Market, fixing: int, window: int, up: bool) -> list[_Deeds]:
        """What every group did in the window, to one side and against it."""
        groups: defaultdict[int, _Deeds] = defaultdict(_Deeds)
        group_of = self._relations.group_of
        since, earlier = fixing - window, fixing - window - max(EARLIER * window, self._window)
        for trade in market.trades:
            if trade.at >= fixing:
                continue
            same = (trade.taker_side == "buy") == up
            deed = groups[group_of(trade.taker_account_id)]
            if trade.at < since:
                deed.earlier_trades.append(trade)
                deed.earlier += trade.quantity if trade.at >= earlier else 0
            elif same:
                deed.take(trade)
            else:
                deed.other += trade.quantity
        for quote in market.quotes:
            if quote.at < since or quote.price is None:
                continue
            deed = groups[group_of(quote.account_id)]
            best = quote.best_bid if quote.side == "buy" else quote.best_ask
            ahead = 0 if best is None else (quote.price - best if quote.side == "buy" else best - quote.price)
            if (quote.side == "buy") != up:
                deed.quotes_other += 1
            elif ahead > 0:
                deed.quotes += 1
                deed.step += ahead
                deed.mark(quote, quote.account_id)
        return list(groups.values())

    # ------------------------------------------------------------------------------------------ after it

    def _undone(self, market_id: int, market: _Market, now: int) -> list[Alert]:
        """Report those who stopped and turned back; forget it all when time is over."""
        if now < market.looked_at + LOOK_EVERY:
            return []
        market.looked_at = now
        for suspicion in market.suspicions:
            guilty = [deed for deed in suspicion.groups if self._turned(market, suspicion, deed, now)]
            if guilty and self._enough(guilty, suspicion.taken, suspicion.stepped, suspicion.usual, suspicion.window):
                market.suspicions = []
                return [self._alert(market_id, market, suspicion, guilty, now)]
        if now > self._fixing + self._reversal_time:
            market.suspicions = []
        return []

    def _turned(self, market: _Market, suspicion: _Suspicion, deed: _Deeds, now: int) -> bool:
        """Whether the group did not go on as before, but took the other side: all it wanted was the fixing."""
        on = back = 0
        backs = set()
        for trade in reversed(market.trades):
            if trade.at < suspicion.fixing:
                break
            if trade.taker_account_id not in deed.accounts:
                continue
            if (trade.taker_side == "buy") == suspicion.up:
                on += trade.quantity
            else:
                back += trade.quantity
                backs.add(trade.taker_order_id)
        elapsed = max(SECOND, min(now - suspicion.fixing, suspicion.window))
        if on * suspicion.window >= max(1, deed.same) * elapsed / 2:
            return False
        return len(backs) >= BACK_ORDERS_MIN and back >= self._values["turned"] * deed.same

    def _alert(self, market_id: int, market: _Market, suspicion: _Suspicion, guilty: list[_Deeds], now: int) -> Alert:
        accounts = tuple(sorted({account for deed in guilty for account in deed.accounts}))
        if len(self._times) >= REMEMBERED_MAX:
            self._times.clear()
        times = 1 + max(self._times.get((market_id, account), 0) for account in accounts)
        for account in accounts:
            self._times[market_id, account] = times
        names = ("share", "orders", "sigmas", "one_sided", "haste", "busiest", "turned")
        seconds = suspicion.window / SECOND
        move = suspicion.end - suspicion.start
        price = market.prices.at(now)
        who = f"{len(accounts)} account{'s' if len(accounts) > 1 else ''}"
        return Alert(
            detector=self.NAME,
            severity="high" if times > 1 else "medium",
            account_ids=accounts,
            market_id=market_id,
            first_sequence=min(deed.first_sequence for deed in guilty),
            last_sequence=max(deed.last_sequence for deed in guilty),
            first_at=min(deed.first_at for deed in guilty),
            last_at=max(deed.last_at for deed in guilty),
            figures={
                "window": seconds,
                "move": move,
                "share": sum(deed.same for deed in guilty) / max(1, suspicion.taken),
                "sigmas": sum(deed.swept + deed.step for deed in guilty) / (suspicion.usual or 1.0),
                "orders": float(sum(len(deed.orders) for deed in guilty)),
                "steps": float(sum(deed.quotes for deed in guilty)),
                "reversal": (suspicion.end - price) / move if price is not None and move else 0.0,
                "times": float(times),
            },
            thresholds={name: self._values[name] for name in names},
            text=(
                f"{who} pushed the price {'up' if suspicion.up else 'down'} in the last {seconds:.0f} seconds before a "
                f"fixing, and turned back after it."
            ),
        )
