"""A market maker's orders on one market: a fixed number of quotes on each side, moved as the fair price moves.

Memory is only a guess: an order may have been filled, or canceled by an operator. What the exchange refuses to change
is forgotten, and a look at the list of open orders puts everything right; it also finds what an earlier run left.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any, get_args

from matching.engine.messages import Side
from trading.demo_flow.client import Client, Key, Refused
from trading.demo_flow.rules import MarketRules, distance, quote_dollars, quote_price

STAYS_REFUSALS = frozenset({"post_only_would_trade", "price_outside_band", "insufficient_balance"})
"""Refusals of an amend that say nothing against the order as it is."""


@dataclass(slots=True)
class Quote:
    """A place in the book that a maker fills. `order_id` None: nothing rests there at the moment."""

    side: Side
    level: int
    order_id: int | None = None
    price: Decimal = Decimal(0)
    filled: Decimal = Decimal(0)

    def beyond(self, fair: float) -> float:
        """How far the order is from the fair price, as a fraction of it; below zero when it is on the wrong side."""
        away = math.log(float(self.price) / fair)
        return away if self.side == "sell" else -away

    def outward(self, fair: float) -> float:
        """How far the order is outside of where it belongs, in terms of how far that is; below zero: too near."""
        wanted = distance(self.level)
        return (self.beyond(fair) - wanted) / wanted

    def error(self, fair: float) -> float:
        """How far the order is from where it belongs, on either side."""
        return abs(self.outward(fair))


class Maker:
    """One maker on one market, with one quote a side for each of `levels`."""

    def __init__(self, *, client: Client, key: Key, rules: MarketRules, levels: Sequence[int], rng: Random) -> None:
        self.key = key
        self.rules = rules
        self.quotes = [Quote(side, level) for level in levels for side in get_args(Side)]
        self._client = client
        self._rng = rng

    def resting(self) -> Iterator[Quote]:
        """The quotes that have an order in the book, as far as we know."""
        return (quote for quote in self.quotes if quote.order_id is not None)

    def adopt(self, orders: Sequence[Mapping[str, Any]]) -> None:
        """Make memory agree with the open orders of this market; cancel those for which there is no place."""
        by_id = {quote.order_id: quote for quote in self.resting()}
        listed = {order["id"] for order in orders}
        for quote in self.resting():
            if quote.order_id not in listed:
                quote.order_id = None
        free = {side: [quote for quote in self.quotes if _is_free(quote, side)] for side in get_args(Side)}
        for order in sorted(orders, key=_best_first):
            if (known := by_id.get(order["id"])) is not None:
                known.price, known.filled = Decimal(order["price"]), Decimal(order["filled_quantity"])
            elif order["type"] == "limit" and free[order["side"]]:
                self._remember(free[order["side"]].pop(0), order)
            else:
                self._cancel(order["id"])

    def place_missing(self, *, fair: float, dollars: float) -> set[str]:
        """Place an order for every quote that has none, in one request; the codes of what was refused.

        `fair`: the fair price; `dollars`: what one of the base asset is worth.
        """
        missing = [quote for quote in self.quotes if quote.order_id is None]
        if not missing:
            return set()
        bodies = [self._body(quote, fair, dollars) for quote in missing]
        results = self._client.send("POST", "/orders/batch", {"orders": bodies}, key=self.key)["results"]
        codes = set()
        for quote, result in zip(missing, results, strict=True):
            if "error" in result:
                codes.add(result["error"]["code"])
            else:
                self._remember(quote, result["order"])
        return codes

    def move(self, quote: Quote, *, fair: float, dollars: float) -> str | None:
        """Amend an order to where it belongs, with a new size; the code if that was refused."""
        price, quantity = self._wanted(quote, fair, dollars)
        body = {"price": f"{price:f}", "quantity": f"{quote.filled + quantity:f}"}
        try:
            order = self._client.send("PATCH", f"/orders/{quote.order_id}", body, key=self.key)
        except Refused as refused:
            if refused.code not in STAYS_REFUSALS:
                quote.order_id = None
            return refused.code
        self._remember(quote, order)
        return None

    def _body(self, quote: Quote, fair: float, dollars: float) -> dict[str, object]:
        price, quantity = self._wanted(quote, fair, dollars)
        return {
            "market": self.rules.symbol,
            "side": quote.side,
            "type": "limit",
            "post_only": True,
            "price": f"{price:f}",
            "quantity": f"{quantity:f}",
        }

    def _wanted(self, quote: Quote, fair: float, dollars: float) -> tuple[Decimal, Decimal]:
        price = quote_price(self.rules, fair, quote.side, quote.level)
        size = quote_dollars(self.rules.share, quote.level, self._rng) / dollars
        return price, self.rules.quantity(size, price)

    @staticmethod
    def _remember(quote: Quote, order: Mapping[str, Any]) -> None:
        quote.order_id = order["id"] if order["status"] == "open" else None
        quote.price, quote.filled = Decimal(order["price"]), Decimal(order["filled_quantity"])

    def _cancel(self, order_id: int) -> None:
        try:
            self._client.send("DELETE", f"/orders/{order_id}", key=self.key)
        except Refused:
            return  # it is gone already


def _is_free(quote: Quote, side: Side) -> bool:
    return quote.side == side and quote.order_id is None


def _best_first(order: Mapping[str, Any]) -> Decimal:
    """Sorts the orders of each side from the best price on."""
    price = Decimal(order["price"] or 0)
    return price if order["side"] == "sell" else -price
