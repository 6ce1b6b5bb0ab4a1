"""Quote stuffing: floods of orders nobody could trade with, and the haste of honest machines."""

import pytest

from risk.surveillance.quote_stuffing import QuoteStuffing
from tests.pure.watched import Watched


def _burst(market: Watched, letters: str, pairs: int, life: float = 0.004, gap: float = 0.006) -> None:
    """Within one window, so many orders that are taken back after `life` seconds."""
    market.wait(5 - market.now % 5_000_000 / 1_000_000)
    for number in range(pairs):
        order = market.limit(letters[number % len(letters)], "buy", 980, 5)
        market.wait(life)
        market.cancel(order)
        market.wait(gap)
    market.wait(10)


def test_repeated_bursts_are_told_with_account_range_and_rate():
    market = Watched(QuoteStuffing)
    market.account("Q")
    first = market.sequence + 1
    _burst(market, "Q", 60)
    assert market.alerts == []
    _burst(market, "Q", 60)
    [alert] = market.alerts
    assert alert.account_ids == market.ids("Q")
    assert (alert.first_sequence, alert.last_sequence) == (first + 1, market.sequence)
    assert (alert.figures["bursts"], alert.figures["messages"], alert.figures["rate"]) == (2, 240, 24)
    _burst(market, "Q", 60)
    assert len(market.alerts) == 1, "one finding is said once"


@pytest.mark.parametrize(("pairs", "found"), [(249, 0), (250, 1)])
def test_a_single_burst_has_to_be_a_large_one(pairs: int, found: int):
    market = Watched(QuoteStuffing)
    _burst(market, "Q", pairs)
    assert len(market.alerts) == found


def test_tied_accounts_stuff_together_and_strangers_do_not():
    together = Watched(QuoteStuffing, tied=("QR", "RS"))
    strangers = Watched(QuoteStuffing)
    for _ in range(3):
        _burst(together, "QRS", 75)
        _burst(strangers, "QRS", 75)
    [alert] = together.alerts
    assert alert.account_ids == together.ids("QRS")
    assert strangers.alerts == []


def test_prices_that_jump_are_messages_as_well():
    market = Watched(QuoteStuffing)
    for _ in range(2):
        market.wait(5 - market.now % 5_000_000 / 1_000_000)
        order = market.limit("Q", "buy", 980, 5)
        for number in range(110):
            market.wait(0.01)
            market.move(order, 980 + number % 7)
        market.cancel(order)
        market.wait(10)
    [alert] = market.alerts
    assert alert.account_ids == market.ids("Q")


def test_a_machine_that_probes_all_the_time_is_found_and_a_few_probes_are_not():
    machine, trader = Watched(QuoteStuffing), Watched(QuoteStuffing)
    for market, probes in ((machine, 150), (trader, 8)):
        for _ in range(4):
            for _ in range(probes):
                market.limit("P", "buy", 1_001, 5, post_only=True)
                market.wait(0.03)
            market.wait(10)
    assert [alert.account_ids for alert in machine.alerts] == [machine.ids("P")]
    assert trader.alerts == []


def test_a_maker_in_a_storm_whose_quotes_live_and_trade_is_honest():
    market = Watched(QuoteStuffing)
    for number in range(120):
        quotes = [market.limit("M", "buy", 999, 10), market.limit("M", "sell", 1_001, 10)]
        market.wait(0.03)
        if number % 4 == 0:
            market.take("client", "sell", 105)
            market.limit("maker", "buy", 999, 100)
        market.wait(0.1)
        market.cancel(*quotes)
    assert market.alerts == []


def test_a_kill_switch_takes_back_old_orders_and_is_honest():
    market = Watched(QuoteStuffing)
    for _ in range(3):
        orders = [market.limit("K", "buy", 700 + number, 1) for number in range(300)]
        market.wait(60)
        market.cancel(*orders)
        market.wait(10)
    assert market.alerts == []
