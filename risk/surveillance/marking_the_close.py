"""Marking the close: who pushes the price right before a fixing, where everybody's holdings are valued at it.

At every fixing the windows before it are looked at: who took one-sidedly, or stepped the bid up, much more than before,
from the beginning of a move beyond the usual. If the price then goes back, they are reported.
"""

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from risk.surveillance.messages import Alert, Books, Observation, Parameter, Placed, Relations, Traded
from risk.surveillance.prices import SECOND, Prices

PARTS = (1, 2, 5, 15)
"""The window before a fixing is looked at as a whole, and its last parts by themselves."""

EARLIER = 4
"""What accounts did in the window is compared with so many times its length before it."""

TRADES_MAX = 50_000
QUOTES_MAX = 20_000
REMEMBERED_MAX = 20_000


class _Deeds:
    """What the accounts of one group did in the window (quantities in base units, distances in quote units)."""

    __slots__ = ("accounts", "earlier", "first_at", "first_sequence", "last_at", "last_sequence", "orders", "other",
                 "quotes", "quotes_other", "same", "step")  # fmt: skip

    def __init__(self) -> None:
        self.accounts: set[int] = set()
        self.orders: set[int] = set()
        self.same = self.other = self.earlier = 0
        self.step = self.quotes = self.quotes_other = 0
        self.first_at = self.last_at = self.first_sequence = self.last_sequence = 0

    def mark(self, observation: Traded | Placed, account_id: int) -> None:
        """This is one of the deeds."""
        self.accounts.add(account_id)
        if not self.first_sequence:
            self.first_at, self.first_sequence = observation.at, observation.sequence
        self.last_at, self.last_sequence = observation.at, observation.sequence


class _Suspicion(NamedTuple):
    """A move into a fixing and who made it; it becomes an alert if the price goes back."""

    fixing: int
    window: int
    start: float
    move: float
    usual: float
    share: float
    how: str
    groups: tuple[_Deeds, ...]


class _Market:
    __slots__ = ("prices", "quotes", "suspicions", "trades")

    def __init__(self) -> None:
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
        Parameter("share", 0.3, 0.05, 1, "of volume", "They took this share of all that was taken in the window."),
        Parameter("sigmas", 2, 0.5, 20, "times", "The price moved so many times its usual move."),
        Parameter("reversal", 0.5, 0.1, 1, "of the move", "This part of the move was undone afterwards."),
        Parameter("reversal_time", 600, 10, 3600, "seconds", "So long after the fixing it may be undone."),
        Parameter("orders", 3, 2, 100, "orders", "Fewer orders of a group than this are no pattern."),
        Parameter("one_sided", 0.2, 0, 1, "of volume", "They took no more than this to the other side."),
        Parameter("haste", 2.5, 1, 100, "times", "They were so many times as fast as in the time before."),
        Parameter("member", 0.06, 0, 1, "of volume", "A group with less than this share is not one of them."),
        Parameter("steps", 4, 2, 100, "orders", "Or they improved the best price so often, on one side only."),
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
        """Every part of the window in which the price was pushed, the longest first."""
        oldest = fixing - (EARLIER + 1) * self._window
        trades = market.trades
        while trades and trades[0].at < oldest:
            trades.popleft()
        found = []
        for part in PARTS:
            window = self._window // part
            start, end = market.prices.at(fixing - window), market.prices.at(fixing - SECOND)
            if start is None or end is None:
                continue
            usual = market.prices.usual(window / SECOND)
            if abs(end - start) < self._values["sigmas"] * usual or not usual:
                continue
            found += self._pushed(market, fixing, window, start, end - start, usual)
        return found

    def _pushed(
        self, market: _Market, fixing: int, window: int, start: float, move: float, usual: float
    ) -> list[_Suspicion]:
        """Who pushed, by taking or by stepping the best price, if they did enough of it together."""
        values = self._values
        deeds = self._deeds(market, fixing, window, move > 0)
        taken = sum(deed.same + deed.other for deed in deeds)
        takers = [deed for deed in deeds if self._is_taker(market, deed, taken, window, start, move)]
        found = []
        if takers and (share := sum(deed.same for deed in takers) / taken) >= values["share"]:
            found.append(_Suspicion(fixing, window, start, move, usual, share, "took", tuple(takers)))
        stepped = sum(deed.step for deed in deeds)
        steppers = [
            deed
            for deed in deeds
            if deed.quotes >= values["steps"]
            and deed.quotes_other <= values["one_sided"] * deed.quotes
            and deed.step >= values["member"] * stepped
            and self._early(market, deed, start, move)
        ]
        if steppers and (share := sum(deed.step for deed in steppers) / stepped) >= values["share"]:
            found.append(_Suspicion(fixing, window, start, move, usual, share, "stepped", tuple(steppers)))
        return found

    def _is_taker(self, market: _Market, deed: _Deeds, taken: int, window: int, start: float, move: float) -> bool:
        values = self._values
        return (
            len(deed.orders) >= values["orders"]
            and deed.same >= values["member"] * taken
            and deed.other <= values["one_sided"] * deed.same
            and deed.same * EARLIER >= values["haste"] * deed.earlier
            and self._early(market, deed, start, move)
        )

    def _early(self, market: _Market, deed: _Deeds, start: float, move: float) -> bool:
        """Whether the group was there before half of the move had happened; who follows came later."""
        price = market.prices.at(deed.first_at)
        return price is not None and (price - start) / move <= 0.5

    def _deeds(self, market: _Market, fixing: int, window: int, up: bool) -> list[_Deeds]:
        """What every group did in the window, in the direction of the move and against it."""
        groups: defaultdict[int, _Deeds] = defaultdict(_Deeds)
        group_of = self._relations.group_of
        since, earlier = fixing - window, fixing - (EARLIER + 1) * window
        for trade in market.trades:
            if not earlier <= trade.at < fixing:
                continue
            same = (trade.taker_side == "buy") == up
            account_id = trade.taker_account_id
            deed = groups[group_of(account_id)]
            if trade.at < since:
                deed.earlier += trade.quantity if same else 0
            elif same:
                deed.same += trade.quantity
                deed.orders.add(trade.taker_order_id)
                deed.mark(trade, account_id)
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
        """Report a move that was undone, without those who went on; forget it all when time is over."""
        for suspicion in market.suspicions:
            price = market.prices.at(now)
            if price is None:
                continue
            undone = 1 - (price - suspicion.start) / suspicion.move
            if undone < self._values["reversal"]:
                continue
            guilty = [deed for deed in suspicion.groups if not self._went_on(market, suspicion, deed, now)]
            if sum(deed.same + deed.step for deed in guilty) > 0:
                market.suspicions = []
                return [self._alert(market_id, suspicion, guilty, undone)]
        if now > self._fixing + self._reversal_time:
            market.suspicions = []
        return []

    def _went_on(self, market: _Market, suspicion: _Suspicion, deed: _Deeds, now: int) -> bool:
        """Whether the group took on after the fixing at half the pace or more: what it wanted was not the fixing."""
        after = sum(
            trade.quantity
            for trade in market.trades
            if trade.at >= suspicion.fixing
            and trade.taker_account_id in deed.accounts
            and (trade.taker_side == "buy") == (suspicion.move > 0)
        )
        elapsed = min(now - suspicion.fixing, suspicion.window)
        return suspicion.how == "took" and after * suspicion.window >= deed.same * max(elapsed, SECOND) / 2

    def _alert(self, market_id: int, suspicion: _Suspicion, guilty: list[_Deeds], undone: float) -> Alert:
        accounts = tuple(sorted({account for deed in guilty for account in deed.accounts}))
        if len(self._times) >= REMEMBERED_MAX:
            self._times.clear()
        times = 0
        for account in accounts:
            times = max(times, self._times.get((market_id, account), 0) + 1)
            self._times[market_id, account] = times
        names = ("share", "sigmas", "reversal", "one_sided")
        direction = "up" if suspicion.move > 0 else "down"
        seconds = suspicion.window / SECOND
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
                "move": suspicion.move,
                "sigmas": abs(suspicion.move) / suspicion.usual,
                "share": suspicion.share,
                "reversal": undone,
                "orders": float(sum(len(deed.orders) + deed.quotes for deed in guilty)),
                "times": float(times),
            },
            thresholds={name: self._values[name] for name in names},
            text=(
                f"{len(accounts)} account{'s' if len(accounts) > 1 else ''} pushed the price {direction} in the last "
                f"{seconds:.0f} seconds before a fixing, and {undone:.0%} of the move was undone afterwards."
            ),
        )
