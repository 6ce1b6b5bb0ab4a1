"""The specification of the matching engine: one plain list of resting orders, sorted anew for every arriving order.

It shares no code with the engine and has no structure that could be wrong: an order rests while it is in the list, and
the list is in order of arrival.
"""

from dataclasses import dataclass, field


@dataclass
class NaiveOrder:
    """A resting order. `remaining` in base units, `price` in quote units per whole base."""

    id: int
    owner: int
    side: str
    price: int
    remaining: int


@dataclass
class NaiveOutcome:
    """What an arriving order did.

    `fills`: (maker id, price, quantity). `prevented`: (maker id, quantity, maker canceled). `left`: what is left of
    the taker in base units; of a budget: 0 if it was spent as far as lots allow, quote units if it outlived the book,
    base units wanted at the level where the taker was canceled. `canceled`: it must not rest.
    """

    fills: list[tuple[int, int, int]] = field(default_factory=list)
    prevented: list[tuple[int, int, bool]] = field(default_factory=list)
    left: int = 0
    canceled: bool = False


class NaiveBook:
    """A market's resting orders in order of arrival."""

    def __init__(self) -> None:
        self.orders: list[NaiveOrder] = []

    def in_priority(self, *, side: str) -> list[NaiveOrder]:
        """The resting orders of a side in price-time priority (sorting is stable: arrival breaks ties)."""
        mine = [order for order in self.orders if order.side == side]
        return sorted(mine, key=lambda order: -order.price if side == "buy" else order.price)

    def find(self, *, id: int) -> NaiveOrder | None:
        """The resting order with that id, or None."""
        return next((order for order in self.orders if order.id == id), None)

    def rest(self, *, id: int, owner: int, side: str, price: int, remaining: int) -> None:
        """Put an order at the end of the list."""
        self.orders.append(NaiveOrder(id, owner, side, price, remaining))

    def cancel(self, *, id: int) -> int | None:
        """Drop an order; what remained of it, or None if it does not rest."""
        order = self.find(id=id)
        if order is None:
            return None
        self.orders = [other for other in self.orders if other.id != id]
        return order.remaining

    def take(self, *, owner: int, side: str, limit: int | None, quantity: int, prevention: str) -> NaiveOutcome:
        """Trade `quantity` with whoever stands first, within `limit`."""
        outcome = NaiveOutcome(left=quantity)
        for maker in self.in_priority(side="sell" if side == "buy" else "buy"):
            within = limit is None or (maker.price <= limit if side == "buy" else maker.price >= limit)
            if not within or outcome.left == 0 or outcome.canceled:
                break
            self._meet(maker, owner, prevention, outcome)
        return outcome

    def take_for(
        self, *, owner: int, limit: int | None, budget: int, base_unit: int, lot_size: int, prevention: str
    ) -> NaiveOutcome:
        """Buy for at most `budget` quote units: one lot after the other's price, level by level.

        At each level the quantity is the most whole lots whose cost does not exceed what is left of the budget.
        """
        total = NaiveOutcome()
        for price in sorted({order.price for order in self.orders if order.side == "sell"}):
            if limit is not None and price > limit:
                break
            lot_cost = price * lot_size // base_unit
            quantity = budget // lot_cost * lot_size
            if quantity == 0:
                total.left = 0
                return total
            at_this_price = self.take(owner=owner, side="buy", limit=price, quantity=quantity, prevention=prevention)
            total.fills += at_this_price.fills
            total.prevented += at_this_price.prevented
            total.left = at_this_price.left
            total.canceled = at_this_price.canceled
            budget -= (quantity - at_this_price.left) // lot_size * lot_cost
            if total.canceled or total.left == 0:
                return total
        total.left = budget
        return total

    def _meet(self, maker: NaiveOrder, owner: int, prevention: str, outcome: NaiveOutcome) -> None:
        """One encounter of the taker with the maker that stands first."""
        quantity = min(maker.remaining, outcome.left)
        if maker.owner != owner:
            outcome.fills.append((maker.id, maker.price, quantity))
            self._take_off(maker, quantity)
            outcome.left -= quantity
        elif prevention == "cancel_taker":
            outcome.prevented.append((maker.id, quantity, False))
            outcome.canceled = True
        elif prevention == "cancel_maker":
            outcome.prevented.append((maker.id, quantity, True))
            self.cancel(id=maker.id)
        elif prevention == "cancel_both":
            outcome.prevented.append((maker.id, quantity, True))
            self.cancel(id=maker.id)
            outcome.canceled = True
        else:
            assert prevention == "decrement"
            outcome.prevented.append((maker.id, quantity, quantity == maker.remaining))
            self._take_off(maker, quantity)
            outcome.left -= quantity
            outcome.canceled = outcome.left == 0

    def _take_off(self, maker: NaiveOrder, quantity: int) -> None:
        """Reduce a resting order; at zero it leaves."""
        maker.remaining -= quantity
        if maker.remaining == 0:
            self.cancel(id=maker.id)
