"""The tape: the journal's commands and the exchange's events for them, turned into what detectors observe.

It keeps its own table of resting orders and its own books, so that each observation bears the touch before it.
"""

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
from risk.surveillance.books import SAMPLE_MICROSECONDS, Levels, MarketBook
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

CAUSES: dict[Reason | None, CancelCause] = {
    Reason.USER_CANCELED: "owner",
    Reason.IMMEDIATE_OR_CANCEL: "time_in_force",
    Reason.FILL_OR_KILL: "time_in_force",
    Reason.NO_LIQUIDITY: "time_in_force",
    Reason.SELF_TRADE_PREVENTED: "self_trade",
}
"""Why an order left, by the reason the exchange gave; any other reason is the system's."""


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
