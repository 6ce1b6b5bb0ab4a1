"""Marking the close: who pushes the price into a fixing and turns back, and who only happens to be there."""

from risk.surveillance.marking_the_close import MarkingTheClose
from tests.pure.watched_market import CROWD, WatchedMarket, tied

CLOSE = 3600


def before_the_close() -> WatchedMarket:
    market = WatchedMarket(MarkingTheClose)
    market.breathe(1800, CLOSE - 60)
    return market


def push(market: WatchedMarket, accounts: tuple[int, ...], orders: int, *, begin: int = CLOSE - 48) -> list[int]:
    """Buy four through several levels, every six seconds, the price going with it; the sequences."""
    sequences = []
    for number in range(orders):
        market.place(begin + 6 * number, CROWD[3], "buy", 1, market.middle - 1)
        taker = accounts[number % len(accounts)]
        sequences.append(market.trade(begin + 6 * number, taker, "buy", 4, CROWD[number], reach=4))
        market.rise(3)
    return sequences


def turn_back(market: WatchedMarket, accounts: tuple[int, ...], quantity: int = 4) -> None:
    market.until(CLOSE + 20)
    for number in range(3):
        for account in accounts:
            market.trade(CLOSE + 30 + 20 * number, account, "sell", quantity, CROWD[9])
    market.rise(-20)
    market.breathe(CLOSE + 100, CLOSE + 700)


def test_who_pushes_into_the_close_and_turns_back_is_found_with_the_exact_range():
    market = before_the_close()
    sequences = push(market, (7,), 8)
    turn_back(market, (7,))
    [alert] = market.alerts
    assert alert.account_ids == (7,)
    assert alert.market_id == 1
    assert (alert.first_sequence, alert.last_sequence) == (sequences[0], sequences[-1])
    assert alert.figures["orders"] == 8
    assert alert.thresholds["turned"] == 0.2


def test_the_accounts_of_a_group_and_synchronous_strangers_are_found_together():
    for relations in ((), (tied(7, 8),)):
        market = WatchedMarket(MarkingTheClose, relations)
        market.breathe(1800, CLOSE - 60)
        push(market, (7, 8), 8)
        turn_back(market, (7, 8))
        assert [alert.account_ids for alert in market.alerts] == [(7, 8)]


def test_two_orders_a_minute_before_are_no_pattern_and_three_are():
    for orders, expected in ((2, set()), (3, {7})):
        market = before_the_close()
        push(market, (7,), orders)
        turn_back(market, (7,))
        assert market.accused() == expected


def test_a_bid_that_is_stepped_up_counts_as_well():
    market = before_the_close()
    for number in range(6):
        market.place(CLOSE - 48 + 6 * number, 7, "buy", 5, market.middle)
        market.rise(2)
    market.trade(CLOSE - 8, 7, "buy", 2, CROWD[0])
    turn_back(market, (7,), 1)
    [alert] = market.alerts
    assert alert.account_ids == (7,)
    assert alert.figures["steps"] == 6


def test_a_slicer_who_goes_on_across_the_close_is_innocent():
    market = before_the_close()
    push(market, (7,), 8)
    for number in range(40):
        market.trade(CLOSE + 6 * number, 7, "buy", 4, CROWD[number % 20], reach=4)
    turn_back(market, (7,))
    assert not market.alerts


def test_a_fund_that_keeps_what_it_bought_at_the_close_is_innocent():
    market = before_the_close()
    push(market, (7,), 8)
    market.rise(-20)
    market.breathe(CLOSE, CLOSE + 700)
    assert not market.alerts


def test_who_was_as_busy_all_the_time_is_innocent():
    market = before_the_close()
    for number in range(100):
        market.trade(CLOSE - 660 + 6 * number, 7, "sell" if number % 2 else "buy", 4, CROWD[number % 20], reach=4)
    push(market, (7,), 8)
    turn_back(market, (7,))
    assert not market.alerts


def test_who_had_been_as_busy_for_a_minute_half_an_hour_before_is_innocent():
    market = WatchedMarket(MarkingTheClose)
    market.breathe(900, CLOSE - 2000)
    for number in range(8):
        market.trade(CLOSE - 2000 + 6 * number, 7, "sell", 4, CROWD[number])
    market.breathe(CLOSE - 1950, CLOSE - 60)
    push(market, (7,), 8)
    turn_back(market, (7,))
    assert not market.alerts


def test_the_same_push_at_another_time_of_the_hour_is_another_detectors_business():
    market = WatchedMarket(MarkingTheClose)
    market.breathe(900, 1800)
    push(market, (7,), 8, begin=1800)
    for number in range(3):
        market.trade(1900 + 20 * number, 7, "sell", 8, CROWD[9])
    market.breathe(2000, CLOSE + 700)
    assert not market.alerts
