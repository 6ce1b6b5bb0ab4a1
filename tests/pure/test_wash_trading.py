"""Wash trading: pairs, rings and tied accounts that trade among themselves, and those who only look like it."""

from risk.surveillance.wash_trading import WashTrading
from tests.pure.watched_market import CROWD, WatchedMarket, tied


def swap(market: WatchedMarket, begin: int, one: int, other: int, times: int) -> list[int]:
    """One sells five to the other and gets them back, a trade every ten seconds; the sequences."""
    return [
        market.trade(begin + 10 * number, one, "sell" if number % 2 else "buy", 5, other) for number in range(times)
    ]


def test_two_strangers_who_swap_are_found_with_the_exact_range():
    market = WatchedMarket(WashTrading)
    market.breathe(0, 600)
    sequences = swap(market, 600, 7, 8, 8)
    [alert] = market.alerts
    assert alert.account_ids == (7, 8)
    assert (alert.first_sequence, alert.last_sequence) == (sequences[0], sequences[-1])
    assert alert.figures["meetings"] == 8
    assert alert.thresholds["meetings"] == 8
    assert alert.severity == "medium"


def test_one_swap_fewer_is_no_pattern():
    market = WatchedMarket(WashTrading)
    market.breathe(0, 600)
    swap(market, 600, 7, 8, 7)
    assert not market.alerts


def test_the_same_pair_is_reported_once():
    market = WatchedMarket(WashTrading)
    market.breathe(0, 600)
    swap(market, 600, 7, 8, 40)
    assert len(market.alerts) == 1


def test_a_ring_of_four_is_found_whole():
    market = WatchedMarket(WashTrading)
    market.breathe(0, 600)
    ring = (7, 8, 9, 10)
    for number in range(16):
        seller, buyer = ring[number % 4], ring[(number + 1) % 4]
        market.trade(600 + 12 * number, buyer, "buy", 5, seller)
    assert market.alerts
    assert market.accused() == set(ring)


def test_a_pair_that_also_trades_with_others_is_found_alone():
    market = WatchedMarket(WashTrading)
    market.breathe(0, 600)
    for number in range(12):
        market.trade(600 + 20 * number, 7 + number % 2, "buy", 3, CROWD[number])
        market.trade(610 + 20 * number, 7, "sell" if number % 2 else "buy", 5, 8)
    assert market.accused() == {7, 8}


def test_tied_accounts_need_fewer_meetings_and_may_trade_one_way():
    found, strangers = WatchedMarket(WashTrading, [tied(7, 8)]), WatchedMarket(WashTrading)
    for market in (found, strangers):
        market.breathe(0, 600)
        for number in range(4):
            market.trade(600 + 30 * number, 7, "buy", 5, 8)
    assert [(alert.account_ids, alert.severity) for alert in found.alerts] == [((7, 8), "high")]
    assert not strangers.alerts


def test_tied_accounts_that_are_all_of_a_market_are_found():
    market = WatchedMarket(WashTrading, [tied(7, 8)])
    swap(market, 600, 7, 8, 12)
    assert [alert.account_ids for alert in market.alerts] == [(7, 8)]


def test_a_burst_is_looked_at_when_it_is_over():
    market = WatchedMarket(WashTrading, [tied(7, 8)])
    market.breathe(0, 600)
    for number in range(12):
        market.trade(600 + number / 10, 7, "sell" if number % 2 else "buy", 5, 8)
    assert not market.alerts
    market.breathe(602, 610)
    [alert] = market.alerts
    assert (alert.account_ids, alert.figures["meetings"]) == ((7, 8), 12)


def test_a_maker_who_meets_every_taker_all_day_is_innocent():
    market = WatchedMarket(WashTrading)
    for number in range(600):
        taker = CROWD[number * 7 % 5]
        market.trade(2 * number, taker, "buy" if number % 3 % 2 else "sell", 2, 50)
        market.trade(2 * number + 1, taker, "sell" if number % 3 % 2 else "buy", 2, 50)
    assert not market.alerts


def test_a_firm_whose_two_desks_meet_as_often_as_chance_has_it_is_innocent():
    market = WatchedMarket(WashTrading, [tied(50, 7)])
    for number in range(300):
        taker = 7 if number % 10 == 0 else CROWD[number % 20]
        market.trade(3 * number, taker, "buy" if number % 2 else "sell", 2, 50 if number % 3 else 51)
    assert not market.alerts


def test_regular_counterparties_who_really_sell_are_innocent():
    market = WatchedMarket(WashTrading)
    market.breathe(0, 600)
    for number in range(30):
        market.trade(600 + 20 * number, 7, "buy", 5, 8)
    assert not market.alerts


def test_one_resting_order_taken_bit_by_bit_is_one_meeting():
    market = WatchedMarket(WashTrading, [tied(7, 8)])
    market.breathe(0, 600)
    resting = market.place(600, 8, "sell", 50, 1001)
    for number in range(10):
        market.trade(601 + 10 * number, 7, "buy", 5, 8, maker_order=resting)
    assert not market.alerts


def test_prevented_self_trades_are_attempts_once_they_are_no_accident():
    market = WatchedMarket(WashTrading)
    market.breathe(0, 600)
    for number in range(5):
        market.prevent(600 + 60 * number, 7, 10)
    assert not market.alerts
    last = market.prevent(900, 7, 10)
    [alert] = market.alerts
    assert alert.account_ids == (7,)
    assert alert.last_sequence == last


def test_prevented_self_trades_of_a_busy_maker_are_accidents():
    market = WatchedMarket(WashTrading)
    for number in range(40):
        market.trade(10 * number, CROWD[number % 20], "buy" if number % 2 else "sell", 50, 50)
        if number % 5 == 0:
            market.prevent(10 * number + 5, 50, 10)
    assert not market.alerts


def test_rare_prevented_self_trades_are_accidents():
    market = WatchedMarket(WashTrading)
    for number in range(10):
        market.prevent(300 * number, 7, 10)
    assert not market.alerts
