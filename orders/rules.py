"""The rules of an order by itself: what it must look like on its market, and the life it may lead.

Pure: no balances, no book. `LiveOrder` is the one object for an order in memory, from its arrival to its end.
"""

from hashlib import blake2b

import msgspec

from matching.engine.book import Order
from matching.engine.messages import (
    MarketParameters,
    OrderState,
    OrderStatus,
    OrderUpdated,
    PlaceOrder,
    Reason,
)

TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    "pending": frozenset({"open", "filled", "canceled", "expired", "rejected"}),
    "open": frozenset({"open", "filled", "canceled", "expired"}),
    "filled": frozenset(),
    "canceled": frozenset(),
    "expired": frozenset(),
    "rejected": frozenset(),
}
"""The life of an order. A partly filled order is open with filled_quantity > 0."""


class LiveOrder(Order):
    """An order in memory: the book's view of it (`Order`) and everything else that is known about it.

    Fields as in `OrderState`; `owner` is the account's owner, for self-trade prevention.
    """

    __slots__ = (
        "account_id",
        "client_order_id",
        "created_at",
        "filled_notional",
        "filled_quantity",
        "held",
        "maker_rate",
        "market_id",
        "order_type",
        "post_only",
        "prevented_quantity",
        "priority",
        "quantity",
        "quote_amount",
        "reason",
        "request_digest",
        "status",
        "taker_rate",
        "time_in_force",
    )

    def __init__(self, command: PlaceOrder, sequence: int, now: int, owner: int, request_digest: int) -> None:
        quantity = command.quantity
        super().__init__(sequence, owner, command.side, command.price, quantity or 0, command.self_trade_prevention)
        self.account_id = command.account_id
        self.market_id = command.market_id
        self.client_order_id = command.client_order_id
        self.order_type = command.order_type
        self.time_in_force = command.time_in_force
        self.post_only = command.post_only
        self.quantity = quantity
        self.quote_amount = command.quote_amount
        self.filled_quantity = 0
        self.filled_notional = 0
        self.prevented_quantity = 0
        self.held = 0
        self.status: OrderStatus = "pending"
        self.reason: Reason | None = None
        self.maker_rate = 0
        self.taker_rate = 0
        self.priority = sequence
        self.request_digest = request_digest
        self.created_at = now

    @classmethod
    def restored(cls, state: OrderState, owner: int) -> "LiveOrder":
        """The order as `state` describes it."""
        command = PlaceOrder(
            account_id=state.account_id,
            market_id=state.market_id,
            side=state.side,
            order_type=state.order_type,
            price=state.price,
            quantity=state.quantity,
            quote_amount=state.quote_amount,
            time_in_force=state.time_in_force,
            post_only=state.post_only,
            self_trade_prevention=state.self_trade_prevention,
            client_order_id=state.client_order_id,
        )
        order = cls(command, state.id, state.created_at, owner, state.request_digest)
        order.filled_quantity = state.filled_quantity
        order.filled_notional = state.filled_notional
        order.remaining = state.remaining
        order.prevented_quantity = state.prevented_quantity
        order.held = state.held
        order.status = state.status
        order.reason = state.reason
        order.maker_rate = state.maker_rate
        order.taker_rate = state.taker_rate
        order.priority = state.priority
        return order

    def become(self, status: OrderStatus, reason: Reason | None = None) -> None:
        """Go on to `status`; a step that TRANSITIONS does not have is a bug."""
        assert status in TRANSITIONS[self.status], f"order {self.id}: {self.status} -> {status}"
        self.status = status
        self.reason = reason

    def state(self, now: int) -> OrderState:
        """Everything about the order, as of `now`."""
        return OrderState(
            self.id,
            self.account_id,
            self.market_id,
            self.client_order_id,
            self.side,
            self.order_type,
            self.time_in_force,
            self.post_only,
            self.self_trade_prevention,
            self.price,
            self.quantity,
            self.quote_amount,
            self.filled_quantity,
            self.filled_notional,
            self.remaining,
            self.prevented_quantity,
            self.held,
            self.status,
            self.reason,
            self.maker_rate,
            self.taker_rate,
            self.priority,
            self.request_digest,
            self.created_at,
            now,
        )

    def update(self, now: int, previous_price: int | None = None) -> OrderUpdated:
        """What can change about a resting order, as of `now`; `previous_price` if it rested at another price before."""
        assert self.price is not None
        assert self.quantity is not None
        return OrderUpdated(
            self.id,
            self.account_id,
            self.market_id,
            self.side,
            self.price,
            self.quantity,
            self.filled_quantity,
            self.filled_notional,
            self.remaining,
            self.prevented_quantity,
            self.held,
            self.status,
            self.reason,
            self.priority,
            now,
            previous_price,
        )


_encode = msgspec.json.Encoder().encode


def request_digest(command: PlaceOrder) -> int:
    """A 63-bit digest of everything the order asks: equal for equal bodies, whatever the process or the day."""
    return int.from_bytes(blake2b(_encode(command), digest_size=8).digest()) >> 1


def quantity_of(order: LiveOrder) -> int:
    """The quantity asked for (base units), of an order that was not placed by quote amount."""
    assert order.quantity is not None
    return order.quantity


def shape_refusal(command: PlaceOrder) -> Reason | None:
    """Refuse fields that contradict each other, before any market is looked at."""
    if command.order_type == "limit":
        if command.price is None:
            return Reason.PRICE_REQUIRED
        if command.quote_amount is not None:
            return Reason.QUOTE_AMOUNT_NOT_ALLOWED
        if command.quantity is None:
            return Reason.QUANTITY_REQUIRED
        if command.post_only and command.time_in_force != "gtc":
            return Reason.POST_ONLY_NOT_ALLOWED
        return None
    if command.price is not None:
        return Reason.PRICE_NOT_ALLOWED
    if command.post_only:
        return Reason.POST_ONLY_NOT_ALLOWED
    if command.time_in_force == "gtc":
        return Reason.TIME_IN_FORCE_NOT_ALLOWED
    if command.quote_amount is not None and (command.side == "sell" or command.quantity is not None):
        return Reason.QUOTE_AMOUNT_NOT_ALLOWED
    if command.quantity is None and command.quote_amount is None:
        return Reason.QUANTITY_REQUIRED
    return None


def price_refusal(parameters: MarketParameters, price: int) -> Reason | None:
    """Refuse a limit price that is not on the market's grid."""
    if price <= 0 or price % parameters.tick_size:
        return Reason.PRICE_OFF_TICK
    return None


def quantity_refusal(parameters: MarketParameters, quantity: int) -> Reason | None:
    """Refuse a quantity (base units) off the market's grid or out of its range."""
    if quantity <= 0 or quantity % parameters.lot_size:
        return Reason.QUANTITY_OFF_LOT
    if quantity < parameters.min_quantity:
        return Reason.QUANTITY_TOO_SMALL
    if quantity > parameters.max_quantity:
        return Reason.QUANTITY_TOO_LARGE
    return None


def notional_refusal(parameters: MarketParameters, notional: int) -> Reason | None:
    """Refuse a notional (quote units) out of the market's range."""
    if notional < parameters.min_notional:
        return Reason.NOTIONAL_TOO_SMALL
    if notional > parameters.max_notional:
        return Reason.NOTIONAL_TOO_LARGE
    return None


def parameters_are_sound(parameters: MarketParameters, base_unit: int, base_max: int, quote_max: int) -> bool:
    """Steps positive, ranges in order, and tick_size x lot_size a whole number of quote units, so notionals are exact.

    `base_unit`: 10^(base scale). `base_max`, `quote_max`: the most units of each asset there can be.
    """
    p = parameters
    return (
        p.tick_size > 0
        and p.lot_size > 0
        and p.tick_size * p.lot_size % base_unit == 0
        and 0 < p.min_quantity <= p.max_quantity
        and p.min_quantity % p.lot_size == 0
        and 0 <= p.min_notional <= p.max_notional
        and p.max_quantity <= base_max
        and p.max_notional <= quote_max
        and p.tick_size <= quote_max
        and (p.reference_price is None or 0 < p.reference_price <= quote_max)
        and 0 <= p.price_band <= 1_000_000
        and 0 <= p.breaker_move <= 1_000_000
        and 1 <= p.breaker_window <= 86_400
        and 1 <= p.breaker_pause <= 86_400
    )
