"""One market's order book: price levels of resting orders in price-time priority.

A level is an intrusive doubly linked list of orders with a running total; a side is a dict of levels and a heap of
their prices. A level that runs empty stays in both until it comes to the top of the heap or the dead outnumber the
living, so that adding, canceling and trading cost the same however deep the book is.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from matching.engine.messages import SelfTradePrevention, Side

DEAD_LEVELS_MIN = 64
"""A side is compacted only when it has more dead levels than this (and more dead than living ones)."""


class Order:
    """An order as the book sees it. `remaining` is in base units; `price` in quote units per whole base.

    `owner` is compared for self-trade prevention. A market order takes part with a `price` of None and never rests.
    """

    __slots__ = ("id", "level", "next", "owner", "previous", "price", "remaining", "self_trade_prevention", "side")

    def __init__(
        self,
        id: int,
        owner: int,
        side: Side,
        price: int | None,
        remaining: int,
        self_trade_prevention: SelfTradePrevention = "cancel_taker",
    ) -> None:
        self.id = id
        self.owner = owner
        self.side = side
        self.price = price
        self.remaining = remaining
        self.self_trade_prevention = self_trade_prevention
        self.level: Level | None = None
        self.previous: Order | None = None
        self.next: Order | None = None


class Level:
    """The orders resting at one price, first come first served. `quantity` is the sum of what remains of them."""

    __slots__ = ("head", "price", "quantity", "tail")

    def __init__(self, price: int) -> None:
        self.price = price
        self.quantity = 0
        self.head: Order | None = None
        self.tail: Order | None = None

    def __iter__(self) -> Iterator[Order]:
        order = self.head
        while order is not None:
            yield order
            order = order.next


class BookSide:
    """Bids or asks. Levels and heap are keyed by `sign` x price, so that the best level has the smallest key."""

    __slots__ = ("dead", "heap", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.levels: dict[int, Level] = {}
        self.heap: list[int] = []
        self.dead = 0

    def best(self) -> Level | None:
        """The level that trades next, or None. Forgets the dead levels above it."""
        heap = self.heap
        while heap:
            level = self.levels[heap[0]]
            if level.head is not None:
                return level
            del self.levels[heappop(heap)]
            self.dead -= 1
        return None

    def bury(self) -> None:
        """Count a level that has just run empty, and stays."""
        self.dead += 1
        if self.dead > DEAD_LEVELS_MIN:
            self.compact()

    def compact(self) -> None:
        """Rebuild the side if the dead levels outnumber the living."""
        if self.dead * 2 > len(self.heap):
            self.levels = {key: level for key, level in self.levels.items() if level.head is not None}
            self.heap = list(self.levels)
            heapify(self.heap)
            self.dead = 0

    def in_order(self) -> Iterator[Level]:
        """The living levels, best first, without changing anything: O(k log k) for the first k of them."""
        heap = self.heap
        front = [(heap[0], 0)] if heap else []
        while front:
            key, index = heappop(front)
            for child in (2 * index + 1, 2 * index + 2):
                if child < len(heap):
                    heappush(front, (heap[child], child))
            level = self.levels[key]
            if level.head is not None:
                yield level


class Book:
    """Both sides of a market and every resting order by id."""

    __slots__ = ("asks", "bids", "orders")

    def __init__(self) -> None:
        self.bids = BookSide(-1)
        self.asks = BookSide(1)
        self.orders: dict[int, Order] = {}

    def side_of(self, side: Side) -> BookSide:
        """The side on which an order of `side` rests."""
        return self.bids if side == "buy" else self.asks

    def opposite_of(self, side: Side) -> BookSide:
        """The side against which an order of `side` trades."""
        return self.asks if side == "buy" else self.bids

    def add(self, order: Order) -> None:
        """Rest an order at the end of its level's queue."""
        side = self.bids if order.side == "buy" else self.asks
        price = order.price
        assert price is not None
        key = price * side.sign
        level = side.levels.get(key)
        if level is None:
            level = side.levels[key] = Level(price)
            heappush(side.heap, key)
            level.head = order
        elif (tail := level.tail) is None:
            side.dead -= 1
            level.head = order
        else:
            tail.next = order
            order.previous = tail
        level.tail = order
        level.quantity += order.remaining
        order.level = level
        self.orders[order.id] = order

    def remove(self, order: Order) -> None:
        """Take a resting order out of the book, whatever remains of it."""
        level = order.level
        assert level is not None
        previous, following = order.previous, order.next
        if previous is None:
            level.head = following
        else:
            previous.next = following
            order.previous = None
        if following is None:
            level.tail = previous
        else:
            following.previous = previous
            order.next = None
        level.quantity -= order.remaining
        order.level = None
        del self.orders[order.id]
        if level.head is None:
            (self.bids if order.side == "buy" else self.asks).bury()

    def reduce(self, order: Order, quantity: int) -> None:
        """Take `quantity` off a resting order, which keeps its place and must keep something."""
        assert 0 < quantity < order.remaining
        assert order.level is not None
        order.remaining -= quantity
        order.level.quantity -= quantity

    def depth(self, side: Side, levels: int) -> list[tuple[int, int]]:
        """The best `levels` levels of a side as (price, quantity), best first."""
        found: list[tuple[int, int]] = []
        for level in self.side_of(side).in_order():
            if len(found) == levels:
                break
            found.append((level.price, level.quantity))
        return found
