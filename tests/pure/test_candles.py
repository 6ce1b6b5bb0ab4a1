"""Candles against a naive oracle on the standard library's calendar: every interval, every border."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from marketdata import candles
from marketdata.candles import DAY, HOUR, INTERVALS, MINUTE, SOURCES, STORED, Candle

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

MOMENTS = st.integers(-10 * 366 * DAY, 200 * 366 * DAY)


def micros(year: int, month: int, day: int, *time: int) -> int:
    moment = datetime(year, month, day, tzinfo=UTC)
    for value, unit in zip(time, ("hours", "minutes", "seconds", "microseconds"), strict=False):
        moment += timedelta(**{unit: value})
    return (moment - EPOCH) // MICROSECOND


def naive_borders(interval: str, at: int) -> tuple[int, int]:
    """When the interval around `at` begins and ends, by datetime."""
    moment = EPOCH + timedelta(microseconds=at)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if interval == "1M":
        begin = midnight.replace(day=1)
        year, month = divmod(begin.year * 12 + begin.month, 12)
        end = begin.replace(year=year, month=month + 1)
    elif interval == "1w":
        begin = midnight - timedelta(days=moment.isoweekday() - 1)
        end = begin + timedelta(weeks=1)
    elif interval.endswith("d"):
        length = timedelta(days=int(interval[:-1]))
        begin = midnight - (midnight - EPOCH) % length
        end = begin + length
    else:
        length = timedelta(**{UNITS[interval[-1]]: int(interval[:-1])})
        begin = midnight + (moment - midnight) // length * length
        end = begin + length
    return (begin - EPOCH) // MICROSECOND, (end - EPOCH) // MICROSECOND


@given(at=MOMENTS)
@settings(max_examples=300)
def test_every_moment_is_in_the_interval_that_the_calendar_says(at: int):
    for interval in INTERVALS:
        begin, end = naive_borders(interval, at)
        assert candles.open_time(interval, at) == begin
        assert candles.close_time(interval, begin) == end
        assert candles.open_time(interval, end - 1) == begin
        assert candles.open_time(interval, end) == end
        assert candles.first_open_from(interval, at) == (begin if at == begin else end)


def test_every_day_of_four_centuries_has_its_month():
    day = datetime(1999, 1, 1, tzinfo=UTC)
    while day.year < 2402:
        assert candles.open_time("1M", (day - EPOCH) // MICROSECOND) == micros(day.year, day.month, 1)
        day += timedelta(days=1)


@pytest.mark.parametrize(
    ("interval", "at", "begin", "end"),
    [
        ("1w", micros(2026, 11, 23), micros(2026, 11, 23), micros(2026, 11, 30)),  # a Monday
        ("1w", micros(2026, 11, 22, 23, 59, 59, 999_999), micros(2026, 11, 16), micros(2026, 11, 23)),
        ("1w", micros(2027, 1, 1), micros(2026, 12, 28), micros(2027, 1, 4)),
        ("1M", micros(2028, 2, 29, 12), micros(2028, 2, 1), micros(2028, 3, 1)),
        ("1M", micros(2026, 12, 31, 23, 59), micros(2026, 12, 1), micros(2027, 1, 1)),
        ("3d", micros(1970, 1, 3, 23), 0, micros(1970, 1, 4)),
        ("8h", micros(2026, 1, 1, 8), micros(2026, 1, 1, 8), micros(2026, 1, 1, 16)),
        ("1s", 1_999_999, 1_000_000, 2_000_000),
    ],
)
def test_borders(interval: str, at: int, begin: int, end: int):
    assert candles.open_time(interval, at) == begin
    assert candles.close_time(interval, begin) == end


@given(at=MOMENTS, count=st.integers(0, 40))
def test_so_many_intervals_on_and_back(at: int, count: int):
    for interval in INTERVALS:
        begin = end = naive_borders(interval, at)[0]
        for _ in range(count):
            end = naive_borders(interval, end)[1]
        assert candles.opened_after(interval, begin, count) == end
        assert candles.opened_after(interval, end, -count) == begin


def test_an_interval_is_made_of_whole_stored_ones():
    assert set(SOURCES) == set(INTERVALS)
    assert set(SOURCES.values()) == set(STORED)
    for interval, source in SOURCES.items():
        for at in (micros(2026, 2, 28, 23, 59, 59), micros(2028, 2, 29), micros(2026, 11, 23, 7, 41)):
            begin, end = naive_borders(interval, at)
            assert candles.open_time(source, begin) == begin
            assert candles.open_time(source, end) == end


def test_a_tickers_day_is_1440_minutes_with_the_running_one():
    noon = micros(2026, 11, 23, 12)
    assert candles.ticker_start(noon) == micros(2026, 11, 22, 12, 1)
    assert candles.ticker_start(noon + MINUTE - 1) == micros(2026, 11, 22, 12, 1)


# ---------------------------------------------------------------------------------------------- trades

Trade = tuple[int, int, int, int, bool]
"""Moment, price, quantity, notional, whether the taker bought."""

AMOUNTS = st.integers(1, 10**20)
TRADES = st.lists(
    st.tuples(st.integers(0, 70 * DAY), AMOUNTS, AMOUNTS, AMOUNTS, st.booleans()), min_size=1, max_size=30
).map(lambda trades: sorted(trades, key=lambda trade: trade[0]))


def naive_candles(interval: str, trades: list[Trade]) -> list[Candle]:
    """By sorting trades into the calendar's drawers."""
    drawers: dict[int, list[Trade]] = {}
    for trade in trades:
        drawers.setdefault(naive_borders(interval, trade[0])[0], []).append(trade)
    found = []
    for begin, kept in sorted(drawers.items()):
        prices = [trade[1] for trade in kept]
        bought = sum(trade[2] for trade in kept if trade[4])
        volume, quote_volume = sum(trade[2] for trade in kept), sum(trade[3] for trade in kept)
        span = (prices[0], max(prices), min(prices), prices[-1])
        found.append(Candle(begin, *span, volume, quote_volume, len(kept), bought))
    return found


def folded(interval: str, trades: list[Trade]) -> list[Candle]:
    found: list[Candle] = []
    for at, price, quantity, notional, taker_buys in trades:
        begin = candles.open_time(interval, at)
        if found and found[-1].open_time == begin:
            found[-1] = found[-1].fold(price=price, quantity=quantity, notional=notional, taker_buys=taker_buys)
        else:
            found.append(
                Candle.of_trade(
                    open_time=begin, price=price, quantity=quantity, notional=notional, taker_buys=taker_buys
                )
            )
    return found


def merged(interval: str, parts: list[Candle]) -> list[Candle]:
    drawers: dict[int, list[Candle]] = {}
    for part in parts:
        drawers.setdefault(candles.open_time(interval, part.open_time), []).append(part)
    return [replace(candles.merge(kept), open_time=begin) for begin, kept in drawers.items()]


@given(trades=TRADES)
def test_trades_folded_one_by_one_are_the_oracles_candles(trades: list[Trade]):
    for interval in INTERVALS:
        assert folded(interval, trades) == naive_candles(interval, trades)


@given(trades=TRADES)
def test_every_interval_can_be_put_together_from_its_stored_ones(trades: list[Trade]):
    for interval, source in SOURCES.items():
        assert merged(interval, folded(source, trades)) == naive_candles(interval, trades)


# ---------------------------------------------------------------------------------------------- gaps


def test_the_gaps_between_trades_are_flat_at_the_last_close():
    first = Candle(HOUR, 10, 14, 9, 12, 5, 60, 3, 2)
    second = Candle(4 * HOUR, 20, 20, 20, 20, 1, 20, 1, 0)
    found = candles.fill_gaps(interval="1h", candles=[first, second], begin=0, end=6 * HOUR)
    flats = [candles.flat(2 * HOUR, 12), candles.flat(3 * HOUR, 12)]
    assert found == [first, *flats, second, candles.flat(5 * HOUR, 20)]
    assert flats[0] == Candle(2 * HOUR, 12, 12, 12, 12, 0, 0, 0, 0)


def test_without_any_trade_there_is_nothing():
    assert candles.fill_gaps(interval="1h", candles=[], begin=0, end=6 * HOUR) == []


def test_a_range_after_the_last_trade_is_flat():
    found = candles.fill_gaps(interval="1M", candles=[], begin=0, end=micros(1970, 4, 1), last_close=7)
    assert found == [candles.flat(micros(1970, month, 1), 7) for month in (1, 2, 3)]


@given(trades=TRADES, interval=st.sampled_from(["12h", "1d", "3d", "1w", "1M"]))
def test_filled_up_each_candle_follows_the_one_before(trades: list[Trade], interval: str):
    real = naive_candles(interval, trades)
    end = candles.close_time(interval, real[-1].open_time + 40 * DAY)
    end = candles.first_open_from(interval, end)
    found = candles.fill_gaps(interval=interval, candles=real, begin=real[0].open_time, end=end)
    assert [candle for candle in found if candle.trades] == real
    for before, after in itertools.pairwise(found):
        assert after.open_time == candles.close_time(interval, before.open_time)
        assert after.trades or after == candles.flat(after.open_time, before.close)
    assert candles.close_time(interval, found[-1].open_time) == end
