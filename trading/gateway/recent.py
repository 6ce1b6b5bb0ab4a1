"""Orders that this process has placed and that rest unfilled: what most cancels and amends are about.

What never changes of an order comes from here, everything else from the reply, so that these answers need no database.
An order that is not here, or has fills, is read from the database.
"""

from collections import OrderedDict

from msgspec.structs import replace

from matching.engine.messages import OrderState, OrderUpdated

ORDERS_MAX = 20_000


class RecentOrders:
    """The latest open orders without fills, by id."""

    def __init__(self, *, orders_max: int = ORDERS_MAX) -> None:
        self._orders_max = orders_max
        self._orders: OrderedDict[int, OrderState] = OrderedDict()

    def remember(self, order: OrderState) -> None:
        """An order as it was placed; kept if it rests without fills."""
        if order.status == "open" and not order.filled_quantity:
            self._orders[order.id] = order
            if len(self._orders) > self._orders_max:
                self._orders.popitem(last=False)

    def market_of(self, *, account_id: int, order_id: int | None) -> int | None:
        """The market id of the account's order, None when it is not known here."""
        order = None if order_id is None else self._orders.get(order_id)
        return order.market_id if order is not None and order.account_id == account_id else None

    def after(self, update: OrderUpdated) -> OrderState | None:
        """The order as `update` leaves it; None when it is not known here, or has fills. Forgets it when it ends."""
        order = self._orders.get(update.id) if update.status == "open" else self._orders.pop(update.id, None)
        if order is None or update.filled_quantity:
            return None
        return replace(
            order,
            price=update.price,
            quantity=update.quantity,
            remaining=update.remaining,
            prevented_quantity=update.prevented_quantity,
            held=update.held,
            status=update.status,
            reason=update.reason,
            priority=update.priority,
            updated_at=update.updated_at,
        )
