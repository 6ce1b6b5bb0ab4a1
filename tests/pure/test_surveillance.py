"""All detectors over one flow: what is found, once, whatever else goes on; and the parameters an operator may set."""

from random import Random

import pytest

from matching.engine.messages import AnyCommand, AnyEvent
from matching.exchange import Exchange
from risk.surveillance.messages import Alert, Relations
from risk.surveillance.parameters import InvalidParameter, check, completed, defaults, parameters_of
from risk.surveillance.spoofing import Spoofing
from risk.surveillance.surveillance import DETECTORS, Surveillance
from tests.pure.builders import START
from tests.pure.exchange_commands import Commands, setup
from tests.pure.watched import Watched

Flow = list[tuple[int, int, AnyCommand, list[AnyEvent]]]


class Recorded(Watched):
    """A watched market that keeps everything that happened."""

    def __init__(self) -> None:
        self.flow: Flow = []
        super().__init__(Spoofing)

    def apply(self, command: AnyCommand) -> list[AnyEvent]:
        """Keep the command and its events."""
        events = super().apply(command)
        self.flow.append((self.sequence, self.now, command, events))
        return events


def _spoofed() -> Recorded:
    market = Recorded()
    for _ in range(4):
        market.limit("S", "buy", 1_000, 20)
        market.wait(0.5)
        large = market.limit("S", "sell", 1_003, 400)
        market.wait(3)
        market.take("victim", "sell", 20)
        market.wait(0.4)
        market.cancel(large)
        market.wait(20)
    return market


def _alerts(surveillance: Surveillance, flow: Flow) -> list[Alert]:
    found = [alert for step in flow for alert in surveillance.observe(*step)]
    return found + surveillance.advance(flow[-1][1] + 60_000_000)


def test_every_detector_has_its_name_and_parameters_within_their_ranges():
    assert len(DETECTORS) == 9
    for name, detector in DETECTORS.items():
        names = [one.name for one in detector.PARAMETERS]
        assert name == detector.NAME
        assert len(set(names)) == len(names)
        for one in detector.PARAMETERS:
            assert one.minimum <= one.default <= one.maximum, f"{name}'s {one.name}"


def test_a_finding_comes_through_the_tape_from_the_detector_that_is_meant_and_no_other():
    market = _spoofed()
    [alert] = _alerts(Surveillance(defaults(), Relations()), market.flow)
    assert (alert.detector, alert.account_ids) == ("spoofing", market.ids("S"))


def test_values_given_hold_and_all_others_are_defaults():
    market = _spoofed()
    assert _alerts(Surveillance({"spoofing": {"cycles": 5}}, Relations()), market.flow) == []


def test_the_same_flow_gives_the_same_alerts():
    flow = _spoofed().flow
    once, again = (_alerts(Surveillance({}, Relations()), flow) for _ in range(2))
    assert once == again


def test_it_may_begin_in_the_middle_with_the_orders_that_rest():
    market = _spoofed()
    middle = next(number for number, step in enumerate(market.flow) if step[1] > START + 30_000_000)
    exchange = Exchange()
    for _, at, command, _ in market.flow[:middle]:
        exchange.apply(command, at)
    resting = [order.state(START) for order in exchange.state.orders.values()]
    surveillance = Surveillance({}, Relations(), resting)
    assert surveillance.tape.book(1).touch() == (999, 1_001)
    [alert] = _alerts(surveillance, market.flow[middle:])
    assert (alert.detector, alert.figures["cycles"]) == ("spoofing", 3)
    final = market.exchange.state.markets[1].book
    best_bid, best_ask = final.bids.best(), final.asks.best()
    assert best_bid is not None
    assert best_ask is not None
    assert surveillance.tape.book(1).touch() == (best_bid.price, best_ask.price)


def test_whatever_comes_nothing_breaks():
    random = Random(11)
    exchange, surveillance = Exchange(), Surveillance({}, Relations())
    now, stream = START, Commands(random)
    for command in setup(random):
        surveillance.observe(exchange.state.sequence, now, command, exchange.apply(command, now))
    for _ in range(3_000):
        now += stream.wait()
        command = stream.next(rules=True)
        events = exchange.apply(command, now)
        stream.learn(command, events)
        for alert in surveillance.observe(exchange.state.sequence, now, command, events):
            assert alert.detector in DETECTORS
            assert alert.account_ids == tuple(sorted(set(alert.account_ids)))
            assert alert.first_sequence <= alert.last_sequence <= exchange.state.sequence
            assert alert.first_at <= alert.last_at <= now


def test_an_operators_values_are_checked():
    check(detector="spoofing", parameter="cycles", value=5)
    for detector, parameter, value, why in (
        ("spoofing", "cycles", 1, "from 2 to 64"),
        ("spoofing", "cycles", float("nan"), "from 2 to 64"),
        ("spoofing", "mood", 1, "no parameter"),
        ("astrology", "cycles", 3, "no detector"),
    ):
        with pytest.raises(InvalidParameter, match=why):
            check(detector=detector, parameter=parameter, value=value)


def test_what_is_not_set_has_its_default():
    values = completed({"layering": {"cycles": 9}})
    assert values["layering"] == {**defaults()["layering"], "cycles": 9}
    assert values["spoofing"] == defaults()["spoofing"]
    assert set(values["spoofing"]) == set(parameters_of("spoofing"))
    with pytest.raises(InvalidParameter):
        completed({"layering": {"cycles": 10_000}})
