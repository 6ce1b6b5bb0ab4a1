"""The circuit breaker's memory against all trades looked at one by one, and the range of prices around an extreme."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from risk.breakers import SECOND, Breaker, range_around

steps = st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(1, 12)), max_size=60)
windows = st.integers(1, 8)


@given(steps=steps, window=windows)
def test_extremes_are_those_of_all_trades_within_the_window(steps, window):
    breaker = Breaker()
    trades: list[tuple[int, int]] = []
    now = 0
    for wait, price in steps:
        now += wait
        oldest = now // SECOND - window
        seen = [p for at, p in trades if at // SECOND >= oldest]
        assert breaker.extremes(now, window) == ((min(seen), max(seen)) if seen else None)
        breaker.record(price, now, window)
        trades.append((now, price))
        assert len(breaker.points(now, window)) <= 2 * (window + 1), "at most a low and a high a second"


@given(steps=steps, window=windows, later=steps)
def test_points_recorded_again_and_lows_and_highs_of_seconds_are_the_same_memory(steps, window, later):
    breaker, reloaded, recorded = Breaker(), Breaker(), Breaker()
    seconds: dict[int, list[int]] = {}
    now = 0
    for wait, price in steps:
        now += wait
        breaker.record(price, now, window)
        seconds.setdefault(now // SECOND, []).append(price)
    now += later[0][0] if later else 0
    for second, prices in seconds.items():
        if second >= now // SECOND - window:
            reloaded.record(min(prices), second * SECOND, window)
            reloaded.record(max(prices), second * SECOND, window)
    for second, price in breaker.points(now, window):
        recorded.record(price, second * SECOND, window)
    for wait, price in later:
        now += wait
        points = breaker.points(now, window)
        assert points == reloaded.points(now, window) == recorded.points(now, window)
        assert breaker.extremes(now, window) == reloaded.extremes(now, window) == recorded.extremes(now, window)
        for each in (breaker, reloaded, recorded):
            each.record(price, now, window)


def test_looking_changes_nothing():
    breaker = Breaker()
    breaker.record(5, 0, 10)
    assert breaker.extremes(11 * SECOND, 10) is None
    assert breaker.extremes(10 * SECOND, 10) == (5, 5)
    assert breaker.points(11 * SECOND, 10) == []
    breaker.reset()
    assert breaker.extremes(0, 10) is None


@given(low=st.integers(1, 10**9), more=st.integers(0, 10**9), ratio=st.integers(0, 10**6))
def test_a_price_in_the_range_is_at_most_so_far_from_both_ends(low, more, ratio):
    high = low + more
    lowest, highest = range_around(low, high, ratio)
    share = Fraction(ratio, 10**6)
    assert lowest >= high * (1 - share) > lowest - 1
    assert highest <= low * (1 + share) < highest + 1
