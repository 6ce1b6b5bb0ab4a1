"""The tape: the journal's commands and the exchange's events for them, turned into what detectors observe.

It keeps its own table of resting orders and the quantity at every price, so that each observation bears the touch
before it, and what is usual on a market: depth near the touch, an order's life, a trade's size.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable

from matching.engine.messages import (
    AmendOrder,
    AnyCommand,
    AnyEvent,
    OrderPlaced,
    OrderRejected,
    OrderState,
    OrderUpdated,
    PlaceOrder,
    Reason,
    Side,
    TradeExecuted,
)
from risk.surveillance.messages import (
    CancelCause,
    Canceled,
    Moved,
    Observation,
    Placed,
    Refused,
    SelfTradePrevented,
    Traded,
)

NEAR_LEVELS = 10
"""Depth near the touch is the quantity of this many best levels of a side."""

SAMPLE_MICROSECONDS = 50_000
"""What is usual on a market is looked at no more often than this, so that no burst of orders can shift it."""

LIVES_OF_AN_ACCOUNT_MICROSECONDS = 100_000
"""An account's orders count for the usual life no more often than this, so that no account decides it alone."""

ACCOUNTS_MAX = 20_000

CAUSES: dict[Reason | None, CancelCause] = {
    Reason.USER_CANCELED: "owner",
    Reason.IMMEDIATE_OR_CANCEL: "time_in_force",
    Reason.FILL_OR_KILL: "time_in_force",
    Reason.NO_LIQUIDITY: "time_in_force",
    Reason.SELF_TRADE_PREVENTED: "self_trade",
}
"""Why an order left, by the reason the exchange gave; any other reason is the system's."""


class Median:
    """A running median of positive numbers that needs no memory: each number moves it by a small factor."""

    __slots__ = ("count", "value")

    def __init__(self) -> None:
        self.count = 0
        self.value = 0.0

    def learn(self, number: float) -> None:
        """Take another number; the first hundred move the median further, so that it finds its place soon."""
        if not self.count:
            self.value = max(1.0, number)
        elif number > self.value:
            self.value *= 1.01 + 0.5 / (self.count + 1)
        elif number < self.value:
            self.value /= 1.01 + 0.5 / (self.count + 1)
        self.count += 1


class Levels:
    """One side of a book: the quantity at each price. Prices are kept times `sign`, rising: the best is the last."""

    __slots__ = ("keys", "quantities", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.quantities: dict[int, int] = {}

    def best(self) -> int | None:
        """The best price, or None."""
        return self.keys[-1] * self.sign if self.keys else None

    def add(self, price: int, quantity: int) -> None:
        """More rests at `price`."""
        key = price * self.sign
        if key in self.quantities:
            self.quantities[key] += quantity
            return
        self.quantities[key] = quantity
        keys = self.keys
        if keys and key < keys[-1]:
            insort(keys, key)
        else:
            keys.append(key)

    def take(self, price: int, quantity: int) -> None:
        """Less rests at `price`; without anything left the level is gone."""
        key = price * self.sign
        left = self.quantities[key] - quantity
        if left:
            self.quantities[key] = left
            return
        del self.quantities[key]
        keys = self.keys
        if keys[-1] == key:
            keys.pop()
        else:
            del keys[bisect_left(keys, key)]

    def within(self, distance: int) -> int:
        """The quantity that rests no further than `distance` (quote units per whole base) behind the best price."""
        keys, quantities = self.keys, self.quantities
        total = 0
        if keys:
            worst = keys[-1] - distance
            for index in range(len(keys) - 1, -1, -1):
                key = keys[index]
                if key < worst:
                    break
                total += quantities[key]
        return total

    def top(self, levels: int) -> list[tuple[int, int]]:
        """The best levels as (price, quantity), best first."""
        return [(key * self.sign, self.quantities[key]) for key in self.keys[: -levels - 1 : -1]]


class MarketBook:
    """A market's book as it stands after the last command, and what is usual there.

    `depth`: base units in the ten best levels of a side; `reach`: from the best of them to the worst (quote units per
    whole base); `spread`: between the best prices; `life`: microseconds from placing to cancel or complete fill;
    `trade`: base units of a match; `order`: base units of an order that rested.
    """

    __slots__ = ("asks", "bids", "depth", "life", "lived", "order", "reach", "sampled_at", "spread", "trade")

    def __init__(self) -> None:
        self.bids = Levels(1)
        self.asks = Levels(-1)
        self.depth = Median()
        self.reach = Median()
        self.spread = Median()
        self.life = Median()
        self.trade = Median()
        self.order = Median()
        self.sampled_at = 0
        self.lived: dict[int, int] = {}

    def side(self, side: Side) -> Levels:
        """Where an order of `side` rests."""
        return self.bids if side == "buy" else self.asks

    def touch(self) -> tuple[int | None, int | None]:
        """(best bid, best ask); None: an empty side."""
        return self.bids.best(), self.asks.best()

    def sample(self, at: int) -> None:
        """Look at depth, reach and spread as they are now."""
        self.sampled_at = at
        for levels in (self.bids, self.asks):
            keys = levels.keys[-NEAR_LEVELS:]
            if len(keys) > 1:
                self.depth.learn(sum(map(levels.quantities.__getitem__, keys)))
                self.reach.learn(keys[-1] - keys[0])
        if self.bids.keys and self.asks.keys:
            self.spread.learn(-self.asks.keys[-1] - self.bids.keys[-1])

    def ended(self, account_id: int, at: int, placed_at: int) -> None:
        """An order left: its life counts, unless another one of the account did a moment ago."""
        if at - self.lived.get(account_id, 0) >= LIVES_OF_AN_ACCOUNT_MICROSECONDS:
            if len(self.lived) >= ACCOUNTS_MAX:
                self.lived.clear()
            self.lived[account_id] = at
            self.life.learn(at - placed_at)


class _Resting:
    """An order in the book; fields as in `OrderState`."""

    __slots__ = (
        "account_id",
        "filled",
        "levels",
        "market_id",
        "placed_at",
        "prevented",
        "price",
        "quantity",
        "remaining",
        "side",
    )

    def __init__(self, order: OrderState, levels: Levels) -> None:
        assert order.price is not None
        assert order.quantity is not None
        self.account_id = order.account_id
        self.market_id = order.market_id
        self.side: Side = order.side
        self.price = order.price
        self.quantity = order.quantity
        self.remaining = order.remaining
        self.filled = order.filled_quantity
        self.prevented = order.prevented_quantity
        self.placed_at = order.created_at
        self.levels = levels


class Tape:
    """Observes command by command. Start it empty with the journal's first, or `of` the orders that rest."""

    def __init__(self) -> None:
        self._orders: dict[int, _Resting] = {}
        self._books: dict[int, MarketBook] = {}

    @classmethod
    def of(cls, open_orders: Iterable[OrderState]) -> "Tape":
        """A tape that begins in the middle, with these orders in the books."""
        tape = cls()
        for order in open_orders:
            tape._rest(order)
        return tape

    def book(self, market_id: int) -> MarketBook:
        """The market's book, as after the last command observed."""
        book = self._books.get(market_id)
        if book is None:
            book = self._books[market_id] = MarketBook()
        return book

    def observe(self, sequence: int, at: int, command: AnyCommand, events: list[AnyEvent]) -> list[Observation]:
        """What the journal's next command did, in order: the order itself, its trades, then what became of its rest."""
        kind = type(command)
        if kind is PlaceOrder:
            return self._observe_place(sequence, at, events)
        if kind is AmendOrder:
            return self._observe_amend(sequence, at, events)
        return self._observe_cancels(sequence, at, events)

    # ------------------------------------------------------------------------------------------ commands

    def _observe_place(self, sequence: int, at: int, events: list[AnyEvent]) -> list[Observation]:
        first = events[0]
        if type(first) is OrderRejected:
            refused = first.order
            return [
                Refused(
                    sequence, at, refused.account_id, refused.market_id, refused.side, refused.price,
                    str(refused.reason),
                )
            ]  # fmt: skip
        order = next((event.order for event in events if type(event) is OrderPlaced), None)
        if order is None:
            return []
        book = self.book(order.market_id)
        bid, ask = book.touch()
        rests = order.status == "open"
        filled = order.filled_quantity
        seen: list[Observation] = [
            Placed(
                sequence, at, order.id, order.account_id, order.market_id, order.side, order.price,
                filled if order.quantity is None else order.quantity, filled, order.remaining if rests else 0,
                order.post_only, bid, ask,
            )
        ]  # fmt: skip
        if type(first) is not OrderPlaced:
            self._take_matches(sequence, at, order.account_id, book, events, seen)
        if rests:
            self._rest(order)
            book.order.learn(order.remaining)
        elif order.status == "canceled":
            seen.append(
                Canceled(
                    sequence, at, order.id, order.account_id, order.market_id, order.side, order.price,
                    order.remaining, filled, at, CAUSES.get(order.reason, "system"), bid, ask,
                )
            )  # fmt: skip
        if at >= book.sampled_at + SAMPLE_MICROSECONDS:
            book.sample(at)
        return seen

    def _observe_amend(self, sequence: int, at: int, events: list[AnyEvent]) -> list[Observation]:
        """The amended order's own update is the last of the orders'; what comes before is what it met."""
        index = max((index for index, event in enumerate(events) if type(event) is OrderUpdated), default=-1)
        if index < 0:
            return []
        update = events[index]
        assert type(update) is OrderUpdated
        order = self._orders[update.id]
        book = self.book(order.market_id)
        bid, ask = book.touch()
        arrived = update.quantity - (order.quantity - order.remaining)
        seen: list[Observation] = [
            Moved(
                sequence, at, update.id, order.account_id, order.market_id, order.side, order.price, update.price,
                order.remaining, arrived, order.placed_at,
            )
        ]  # fmt: skip
        order.levels.take(order.price, order.remaining)
        self._take_matches(sequence, at, order.account_id, book, events[:index], seen)
        order.price, order.quantity, order.remaining = update.price, update.quantity, update.remaining
        order.filled, order.prevented = update.filled_quantity, update.prevented_quantity
        if update.status == "open":
            order.levels.add(order.price, order.remaining)
            return seen
        del self._orders[update.id]
        book.ended(order.account_id, at, order.placed_at)
        if update.status == "canceled":
            seen.append(_canceled(sequence, at, update, order.placed_at, bid, ask))
        return seen

    def _observe_cancels(self, sequence: int, at: int, events: list[AnyEvent]) -> list[Observation]:
        """Cancels, by the owner or with a freeze, of however many orders; each bears the touch before all of them."""
        seen: list[Observation] = []
        touches: dict[int, tuple[int | None, int | None]] = {}
        for event in events:
            if type(event) is not OrderUpdated:
                continue
            book = self.book(event.market_id)
            touch = touches.get(event.market_id)
            if touch is None:
                touch = touches[event.market_id] = book.touch()
            order = self._orders.pop(event.id)
            order.levels.take(order.price, order.remaining)
            book.ended(order.account_id, at, order.placed_at)
            seen.append(_canceled(sequence, at, event, order.placed_at, *touch))
        return seen

    # ------------------------------------------------------------------------------------------ orders

    def _rest(self, order: OrderState) -> None:
        resting = _Resting(order, self.book(order.market_id).side(order.side))
        resting.levels.add(resting.price, resting.remaining)
        self._orders[order.id] = resting

    def _take_matches(
        self, sequence: int, at: int, taker_id: int, book: MarketBook, events: list[AnyEvent], seen: list[Observation]
    ) -> None:
        """What an order of the account `taker_id` met: trades, and self-trades that were prevented."""
        bid, ask = book.touch()
        for event in events:
            kind = type(event)
            if kind is TradeExecuted:
                assert isinstance(event, TradeExecuted)
                maker = self._orders[event.maker_order_id]
                maker.levels.take(maker.price, event.quantity)
                maker.remaining -= event.quantity
                maker.filled += event.quantity
                book.trade.learn(event.quantity)
                seen.append(
                    Traded(
                        sequence, at, event.id, event.market_id, event.price, event.quantity, event.notional,
                        event.taker_side, event.maker_order_id, event.taker_order_id, event.maker_account_id,
                        event.taker_account_id, maker.placed_at, maker.remaining, bid, ask,
                    )
                )  # fmt: skip
            elif kind is OrderUpdated:
                assert isinstance(event, OrderUpdated)
                self._update_maker(sequence, at, taker_id, book, event, bid, ask, seen)

    def _update_maker(
        self,
        sequence: int,
        at: int,
        taker_id: int,
        book: MarketBook,
        event: OrderUpdated,
        bid: int | None,
        ask: int | None,
        seen: list[Observation],
    ) -> None:
        """A maker as it stands after a trade, which is known already, or after a prevented self-trade."""
        maker = self._orders[event.id]
        prevented = event.prevented_quantity - maker.prevented
        if prevented:
            maker.prevented = event.prevented_quantity
            seen.append(SelfTradePrevented(sequence, at, event.market_id, taker_id, prevented))
        if event.status == "open":
            if maker.remaining != event.remaining:
                maker.levels.take(maker.price, maker.remaining - event.remaining)
                maker.remaining = event.remaining
            return
        del self._orders[event.id]
        if maker.remaining:
            maker.levels.take(maker.price, maker.remaining)
        book.ended(maker.account_id, at, maker.placed_at)
        if event.status == "canceled":
            seen.append(_canceled(sequence, at, event, maker.placed_at, bid, ask))


def _canceled(
    sequence: int, at: int, event: OrderUpdated, placed_at: int, bid: int | None, ask: int | None
) -> Canceled:
    return Canceled(
        sequence, at, event.id, event.account_id, event.market_id, event.side, event.price, event.remaining,
        event.filled_quantity, placed_at, CAUSES.get(event.reason, "system"), bid, ask,
    )  # fmt: skip
