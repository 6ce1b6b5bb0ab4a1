"""Ten recorded seconds of a real exchange's order flow, run through the engine, gives the real exchange's trades.

The recording is used both ways: what traded there must trade here, what was refused there as post-only must cross OUR
book, and nothing else may trade. See tests/data/README.md for where it comes from.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

from matching.engine import engine
from matching.engine.book import Book, Order
from matching.engine.messages import Side

DATA = Path(__file__).parent.parent / "data"
PRICE_SCALE, QUANTITY_SCALE = 2, 8
SIDES: dict[str, Side] = {"B": "buy", "S": "sell"}

Row = dict[str, str]
Trade = tuple[int, int, int, int]
"""Maker id, taker id, price in cents, quantity in units of 10^-8."""


class Recording:
    """A book that lives through the rows of a recording. Buys have one owner, sells another: it names none."""

    def __init__(self) -> None:
        self.book = Book()
        self.trades: list[Trade] = []
        self.refusals = 0
        self.canceled = 0
        self.expired = 0

    def run(self, rows: Iterable[Row]) -> None:
        """Live through the rows, and compare each with what the recording expects of it."""
        for row in rows:
            match row["op"], row["tif"]:
                case "seed", _:
                    self.book.add(self.order(row))
                case "new", "PO":
                    self.refuse(row)
                case "new", "GTC":
                    self.place(row)
                case "new", "IOC":
                    self.take(row)
                case "quote", _:
                    self.take_for(row)
                case "cancel", _:
                    self.cancel(row)
                case other:
                    raise AssertionError(f"not a row of a recording: {other}")

    def order(self, row: Row) -> Order:
        return Order(
            id=int(row["order_id"]),
            owner=1 if row["side"] == "B" else 2,
            side=SIDES[row["side"]],
            price=units(row["price"], PRICE_SCALE),
            remaining=units(row["qty"], QUANTITY_SCALE),
        )

    def refuse(self, row: Row) -> None:
        order = self.order(row)
        assert engine.preview(self.book, order, order.price).quantity, f"the post-only order would have rested: {row}"
        assert row["expect"] == "rejected"
        self.refusals += 1

    def place(self, row: Row) -> None:
        order = self.order(row)
        self.note(order, engine.place(self.book, order))

    def take(self, row: Row) -> None:
        order = self.order(row)
        self.note(order, engine.match(self.book, order, order.price).fills)
        assert row["expect"] == f"expires {text(order.remaining)}"
        self.expired += 1

    def take_for(self, row: Row) -> None:
        taker = Order(int(row["order_id"]), 1, "buy", None, 0)
        budget = units(row["qty"], PRICE_SCALE)
        fills = engine.match_budget(self.book, taker, None, budget, 10**QUANTITY_SCALE, 1).fills
        self.note(taker, fills)
        assert row["expect"] == text(sum(fill.quantity for fill in fills))

    def cancel(self, row: Row) -> None:
        order = engine.cancel(self.book, int(row["order_id"]))
        assert row["expect"] == ("unknown order" if order is None else text(order.remaining))
        self.canceled += order is not None

    def note(self, taker: Order, fills: list[engine.Fill]) -> None:
        for fill in fills:
            assert fill.maker.price is not None
            self.trades.append((fill.maker.id, taker.id, fill.maker.price, fill.quantity))

    def resting(self) -> list[tuple[int, str, int, int]]:
        """All resting orders in priority, bids first."""
        sides = (self.book.bids, self.book.asks)
        levels = [level for side in sides for level in side.in_order()]
        return [(order.id, order.side, level.price, order.remaining) for level in levels for order in level]


def units(number: str, scale: int) -> int:
    """A recorded decimal in units of 10^-scale."""
    whole, _, fraction = number.partition(".")
    assert len(fraction) <= scale
    return int(whole + fraction.ljust(scale, "0"))


def text(quantity: int) -> str:
    """A quantity as the recording writes it."""
    return f"{quantity // 10**QUANTITY_SCALE}.{quantity % 10**QUANTITY_SCALE:0{QUANTITY_SCALE}}"


def expected_trades(rows: Iterable[Row]) -> list[Trade]:
    """The trades which the exchange published, in its order."""
    return [
        (
            int(row["maker_id"]),
            int(row["taker_id"]),
            units(row["price"], PRICE_SCALE),
            units(row["qty"], QUANTITY_SCALE),
        )
        for row in rows
    ]


def expected_book(rows: Iterable[Row]) -> list[tuple[int, str, int, int]]:
    """The recorded resting orders in priority, bids first; the rows are in order of arrival."""
    orders = [
        (int(row["order_id"]), SIDES[row["side"]], units(row["price"], PRICE_SCALE), units(row["qty"], QUANTITY_SCALE))
        for row in rows
    ]
    return sorted(orders, key=lambda order: (order[1], -order[2] if order[1] == "buy" else order[2]))


def test_the_recorded_flow_gives_the_recorded_trades_refusals_remainders_and_book() -> None:
    recording = Recording()
    with (DATA / "bitstamp_excerpt.csv").open() as file:
        recording.run(csv.DictReader(file))
    with (DATA / "bitstamp_excerpt_trades.csv").open() as file:
        assert recording.trades == expected_trades(csv.DictReader(file))
    with (DATA / "bitstamp_excerpt_book.csv").open() as file:
        assert recording.resting() == expected_book(csv.DictReader(file))
    assert len(recording.trades) == 39
    assert recording.refusals == 515
    assert recording.canceled == 1_166
    assert recording.expired == 160
