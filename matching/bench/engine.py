"""The engine alone: how many commands a second it takes, reporting every fill.

The mix: 42 % limit orders that rest, 13 % that cross, 45 % cancels (of an open order, or of one that has just traded,
whichever keeps the book at its size), with 13,000 resting orders over some 1,000 levels; the adversarial shapes each
strain one structure of the book. Commands are made beforehand, and the median of the runs counts.
"""

import argparse
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from matching.bench import report
from matching.bench.report import Row
from matching.bench.toy import ToyBook
from matching.engine import engine
from matching.engine.book import Book, Order
from matching.engine.engine import Fill
from matching.engine.messages import Side

RESTING = 13_000
MIDDLE = 50_000
MEAN_DISTANCE = 150
"""Ticks from the middle at which orders rest, on average."""

MAKER_LOTS_MAX = 100
TAKER_LOTS_MAX = 40
RUNS = 3
MIX_PER_SECOND = 400_000
SHAPE_PER_SECOND = 200_000
BUYER, SELLER = 1, 2


class Input(NamedTuple):
    """One command: place an order, or cancel it when it has no quantity."""

    id: int
    side: Side
    price: int
    quantity: int


class Flow(NamedTuple):
    """What is measured: `before` fills the book outside of the clock. `fills`: as many as there must be."""

    before: list[Input]
    commands: list[Input]
    fills: int
    late: int = 0
    """Cancels of orders that have traded already."""


def mix(*, commands: int, resting: int = RESTING, seed: int = 1) -> Flow:
    """The everyday mix, made by playing it, so that every cancel and every crossing order finds what it is for."""
    return _Mixer(resting, seed).flow(commands)


class _Mixer:
    """Draws commands against a book of its own."""

    def __init__(self, resting: int, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a repeatable flow, no secret
        self.resting = resting
        self.book = Book()
        self.last_id = 0
        self.fills = 0
        self.ids: list[int] = []
        self.traded = 0
        self.late = 0

    def flow(self, count: int) -> Flow:
        before = [self._rest() for _ in range(self.resting)]
        self.fills = 0
        kinds = self.random.choices((self._rest, self._cross, self._cancel), (42, 13, 45), k=count)
        commands = [kind() for kind in kinds]
        return Flow(before, commands, self.fills, self.late)

    def _rest(self) -> Input:
        distance = 1 + int(self.random.expovariate(1 / MEAN_DISTANCE))
        side: Side = self.random.choice(("buy", "sell"))
        price = MIDDLE - distance if side == "buy" else MIDDLE + distance
        return self._place(side, max(price, 1), self.random.randint(1, MAKER_LOTS_MAX))

    def _cross(self) -> Input:
        side: Side = self.random.choice(("buy", "sell"))
        best = self.book.opposite_of(side).best()
        assert best is not None
        return self._place(side, best.price, self.random.randint(1, TAKER_LOTS_MAX))

    def _cancel(self) -> Input:
        if len(self.book.orders) < self.resting and self.traded:
            self.late += 1
            return Input(self.traded, "buy", 0, 0)
        while True:
            place = self.random.randrange(len(self.ids))
            id, self.ids[place] = self.ids[place], self.ids[-1]
            self.ids.pop()
            if engine.cancel(self.book, id) is not None:
                return Input(id, "buy", 0, 0)

    def _place(self, side: Side, price: int, quantity: int) -> Input:
        self.last_id += 1
        order = Order(self.last_id, BUYER if side == "buy" else SELLER, side, price, quantity)
        fills = engine.place(self.book, order)
        self.fills += len(fills)
        for fill in fills:
            if not fill.maker.remaining:
                self.traded = fill.maker.id
        if order.remaining:
            self.ids.append(order.id)
        return Input(order.id, side, price, quantity)


def rising_levels(*, commands: int) -> Flow:
    """Every bid opens a new best level; the oldest leaves, deep in the heap where dead levels could gather."""
    live = 1_000
    before = [Input(id, "buy", id, 1) for id in range(1, live + 1)]
    flow: list[Input] = []
    for id in range(live + 1, live + 1 + commands // 2):
        flow += (Input(id, "buy", id, 1), Input(id - live, "buy", 0, 0))
    return Flow(before, flow, 0)


def cancels_in_deep_level(*, commands: int) -> Flow:
    """One level as deep as there are commands, canceled in random order."""
    before = [Input(id, "buy", MIDDLE, 1) for id in range(1, commands + 1)]
    ids = random.Random(2).sample(range(1, commands + 1), commands)  # noqa: S311
    return Flow(before, [Input(id, "buy", 0, 0) for id in ids], 0)


def takers_on_deep_level(*, commands: int) -> Flow:
    """Many small takers eat one deep level from its head; every second one finishes a maker."""
    before = [Input(id, "sell", MIDDLE, 2) for id in range(1, commands + 1)]
    return Flow(before, [Input(commands + id, "buy", MIDDLE, 1) for id in range(1, commands + 1)], commands)


def sweeps(*, commands: int) -> Flow:
    """Orders rest on 1,000 levels, ten deep, and one order sweeps them all; over and over."""
    levels, deep = min(1_000, commands // 10), 10
    flow: list[Input] = []
    fills = 0
    while len(flow) < commands:
        first = len(flow) + 1
        flow += [Input(first + i, "sell", MIDDLE + i % levels, 1) for i in range(levels * deep)]
        flow.append(Input(len(flow) + 1, "buy", MIDDLE + levels, levels * deep))
        fills += levels * deep
    return Flow([], flow, fills)


def one_price(*, commands: int) -> Flow:
    """An order is added and canceled at one price: the level dies and lives again each time."""
    flow: list[Input] = []
    for id in range(1, 1 + commands // 2):
        flow += (Input(id, "buy", MIDDLE, 1), Input(id, "buy", 0, 0))
    return Flow([], flow, 0)


SHAPES: dict[str, Callable[..., Flow]] = {
    "ever-rising price levels": rising_levels,
    "random cancels in one deep level": cancels_in_deep_level,
    "small takers against one deep level": takers_on_deep_level,
    "one order sweeping everything": sweeps,
    "adding and canceling at one price": one_price,
}


def play(book: Book, commands: list[Input], reported: list[Fill]) -> None:
    """Give the engine its commands and collect every fill."""
    place, cancel = engine.place, engine.cancel
    for id, side, price, quantity in commands:
        if quantity:
            fills = place(book, Order(id, BUYER if side == "buy" else SELLER, side, price, quantity))
            if fills:
                reported += fills
        else:
            cancel(book, id)


def _play_toy(book: ToyBook, commands: list[Input], reported: list[tuple[int, int, int]]) -> None:
    place, cancel = book.place, book.cancel
    for id, side, price, quantity in commands:
        if quantity:
            fills = place(id, side, price, quantity)
            if fills:
                reported += fills
        else:
            cancel(id)


def engine_rate(flow: Flow) -> float:
    """Commands a second of one run; AssertionError when a fill is missing."""
    book, reported = Book(), list[Fill]()
    play(book, flow.before, [])
    took = report.timed(lambda: play(book, flow.commands, reported))
    assert len(reported) == flow.fills, f"{len(reported)} fills instead of {flow.fills}"
    return len(flow.commands) / took


def toy_rate(flow: Flow) -> float:
    """As `engine_rate`, by the yardstick."""
    book, reported = ToyBook(), list[tuple[int, int, int]]()
    _play_toy(book, flow.before, [])
    took = report.timed(lambda: _play_toy(book, flow.commands, reported))
    assert len(reported) == flow.fills, f"{len(reported)} fills instead of {flow.fills}"
    return len(flow.commands) / took


def measure(*, commands: int, resting: int = RESTING, runs: int = RUNS) -> Iterator[Row]:
    """The engine's rows; engine and yardstick take turns."""
    flow = mix(commands=commands, resting=resting)
    pairs = [(engine_rate(flow), toy_rate(flow)) for _ in range(runs)]
    toy = report.median([pair[1] for pair in pairs])
    yardstick: dict[str, Any] = {
        "group": "engine",
        "unit": "commands/s",
        "yardstick": "dict of levels, the mix",
        "yardstick_figure": toy,
    }
    orders = sum(1 for command in flow.commands if command.quantity)
    cancels = f"{commands - orders:,} cancels ({flow.late:,} too late)"
    yield report.rate_row(
        what=f"the mix, {resting:,} resting",
        figure=report.median([pair[0] for pair in pairs]),
        at_least=MIX_PER_SECOND,
        note=f"{orders:,} orders, {cancels}, {flow.fills:,} fills reported",
        **yardstick,
    )
    for what, shape in SHAPES.items():
        flow = shape(commands=commands)
        figure = report.median([engine_rate(flow) for _ in range(runs)])
        yield report.rate_row(what=what, figure=figure, at_least=SHAPE_PER_SECOND, **yardstick)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--commands", type=int, default=500_000)
    parser.add_argument("--resting", type=int, default=RESTING)
    parser.add_argument("--runs", type=int, default=RUNS)
    report.hand_over(list(measure(**vars(parser.parse_args()))))
