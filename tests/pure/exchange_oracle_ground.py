"""The ground the naive oracle stands on: what it knows, how it looks things up, how an order would walk a book.

What is held is the sum of what open orders can cost, a fee tier is a sum over days, a breaker looks at all trades of
its window one after the other. An order is walked through the sorted makers before anything is changed.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from matching.engine.messages import Limits, MarketParameters, PlaceOrder

SECOND = 1_000_000
DAY = 86_400 * SECOND


@dataclass
class Order:
    """An order as asked for, and what has come of it."""

    id: int
    ask: PlaceOrder
    owner: int
    price: Any
    quantity: Any
    remaining: int
    priority: int
    rates: tuple[int, int] = (0, 0)
    filled: int = 0
    notional: int = 0
    prevented: int = 0
    status: str = "pending"
    reason: str | None = None


@dataclass
class Market:
    """A market; `trades` are (second, price) since the breaker started afresh."""

    id: int
    base: int
    quote: int
    unit: int
    p: MarketParameters
    state: str = "open"
    reopens_at: int | None = None
    last: int | None = None
    trades: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Walk:
    """What an order would do: steps (kind, maker, quantity, maker leaves), why it ends, and at which price it stops."""

    steps: list[tuple[str, Order, int, bool]] = field(default_factory=list)
    end: str = "book"
    price: int = 0

    def traded(self) -> int:
        return sum(step[2] for step in self.steps if step[0] == "trade")

    def notional(self, unit: int) -> int:
        return sum(exact(step[1].price * step[2], unit) for step in self.steps if step[0] == "trade")


def exact(value: int, unit: int) -> int:
    result = Fraction(value, unit)
    assert result.denominator == 1
    return int(result)


class Ground:
    """What the oracle knows and can look up."""

    def __init__(self) -> None:
        self.now = self.sequence = 0
        self.units: dict[int, int] = {}
        self.markets: dict[int, Market] = {}
        self.owners: dict[int, int] = {}
        self.frozen: set[int] = set()
        self.totals: dict[tuple[int, int], int] = defaultdict(int)
        self.orders: dict[int, Order] = {}
        self.bodies: dict[tuple[int, str], PlaceOrder] = {}
        self.limits: dict[int | None, Limits] = {None: Limits()}
        self.pending: dict[int, tuple[int, int, int]] = {}
        self.counts: dict[tuple[int, int], int] = defaultdict(int)
        self.halted = False
        self.tiers: Any = ()
        self.valuation: int | None = None
        self.overrides: dict[tuple[int | None, int | None], tuple[int, int]] = {}
        self.volumes: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.trades: list[tuple[int, int, int, int, int, int]] = []

    # ------------------------------------------------------------------ looking

    def open_orders(self, account_id: int | None = None) -> list[Order]:
        found = [order for order in self.orders.values() if order.status == "open"]
        return [order for order in found if account_id in (None, order.ask.account_id)]

    def cost(self, order: Order) -> int:
        if order.ask.side == "sell":
            return order.remaining
        assert order.price is not None
        return exact(order.price * order.remaining, self.markets[order.ask.market_id].unit)

    def held(self, account_id: int, asset_id: int) -> int:
        orders = sum(self.cost(order) for order in self.open_orders(account_id) if self.paid_in(order) == asset_id)
        return orders + sum(
            amount for who, what, amount in self.pending.values() if (who, what) == (account_id, asset_id)
        )

    def free(self, account_id: int, asset_id: int) -> int:
        return self.totals[account_id, asset_id] - self.held(account_id, asset_id)

    def paid_in(self, order: Order) -> int:
        market = self.markets[order.ask.market_id]
        return market.quote if order.ask.side == "buy" else market.base

    def queue(self, market: Market, side: str) -> list[Order]:
        sign = 1 if side == "sell" else -1
        orders = [o for o in self.open_orders() if o.ask.market_id == market.id and o.ask.side == side]
        return sorted(orders, key=lambda order: (sign * (order.price or 0), order.priority))

    def rates(self, account_id: int, market_id: int) -> tuple[int, int]:
        for target in ((account_id, market_id), (account_id, None), (None, market_id)):
            if target in self.overrides:
                return self.overrides[target]
        today = self.now // DAY
        volume = sum(self.volumes[account_id][day] for day in range(today - 29, today + 1))
        tier = [tier for tier in self.tiers if tier.volume <= volume][-1]
        return tier.maker_rate, tier.taker_rate

    # ------------------------------------------------------------------ walking

    def blocked(self, market: Market, price: int, trades: list[int], bounds: str) -> str | None:
        """Why a trade at `price` may not happen, after this order's own `trades`."""
        p = market.p
        reference = market.last if market.last is not None else p.reference_price
        if (
            reference is not None
            and p.price_band
            and abs(price - reference) > Fraction(reference * p.price_band, 10**6)
        ):
            return "price_band"
        oldest = self.now // SECOND - p.breaker_window
        seen = [price for second, price in market.trades if second >= oldest] + trades
        if bounds == "all" and p.breaker_move and seen:
            move = Fraction(p.breaker_move, 10**6)
            if price > min(seen) * (1 + move) or price < max(seen) * (1 - move):
                return "circuit_breaker"
        return None

    def walk(self, order: Order, bounds: str, makers: list[Order] | None = None, left: int | None = None) -> Walk:
        """Walk `order` through `makers`; `left`: base units, or quote units of an order by quote amount."""
        market = self.markets[order.ask.market_id]
        budget = order.ask.quote_amount is not None
        walk = Walk()
        trades: list[int] = []
        left = (order.ask.quote_amount if budget else order.remaining) if left is None else left
        assert left is not None
        buying = order.ask.side == "buy"
        if makers is None:
            makers = self.queue(market, "sell" if buying else "buy")
        for index, maker in enumerate(makers):
            price = maker.price
            assert price is not None
            if order.price is not None and (price > order.price if buying else price < order.price):
                break
            wanted = left * market.unit // (price * market.p.lot_size) * market.p.lot_size if budget else left
            if not wanted:
                walk.end = "done"
                break
            quantity = min(wanted, maker.remaining)
            mode = order.ask.self_trade_prevention
            if maker.owner != order.owner:
                why = self.blocked(market, price, trades, bounds) if bounds != "none" else None
                if why:
                    walk.end, walk.price = why, price
                    break
                walk.steps.append(("trade", maker, quantity, quantity == maker.remaining))
                trades.append(price)
            else:
                if bounds != "none":
                    ahead = [
                        s[1].price for s in self.walk(order, "none", makers[index:], left).steps if s[0] == "trade"
                    ]
                    why = self.blocked(market, price, trades, bounds)
                    if ahead and ahead[0] == price and why:
                        walk.end, walk.price = why, price
                        break
                gone = mode in ("cancel_maker", "cancel_both") or (mode == "decrement" and quantity == maker.remaining)
                walk.steps.append(("prevent", maker, quantity, gone))
                if mode in ("cancel_taker", "cancel_both") or (mode == "decrement" and quantity == wanted):
                    walk.end = "self"
                    break
                if mode == "cancel_maker":
                    continue
            left -= exact(price * quantity, market.unit) if budget else quantity
            if quantity == wanted:
                walk.end = "done"
                break
        return walk

    def complete(self, order: Order, walk: Walk) -> bool:
        if order.ask.quote_amount is None:
            return walk.traded() == order.remaining
        decremented = order.ask.self_trade_prevention == "decrement" and any(s[0] == "prevent" for s in walk.steps)
        return walk.end == "done" and walk.traded() > 0 and not decremented
