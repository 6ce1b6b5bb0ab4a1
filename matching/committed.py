"""What a batch changed, as the worker tells it to every web process once the batch is on disk.

Built right after the batch was applied, when the books are exactly at its end; sent after its commit. The public part
is ready to use, the private part stays encoded for the processes in which nobody asks for it.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from marketdata.changes import MarketChange, PublicTrade
from matching.engine import messages
from matching.engine.messages import AnyEvent, Side
from matching.state import State

GROUP = "exchange"
"""The channel layer's group that every web process joins."""

News = messages.MarketChanged | messages.BreakerTripped | messages.ExchangeStateChanged
PrivateEvent = (
    messages.BalanceChanged
    | messages.OrderPlaced
    | messages.OrderUpdated
    | messages.OrderRejected
    | messages.TradeExecuted
    | messages.DepositCredited
    | messages.WithdrawalChanged
    | messages.AccountFrozen
)
_WITH_A_NEW_ORDER = frozenset({messages.OrderPlaced, messages.OrderRejected})
_ABOUT_AN_ACCOUNT = frozenset(
    {messages.BalanceChanged, messages.DepositCredited, messages.WithdrawalChanged, messages.AccountFrozen}
)
_NEWS = frozenset({messages.MarketChanged, messages.BreakerTripped, messages.ExchangeStateChanged})


class Committed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The commands from `first_sequence` to `last_sequence`, committed at `received_at` (microseconds since 1970).

    `accounts`: those that `events` is about (see `private_events`); `news`: what everyone is told in words.
    """

    first_sequence: int
    last_sequence: int
    received_at: int
    markets: list[MarketChange]
    news: list[News]
    accounts: list[int]
    events: msgspec.Raw


# JSON, because MessagePack knows no integers beyond 64 bits, and amounts with 18 decimals go beyond.
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Committed).decode
_decode_private = msgspec.json.Decoder(list[PrivateEvent]).decode


def encode(first_sequence: int, received_at: int, events: Iterable[list[AnyEvent]], state: State) -> bytes:
    """A batch from its events, one list a command; `state` is as after the batch."""
    levels: set[tuple[int, Side, int]] = set()
    trades: dict[int, list[PublicTrade]] = {}
    news: list[News] = []
    private: list[PrivateEvent] = []
    accounts: set[int] = set()
    event: Any  # told apart by identity of types, as this runs for every event of every order
    for command_events in events:
        for event in command_events:
            kind = type(event)
            if kind in _ABOUT_AN_ACCOUNT:
                accounts.add(event.account_id)
            elif kind is messages.OrderUpdated:
                levels.add((event.market_id, event.side, event.price))
                if event.previous_price is not None:
                    levels.add((event.market_id, event.side, event.previous_price))
                accounts.add(event.account_id)
            elif kind is messages.TradeExecuted:
                trades.setdefault(event.market_id, []).append(_public(event))
                accounts.update((event.maker_account_id, event.taker_account_id))
            elif kind in _WITH_A_NEW_ORDER:
                order = event.order
                if order.status == "open":
                    assert order.price is not None
                    levels.add((order.market_id, order.side, order.price))
                accounts.add(order.account_id)
            else:
                if kind in _NEWS:
                    news.append(event)
                continue
            private.append(event)
    return _encode(
        Committed(
            first_sequence,
            state.sequence,
            received_at,
            _market_changes(levels, trades, state),
            news,
            list(accounts),
            msgspec.Raw(_encode(private)),
        )
    )


def quiet(sequence: int, at: int) -> bytes:
    """Nothing new since `sequence`, committed at `at` (microseconds): who has not heard of it has missed something."""
    return _encode(Committed(sequence + 1, sequence, at, [], [], [], msgspec.Raw(b"[]")))


def decode(data: bytes) -> Committed:
    """A batch as it was sent."""
    return _decode(data)


def private_events(committed: Committed) -> list[PrivateEvent]:
    """What the batch changed for its accounts, in order; whose it is must be looked up before anybody is told."""
    return _decode_private(committed.events)


def _public(trade: messages.TradeExecuted) -> PublicTrade:
    return PublicTrade(
        trade.id, trade.sequence, trade.price, trade.quantity, trade.notional, trade.taker_side, trade.executed_at
    )


def _market_changes(
    levels: Iterable[tuple[int, Side, int]], trades: dict[int, list[PublicTrade]], state: State
) -> list[MarketChange]:
    """The touched levels with the quantities that the books have now, and the trades, by market."""
    changes = {market_id: MarketChange(market_id, [], [], found) for market_id, found in trades.items()}
    for market_id, side, price in levels:
        change = changes.get(market_id)
        if change is None:
            change = changes[market_id] = MarketChange(market_id, [], [], [])
        book = state.markets[market_id].book
        book_side, found = (book.bids, change.bids) if side == "buy" else (book.asks, change.asks)
        level = book_side.levels.get(price * book_side.sign)
        found.append((price, 0 if level is None else level.quantity))
    return list(changes.values())
