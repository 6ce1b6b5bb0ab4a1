"""What must hold for a book of the engine after every command, checked the slow way."""

from matching.engine.book import DEAD_LEVELS_MIN, Book, BookSide


def check_book(book: Book) -> None:
    """Fail if a link, a total, a counter or the price order of the book is wrong."""
    resting = _check_side(book, book.bids, "buy") | _check_side(book, book.asks, "sell")
    assert resting == set(book.orders), "every order by id rests in a queue, and the other way round"
    bids = [level.price for level in book.bids.levels.values() if level.head]
    asks = [level.price for level in book.asks.levels.values() if level.head]
    assert not bids or not asks or max(bids) < min(asks), "the book is crossed"


def _check_side(book: Book, side: BookSide, name: str) -> set[int]:
    """Check one side and return the ids that rest on it."""
    living = [level for level in side.levels.values() if level.head is not None]
    dead = len(side.levels) - len(living)
    assert side.dead == dead, "the dead levels are miscounted"
    assert dead <= max(DEAD_LEVELS_MIN, len(living)), "the dead outnumber the living"
    assert len(side.heap) == len(side.levels), "a price is in the heap twice, or not at all"
    assert set(side.heap) == set(side.levels), "heap and dict hold different prices"
    assert all(side.heap[(child - 1) // 2] <= side.heap[child] for child in range(1, len(side.heap))), "not a heap"
    prices = [level.price for level in side.in_order()]
    assert prices == sorted((level.price for level in living), reverse=name == "buy"), "levels out of order"
    resting: set[int] = set()
    for key, level in side.levels.items():
        assert key == level.price * side.sign
        assert (level.head is None) == (level.tail is None)
        previous = None
        total = 0
        for order in level:
            assert order.previous is previous, "the backward link is wrong"
            assert order.level is level
            assert order.price == level.price
            assert order.side == name
            assert order.remaining > 0
            assert book.orders[order.id] is order
            assert order.id not in resting, "an order rests twice"
            resting.add(order.id)
            total += order.remaining
            previous = order
        assert level.tail is previous, "the tail is not the last order"
        assert level.quantity == total, "the level's total is not the sum of what remains"
    return resting
