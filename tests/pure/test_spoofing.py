"""Spoofing: who pulls a large order when a small one opposite has traded, and who only looks like it."""

import pytest

from risk.surveillance.spoofing import Spoofing
from tests.pure.watched import Watched


def _cycle(market: Watched, genuine: str, bait: str, *, size: int = 400, hit: int = 0, fill: int = 20) -> None:
    """A small bid, a large offer two ticks above the touch, a fill of the bid, and the offer is gone."""
    small = market.limit(genuine, "buy", 1_000, 20)
    market.wait(0.5)
    large = market.limit(bait, "sell", 1_003, size)
    market.wait(3)
    if hit:
        market.take("victim", "buy", 200 + hit)
        market.limit("maker", "sell", 1_001, 100)
        market.limit("maker", "sell", 1_002, 100)
    if fill:
        market.take("victim", "sell", fill)
    market.wait(0.4)
    market.cancel(large)
    market.wait(1)
    market.cancel(small)
    market.wait(20)


def test_three_pulled_baits_are_spoofing_with_the_account_and_the_whole_range():
    market = Watched(Spoofing)
    market.account("S")
    first = market.sequence + 1
    for _ in range(2):
        _cycle(market, "S", "S")
    assert market.alerts == []
    _cycle(market, "S", "S")
    [alert] = market.alerts
    assert alert.account_ids == market.ids("S")
    assert (alert.market_id, alert.first_sequence) == (1, first + 1), "from the first bait on"
    assert alert.last_sequence == market.sequence, "to the last pull"
    assert alert.figures["cycles"] == alert.figures["traded_cycles"] == 3
    assert alert.figures["size_ratio"] == 20
    assert alert.thresholds["size_ratio"] == 3
    for _ in range(3):
        _cycle(market, "S", "S")
    assert len(market.alerts) == 1, "one finding is said once"


def test_bait_and_trade_may_be_of_different_accounts_that_are_tied():
    market = Watched(Spoofing, tied=("GB", "BC"))
    for bait in "BCB":
        _cycle(market, "G", bait)
    [alert] = market.alerts
    assert alert.account_ids == market.ids("GBC")


def test_strangers_who_trade_at_the_same_time_are_no_spoofers():
    market = Watched(Spoofing)
    for number in range(6):
        _cycle(market, f"stranger{number}", "W")
    assert market.alerts == []


def test_a_bait_partly_filled_is_bait_and_one_mostly_filled_is_an_order():
    market = Watched(Spoofing)
    for _ in range(3):
        _cycle(market, "S", "S", hit=80)
    [alert] = market.alerts
    assert 0.1 < alert.figures["bait_filled"] < alert.thresholds["bait_filled"]
    market = Watched(Spoofing)
    for _ in range(6):
        _cycle(market, "S", "S", hit=300)
    assert market.alerts == []


@pytest.mark.parametrize(("size", "found"), [(121, 1), (119, 0)])
def test_the_bait_has_to_be_so_many_times_as_large(size: int, found: int):
    market = Watched(Spoofing, size_ratio=6, depth_share=0.05)
    for _ in range(3):
        _cycle(market, "S", "S", size=size)
    assert len(market.alerts) == found


def test_a_small_order_beside_the_markets_depth_baits_nobody():
    market = Watched(Spoofing, depth_share=0.5)
    for _ in range(4):
        _cycle(market, "S", "S", size=400)
    assert market.alerts == []


def test_a_maker_who_quotes_anew_after_its_fills_is_honest():
    market = Watched(Spoofing)
    for number in range(12):
        quotes = [market.limit("M", "buy", 1_000 - number % 2, 40), market.limit("M", "sell", 1_001, 200)]
        market.wait(2)
        market.take("client", "sell", 25)
        market.wait(0.05)
        market.cancel(*quotes)
        market.wait(0.2)
        quotes = [market.limit("M", "buy", 999, 40), market.limit("M", "sell", 1_001, 200)]
        market.wait(4)
        market.cancel(*quotes)
    assert market.alerts == []


def test_a_patient_whale_with_nothing_on_the_other_side_is_honest():
    market = Watched(Spoofing)
    for price in (997, 998, 999, 998, 997, 999):
        large = market.limit("W", "buy", price, 900)
        market.wait(60)
        market.cancel(large)
        market.wait(20)
    assert market.alerts == []


def test_amends_away_from_the_touch_are_pulls():
    market = Watched(Spoofing)
    for _ in range(3):
        market.limit("S", "buy", 1_000, 20)
        market.wait(0.5)
        large = market.limit("S", "sell", 1_003, 400)
        market.wait(2)
        market.take("victim", "sell", 20)
        market.wait(0.3)
        market.move(large, 1_500)
        market.wait(15)
    [alert] = market.alerts
    assert alert.account_ids == market.ids("S")
