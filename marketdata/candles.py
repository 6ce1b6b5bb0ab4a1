"""Candles: which interval a moment belongs to, and what trades make of it.

Times are integer microseconds since 1970 in UTC, prices quote units per whole base, volumes units; no clock takes part.
A few intervals are stored (`STORED`), the others are put together from the largest of those that fits (`SOURCES`).
"""

from bisect import bisect_right
from collections.abc import Iterable

import msgspec

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

WIDTHS: dict[str, int] = {
    "1s": SECOND, "1m": MINUTE, "3m": 3 * MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE, "30m": 30 * MINUTE,
    "1h": HOUR, "2h": 2 * HOUR, "4h": 4 * HOUR, "6h": 6 * HOUR, "8h": 8 * HOUR, "12h": 12 * HOUR,
    "1d": DAY, "3d": 3 * DAY, "1w": 7 * DAY,
}  # fmt: skip
"""Microseconds of every interval that is always equally long: all but the month."""

MONTH = "1M"
WEEK = "1w"
INTERVALS: tuple[str, ...] = (*WIDTHS, MONTH)
STORED: tuple[str, ...] = ("1s", "1m", "15m", "1h", "1d")
SOURCES: dict[str, str] = {
    **{interval: interval for interval in STORED},
    **dict.fromkeys(("3m", "5m"), "1m"),
    **dict.fromkeys(("30m",), "15m"),
    **dict.fromkeys(("2h", "4h", "6h", "8h", "12h"), "1h"),
    **dict.fromkeys(("3d", WEEK, MONTH), "1d"),
}
"""The stored interval whose candles make up those of each interval."""

FIRST_MONDAY = 4 * DAY
"""1970-01-05: weeks count from here, every other interval from 1970-01-01."""

DAY_MINUTES = 24 * 60


class Candle(msgspec.Struct, frozen=True):
    """What was traded in one interval that began at `open_time`: prices, base units, quote units, and a count."""

    open_time: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    trades: int
    taker_buy_volume: int

    @classmethod
    def of_trade(cls, open_time: int, price: int, quantity: int, notional: int, taker_buys: bool) -> "Candle":
        """The candle of the interval's first trade."""
        return cls(open_time, price, price, price, price, quantity, notional, 1, quantity if taker_buys else 0)

    def fold(self, price: int, quantity: int, notional: int, taker_buys: bool) -> "Candle":
        """The candle after one more trade."""
        return Candle(
            self.open_time,
            self.open,
            max(self.high, price),
            min(self.low, price),
            price,
            self.volume + quantity,
            self.quote_volume + notional,
            self.trades + 1,
            self.taker_buy_volume + (quantity if taker_buys else 0),
        )


def open_time(interval: str, at: int) -> int:
    """When the interval that contains the moment `at` began."""
    if interval == MONTH:
        day = at // DAY
        return (day - _day_of_month(day) + 1) * DAY
    width = WIDTHS[interval]
    origin = FIRST_MONDAY if interval == WEEK else 0
    return (at - origin) // width * width + origin


def close_time(interval: str, opened: int) -> int:
    """When the interval that began at `opened` ends, which is when the next one begins."""
    if interval == MONTH:
        return open_time(MONTH, opened + 31 * DAY)
    return opened + WIDTHS[interval]


def opened_after(interval: str, opened: int, count: int) -> int:
    """When the interval begins that is `count` intervals after (negative: before) the one that began at `opened`."""
    if interval != MONTH:
        return opened + count * WIDTHS[interval]
    for _ in range(abs(count)):
        opened = close_time(MONTH, opened) if count > 0 else open_time(MONTH, opened - 1)
    return opened


def first_open_from(interval: str, at: int) -> int:
    """When the first interval begins that does not begin before the moment `at`."""
    opened = open_time(interval, at)
    return opened if opened == at else close_time(interval, opened)


def ticker_start(now: int) -> int:
    """When the 24 hours of a ticker began: 1,440 minutes, the last of which is the running one."""
    return open_time("1m", now) - (DAY_MINUTES - 1) * MINUTE


def merge(candles: Iterable[Candle]) -> Candle:
    """One candle of several that follow each other, oldest first; at least one. It begins when the first one does."""
    parts = list(candles)
    return Candle(
        parts[0].open_time,
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        sum(part.volume for part in parts),
        sum(part.quote_volume for part in parts),
        sum(part.trades for part in parts),
        sum(part.taker_buy_volume for part in parts),
    )


def flat(open_time: int, price: int) -> Candle:
    """The candle of an interval in which nothing was traded: the last close, and no volume."""
    return Candle(open_time, price, price, price, price, 0, 0, 0, 0)


def fill_gaps(
    *, interval: str, candles: Iterable[Candle], begin: int, end: int, last_close: int | None = None
) -> list[Candle]:
    """The candle of every interval from the one that begins at `begin` up to `end`, which is not among them.

    `candles` (oldest first, within that range) are those of the intervals with trades; the others are flat at the
    close before them, `last_close` (None: there was no trade) before the first. Nothing comes before the first trade.
    """
    found: list[Candle] = []
    at = begin
    for candle in candles:
        assert begin <= candle.open_time < end
        if last_close is not None:
            at = _add_flat(found, interval, at, candle.open_time, last_close)
        found.append(candle)
        at = close_time(interval, candle.open_time)
        last_close = candle.close
    if last_close is not None:
        _add_flat(found, interval, at, end, last_close)
    return found


def _add_flat(found: list[Candle], interval: str, at: int, end: int, price: int) -> int:
    while at < end:
        found.append(flat(at, price))
        at = close_time(interval, at)
    return at


MARCH_OF_YEAR_0 = -719_468
"""0000-03-01 in days since 1970. Years that begin in March have their leap day, if any, at their end."""

MONTH_STARTS = (0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337)
"""The first day of every month in a year that begins in March."""


def _day_of_month(day: int) -> int:
    """1 to 31, of a day counted since 1970, by the Gregorian calendar: 146,097 days in 400 years."""
    day = (day - MARCH_OF_YEAR_0) % 146_097
    day -= min(day // 36_524, 3) * 36_524  # of the century; only the fourth ends with a leap day
    day %= 1_461  # of four years
    day -= min(day // 365, 3) * 365  # of the year; only the fourth has 366 days
    return day - MONTH_STARTS[bisect_right(MONTH_STARTS, day) - 1] + 1
