"""Random commands at a whole exchange: the invariants after every one, restored twins, JSON, and determinism."""

from random import Random

import msgspec
import pytest

from matching import snapshot
from matching.engine import messages
from matching.engine.messages import AnyCommand, AnyEvent
from matching.exchange import Exchange
from matching.snapshot import Snapshot
from tests.pure.builders import START
from tests.pure.exchange_commands import Commands, setup
from tests.pure.exchange_invariants import Fold, check_events, check_refusal, check_state

REFUSALS = (messages.CommandRefused, messages.OrderRejected, messages.OrderDuplicated)
COMMAND = msgspec.json.Decoder(AnyCommand)


def _twin(exchange: Exchange) -> Exchange:
    """An exchange restored from JSON of a snapshot, with the client order ids that the database would know."""
    taken = snapshot.take(exchange.state)
    again = msgspec.json.decode(msgspec.json.encode(taken), type=Snapshot)
    assert again == taken
    twin = Exchange(snapshot.restore(again))
    assert snapshot.take(twin.state) == taken
    twin.state.client_orders = dict(exchange.state.client_orders)
    return twin


def _through_json(command: AnyCommand) -> AnyCommand:
    """The command as the journal has it; text that is no Unicode cannot be there."""
    try:
        again: AnyCommand = COMMAND.decode(msgspec.json.encode(command))
    except UnicodeEncodeError:
        return command
    assert again == command
    return again


def _run(seed: int, count: int) -> None:
    random = Random(seed)
    exchange = Exchange()
    now = START
    stream = Commands(random)
    fold = Fold(snapshot.take(exchange.state))
    for command in setup(random):
        for event in exchange.apply(command, now):
            fold.take(event)
    twin = _twin(exchange)
    kinds: set[type] = set()
    for number in range(count):
        now += stream.wait()
        timer = next(iter(exchange.due_timers(now)), None) if random.random() < 0.5 else None
        command = _through_json(timer or stream.next(rules=True))
        before = snapshot.take(exchange.state)
        events = exchange.apply(command, now)
        stream.learn(command, events)
        assert twin.apply(command, now) == events, "a restored state answers otherwise"
        _check(exchange, fold, before, events)
        kinds |= {type(event) for event in events}
        if number % 50 == 0:
            twin = _twin(exchange)
    assert snapshot.take(twin.state) == snapshot.take(exchange.state)
    assert count < 500 or len(kinds) >= 15, "these commands hardly do anything"


def _check(exchange: Exchange, fold: Fold, before: Snapshot, events: list[AnyEvent]) -> None:
    check_events(events, exchange.state)
    check_state(exchange.state)
    for event in events:
        fold.take(event)
    fold.check(exchange.state)
    if events and isinstance(events[0], REFUSALS):
        assert len(events) == 1
        check_refusal(before, snapshot.take(exchange.state))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_the_invariants_hold(seed: int):
    _run(seed, 600)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_whatever_comes_the_invariants_hold_for_long(seed: int):
    _run(seed, 2_000)


def test_a_preview_changes_nothing_and_tells_the_truth():
    random = Random(7)
    exchange = Exchange()
    now = START
    stream = Commands(random)
    for command in setup(random):
        exchange.apply(command, now)
    told = 0
    for _ in range(1_500):
        now += stream.wait()
        command = stream.next(rules=False)
        if isinstance(command, messages.SetMarketState):
            continue
        if isinstance(command, messages.PlaceOrder):
            exchange.apply(messages.ReopenMarket(0), now)
            before = snapshot.take(exchange.state)
            preview = exchange.preview(command, now)
            assert snapshot.take(exchange.state) == before
            events = exchange.apply(command, now)
            stream.learn(command, events)
            for timer in exchange.due_timers(now + 3_000_000):
                exchange.apply(messages.SetMarketState("open", timer.market_id), now)
            if isinstance(events[0], messages.OrderDuplicated):
                assert preview.reason is messages.Reason.CLIENT_ORDER_ID_CONFLICT
                continue
            last = next(
                e
                for e in events
                if isinstance(e, messages.OrderPlaced | messages.OrderRejected | messages.CommandRefused)
            )
            if isinstance(last, messages.OrderPlaced):
                assert preview.reason is None
                assert (preview.expected_quantity, preview.expected_notional) == (
                    last.order.filled_quantity,
                    last.order.filled_notional,
                )
                assert (preview.maker_rate, preview.taker_rate) == (last.order.maker_rate, last.order.taker_rate)
                told += 1
            else:
                reason = last.order.reason if isinstance(last, messages.OrderRejected) else last.reason
                assert preview.reason == reason or reason is messages.Reason.ORDER_RATE_EXCEEDED
        else:
            exchange.apply(command, now)
    assert told > 100
