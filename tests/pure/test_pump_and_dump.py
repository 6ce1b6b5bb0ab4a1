"""Pump and dump: early buyers who are the late sellers; latecomers are victims, investors and news are no pumps."""

from risk.surveillance.pump_and_dump import PumpAndDump
from tests.pure.watched_market import CROWD, WatchedMarket, tied

RUSH = 1500
LATECOMERS = (110, 111, 112, 113)


def gather(market: WatchedMarket, accounts: tuple[int, ...]) -> list[int]:
    """Buy one or two now and then over five minutes; the sequences."""
    market.breathe(0, RUSH - 400)
    sequences = []
    for number in range(10):
        second = RUSH - 400 + 30 * number
        sequences.append(market.trade(second, accounts[number % len(accounts)], "buy", 2, CROWD[number]))
        market.breathe(second + 5, second + 28)
    return sequences


def rush(market: WatchedMarket, accounts: tuple[int, ...], *, size: int = 8) -> None:
    """Twelve orders in two minutes, the price going up by six with each; latecomers buy at the end."""
    for number in range(12):
        second = RUSH + 10 * number
        market.place(second, CROWD[3], "buy", 1, market.middle - 1)
        market.trade(second, accounts[number % len(accounts)], "buy", size, CROWD[number % 8], reach=3)
        market.rise(6)
        market.place(second + 2, CROWD[4], "buy", 1, market.middle - 1)
    for number, account in enumerate(LATECOMERS * 2):
        market.trade(RUSH + 115 + number, account, "buy", 4, CROWD[3])


def dump(market: WatchedMarket, accounts: tuple[int, ...], quantity: int, *, fall: int = 7) -> None:
    """Ten orders each over three minutes, into the latecomers' bids and through them."""
    for number in range(10):
        for account in accounts:
            market.trade(RUSH + 130 + 18 * number, account, "sell", quantity, LATECOMERS[number % 4])
        market.rise(-fall)
        market.place(RUSH + 132 + 18 * number, CROWD[4], "buy", 1, market.middle - 1)
    market.breathe(RUSH + 320, RUSH + 900)


def test_who_gathers_drives_up_and_sells_is_found_and_latecomers_are_not_accused():
    market = WatchedMarket(PumpAndDump)
    first = gather(market, (7,))[0]
    rush(market, (7,))
    dump(market, (7,), 11)
    [alert] = market.alerts
    assert alert.account_ids == (7,)
    assert alert.first_sequence == first
    assert alert.figures["before"] >= alert_threshold("gathered")
    assert market.accused().isdisjoint(LATECOMERS)


def alert_threshold(name: str) -> float:
    return next(parameter.default for parameter in PumpAndDump.PARAMETERS if parameter.name == name)


def test_several_accounts_are_found_together_tied_or_not():
    for relations in ((), (tied(7, 8), tied(8, 9))):
        market = WatchedMarket(PumpAndDump, relations)
        gather(market, (7, 8, 9))
        rush(market, (7, 8, 9))
        dump(market, (7, 8, 9), 4)
        assert market.accused() == {7, 8, 9}


def test_who_did_not_gather_before_is_another_detectors_business():
    market = WatchedMarket(PumpAndDump)
    market.breathe(0, RUSH)
    rush(market, (7,))
    dump(market, (7,), 10)
    assert not market.alerts


def test_an_investor_who_buys_in_a_rush_and_keeps_it_is_innocent():
    market = WatchedMarket(PumpAndDump)
    gather(market, (7,))
    rush(market, (7,))
    dump(market, (CROWD[15],), 11)
    assert not market.alerts


def test_a_rise_that_stays_is_no_pump():
    market = WatchedMarket(PumpAndDump)
    gather(market, (7,))
    rush(market, (7,))
    dump(market, (7,), 11, fall=0)
    assert not market.alerts


def test_an_early_buyer_who_takes_profit_but_did_not_drive_the_price_is_innocent():
    market = WatchedMarket(PumpAndDump)
    gather(market, (20,))
    market.breathe(RUSH - 90, RUSH)
    rush(market, (7,))
    dump(market, (7, 20), 10)
    assert 20 not in market.accused()


def test_who_sells_everything_at_once_is_a_latecomer_who_gave_up():
    market = WatchedMarket(PumpAndDump)
    gather(market, (7,))
    rush(market, (7,))
    market.trade(RUSH + 130, 7, "sell", 110, LATECOMERS[0])
    dump(market, (CROWD[15],), 1)
    assert not market.alerts


def test_who_traded_to_and_fro_before_did_not_gather():
    market = WatchedMarket(PumpAndDump)
    gather(market, (7,))
    for number in range(8):
        market.trade(RUSH - 60 + number, 7, "sell", 1, CROWD[number])
    rush(market, (7,))
    dump(market, (7,), 11)
    assert not market.alerts
