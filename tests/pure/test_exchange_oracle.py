"""The exchange against the naive oracle over random commands: the same outcomes, trades, fees, funds and queues."""

from random import Random
from typing import Any

import pytest

from matching.engine import messages
from matching.engine.messages import AnyEvent
from matching.exchange import Exchange
from tests.pure.builders import START
from tests.pure.exchange_commands import Commands, setup
from tests.pure.exchange_oracle import Oracle

JUDGED = (messages.PlaceOrder, messages.AmendOrder, messages.CancelOrder, messages.CancelOrders)


def _told(events: list[AnyEvent], subject: int | None) -> tuple[Any, ...]:
    """The events of an order command in the oracle's words; `subject` is the order amended or canceled."""
    order: Any = None
    for event in events:
        match event:
            case messages.CommandRefused():
                return ("refused", str(event.reason))
            case messages.OrderDuplicated():
                return ("duplicate",)
            case messages.OrdersCanceled():
                return ("canceled", event.order_ids)
            case messages.OrderPlaced() | messages.OrderRejected():
                order = event.order
            case messages.OrderUpdated() if event.id == subject:
                order = event
    trades = tuple(
        (event.maker_order_id, event.taker_order_id, event.price, event.quantity, event.maker_fee, event.taker_fee)
        for event in events
        if isinstance(event, messages.TradeExecuted)
    )
    reason = None if order.reason is None else str(order.reason)
    rates = (order.maker_rate, order.taker_rate) if isinstance(order, messages.OrderState) else None
    return (
        order.status, reason, order.filled_quantity, order.filled_notional, order.remaining, order.prevented_quantity,
        order.held, rates, trades,
    )  # fmt: skip


def _compare_funds(exchange: Exchange, oracle: Oracle) -> None:
    for account in exchange.state.accounts.values():
        if account.id > 1:
            for asset_id, balance in account.balances.items():
                assert balance.available + balance.held == oracle.totals[account.id, asset_id]
                assert balance.held == oracle.held(account.id, asset_id)


def _compare_markets(exchange: Exchange, oracle: Oracle) -> None:
    for market in exchange.state.markets.values():
        naive = oracle.markets[market.id]
        assert (market.state, market.reopens_at, market.last_price) == (naive.state, naive.reopens_at, naive.last)
        for side in ("buy", "sell"):
            queue = [
                (order.id, order.price, order.remaining)
                for level in market.book.side_of(side).in_order()
                for order in level
            ]
            assert queue == [(order.id, order.price, order.remaining) for order in oracle.queue(naive, side)]


def _run(seed: int, count: int) -> None:
    random = Random(seed)
    exchange, oracle = Exchange(), Oracle()
    now = START
    stream = Commands(random)
    for command in setup(random):
        oracle.sequence += 1
        oracle.follow(exchange.apply(command, now))
    for number in range(count):
        now += stream.wait()
        timer = next(iter(exchange.due_timers(now)), None) if random.random() < 0.5 else None
        command = timer or stream.next(rules=False)
        events = exchange.apply(command, now)
        stream.learn(command, events)
        if isinstance(command, JUDGED):
            found = None
            if isinstance(command, messages.AmendOrder | messages.CancelOrder) and (order := oracle.mine(command)):
                found = order.id
            expected = oracle.apply(command, now)
            told = _told(events, found)
            assert told == expected, (number, command)
        else:
            oracle.now = now
            oracle.sequence += 1
            oracle.follow(events)
        if number % 5 == 0:
            _compare_funds(exchange, oracle)
            _compare_markets(exchange, oracle)
        if number % 50 == 0:
            oracle.orders = {id: order for id, order in oracle.orders.items() if order.status == "open"}
    assert count < 500 or exchange.state.trade_id > count // 20, "these commands hardly trade"


@pytest.mark.parametrize("seed", range(6))
def test_the_exchange_does_what_the_oracle_does(seed: int):
    _run(seed, 700)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 1_040))
def test_the_exchange_does_what_the_oracle_does_for_long(seed: int):
    _run(seed, 3_000)
