"""The engine against its naive specification: random commands that draw every field, compared in everything.

After each command fills, prevented matches, what is left and the full queue of both sides must be the same as in
oracle.py, the preview must have said what happened, and the book's own structure must be sound.
"""

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.engine import engine
from matching.engine.book import Book, Order
from matching.engine.messages import SelfTradePrevention, Side
from tests.pure.invariants import check_book
from tests.pure.oracle import NaiveBook, NaiveOutcome

PREVENTIONS: tuple[SelfTradePrevention, ...] = ("cancel_taker", "cancel_maker", "cancel_both", "decrement")
SIDES: tuple[Side, ...] = ("buy", "sell")
CENTER = 500  # ticks
MARKETS = [  # (tick, lot, base unit): tick x lot is a whole number of quote units
    (1, 1, 1),
    (7, 3, 1),
    (20, 5, 100),
    (1_000, 1, 1_000),
]


@dataclass(repr=False)
class Run:
    """An engine book and a naive book that are given the same commands."""

    random: Random
    tick: int
    lot: int
    base_unit: int
    owners: int
    spread: int
    depth: int
    book: Book
    naive: NaiveBook
    next_id: int = 1
    trades: int = 0
    prevented: int = 0

    def step(self) -> None:
        """One random command to both, and the comparison of all they show."""
        filling = len(self.naive.orders) < self.depth
        commands = [self.place, self.place_on_engine, self.take, self.take_for, self.cancel, self.reduce]
        self.random.choices(commands, weights=[60, 25, 3, 3, 8, 8] if filling else [15, 10, 6, 6, 40, 8])[0]()
        self.compare_books()

    def place(self) -> None:
        """A limit order: matched, and its rest rests unless self-trade prevention ended it."""
        taker = self.draw_limit_order()
        expected = self.expect(taker, taker.price)
        self.match_and_compare(taker, taker.price, expected)
        if taker.remaining and not expected.canceled:
            self.book.add(taker)
            self.rest(taker, expected.left)

    def place_on_engine(self) -> None:
        """The same through the engine's own `place`."""
        taker = self.draw_limit_order()
        expected = self.expect(taker, taker.price)
        fills = [(fill.maker.id, fill.maker.price, fill.quantity) for fill in engine.place(self.book, taker)]
        assert fills == expected.fills
        assert taker.remaining == expected.left
        if expected.left and not expected.canceled:
            self.rest(taker, expected.left)

    def take(self) -> None:
        """A market order by quantity, with or without a protection price: it never rests."""
        limit = self.draw_price() if self.random.random() < 0.5 else None
        taker = self.draw_order(None)
        self.match_and_compare(taker, limit, self.expect(taker, limit))

    def take_for(self) -> None:
        """A market buy for a quote amount, with or without a protection price."""
        limit = self.draw_price() if self.random.random() < 0.5 else None
        lot_cost = CENTER * self.tick * self.lot // self.base_unit
        budget = self.random.choice([self.random.randint(1, 2 * lot_cost), self.random.randint(1, 40 * lot_cost)])
        taker = self.draw_order(None, side="buy")
        taker.remaining = 0
        expected = self.naive.take_for(
            owner=taker.owner,
            limit=limit,
            budget=budget,
            base_unit=self.base_unit,
            lot_size=self.lot,
            prevention=taker.self_trade_prevention,
        )
        preview = engine.preview_budget(self.book, taker, limit, budget, self.base_unit, self.lot)
        outcome = engine.match_budget(self.book, taker, limit, budget, self.base_unit, self.lot)
        self.compare_outcome(taker, outcome, preview, expected)
        spent = sum(price * quantity for _, price, quantity in expected.fills)
        assert spent % self.base_unit == 0
        assert spent <= budget * self.base_unit
        prevents = [each for each in expected.prevented if taker.self_trade_prevention == "decrement"]
        ended_by_budget = expected.left == 0 and not expected.canceled
        assert preview.complete == (ended_by_budget and bool(expected.fills) and not prevents)

    def cancel(self) -> None:
        """An order that rests, or one that ended, or one that never was."""
        id = self.draw_id()
        canceled = engine.cancel(self.book, id)
        assert (None if canceled is None else canceled.remaining) == self.naive.cancel(id=id)
        assert canceled is None or canceled.id == id

    def reduce(self) -> None:
        """Less of an order that rests, which keeps its place."""
        order = self.naive.find(id=self.draw_id())
        if order is not None and order.remaining > self.lot:
            quantity = self.lot * self.random.randrange(1, order.remaining // self.lot)
            self.book.reduce(self.book.orders[order.id], quantity)
            order.remaining -= quantity

    def draw_order(self, price: int | None, side: Side | None = None) -> Order:
        lots = self.random.choice([self.random.randint(1, 5), self.random.randint(1, 60)])
        taker = Order(
            id=self.next_id,
            owner=self.random.randint(1, self.owners),
            side=self.random.choice(SIDES) if side is None else side,
            price=price,
            remaining=lots * self.lot,
            self_trade_prevention=self.random.choice(PREVENTIONS),
        )
        self.next_id += 1
        return taker

    def draw_limit_order(self) -> Order:
        """Three in four near the own side of the book, the others anywhere."""
        taker = self.draw_order(self.draw_price())
        away = self.tick * self.random.randint(0, self.spread)
        if self.random.random() < 0.75:
            taker.price = CENTER * self.tick + (away if taker.side == "sell" else -away)
        return taker

    def draw_price(self) -> int:
        return self.tick * (CENTER + self.random.randint(-self.spread, self.spread))

    def draw_id(self) -> int:
        if self.naive.orders and self.random.random() < 0.9:
            return self.random.choice(self.naive.orders).id
        return self.random.randint(0, self.next_id + 1)

    def expect(self, taker: Order, limit: int | None) -> NaiveOutcome:
        return self.naive.take(
            owner=taker.owner,
            side=taker.side,
            limit=limit,
            quantity=taker.remaining,
            prevention=taker.self_trade_prevention,
        )

    def rest(self, taker: Order, remaining: int) -> None:
        assert taker.price is not None
        self.naive.rest(id=taker.id, owner=taker.owner, side=taker.side, price=taker.price, remaining=remaining)

    def match_and_compare(self, taker: Order, limit: int | None, expected: NaiveOutcome) -> None:
        wanted = taker.remaining
        preview = engine.preview(self.book, taker, limit)
        outcome = engine.match(self.book, taker, limit)
        self.compare_outcome(taker, outcome, preview, expected)
        assert preview.complete == (wanted == sum(quantity for _, _, quantity in expected.fills))

    def compare_outcome(
        self, taker: Order, outcome: engine.Outcome, preview: engine.Preview, expected: NaiveOutcome
    ) -> None:
        fills = [(fill.maker.id, fill.maker.price, fill.quantity) for fill in outcome.fills]
        prevented = [(each.maker.id, each.quantity, each.maker_canceled) for each in outcome.prevented]
        assert fills == expected.fills
        assert prevented == expected.prevented
        assert taker.remaining == expected.left
        assert outcome.taker_canceled == expected.canceled
        assert preview.quantity == sum(quantity for _, _, quantity in expected.fills)
        assert preview.notional == sum(price * quantity for _, price, quantity in expected.fills)
        self.trades += len(fills)
        self.prevented += len(prevented)

    def compare_books(self) -> None:
        check_book(self.book)
        for side in SIDES:
            levels = list(self.book.side_of(side).in_order())
            queue = [(each.id, each.owner, level.price, each.remaining) for level in levels for each in level]
            expected = self.naive.in_priority(side=side)
            assert queue == [(each.id, each.owner, each.price, each.remaining) for each in expected]
            assert self.book.depth(side, 3) == [(level.price, level.quantity) for level in levels[:3]]
            best = self.book.side_of(side).best()
            assert (best.price if best else None) == (expected[0].price if expected else None)


def start(random: Random) -> Run:
    """A run on an empty book of a random market."""
    tick, lot, base_unit = random.choice(MARKETS)
    owners = random.choice([1, 2, 3, 9, 9])
    spread, depth = random.choice([(1, 10), (4, 40), (12, 40), (90, 80), (400, 160)])
    return Run(random, tick, lot, base_unit, owners, spread, depth, book=Book(), naive=NaiveBook())


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 60))
def test_the_engine_does_what_the_specification_says(random: Random, steps: int) -> None:
    run = start(random)
    for _ in range(steps):
        run.step()


@pytest.mark.parametrize("seed", range(16))
def test_the_engine_does_what_the_specification_says_for_longer(seed: int) -> None:
    run = start(Random(seed))
    for _ in range(400):
        run.step()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 200))
def test_the_engine_does_what_the_specification_says_over_120_000_commands(seed: int) -> None:
    run = start(Random(seed))
    for _ in range(1_200):
        run.step()


def test_the_random_commands_reach_every_kind_of_outcome() -> None:
    runs = [start(Random(seed)) for seed in range(16)]
    for run in runs:
        for _ in range(300):
            run.step()
    assert {(run.tick, run.lot, run.base_unit) for run in runs} == set(MARKETS)
    assert sum(run.trades for run in runs) > 500
    assert sum(run.prevented for run in runs) > 300
