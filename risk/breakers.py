"""Circuit breaker and price band: which prices a market may trade at now.

The breaker remembers the lowest and highest trade price of every second of its window; a trade further than the
configured move from either is not allowed to happen. The band is a percentage around the last trade. Both are pure:
time (microseconds) and prices (quote units per whole base) are arguments.
"""

from collections import deque

from matching.engine.messages import RATE_UNIT

SECOND = 1_000_000

Range = tuple[int, int]
"""The lowest and highest price allowed, both included."""


def range_around(low: int, high: int, ratio: int) -> Range:
    """Prices at most `ratio` millionths above `low` and at most `ratio` millionths below `high`."""
    return -(-high * (RATE_UNIT - ratio) // RATE_UNIT), low * (RATE_UNIT + ratio) // RATE_UNIT


def _first_since(oldest: int, queue: deque[tuple[int, int]]) -> int:
    if queue[0][0] >= oldest:
        return queue[0][1]
    return next(price for second, price in queue if second >= oldest)


class Breaker:
    """The trade prices of one market within the window, as falling highs and rising lows per second.

    Each of the two queues keeps only what can still become an extreme, at most one point a second.
    """

    __slots__ = ("_highs", "_lows")

    def __init__(self) -> None:
        self._lows: deque[tuple[int, int]] = deque()
        self._highs: deque[tuple[int, int]] = deque()

    def record(self, price: int, now: int, window: int) -> None:
        """Remember a trade, and forget those older than `window` seconds."""
        second = now // SECOND
        lows, highs = self._lows, self._highs
        for queue in (lows, highs):
            while queue and queue[0][0] < second - window:
                queue.popleft()
        while lows and lows[-1][1] >= price:
            lows.pop()
        if not lows or lows[-1][0] != second:
            lows.append((second, price))
        while highs and highs[-1][1] <= price:
            highs.pop()
        if not highs or highs[-1][0] != second:
            highs.append((second, price))

    def extremes(self, now: int, window: int) -> tuple[int, int] | None:
        """The lowest and highest trade price of the last `window` seconds; None if there was no trade."""
        oldest = now // SECOND - window
        if not self._lows or self._lows[-1][0] < oldest:
            return None
        return _first_since(oldest, self._lows), _first_since(oldest, self._highs)

    def reset(self) -> None:
        """Forget every trade: the market starts afresh after a pause."""
        self._lows.clear()
        self._highs.clear()

    def points(self, now: int, window: int) -> list[tuple[int, int]]:
        """(second, price) pairs within the window that, recorded in this order, give the same extremes for ever.

        The lowest and then the highest price of every second, recorded, give the same pairs.
        """
        oldest = now // SECOND - window
        return sorted({point for point in (*self._lows, *self._highs) if point[0] >= oldest})
