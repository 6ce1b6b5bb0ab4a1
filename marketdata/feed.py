"""A market's public feed: what has happened, what of it was told, and what to tell somebody who knows it up to a point.

Changes are collected and told together. What was told is kept for a while, so that whoever has missed some of it can
be given exactly that. Integers only; how it is written is the business of the sender.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from marketdata.candles import Candle, close_time, flat, merge, open_time, ticker_start
from marketdata.changes import PublicTrade
from marketdata.depth import Depth, Level

TOLD_MAX = 1_200
"""Updates that are remembered: a minute of a market that changes all the time."""

TOLD_LEVELS_MAX = 200_000
TRADES_SHOWN = 50


class DepthUpdate(NamedTuple):
    """The levels that changed after `after`, up to and including `last_sequence`; quantities are absolute."""

    after: int
    last_sequence: int
    bids: list[Level]
    asks: list[Level]


class TradesUpdate(NamedTuple):
    """The trades after `after`, up to and including `last_sequence`, oldest first."""

    after: int
    last_sequence: int
    trades: list[PublicTrade]


_Update = TypeVar("_Update", DepthUpdate, TradesUpdate)


class DepthFeed:
    """Levels as they are, and what was told of them. `told` is the sequence up to which everything was told."""

    def __init__(self, depth: Depth, sequence: int) -> None:
        self.depth = depth
        self.told = sequence
        self._pending_bids: dict[int, int] = {}
        self._pending_asks: dict[int, int] = {}
        self._history: deque[DepthUpdate] = deque()
        self._history_levels = 0
        self._forgotten = sequence

    @property
    def pending(self) -> bool:
        """Whether there is something that was not told yet."""
        return bool(self._pending_bids or self._pending_asks)

    def apply(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Take new quantities of levels."""
        self.depth.bids.apply(bids)
        self.depth.asks.apply(asks)
        self._pending_bids.update(bids)
        self._pending_asks.update(asks)

    def tell(self, sequence: int) -> DepthUpdate:
        """Everything pending, as of `sequence`; from now on it counts as told."""
        update = DepthUpdate(self.told, sequence, list(self._pending_bids.items()), list(self._pending_asks.items()))
        self._pending_bids.clear()
        self._pending_asks.clear()
        self.told = sequence
        self._history.append(update)
        self._history_levels += len(update.bids) + len(update.asks)
        while len(self._history) > TOLD_MAX or self._history_levels > TOLD_LEVELS_MAX:
            oldest = self._history.popleft()
            self._history_levels -= len(oldest.bids) + len(oldest.asks)
            self._forgotten = oldest.last_sequence
        return update

    def since(self, sequence: int) -> DepthUpdate | None:
        """What was told after `sequence`, as one update; None: it is too long ago, or was not yet."""
        if not self._forgotten <= sequence <= self.told:
            return None
        bids: dict[int, int] = {}
        asks: dict[int, int] = {}
        for update in _after(self._history, sequence):
            bids.update(update.bids)
            asks.update(update.asks)
        return DepthUpdate(sequence, self.told, list(bids.items()), list(asks.items()))


class TradesFeed:
    """The latest trades, and what was told of them."""

    def __init__(self, trades: Iterable[PublicTrade], sequence: int) -> None:
        self.told = sequence
        self.recent: deque[PublicTrade] = deque(trades, maxlen=TRADES_SHOWN)
        self._pending: list[PublicTrade] = []
        self._history: deque[TradesUpdate] = deque()
        self._forgotten = sequence

    @property
    def pending(self) -> bool:
        """Whether there is something that was not told yet."""
        return bool(self._pending)

    def apply(self, trades: Iterable[PublicTrade]) -> None:
        """Take new trades."""
        self._pending.extend(trades)

    def tell(self, sequence: int) -> TradesUpdate:
        """Everything pending, as of `sequence`; from now on it counts as told."""
        update = TradesUpdate(self.told, sequence, self._pending)
        self.recent.extend(self._pending)
        self._pending = []
        self.told = sequence
        self._history.append(update)
        if len(self._history) > TOLD_MAX:
            self._forgotten = self._history.popleft().last_sequence
        return update

    def since(self, sequence: int) -> TradesUpdate | None:
        """What was told after `sequence`, as one update; None: it is too long ago, or was not yet."""
        if not self._forgotten <= sequence <= self.told:
            return None
        trades = [
            trade for update in _after(self._history, sequence) for trade in update.trades if trade.sequence > sequence
        ]
        return TradesUpdate(sequence, self.told, trades)

    def known_since(self, sequence: int) -> list[PublicTrade] | None:
        """The trades after `sequence`, told or not; None: that is too long ago."""
        if sequence < self._forgotten:
            return None
        told = (trade for update in _after(self._history, sequence) for trade in update.trades)
        return [trade for trade in (*told, *self._pending) if trade.sequence > sequence]


class DayTicker:
    """What was traded within the last 24 hours, by minutes: the running one and 1,439 before it."""

    def __init__(self, minutes: Iterable[Candle], last_price: int | None) -> None:
        self.last_price = last_price
        self._minutes: deque[Candle] = deque(minutes)

    def apply(self, trades: Iterable[PublicTrade]) -> None:
        """Take new trades."""
        for trade in trades:
            minute = open_time("1m", trade.executed_at)
            buys = trade.taker_side == "buy"
            if self._minutes and self._minutes[-1].open_time == minute:
                self._minutes[-1] = self._minutes[-1].fold(trade.price, trade.quantity, trade.notional, buys)
            else:
                self._minutes.append(Candle.of_trade(minute, trade.price, trade.quantity, trade.notional, buys))
            self.last_price = trade.price

    def day(self, now: int) -> Candle | None:
        """One candle of the 24 hours up to `now` (microseconds); None: nothing was traded."""
        begin = ticker_start(now)
        while self._minutes and self._minutes[0].open_time < begin:
            self._minutes.popleft()
        return merge(self._minutes) if self._minutes else None


class CandleFeed:
    """The current candle of one interval, None before the first trade ever; `loaded` is the sequence it came with.

    The clock may begin an interval before the last trades of the one before have arrived: they still count there.
    """

    def __init__(self, interval: str, candle: Candle | None, loaded: int) -> None:
        self.interval = interval
        self.current = candle
        self._previous: Candle | None = None
        self._loaded = loaded
        self._changed: dict[int, Candle] = {}

    @property
    def pending(self) -> bool:
        """Whether a candle changed that was not told yet."""
        return bool(self._changed)

    def apply(self, trades: Iterable[PublicTrade]) -> None:
        """Take new trades; those that the loaded candle contained already are left out."""
        for trade in trades:
            if trade.sequence <= self._loaded:
                continue
            self.roll(trade.executed_at)
            if self.current is None:
                self.current = _with_trade(flat(open_time(self.interval, trade.executed_at), trade.price), trade)
            elif self._previous is not None and trade.executed_at < self.current.open_time:
                self._previous = self._change(_with_trade(self._previous, trade))
                self.current = flat(self.current.open_time, trade.price)
            else:
                self.current = _with_trade(self.current, trade)
            self._change(self.current)

    def roll(self, now: int) -> None:
        """Begin the interval of `now` (microseconds) with a flat candle, if it is not the current one."""
        if self.current is not None and now >= close_time(self.interval, self.current.open_time):
            self._previous = self.current
            self.current = self._change(flat(open_time(self.interval, now), self.current.close))

    def replace(self, candle: Candle | None, loaded: int) -> None:
        """Take what was loaded, as of the sequence `loaded`, as the truth."""
        self.current, self._previous, self._loaded = candle, None, loaded
        if candle is not None:
            self._change(candle)

    def tell(self) -> list[Candle]:
        """The candles that changed since the last time, oldest first."""
        candles = list(self._changed.values())
        self._changed.clear()
        return candles

    def _change(self, candle: Candle) -> Candle:
        self._changed[candle.open_time] = candle
        return candle


def _with_trade(candle: Candle, trade: PublicTrade) -> Candle:
    buys = trade.taker_side == "buy"
    if candle.trades:
        return candle.fold(trade.price, trade.quantity, trade.notional, buys)
    return Candle.of_trade(candle.open_time, trade.price, trade.quantity, trade.notional, buys)


def _after(history: deque[_Update], sequence: int) -> list[_Update]:
    """The updates that end after `sequence`, oldest first."""
    found = []
    for update in reversed(history):
        if update.last_sequence <= sequence:
            break
        found.append(update)
    found.reverse()
    return found
