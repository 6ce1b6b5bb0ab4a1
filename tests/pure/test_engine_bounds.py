"""The book's structures stay as small as what rests in them, whatever is done to it."""

import tracemalloc
from collections.abc import Callable
from random import Random

import pytest

from matching.engine import engine
from matching.engine.book import DEAD_LEVELS_MIN, Book, BookSide, Order
from matching.engine.messages import Side
from tests.pure.invariants import check_book

STEPS = 20_000


def assert_bounded(side: BookSide, living: int) -> None:
    assert len(side.heap) == len(side.levels)
    assert len(side.heap) <= 2 * living + DEAD_LEVELS_MIN + 1


@pytest.mark.parametrize(("side", "direction"), [("sell", 1), ("sell", -1), ("buy", 1), ("buy", -1)])
def test_a_price_that_runs_away_leaves_no_levels_behind(side: Side, direction: int) -> None:
    book = Book()
    for step in range(1, STEPS):
        engine.place(book, Order(step, 1, side, 1_000_000 + direction * step, 5))
        if step > 10:
            engine.cancel(book, step - 10)
        assert_bounded(book.side_of(side), living=11)
    check_book(book)


def test_adding_and_canceling_at_one_price_keeps_one_level() -> None:
    book = Book()
    for step in range(STEPS):
        engine.place(book, Order(step, 1, "buy", 100, 5))
        engine.cancel(book, step)
        assert len(book.bids.heap) == len(book.bids.levels) == book.bids.dead == 1
    check_book(book)


def test_adding_and_canceling_at_scattered_prices_behind_the_best_stays_bounded() -> None:
    book = Book()
    random = Random(1)
    engine.place(book, Order(STEPS, 1, "sell", 1, 5))
    for step in range(STEPS):
        engine.place(book, Order(step, 1, "sell", random.randrange(2, 1_000_000), 5))
        engine.cancel(book, step)
        assert_bounded(book.asks, living=1)
    check_book(book)


def test_random_cancels_in_one_deep_level_leave_one_level_and_the_right_queue() -> None:
    book = Book()
    for id in range(STEPS):
        engine.place(book, Order(id, 1, "sell", 100, 5))
    ids = list(range(STEPS))
    Random(2).shuffle(ids)
    for id in ids[: STEPS - 100]:
        engine.cancel(book, id)
    assert [order.id for order in book.asks.levels[100]] == sorted(ids[STEPS - 100 :])
    assert len(book.asks.heap) == 1
    check_book(book)


def test_a_sweep_of_the_living_does_not_leave_the_dead_behind() -> None:
    book = Book()
    for price in range(1, 2_001):
        engine.place(book, Order(price, 1, "sell", price, 5))
    for price in range(1_001, 2_001):
        engine.cancel(book, price)
    engine.match(book, Order(9_999, 2, "buy", None, 5 * 1_000), None)
    assert not book.orders
    assert_bounded(book.asks, living=0)
    check_book(book)


def test_random_life_keeps_both_sides_bounded() -> None:
    book = Book()
    random = Random(3)
    for step in range(STEPS):
        if book.orders and random.random() < 0.48:
            engine.cancel(book, random.choice(list(book.orders)) if step % 7 == 0 else next(iter(book.orders)))
        else:
            side: Side = "buy" if random.random() < 0.5 else "sell"
            middle = 50_000 + step
            price = middle + random.randrange(-20, 1_000) * (1 if side == "sell" else -1)
            engine.place(book, Order(step, random.randrange(3), side, price, random.randrange(1, 9)))
        for each in (book.bids, book.asks):
            assert_bounded(each, living=len(each.levels) - each.dead)
    check_book(book)


def test_a_drained_book_gives_its_memory_back() -> None:
    def churn(book: Book) -> None:
        for id in range(STEPS):
            engine.place(book, Order(id, 1, "sell", 100 + id, 5))
        for id in range(STEPS):
            engine.cancel(book, id)

    book = Book()
    tracemalloc.start()
    try:
        for _ in range(3):
            churn(book)
        left, peak = tracemalloc.get_traced_memory()
        assert left < peak / 5  # what is left is the empty dict of orders, which Python does not shrink
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("walk", [lambda book: book.depth("sell", 10), lambda book: book.asks.best()])
def test_looking_at_the_book_does_not_grow_it(walk: Callable[[Book], object]) -> None:
    book = Book()
    for price in range(1, 101):
        engine.place(book, Order(price, 1, "sell", price, 5))
    for price in range(1, 51):
        engine.cancel(book, price)
    for _ in range(100):
        walk(book)
        assert_bounded(book.asks, living=50)
    check_book(book)
