"""`play` runs a trading session written as text through the engine and checks every line of it.

    A1 sell 5@101 ->                          A's order 1 rests: no outcome to the right of the arrow
    B1 buy 7@101 -> A1 5@101                  a trade at the maker's price; the 2 that are left must rest
    A2 buy 2@101 decrement -> stops A1 2      self-trade prevention kept 2 from trading and left A1 in the book ...
    A2 buy 9@101 cancel_maker -> cancels A1 5 ... or canceled A1
    A2 buy 9@101 -> stops A1 5, canceled 9    the taker itself ended with 9 left and must not rest
    B2 buy 9 limit 105 -> A1 5@101, left 4    a market order never rests; `limit` is its protection price
    B3 buy for 500 -> A1 4@101, left 96       a market buy that spends quote units
    A1 cancel -> 5                            what remained, or `unknown`
    A1 reduce 2 -> 3                          what remains
    asks -> A1 3@101, B1 2@102                the whole side, in the order in which it would trade
    asks 2 -> 3@101, 2@102                    its best levels

The letter is the owner. Before each order the preview is taken, afterwards it must have told the truth, and the
book must be in order.
"""

from matching.engine import engine
from matching.engine.book import Book, Order
from matching.engine.messages import Side
from tests.pure.invariants import check_book

MODES = ("cancel_taker", "cancel_maker", "cancel_both", "decrement")


def play(text: str, *, base_unit: int = 1, lot_size: int = 1) -> Book:
    """Run a session and return its book. `base_unit`: 10^(base scale), `lot_size`: base units."""
    session = _Session(base_unit, lot_size)
    for line in text.splitlines():
        words, _, expected = line.partition("#")[0].partition("->")
        if words.strip():
            outcome = session.run(words.split())
            assert outcome == expected.strip(), f"{line.strip()}\n  came out as: {outcome}"
            check_book(session.book)
    return session.book


class _Session:
    """The book, and the orders by their names in the text."""

    def __init__(self, base_unit: int, lot_size: int) -> None:
        self.book = Book()
        self.base_unit = base_unit
        self.lot_size = lot_size
        self.orders: dict[str, Order] = {}
        self.names: dict[int, str] = {}

    def run(self, words: list[str]) -> str:
        """Run one line and say what happened in the words of the session."""
        match words:
            case ["asks" | "bids" as side]:
                return self._queue("sell" if side == "asks" else "buy")
            case ["asks" | "bids" as side, levels]:
                depth = self.book.depth("sell" if side == "asks" else "buy", int(levels))
                return ", ".join(f"{quantity}@{price}" for price, quantity in depth)
            case [name, "cancel"]:
                order = engine.cancel(self.book, self.orders[name].id)
                return "unknown" if order is None else str(order.remaining)
            case [name, "reduce", quantity]:
                self.book.reduce(self.orders[name], int(quantity))
                return str(self.orders[name].remaining)
            case [name, "buy" | "sell" as side, *rest]:
                mode = rest.pop() if rest[-1] in MODES else "cancel_taker"
                limit = int(rest.pop()) if "limit" in rest else None
                return self._order(name, "buy" if side == "buy" else "sell", mode, limit, rest)
        raise ValueError(f"not a line of a session: {words}")

    def _order(self, name: str, side: Side, mode: str, limit: int | None, rest: list[str]) -> str:
        quantity, at, price = rest[0].partition("@")
        taker = Order(
            id=len(self.orders) + 1,
            owner=ord(name[0]),
            side=side,
            price=int(price) if at else None,
            remaining=0 if quantity == "for" else int(quantity),
            self_trade_prevention=mode,  # type: ignore[arg-type]
        )
        assert name not in self.orders, f"{name} is used twice"
        self.orders[name] = taker
        self.names[taker.id] = name
        if quantity == "for":
            return self._take_for(taker, limit, int(rest[1]))
        return self._take(taker, taker.price if at else limit)

    def _take(self, taker: Order, limit: int | None) -> str:
        wanted = taker.remaining
        preview = engine.preview(self.book, taker, limit)
        outcome = engine.match(self.book, taker, limit)
        _check_preview(preview, outcome)
        traded = sum(fill.quantity for fill in outcome.fills)
        assert preview.complete == (traded == wanted)
        if taker.price is not None and taker.remaining and not outcome.taker_canceled:
            self.book.add(taker)
        return self._describe(taker, outcome)

    def _take_for(self, taker: Order, limit: int | None, budget: int) -> str:
        preview = engine.preview_budget(self.book, taker, limit, budget, self.base_unit, self.lot_size)
        outcome = engine.match_budget(self.book, taker, limit, budget, self.base_unit, self.lot_size)
        _check_preview(preview, outcome)
        spent = sum(fill.quantity * _price(fill.maker) for fill in outcome.fills)
        assert spent <= budget * self.base_unit, "the budget is overspent"
        return self._describe(taker, outcome)

    def _describe(self, taker: Order, outcome: engine.Outcome) -> str:
        """The outcome in the order of the session: fills, what was prevented, what became of the rest."""
        said = [f"{self.names[fill.maker.id]} {fill.quantity}@{fill.maker.price}" for fill in outcome.fills]
        for prevented in outcome.prevented:
            verb = "cancels" if prevented.maker_canceled else "stops"
            said.append(f"{verb} {self.names[prevented.maker.id]} {prevented.quantity}")
        if outcome.taker_canceled:
            said.append(f"canceled {taker.remaining}")
        elif taker.price is None and taker.remaining:
            said.append(f"left {taker.remaining}")
        return ", ".join(said)

    def _queue(self, side: Side) -> str:
        levels = self.book.side_of(side).in_order()
        return ", ".join(
            f"{self.names[order.id]} {order.remaining}@{level.price}" for level in levels for order in level
        )


def _check_preview(preview: engine.Preview, outcome: engine.Outcome) -> None:
    """The preview must have said what then happened."""
    assert preview.quantity == sum(fill.quantity for fill in outcome.fills)
    assert preview.notional == sum(fill.quantity * _price(fill.maker) for fill in outcome.fills)


def _price(order: Order) -> int:
    assert order.price is not None
    return order.price
