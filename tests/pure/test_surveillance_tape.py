"""The tape against a whole exchange: its book is the exchange's after every command, its observations say what was."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching import snapshot
from matching.engine import messages
from matching.engine.messages import AnyCommand, AnyEvent
from matching.exchange import Exchange
from matching.state import State
from risk.surveillance.books import Median
from risk.surveillance.messages import Canceled, Moved, Observation, Placed, Refused, SelfTradePrevented, Traded
from risk.surveillance.tape import Tape
from tests.pure.builders import START, Session
from tests.pure.exchange_commands import Commands, setup


class Told:
    """A session whose every command goes on the tape; `lines` says what it observed, accounts by their letters."""

    def __init__(self) -> None:
        self.session = Session()
        self.tape = Tape()
        self.sequence = 0
        self.lines: list[str] = []
        apply = self.session.apply

        def through_tape(command: AnyCommand) -> list[AnyEvent]:
            events = apply(command)
            now = self.session.now
            seen = self.tape.observe(self.session.exchange.state.sequence, now, command, events)
            letters = {id: letter for letter, id in self.session.accounts.items()}
            self.lines += [line(observation, letters) for observation in seen]
            return events

        self.session.apply = through_tape  # type: ignore[method-assign]

    def play(self, text: str) -> list[str]:
        """Play on and return what was observed since the last time."""
        self.lines = []
        self.session.play(text)
        return self.lines


def line(seen: Observation, letters: dict[int, str]) -> str:
    """An observation in short: quantities in hundredths of BTC, prices in USDT."""

    def price(units: int | None) -> str:
        return "-" if units is None else str(units // 100)

    match seen:
        case Placed():
            amount = (
                f"{seen.quantity // 100}@{price(seen.price)} filled {seen.filled // 100} rests {seen.resting // 100}"
            )
            return f"{letters[seen.account_id]} {seen.side} {amount} at {price(seen.best_bid)}/{price(seen.best_ask)}"
        case Moved():
            old = f"{seen.old_remaining // 100}@{price(seen.old_price)}"
            return f"{letters[seen.account_id]} moves {old} to {seen.remaining // 100}@{price(seen.price)}"
        case Canceled():
            left = f"{seen.remaining // 100} left, {seen.filled // 100} filled"
            return (
                f"{letters[seen.account_id]} out {left}, {seen.cause} at {price(seen.best_bid)}/{price(seen.best_ask)}"
            )
        case Refused():
            return f"{letters[seen.account_id]} refused {seen.reason}"
        case Traded():
            who = f"{letters[seen.taker_account_id]} takes {seen.quantity // 100}@{price(seen.price)}"
            return f"{who} of {letters[seen.maker_account_id]}, who keeps {seen.maker_remaining // 100}"
        case SelfTradePrevented():
            return f"{letters[seen.account_id]} met itself over {seen.quantity // 100}"


def test_an_order_is_observed_before_its_trades_and_these_before_its_rest():
    told = Told()
    session = """
        A sell 0.05@101
        C sell 0.05@102
        B buy 0.08@101     -> A1 0.05@101, open 0.03
        B buy 0.09@102 ioc -> C1 0.05@102, canceled 0.04 immediate_or_cancel
    """
    assert told.play(session) == [
        "A sell 5@101 filled 0 rests 5 at -/-",
        "C sell 5@102 filled 0 rests 5 at -/101",
        "B buy 8@101 filled 5 rests 3 at -/101",
        "B takes 5@101 of A, who keeps 0",
        "B buy 9@102 filled 5 rests 0 at 101/102",
        "B takes 5@102 of C, who keeps 0",
        "B out 4 left, 5 filled, time_in_force at 101/102",
    ]


def test_an_amend_is_a_move_and_then_the_trades_it_led_to():
    told = Told()
    told.play("A sell 0.05@105\nB buy 0.04@100\nB buy 0.02@99")
    session = """
        B1 amend 0.03     -> open 0.03
        B1 amend 0.09@105 -> A1 0.05@105, open 0.04
        B2 amend @101     -> open 0.02
    """
    assert told.play(session) == [
        "B moves 4@100 to 3@100",
        "B moves 3@100 to 9@105",
        "B takes 5@105 of A, who keeps 0",
        "B moves 2@99 to 2@101",
    ]
    assert told.tape.book(1).touch() == (105_00, None)


def test_every_order_of_a_mass_cancel_bears_the_touch_before_all_of_them():
    told = Told()
    told.play("A sell 0.05@105\nA sell 0.05@106\nB sell 0.01@107")
    assert told.play("A cancel all -> A1 canceled 0.05 user_canceled, A2 canceled 0.05 user_canceled") == [
        "A out 5 left, 0 filled, owner at -/105",
        "A out 5 left, 0 filled, owner at -/105",
    ]
    assert told.tape.book(1).touch() == (None, 107_00)
    assert told.play("freeze B cancel -> B1 canceled 0.01 account_was_frozen") == [
        "B out 1 left, 0 filled, system at -/107"
    ]


@pytest.mark.parametrize(
    ("mode", "outcome", "seen"),
    [
        ("cancel_taker", "A1 open 0.05, canceled 0.03 self_trade_prevented",
         ["A buy 3@105 filled 0 rests 0 at -/105", "A met itself over 3",
          "A out 3 left, 0 filled, self_trade at -/105"]),
        ("cancel_maker", "A1 canceled 0.05 self_trade_prevented, open 0.03",
         ["A buy 3@105 filled 0 rests 3 at -/105", "A met itself over 3",
          "A out 5 left, 0 filled, self_trade at -/105"]),
        ("decrement", "A1 open 0.02, canceled self_trade_prevented",
         ["A buy 3@105 filled 0 rests 0 at -/105", "A met itself over 3",
          "A out 0 left, 0 filled, self_trade at -/105"]),
    ],
)  # fmt: skip
def test_prevented_self_trades_are_told_with_whatever_left_the_book(mode: str, outcome: str, seen: list[str]):
    told = Told()
    told.play("A sell 0.05@105")
    assert told.play(f"A buy 0.03@105 {mode} -> {outcome}") == seen


def test_refusals_are_told_with_their_reason():
    told = Told()
    told.play("A sell 0.05@105")
    assert told.play("B buy 0.01@105 post_only -> rejected post_only_would_trade") == [
        "B refused post_only_would_trade"
    ]


def test_a_move_carries_when_the_order_was_first_placed():
    tape, session = Tape(), Session()
    account_id = session.account("A")
    seen: list[Observation] = []

    def apply(command: AnyCommand) -> None:
        seen.extend(tape.observe(session.exchange.state.sequence + 1, session.now, command, session.apply(command)))

    apply(messages.PlaceOrder(account_id, 1, "sell", price=105_00, quantity=500))
    order_id = session.exchange.state.sequence
    session.now += 3_000_000
    apply(messages.AmendOrder(account_id, order_id, price=106_00))
    session.now += 2_000_000
    apply(messages.CancelOrder(account_id, order_id))
    moved, canceled = seen[1:]
    assert isinstance(moved, Moved)
    assert isinstance(canceled, Canceled)
    assert (moved.placed_at, canceled.placed_at, canceled.at) == (START, START, START + 5_000_000)
    assert tape.book(1).life.value == 5_000_000


def _books_agree(tape: Tape, state: State) -> None:
    for market in state.markets.values():
        book = tape.book(market.id)
        for side, levels in (("buy", book.bids), ("sell", book.asks)):
            exact: Any = [(level.price, level.quantity) for level in market.book.side_of(side).in_order()]  # type: ignore[arg-type]
            assert levels.top(10**6) == exact
            assert levels.best() == (exact[0][0] if exact else None)
            if exact:
                best = exact[0][0]
                for distance in (0, 100, 700):
                    assert levels.within(distance) == sum(q for p, q in exact if abs(p - best) <= distance)


def _check(seen: list[Observation], tape: Tape, events: list[AnyEvent]) -> None:
    trades = [event for event in events if isinstance(event, messages.TradeExecuted)]
    told = [one for one in seen if isinstance(one, Traded)]
    assert [(one.trade_id, one.quantity, one.notional) for one in told] == [
        (e.id, e.quantity, e.notional) for e in trades
    ]
    ends: dict[int, tuple[int, int]] = {}
    for event in events:
        if isinstance(event, messages.OrderUpdated) and event.status == "canceled":
            ends[event.id] = (event.remaining, event.filled_quantity)
        elif isinstance(event, messages.OrderPlaced) and event.order.status == "canceled":
            ends[event.order.id] = (event.order.remaining, event.order.filled_quantity)
    left = {one.order_id: (one.remaining, one.filled) for one in seen if isinstance(one, Canceled)}
    assert left == ends
    final = {e.id: e.remaining for e in events if isinstance(e, messages.OrderUpdated)}
    assert all(one.maker_remaining >= final[one.maker_order_id] for one in told)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), start=st.integers(0, 250))
def test_the_tapes_book_is_the_exchanges_after_every_command_wherever_it_began(seed: int, start: int):
    random = Random(seed)
    exchange = Exchange()
    for command in setup(random):
        exchange.apply(command, START)
    stream, now, tape = Commands(random), START, Tape()
    for number in range(350):
        now += stream.wait()
        if number == start:
            tape = Tape.of(snapshot.take(exchange.state).orders)
            _books_agree(tape, exchange.state)
        command = stream.next(rules=True)
        touches = {id: (m.book.bids.best(), m.book.asks.best()) for id, m in exchange.state.markets.items()}
        touch = {id: tuple(level and level.price for level in both) for id, both in touches.items()}
        events = exchange.apply(command, now)
        stream.learn(command, events)
        seen = tape.observe(exchange.state.sequence, now, command, events)
        _books_agree(tape, exchange.state)
        _check(seen, tape, events)
        for one in seen:
            if isinstance(one, Placed | Traded | Canceled) and not isinstance(command, messages.AmendOrder):
                assert (one.best_bid, one.best_ask) == touch[one.market_id]


def test_a_running_median_finds_the_middle_and_follows_it():
    random, median = Random(3), Median()
    for _ in range(3_000):
        median.learn(random.lognormvariate(5, 1))
    assert 120 < median.value < 180  # e^5 is 148
    for _ in range(3_000):
        median.learn(1_000_000)
    assert median.value > 500_000
