"""Front-running: who is ahead of one customer again and again, and those who come after or at random."""

from risk.surveillance.front_running import FrontRunning
from tests.pure.watched_market import CROWD, WatchedMarket, tied

CUSTOMER, RUNNER = 50, 7


def large_order(market: WatchedMarket, second: float, *, lead: float | None, stays: bool = False) -> int:
    """The customer buys twenty; the runner bought two `lead` seconds before, and sells a little after. Its entry."""
    entry = 0
    if lead is not None and lead > 0:
        entry = market.trade(second - lead, RUNNER, "buy", 2, CROWD[1])
    market.trade(second, CUSTOMER, "buy", 20, CROWD[2])
    if lead is not None and lead < 0:
        entry = market.trade(second - lead, RUNNER, "buy", 2, CROWD[1])
    if lead is not None and not stays:
        market.trade(second + 15, RUNNER, "sell", 2, CROWD[3])
    return entry


def event_study(count: int, *, relations=(), lead: float | None = 2, stays: bool = False) -> tuple[WatchedMarket, int]:
    """So many large orders, two minutes apart, in a market that breathes; the first entry's sequence."""
    market = WatchedMarket(FrontRunning, relations)
    market.breathe(0, 600)
    entries = []
    for number in range(count):
        begin = 600 + 120 * number
        entries.append(large_order(market, begin + 10, lead=lead, stays=stays))
        market.breathe(begin + 30, begin + 115)
    market.breathe(600 + 120 * count, 900 + 120 * count)
    return market, entries[0]


def test_who_is_ahead_of_six_large_orders_is_found_and_the_customer_is_not_accused():
    market, first = event_study(6)
    [alert] = market.alerts
    assert alert.account_ids == (RUNNER,)
    assert alert.first_sequence == first
    assert alert.figures["events"] >= 5
    assert alert.thresholds["events"] == 5
    assert CUSTOMER not in market.accused()


def test_four_times_is_not_enough_for_a_stranger_but_is_for_one_who_has_something_in_common():
    stranger, _ = event_study(4)
    assert not stranger.alerts
    related, _ = event_study(4, relations=[tied(CUSTOMER, RUNNER)])
    [alert] = related.alerts
    assert alert.account_ids == (RUNNER,)
    assert alert.severity == "high"
    assert alert.thresholds["related_events"] == 4


def test_accounts_of_one_hand_that_take_turns_are_found_together():
    market = WatchedMarket(FrontRunning, [tied(7, 8)])
    market.breathe(0, 600)
    for number in range(8):
        begin, runner = 600 + 120 * number, 7 + number % 2
        market.trade(begin + 8, runner, "buy", 2, CROWD[1])
        market.trade(begin + 10, CUSTOMER, "buy", 20, CROWD[2])
        market.trade(begin + 25, runner, "sell", 2, CROWD[3])
        market.breathe(begin + 30, begin + 115)
    market.breathe(1600, 1900)
    assert market.accused() == {7, 8}


def test_who_comes_in_between_the_bites_of_a_large_order_is_ahead_of_it_too():
    market = WatchedMarket(FrontRunning)
    market.breathe(0, 600)
    for number in range(7):
        begin = 600 + 120 * number
        market.trade(begin + 10, CUSTOMER, "buy", 10, CROWD[2])
        market.trade(begin + 11, RUNNER, "buy", 2, CROWD[1])
        market.trade(begin + 12, CUSTOMER, "buy", 10, CROWD[2])
        market.trade(begin + 30, RUNNER, "sell", 2, CROWD[3])
        market.breathe(begin + 35, begin + 115)
    market.breathe(1500, 1800)
    assert market.accused() == {RUNNER}


def test_a_copier_who_comes_after_is_innocent():
    market, _ = event_study(12, lead=-2)
    assert not market.alerts


def test_who_is_ahead_but_stays_in_is_innocent():
    market, _ = event_study(12, stays=True)
    assert not market.alerts


def test_who_trades_in_and_out_all_the_time_is_ahead_by_chance():
    market = WatchedMarket(FrontRunning)
    market.breathe(0, 600)
    for number in range(90):
        second = 600 + 14 * number
        market.trade(second, RUNNER, "buy", 2, CROWD[1])
        market.trade(second + 11, RUNNER, "sell", 2, CROWD[1])
        if number % 9 == 0:
            market.trade(second + 12, CUSTOMER, "buy", 20, CROWD[2])
    market.breathe(1900, 2200)
    assert not market.alerts


def rest(market: WatchedMarket, begin: int, *, ahead: bool, leaves: float) -> None:
    """The customer's large bid rests for forty seconds; the runner's, a step ahead of it, leaves some time later."""
    large = market.place(begin, CUSTOMER, "buy", 30, market.middle - 3)
    small = market.place(begin + 1, RUNNER, "buy", 2, market.middle - (2 if ahead else 4))
    market.cancel(begin + 40, large, CUSTOMER, "buy", 30, market.middle - 3)
    market.cancel(begin + 40 + leaves, small, RUNNER, "buy", 2, market.middle - 2)


def rests(*, ahead: bool = True, leaves: float = 0.5, count: int = 7) -> WatchedMarket:
    market = WatchedMarket(FrontRunning)
    market.breathe(0, 600)
    for number in range(count):
        rest(market, 600 + 120 * number, ahead=ahead, leaves=leaves)
        market.breathe(660 + 120 * number, 715 + 120 * number)
    return market


def test_who_steps_ahead_of_large_resting_orders_and_leaves_with_them_is_found():
    market = rests()
    [alert] = market.alerts
    assert alert.account_ids == (RUNNER,)
    assert alert.figures["events"] == 5


def test_four_steps_ahead_are_not_enough():
    assert not rests(count=4).alerts


def test_who_rests_behind_the_large_order_or_stays_when_it_leaves_is_innocent():
    assert not rests(ahead=False).alerts
    assert not rests(leaves=10).alerts
