"""Momentum ignition: who pushes and leaves through those who follow; whales, news and followers are told apart."""

from risk.surveillance.momentum_ignition import MomentumIgnition
from tests.pure.watched_market import CROWD, WatchedMarket, tied

BEGIN = 900


def quiet_market(relations=(), **values: float) -> WatchedMarket:
    market = WatchedMarket(MomentumIgnition, relations, **values)
    market.breathe(0, BEGIN)
    return market


def push(market: WatchedMarket, accounts: tuple[int, ...], *, orders: int = 6, begin: int = BEGIN) -> list[int]:
    """Buy ten with each order, two seconds apart, the price going up by eight each time; followers join. Sequences."""
    sequences = []
    for number in range(orders):
        second = begin + 2 * number
        market.place(second, CROWD[3], "buy", 1, market.middle - 1)
        sequences.append(market.trade(second, accounts[number % len(accounts)], "buy", 10, CROWD[number], reach=3))
        market.rise(8)
        market.place(second + 1, CROWD[4], "buy", 1, market.middle - 1)
    for number in range(4):
        market.trade(begin + 2 * orders + number, CROWD[10 + number], "buy", 3, CROWD[3])
    return sequences


def leave(market: WatchedMarket, accounts: tuple[int, ...], quantity: int, *, begin: int = BEGIN + 20) -> list[int]:
    """Sell it again with six orders each, ten seconds apart, the price coming down by eight each time."""
    sequences = []
    for number in range(6):
        for account in accounts:
            sequences.append(market.trade(begin + 10 * number, account, "sell", quantity, CROWD[10 + number]))
        market.rise(-8)
        market.place(begin + 10 * number + 1, CROWD[4], "buy", 1, market.middle - 1)
    return sequences


def test_who_lights_a_move_and_leaves_through_the_followers_is_found():
    market = quiet_market()
    first = push(market, (7,))[0]
    exits = leave(market, (7,), 10)
    market.breathe(BEGIN + 90, BEGIN + 400)
    [alert] = market.alerts
    assert alert.account_ids == (7,)
    assert alert.severity == "medium"
    assert alert.first_sequence == first
    assert alert.last_sequence in exits
    assert alert.figures["exit"] >= alert.thresholds["exit"] == 0.35
    assert market.accused().isdisjoint(CROWD)


def test_accounts_that_light_it_together_are_found_tied_or_not():
    for relations in ((), (tied(7, 8),)):
        market = quiet_market(relations)
        push(market, (7, 8), orders=8)
        leave(market, (7, 8), 7)
        market.breathe(BEGIN + 90, BEGIN + 400)
        assert market.accused() == {7, 8}


def test_doing_it_again_is_more_severe():
    market = quiet_market()
    for begin in (BEGIN, BEGIN + 700):
        push(market, (7,), begin=begin)
        leave(market, (7,), 10, begin=begin + 20)
        market.breathe(begin + 90, begin + 700)
    assert [alert.severity for alert in market.alerts] == ["medium", "high"]


def test_a_whale_that_stays_in_is_innocent():
    market = quiet_market()
    push(market, (7,))
    leave(market, (CROWD[15],), 10)
    market.breathe(BEGIN + 90, BEGIN + 500)
    assert not market.alerts


def test_after_news_the_price_stays_and_who_took_profit_is_innocent():
    market = quiet_market()
    push(market, (7,))
    for number in range(6):
        market.trade(BEGIN + 20 + 10 * number, 7, "sell", 10, CROWD[number])
        market.rise(1)
    market.breathe(BEGIN + 90, BEGIN + 500)
    assert not market.alerts


def test_who_follows_and_leaves_again_is_innocent():
    market = quiet_market()
    push(market, (7,))
    for number in range(4):
        market.trade(BEGIN + 12 + number, 20, "buy", 8, CROWD[number], reach=2)
    leave(market, (7, 20), 8)
    market.breathe(BEGIN + 90, BEGIN + 400)
    assert 20 not in market.accused()


def test_a_third_of_the_way_out_is_not_enough():
    market = quiet_market()
    push(market, (7,))
    leave(market, (7,), 3)
    market.breathe(BEGIN + 90, BEGIN + 500)
    assert not market.alerts


def test_who_leaves_long_after_did_not_light_it():
    market = quiet_market()
    push(market, (7,))
    for number in range(4):
        market.rise(-12)
        market.place(BEGIN + 20 + number, CROWD[4], "buy", 1, market.middle - 1)
    leave(market, (7,), 10, begin=BEGIN + 80)
    market.breathe(BEGIN + 150, BEGIN + 500)
    assert not market.alerts


def test_two_orders_are_no_pattern():
    market = quiet_market()
    push(market, (7,), orders=2)
    for number in range(3):
        market.trade(BEGIN + 10 + number, 7, "sell", 6, CROWD[number])
    market.rise(-16)
    market.breathe(BEGIN + 90, BEGIN + 400)
    assert not market.alerts


def test_who_closes_a_position_with_the_push_did_not_light_it():
    market = quiet_market()
    for number in range(6):
        market.trade(BEGIN - 100 + 10 * number, 7, "sell", 10, CROWD[number])
    push(market, (7,))
    leave(market, (7,), 10)
    market.breathe(BEGIN + 90, BEGIN + 400)
    assert not market.alerts


def test_a_push_right_after_another_one_that_was_undone_is_found_as_well():
    market = quiet_market()
    push(market, tuple(CROWD[:6]))
    leave(market, tuple(CROWD[10:16]), 1)
    push(market, (7,), orders=4, begin=BEGIN + 90)
    leave(market, (7,), 6, begin=BEGIN + 110)
    market.breathe(BEGIN + 180, BEGIN + 500)
    assert market.accused() == {7}
