"""A market's price second by second, and how far it usually goes in a given time.

The price is the middle of the touch, so that trades bouncing between bid and ask do not count as moves.
"""

from math import sqrt

SECOND = 1_000_000
MEMORY_SECONDS = 7_200

USUAL_SECONDS = 10
"""What is usual is learned from moves over so many seconds, and grows with the square root of time."""

HALF_LIFE_MOVES = 90
CALM = 0.25
"""What is usual never falls below this part of the spread."""

WILD = 4.0
"""A move counts as at most so many times what was usual before it, so that no single event changes what is."""


class Prices:
    """The middle of the touch at the end of every second, in quote units per whole base; bounded to two hours."""

    __slots__ = ("_begin", "_mids", "_spread", "_square", "count")

    def __init__(self) -> None:
        self._begin = 0
        self._mids: list[float] = []
        self._square = 0.0
        self._spread = 0.0
        self.count = 0
        """How many moves what is usual was learned from."""

    def see(self, at: int, best_bid: int | None, best_ask: int | None) -> bool:
        """Take the touch as it is at `at` (microseconds); whether a new second has begun. Empty sides say nothing."""
        if best_bid is None or best_ask is None:
            return False
        mids = self._mids
        number = at // SECOND - self._begin - len(mids)
        if number < 0:
            mids[-1] = (best_bid + best_ask) / 2
            return False
        if not mids or number > MEMORY_SECONDS:
            self._begin, mids[:] = at // SECOND, [(best_bid + best_ask) / 2]
            return True
        mids += [mids[-1]] * number
        mids.append((best_bid + best_ask) / 2)
        self._spread += ((best_ask - best_bid) - self._spread) / (50 if self._spread else 1)
        self._learn(len(mids) - number - 2, len(mids) - 1)
        if len(mids) > 2 * MEMORY_SECONDS:
            del mids[:MEMORY_SECONDS]
            self._begin += MEMORY_SECONDS
        return True

    def at(self, at: int) -> float | None:
        """The price at a time (microseconds), as it was at the end of that second; None: not known any more."""
        number = at // SECOND - self._begin
        if number < 0 or not self._mids:
            return None
        return self._mids[min(number, len(self._mids) - 1)]

    def between(self, first: int, last: int) -> list[float]:
        """The prices of the seconds from `first` to `last` (microseconds), as far as they are known."""
        return self._mids[max(0, first // SECOND - self._begin) : max(0, last // SECOND - self._begin + 1)]

    def usual(self, seconds: float) -> float:
        """The standard deviation of moves over so many seconds."""
        least = CALM * self._spread
        return max(sqrt(self._square), least) * sqrt(seconds / USUAL_SECONDS)

    def _learn(self, first: int, last: int) -> None:
        """The seconds up to `last` are there; learn from those whose moves are over whole stretches."""
        for number in range(max(first, USUAL_SECONDS), last):
            if (self._begin + number) % USUAL_SECONDS:
                continue
            square = (self._mids[number] - self._mids[number - USUAL_SECONDS]) ** 2
            if self.count:
                square = min(square, max(WILD**2 * self._square, (CALM * self._spread) ** 2))
            self.count += 1
            self._square += (square - self._square) / min(self.count, HALF_LIFE_MOVES)
