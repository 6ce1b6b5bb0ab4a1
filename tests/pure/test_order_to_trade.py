"""Abnormal order-to-trade ratios, by number and by volume, next to what everybody else on the market has."""

import pytest

from risk.surveillance.order_to_trade import OrderToTrade
from tests.pure.watched import Watched


def _churn(market: Watched, letters: str, pairs: int, *, trades: int = 0, size: int = 50, traded: int = 1) -> None:
    """Orders that are taken back, one every second, with so many trades in between, while others trade like others."""
    for number in range(pairs):
        letter = letters[number % len(letters)]
        order = market.limit(letter, "buy", 980, size)
        market.wait(0.4)
        market.cancel(order)
        market.wait(0.6)
        if trades and number % (pairs // trades) == 0:
            market.take(letter, "buy", traded)
        if number % 10 == 0:
            market.take("client", "sell", 10)
            market.limit("maker", "buy", 999, 10)
    market.wait(60)


def test_hundreds_of_orders_without_a_trade_are_told_with_both_ratios():
    market = Watched(OrderToTrade)
    _churn(market, "O", 300)
    [alert] = market.alerts
    assert alert.account_ids == market.ids("O")
    assert alert.figures["trades"] == 0
    assert alert.figures["messages"] >= alert.thresholds["messages"]
    assert alert.figures["ratio"] == alert.figures["messages"] - 1
    assert alert.figures["peers_ratio"] < 10


@pytest.mark.parametrize(("least", "found"), [(600, 1), (601, 0)])
def test_few_messages_are_never_too_many(least: int, found: int):
    market = Watched(OrderToTrade, messages=least)
    _churn(market, "O", 300)
    assert len(market.alerts) == found


def test_tied_accounts_have_one_ratio():
    together, strangers = Watched(OrderToTrade, tied=("OP", "PQ")), Watched(OrderToTrade)
    for market in (together, strangers):
        _churn(market, "OPQ", 450)
    assert [alert.account_ids for alert in together.alerts] == [together.ids("OPQ")]
    assert strangers.alerts == []


def test_tiny_trades_help_the_ratio_by_number_only_a_little():
    market = Watched(OrderToTrade)
    _churn(market, "O", 500, trades=6)
    [alert] = market.alerts
    assert alert.figures["trades"] > 0


def test_a_maker_passes_because_it_trades():
    market = Watched(OrderToTrade)
    _churn(market, "M", 500, trades=50, traded=40)
    assert market.alerts == []


def test_large_trades_pass_by_volume_even_if_they_are_few():
    market = Watched(OrderToTrade)
    _churn(market, "W", 500, trades=4, size=1, traded=90)
    assert market.alerts == []


def test_where_everybody_has_such_a_ratio_it_is_not_abnormal():
    market = Watched(OrderToTrade, peers=5)
    for _ in range(240):
        orders = [market.limit(letter, "buy", 980, 50) for letter in "ABCD"]
        market.wait(1)
        market.cancel(*orders)
    market.take("client", "sell", 10)
    market.wait(60)
    assert market.alerts == []


def test_changes_count_two():
    market = Watched(OrderToTrade)
    order = market.limit("O", "buy", 980, 50)
    for number in range(230):
        market.wait(1)
        market.move(order, 981 + number % 2)
    market.take("client", "sell", 10)
    market.wait(60)
    [alert] = market.alerts
    assert alert.account_ids == market.ids("O")
    assert alert.figures["messages"] > 400
