"""A recorded order flow of another exchange, with what that exchange made of it.

A folder of CSV files, plain or gzipped: `replay.csv` is what goes in, in this order, and what is expected of it,
`truth_fills.csv` the published trades, `truth_final_book.csv` what rests at the end. Two things are put right
on reading: a post-only order that met nothing in the recorded book was an immediate-or-cancel one, as it did not
rest, and a price below a cent, written as 0.00, becomes one tick.
"""

import csv
import gzip
from collections.abc import Iterator
from heapq import heappop, heappush
from pathlib import Path
from typing import NamedTuple

from marketdata.scale import text_from_units, units_from_text
from matching.engine.messages import Side

SIDES: dict[str, Side] = {"B": "buy", "S": "sell"}
UNKNOWN_ORDER = "unknown order"


class RecordingError(Exception):
    """The folder holds no recording that can be read; the text says where it fails."""


class Step(NamedTuple):
    """One thing that somebody did. `operation`: seed, new, quote, cancel; `time_in_force`: GTC, IOC, PO or empty.

    `price` in quote units per whole base (None: no price), `quantity` in base units, or for a quote in quote units.
    `expected`: rests, rejected, expires Q, the remainder of a cancel, the base a quote bought.
    """

    operation: str
    order_id: str
    exchange_ms: int
    side: Side
    price: int | None
    quantity: int
    time_in_force: str
    expected: str

    def expected_quantity(self, base_scale: int) -> int:
        """The quantity (base units) that `expected` speaks of."""
        return units_from_text(self.expected.removeprefix("expires "), base_scale)


class RecordedTrade(NamedTuple):
    """A published trade by the recording's order ids, in units."""

    maker_id: str
    taker_id: str
    price: int
    quantity: int


class RestingOrder(NamedTuple):
    """An order in the book, in units."""

    order_id: str
    side: Side
    price: int
    quantity: int


class Recording(NamedTuple):
    """All of a recording, or its first steps with what is true after them."""

    steps: list[Step]
    trades: list[RecordedTrade]
    resting: list[RestingOrder]


class _RecordedBook:
    """The book by the recorded facts alone: what was ordered to rest, less what was traded or canceled."""

    def __init__(self, trades: list[RecordedTrade]) -> None:
        self.left: dict[str, int] = {}
        self.placed: dict[str, Step] = {}
        self._trades: dict[str, list[RecordedTrade]] = {}
        for trade in trades:
            self._trades.setdefault(trade.taker_id, []).append(trade)
        self._best: dict[Side, list[tuple[int, str]]] = {"buy": [], "sell": []}

    def live_through(self, step: Step) -> None:
        """What the step did to the book."""
        if step.operation == "cancel":
            self.left.pop(step.order_id, None)
            return
        left = step.quantity
        for trade in self._trades.get(step.order_id, ()):
            left -= trade.quantity
            self.left[trade.maker_id] -= trade.quantity
        if left and step.time_in_force == "GTC" and step.price is not None:
            self.left[step.order_id] = left
            self.placed[step.order_id] = step
            heappush(self._best[step.side], (-step.price if step.side == "buy" else step.price, step.order_id))

    def meets(self, step: Step) -> bool:
        """Whether there is an order in the book that this one would trade with."""
        assert step.price is not None
        best = self._best["sell" if step.side == "buy" else "buy"]
        while best and not self.left.get(best[0][1]):
            heappop(best)
        return bool(best) and best[0][0] <= (step.price if step.side == "buy" else -step.price)

    def resting(self) -> list[RestingOrder]:
        """Every order in the book."""
        return [
            RestingOrder(order_id, self.placed[order_id].side, self.placed[order_id].price or 0, quantity)
            for order_id, quantity in self.left.items()
            if quantity
        ]


def read(*, folder: Path, base_scale: int, quote_scale: int, tick_size: int, limit: int | None = None) -> Recording:
    """The recording in `folder`, or its first `limit` steps, in units of the two scales. Raises RecordingError."""

    def price_of(text: str) -> int:
        return units_from_text(text, quote_scale) or tick_size

    try:
        trades = [
            RecordedTrade(
                row["maker_id"], row["taker_id"], price_of(row["price"]), units_from_text(row["qty"], base_scale)
            )
            for row in _rows(folder, "truth_fills.csv")
        ]
        book = _RecordedBook(trades)
        steps: list[Step] = []
        for row in _rows(folder, "replay.csv"):
            if limit is not None and len(steps) == limit:
                break
            scale = quote_scale if row["op"] == "quote" else base_scale
            price = price_of(row["price"]) if row["price"] else None
            quantity = units_from_text(row["qty"], scale) if row["qty"] else 0
            step = Step(
                row["op"], row["order_id"], int(row["exchange_ms"]), SIDES[row["side"]], price, quantity, row["tif"],
                row["expect"],
            )  # fmt: skip
            if step.time_in_force == "PO" and not book.meets(step):
                missed = f"expires {text_from_units(quantity, base_scale)}"
                step = step._replace(time_in_force="IOC", expected=missed)
            book.live_through(step)
            steps.append(step)
        if limit is not None:
            takers = {step.order_id for step in steps if step.operation in ("new", "quote")}
            return Recording(steps, [trade for trade in trades if trade.taker_id in takers], book.resting())
        resting = [
            RestingOrder(
                row["order_id"], SIDES[row["side"]], price_of(row["price"]), units_from_text(row["qty"], base_scale)
            )
            for row in _rows(folder, "truth_final_book.csv")
        ]
    except (OSError, KeyError, ValueError) as error:
        raise RecordingError(f"{folder} is no recording: {error}") from error
    return Recording(steps, trades, resting)


def in_queues(resting: list[RestingOrder], steps: list[Step]) -> list[RestingOrder]:
    """Resting orders level by level, in each the ones that came first first: bids, then asks, by rising price."""
    arrival = {step.order_id: number for number, step in enumerate(steps) if step.operation in ("seed", "new")}
    return sorted(resting, key=lambda order: (order.side, order.price, arrival.get(order.order_id, -1)))


def _rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    plain = folder / name
    path = plain if plain.exists() else plain.with_name(f"{name}.gz")
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        yield from csv.DictReader(file)
