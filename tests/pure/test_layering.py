"""Layering: ladders pulled as one when an order opposite has traded, and ladders that are meant."""

from risk.surveillance.layering import Layering
from risk.surveillance.messages import Alert
from risk.surveillance.spoofing import Spoofing
from tests.pure.watched import Watched

PRICES = (1_002, 1_003, 1_005, 1_006)


def _cycle(market: Watched, letters: str, prices: tuple[int, ...] = PRICES) -> None:
    """A small bid of the first account, a ladder of offers by the others in turn, a fill, and the ladder is gone."""
    small = market.limit(letters[0], "buy", 1_000, 20)
    ladder = []
    for number, price in enumerate(prices):
        market.wait(0.2)
        ladder.append(market.limit(letters[1:][number % len(letters[1:])], "sell", price, 100))
    market.wait(2)
    market.take("victim", "sell", 20)
    market.wait(0.3)
    for order in ladder:
        market.cancel(order)
        market.wait(0.02)
    market.wait(20)
    market.cancel(small)


def _alerts(detector: type[Layering] | type[Spoofing], prices: tuple[int, ...]) -> list[Alert]:
    market = Watched(detector)
    for _ in range(4):
        _cycle(market, "LL", prices)
    return market.alerts


def test_ladders_pulled_after_opposite_fills_are_layering():
    market = Watched(Layering)
    market.account("L")
    first = market.sequence + 1
    for _ in range(3):
        _cycle(market, "LL")
    [alert] = market.alerts
    assert alert.account_ids == market.ids("L")
    assert alert.first_sequence == first + 1, "from the first layer on"
    assert alert.figures["prices"] == 4
    assert alert.figures["traded_cycles"] == 3
    assert alert.figures["size_ratio"] == 20


def test_layers_of_several_tied_accounts_are_one_ladder():
    market = Watched(Layering, tied=("LA", "AB"))
    for _ in range(3):
        _cycle(market, "LAB")
    [alert] = market.alerts
    assert alert.account_ids == market.ids("LAB")


def test_three_prices_are_layers_and_two_are_spoofing():
    assert len(_alerts(Layering, PRICES[:3])) == 1
    assert _alerts(Spoofing, PRICES[:3]) == []
    assert _alerts(Layering, PRICES[:2]) == []
    assert len(_alerts(Spoofing, PRICES[:2])) == 1


def test_a_ladder_that_follows_the_price_stays_and_is_honest():
    market = Watched(Layering)
    for number in range(8):
        ladder = [market.limit("A", "buy", 995 - level + number % 2, 100) for level in range(4)]
        market.wait(90)
        market.cancel(*ladder)
        market.wait(0.1)
    assert market.alerts == []


def test_a_grid_that_is_stopped_and_put_up_again_is_honest():
    market = Watched(Layering)
    for _ in range(6):
        bids = [market.limit("G", "buy", 999 - level, 60) for level in range(5)]
        asks = [market.limit("G", "sell", 1_001 + level, 60) for level in range(5)]
        market.wait(20)
        market.take("client", "sell", 60)
        market.wait(20)
        market.cancel(*bids, *asks)
        market.wait(5)
        market.limit("maker", "buy", 999, 60)
    assert market.alerts == []


def test_a_ladder_that_rolls_on_behind_the_same_order_is_layering():
    market = Watched(Layering)
    for _ in range(3):
        small = market.limit("L", "buy", 1_000, 20)
        for number in range(5):
            ladder = [market.limit("L", "sell", price + number % 2, 100) for price in PRICES]
            market.wait(4)
            market.cancel(*ladder)
        market.wait(15)
        market.cancel(small)
    [alert] = market.alerts
    assert alert.account_ids == market.ids("L")
    assert alert.figures["traded_cycles"] == 0
