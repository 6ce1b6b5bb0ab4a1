"""Fees in integers against exact fractions; volumes of 30 days; which rule wins."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fees.schedule import RATE_MAX, FeeTier, Schedule, Volumes, fee_of, rates_are_sound, tiers_are_sound

rates = st.integers(-RATE_MAX - 2, RATE_MAX + 2)


@given(amount=st.integers(1, 10**30), rate=st.integers(-RATE_MAX, RATE_MAX))
def test_a_fee_rounds_up_and_a_rebate_down(amount, rate):
    fee = fee_of(amount, rate)
    assert fee == math.ceil(Fraction(amount * rate, 1_000_000))
    assert fee <= amount
    assert (fee > 0) == (rate > 0)


@given(maker=rates, taker=rates)
def test_rates_are_within_ten_percent_and_never_pay_out_more_than_they_take_in(maker, taker):
    sound = abs(maker) <= 100_000 and 0 <= taker <= 100_000 and maker >= -taker
    assert rates_are_sound(maker, taker) == sound


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-5, 5), st.integers(-2, 8)), max_size=5))
def test_no_two_tiers_may_meet_at_a_loss(rows):
    tiers = tuple(FeeTier(*row) for row in rows)
    volumes = [tier.volume for tier in tiers]
    sound = (
        bool(tiers)
        and volumes[0] == 0
        and volumes == sorted(set(volumes))
        and all(tier.taker_rate >= 0 for tier in tiers)
        and all(maker.maker_rate + taker.taker_rate >= 0 for maker in tiers for taker in tiers)
    )
    assert tiers_are_sound(tiers) == sound


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 20), st.integers(1, 100)), max_size=50))
def test_volumes_are_those_of_the_last_30_days(steps):
    volumes = Volumes()
    traded: dict[tuple[int, int], int] = {}
    day = 1_000
    for account_id, days, amount in steps:
        day += days
        traded[account_id, day] = traded.get((account_id, day), 0) + amount
        assert volumes.add(account_id, day, amount) == traded[account_id, day]
        recent = {key: volume for key, volume in traded.items() if day - 29 <= key[1] <= day}
        assert volumes.each(day) == sorted((*key, volume) for key, volume in recent.items())
        for account in (1, 2, 3):
            assert volumes.total(account, day) == sum(volume for key, volume in recent.items() if key[0] == account)


@pytest.mark.parametrize(
    ("volume", "rates"), [(0, (1, 2)), (9, (1, 2)), (10, (3, 4)), (19, (3, 4)), (20, (5, 6)), (10**9, (5, 6))]
)
def test_the_highest_tier_reached_applies(volume, rates):
    schedule = Schedule()
    schedule.tiers = (FeeTier(0, 1, 2), FeeTier(10, 3, 4), FeeTier(20, 5, 6))
    assert schedule.rates(3, 1, volume) == rates


def test_fees_by_default_are_ten_and_fifteen_hundredths_of_a_percent():
    assert Schedule().rates(3, 1, 10**30) == (1_000, 1_500)
    assert fee_of(1_000_000, 1_000) == 1_000
    assert fee_of(1, 1_000) == 1
