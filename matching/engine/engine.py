"""Matching: what an arriving order does to a book.

The engine knows prices, quantities and owners, never balances, fees or time. `place` changes the book first and
returns what happened; whoever called settles the money afterwards. A trade happens at the maker's price.
"""

from heapq import heappop
from typing import NamedTuple

from matching.engine.book import DEAD_LEVELS_MIN, Book, Level, Order


class Fill(NamedTuple):
    """One match: `quantity` (base units) traded with `maker` at `maker.price`. The maker's state is already reduced."""

    maker: Order
    quantity: int


class Prevented(NamedTuple):
    """A match that self-trade prevention stopped. `quantity` is what did not trade.

    `maker_canceled`: the maker left the book, with what remained of it still in `remaining`. Only `decrement` takes
    `quantity` off `remaining`, of the maker and of the taker.
    """

    maker: Order
    quantity: int
    maker_canceled: bool


class Outcome:
    """What became of a taker. `taker_canceled`: self-trade prevention ended it, its rest must not rest."""

    __slots__ = ("fills", "prevented", "taker_canceled")

    def __init__(self) -> None:
        self.fills: list[Fill] = []
        self.prevented: list[Prevented] = []
        self.taker_canceled = False


class Preview(NamedTuple):
    """What matching would do. `quantity` in base units, `notional` in price x base units.

    `complete`: all that was asked for would trade.
    """

    quantity: int
    notional: int
    complete: bool


NO_FILLS: list[Fill] = []


def place(book: Book, order: Order) -> list[Fill]:
    """Match a limit order and rest what remains of it. For callers without protection limits (tests, benchmarks)."""
    opposite = book.asks if order.side == "buy" else book.bids
    price = order.price
    assert price is not None
    heap = opposite.heap
    if heap and heap[0] <= price * opposite.sign:
        outcome = match(book, order, price)
        if order.remaining and not outcome.taker_canceled:
            book.add(order)
        return outcome.fills
    book.add(order)
    return NO_FILLS


def cancel(book: Book, order_id: int) -> Order | None:
    """Take an order out of the book by id; None when it is not there."""
    order = book.orders.get(order_id)
    if order is not None:
        book.remove(order)
    return order


def match(book: Book, taker: Order, limit: int | None) -> Outcome:
    """Trade `taker` against the other side up to the price `limit` (None: at any price). Never rests anything.

    The maker at hand is always the head of the best level: it leaves the queue, or the taker is done.
    """
    outcome = Outcome()
    fills = outcome.fills
    orders = book.orders
    owner = taker.owner
    opposite = book.asks if taker.side == "buy" else book.bids
    sign = opposite.sign
    remaining = taker.remaining
    while remaining:
        level = opposite.best()
        if level is None or (limit is not None and level.price * sign > limit * sign):
            break
        maker = level.head
        while maker is not None and remaining:
            if maker.owner == owner:
                remaining, maker_leaves = _prevent(level, taker, remaining, maker, outcome)
                if not maker_leaves:
                    break
            else:
                quantity = maker.remaining
                if quantity > remaining:
                    maker.remaining = quantity - remaining
                    level.quantity -= remaining
                    fills.append(Fill(maker, remaining))
                    remaining = 0
                    break
                remaining -= quantity
                maker.remaining = 0
                level.quantity -= quantity
                fills.append(Fill(maker, quantity))
            del orders[maker.id]
            following = maker.next
            maker.level = maker.previous = maker.next = None
            maker = following
            if outcome.taker_canceled:
                break
        level.head = maker
        if maker is None:
            level.tail = None
            del opposite.levels[heappop(opposite.heap)]
        else:
            maker.previous = None
        if outcome.taker_canceled:
            break
    taker.remaining = remaining
    if opposite.dead > DEAD_LEVELS_MIN:
        opposite.compact()
    return outcome


def match_budget(book: Book, taker: Order, limit: int | None, budget: int, base_unit: int, lot_size: int) -> Outcome:
    """Trade a market buy that may spend `budget` quote units: at each level it buys the lots it can still pay for.

    `base_unit` is 10^(base scale). A level's price may leave a rest of the budget that buys no lot; it is never
    overspent. `taker.remaining` is 0 afterwards if the budget ended the matching, positive if the book did.
    """
    total = Outcome()
    opposite = book.opposite_of(taker.side)
    while True:
        level = opposite.best()
        if level is None or (limit is not None and level.price * opposite.sign > limit * opposite.sign):
            taker.remaining = budget
            return total
        price = level.price
        taker.remaining = budget * base_unit // price // lot_size * lot_size
        if not taker.remaining:
            return total
        wanted = taker.remaining
        outcome = match(book, taker, price)
        total.fills += outcome.fills
        total.prevented += outcome.prevented
        if outcome.taker_canceled:
            total.taker_canceled = True
            return total
        budget -= price * (wanted - taker.remaining) // base_unit
        if not taker.remaining:
            return total


def _prevent(level: Level, taker: Order, remaining: int, maker: Order, outcome: Outcome) -> tuple[int, bool]:
    """Stop a self-trade as the taker asks. Returns what remains of the taker, and whether the maker leaves the book."""
    mode = taker.self_trade_prevention
    quantity = min(maker.remaining, remaining)
    if mode == "cancel_taker":
        outcome.prevented.append(Prevented(maker, quantity, maker_canceled=False))
        outcome.taker_canceled = True
        return remaining, False
    if mode == "decrement":
        maker.remaining -= quantity
        level.quantity -= quantity
        remaining -= quantity
        outcome.taker_canceled = remaining == 0
        outcome.prevented.append(Prevented(maker, quantity, maker_canceled=maker.remaining == 0))
        return remaining, maker.remaining == 0
    level.quantity -= maker.remaining
    outcome.taker_canceled = mode == "cancel_both"
    outcome.prevented.append(Prevented(maker, quantity, maker_canceled=True))
    return remaining, True


def preview(book: Book, taker: Order, limit: int | None) -> Preview:
    """What `match` would trade, changing nothing: the same walk, self-trade prevention included."""
    opposite = book.opposite_of(taker.side)
    remaining = taker.remaining
    quantity = notional = 0
    for level in opposite.in_order():
        if not remaining or (limit is not None and level.price * opposite.sign > limit * opposite.sign):
            break
        for maker in level:
            traded = min(maker.remaining, remaining)
            if maker.owner == taker.owner:
                if taker.self_trade_prevention == "decrement":
                    remaining -= traded
                elif taker.self_trade_prevention != "cancel_maker":
                    return Preview(quantity, notional, complete=False)
                continue
            quantity += traded
            notional += traded * level.price
            remaining -= traded
            if not remaining:
                break
    return Preview(quantity, notional, complete=quantity == taker.remaining)


def preview_budget(book: Book, taker: Order, limit: int | None, budget: int, base_unit: int, lot_size: int) -> Preview:
    """What `match_budget` would trade, changing nothing.

    `complete`: it would trade until the rest of the budget buys no lot, and nothing would be prevented.
    """
    opposite = book.opposite_of(taker.side)
    quantity = notional = 0
    decremented = False
    for level in opposite.in_order():
        price = level.price
        if limit is not None and price * opposite.sign > limit * opposite.sign:
            break
        remaining = wanted = budget * base_unit // price // lot_size * lot_size
        for maker in level:
            if not remaining:
                break
            traded = min(maker.remaining, remaining)
            if maker.owner != taker.owner:
                quantity += traded
                notional += traded * price
                remaining -= traded
            elif taker.self_trade_prevention == "decrement":
                remaining -= traded
                decremented = True
            elif taker.self_trade_prevention != "cancel_maker":
                return Preview(quantity, notional, complete=False)
        if not remaining:
            return Preview(quantity, notional, complete=quantity > 0 and not decremented)
        budget -= price * (wanted - remaining) // base_unit
    return Preview(quantity, notional, complete=False)
