"""A second exchange, as naive as can be, to compare the real one with: lists, fractions, everything looked up anew.

It shares no code with the product. It keeps totals and open orders only: what is held is the sum of what open orders
can cost, a fee tier is a sum over days, a breaker looks at all trades of its window, one after the other. An order is
walked through the sorted makers as a list of steps, before anything is changed.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from matching.engine import messages
from matching.engine.messages import Limits, MarketParameters, PlaceOrder

SECOND = 1_000_000
DAY = 86_400 * SECOND


@dataclass
class Order:
    """An order as asked for, and what has come of it."""

    id: int
    ask: PlaceOrder
    owner: int
    price: int | None
    quantity: int | None
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
        return sum(_exact(step[1].price * step[2], unit) for step in self.steps if step[0] == "trade")  # type: ignore[operator]


def _exact(value: int, unit: int) -> int:
    result = Fraction(value, unit)
    assert result.denominator == 1
    return int(result)


class Oracle:
    """The naive exchange: `apply` returns what happened as plain tuples."""

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
        return _exact(order.price * order.remaining, self.markets[order.ask.market_id].unit)

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
        walk, trades = Walk(), []
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
            left -= _exact(price * quantity, market.unit) if budget else quantity
            if quantity == wanted:
                walk.end = "done"
                break
        return walk

    def complete(self, order: Order, walk: Walk) -> bool:
        if order.ask.quote_amount is None:
            return walk.traded() == order.remaining
        decremented = order.ask.self_trade_prevention == "decrement" and any(s[0] == "prevent" for s in walk.steps)
        return walk.end == "done" and walk.traded() > 0 and not decremented

    # ------------------------------------------------------------------ orders

    def apply(self, command: Any, now: int) -> tuple[Any, ...]:
        self.now = now
        self.sequence += 1
        self.trades = []
        return getattr(self, type(command).__name__)(command)  # type: ignore[no-any-return]

    def count(self, account_id: int) -> bool:
        """Count an order; True: it is one too many."""
        self.counts[account_id, self.now // SECOND] += 1
        most = self.limits.get(account_id, self.limits[None]).orders_per_second
        return most is not None and self.counts[account_id, self.now // SECOND] > most

    def PlaceOrder(self, c: PlaceOrder) -> tuple[Any, ...]:
        too_many = self.count(c.account_id)
        if c.account_id in (1, 2):
            return ("refused", "house_account")
        if c.account_id not in self.owners:
            return ("refused", "unknown_account")
        if c.market_id not in self.markets:
            return ("refused", "unknown_market")
        market = self.markets[c.market_id]
        most = 10**20
        for value, asset in ((c.price, market.quote), (c.quantity, market.base), (c.quote_amount, market.quote)):
            if value is not None and (value < 0 or value > most * self.units[asset]):
                return ("refused", "invalid_amount")
        name = c.client_order_id
        if name is not None and (not name or len(name) > 64 or name in ("\x00", "\ud800")):
            return ("refused", "invalid_parameters")
        if name is not None:
            if (c.account_id, name) in self.bodies:
                same = self.bodies[c.account_id, name] == c
                return ("duplicate",) if same else ("refused", "client_order_id_conflict")
            self.bodies[c.account_id, name] = c
        order = Order(self.sequence, c, self.owners[c.account_id], c.price, c.quantity, c.quantity or 0, self.sequence)
        self.orders[order.id] = order
        reason = "order_rate_exceeded" if too_many else self.why_not(order, market)
        if reason:
            order.status, order.reason = "rejected", reason
            return self.told(order)
        order.rates = self.rates(c.account_id, c.market_id)
        self.execute(order, market)
        return self.told(order)

    def told(self, order: Order) -> tuple[Any, ...]:
        held = self.cost(order) if order.status == "open" else 0
        rates = order.rates if order.id == self.sequence else None
        return (
            order.status, order.reason, order.filled, order.notional, order.remaining, order.prevented, held, rates,
            tuple(self.trades),
        )  # fmt: skip

    def why_not(self, order: Order, market: Market) -> str | None:
        c, p = order.ask, market.p
        if c.account_id in self.frozen:
            return "account_frozen"
        if why := self.closed(market, c.post_only):
            return why
        if why := self.misshapen(c):
            return why
        limits = self.limits.get(c.account_id, self.limits[None])
        if c.order_type == "limit":
            assert c.price is not None
            assert c.quantity is not None
            if why := self.off_grid(market, c.price, c.quantity) or self.off_band(market, c.price):
                return why
            resting = [o for o in self.open_orders(c.account_id) if o.ask.market_id == market.id]
            if (
                c.time_in_force == "gtc"
                and limits.max_open_orders is not None
                and len(resting) >= limits.max_open_orders
            ):
                return "too_many_open_orders"
            cost = self.cost(order)
            return (
                self.over_position(order, c.time_in_force == "gtc")
                or self.no_funds(order, cost)
                or self.would_take(order)
            )
        if c.quote_amount is None:
            assert c.quantity is not None
            if why := self.off_lot(p, c.quantity):
                return why
        else:
            if c.quote_amount < p.min_notional:
                return "notional_too_small"
            if c.quote_amount > p.max_notional:
                return "notional_too_large"
            asks = self.queue(market, "sell")
            if c.quote_amount < (_exact(asks[0].price * p.min_quantity, market.unit) if asks else 1):  # type: ignore[operator]
                return "quantity_too_small"
        walk = self.walk(order, "all")
        notional = walk.notional(market.unit)
        if c.quote_amount is not None:
            if walk.traded() > p.max_quantity:
                return "quantity_too_large"
            cost = c.quote_amount
        else:
            if self.complete(order, walk) and notional < p.min_notional:
                return "notional_too_small"
            if notional > p.max_notional:
                return "notional_too_large"
            cost = notional if c.side == "buy" else order.remaining
        return self.over_position(order, False) or self.no_funds(order, cost)

    def closed(self, market: Market, post_only: bool) -> str | None:
        if self.halted:
            return "exchange_halted"
        if market.state == "open" or (market.state == "post_only" and post_only):
            return None
        return f"market_{market.state}"

    def misshapen(self, c: PlaceOrder) -> str | None:
        if c.order_type == "limit":
            checks = (
                (c.price is None, "price_required"),
                (c.quote_amount is not None, "quote_amount_not_allowed"),
                (c.quantity is None, "quantity_required"),
                (c.post_only and c.time_in_force != "gtc", "post_only_not_allowed"),
            )
        else:
            checks = (
                (c.price is not None, "price_not_allowed"),
                (c.post_only, "post_only_not_allowed"),
                (c.time_in_force == "gtc", "time_in_force_not_allowed"),
                (c.quote_amount is not None and c.side == "sell", "quote_amount_not_allowed"),
                (c.quote_amount is not None and c.quantity is not None, "quote_amount_not_allowed"),
                (c.quote_amount is None and c.quantity is None, "quantity_required"),
            )
        return next((reason for wrong, reason in checks if wrong), None)

    def off_lot(self, p: MarketParameters, quantity: int) -> str | None:
        if quantity <= 0 or quantity % p.lot_size:
            return "quantity_off_lot"
        if quantity < p.min_quantity:
            return "quantity_too_small"
        return "quantity_too_large" if quantity > p.max_quantity else None

    def off_grid(self, market: Market, price: int, quantity: int) -> str | None:
        if price <= 0 or price % market.p.tick_size:
            return "price_off_tick"
        if why := self.off_lot(market.p, quantity):
            return why
        notional = Fraction(price * quantity, market.unit)
        if notional < market.p.min_notional:
            return "notional_too_small"
        return "notional_too_large" if notional > market.p.max_notional else None

    def off_band(self, market: Market, price: int) -> str | None:
        return "price_outside_band" if self.blocked(market, price, [], "band") else None

    def over_position(self, order: Order, rests: bool) -> str | None:
        limits = self.limits.get(order.ask.account_id, self.limits[None])
        market = self.markets[order.ask.market_id]
        buying = order.ask.side == "buy"
        asset_id = market.base if buying else market.quote
        if asset_id not in limits.max_positions:
            return None
        brings = self.totals[order.ask.account_id, asset_id]
        for other in self.open_orders(order.ask.account_id):
            theirs = self.markets[other.ask.market_id]
            if other.id == order.id or (theirs.base if other.ask.side == "buy" else theirs.quote) != asset_id:
                continue
            brings += other.remaining if other.ask.side == "buy" else _exact(other.price * other.remaining, theirs.unit)  # type: ignore[operator]
        walk = self.walk(order, "all")
        if buying:
            brings += order.remaining if order.price is not None else walk.traded()
        else:
            brings += walk.notional(market.unit)
            brings += _exact(order.price * (order.remaining - walk.traded()), market.unit) if rests else 0  # type: ignore[operator]
        return "position_limit" if brings > limits.max_positions[asset_id] else None

    def no_funds(self, order: Order, cost: int) -> str | None:
        return "insufficient_balance" if cost > self.free(order.ask.account_id, self.paid_in(order)) else None

    def would_take(self, order: Order) -> str | None:
        other = self.queue(self.markets[order.ask.market_id], "sell" if order.ask.side == "buy" else "buy")
        if not order.ask.post_only or not other:
            return None
        best, price = other[0].price, order.price
        assert best is not None
        assert price is not None
        return "post_only_would_trade" if (best <= price if order.ask.side == "buy" else best >= price) else None

    def execute(self, order: Order, market: Market) -> None:
        walk = self.walk(order, "all")
        if order.ask.time_in_force == "fok" and not self.complete(order, walk):
            whole = self.walk(order, "none")
            walk.steps = []
            if not self.complete(order, whole):
                walk.end = "fill_or_kill"
            elif self.walk(order, "band").traded() < whole.traded():
                walk.end = "price_band"
            else:
                walk.end = "circuit_breaker"
        self.settle(order, market, walk)
        order.status, order.reason = "canceled", walk.end
        decremented = order.ask.self_trade_prevention == "decrement" and order.prevented
        if walk.end == "circuit_breaker":
            market.state, market.reopens_at = "cancel_only", self.now + market.p.breaker_pause * SECOND
        elif walk.end == "self":
            order.reason = "self_trade_prevented"
        elif walk.end == "done":
            enough = order.filled and not decremented if order.quantity is None else order.filled == order.quantity
            order.status, order.reason = ("filled", None) if enough else ("canceled", "self_trade_prevented")
            if order.quantity is None and not order.filled and not decremented:
                order.reason = "no_liquidity"
        elif walk.end == "book":
            if order.ask.order_type == "market":
                order.reason = "no_liquidity"
            elif order.ask.time_in_force == "ioc":
                order.reason = "immediate_or_cancel"
            else:
                order.status, order.reason = "open", None

    def settle(self, order: Order, market: Market, walk: Walk) -> None:
        values: dict[int, int] = defaultdict(int)
        taker_id = order.ask.account_id
        for kind, maker, quantity, gone in walk.steps:
            maker_id = maker.ask.account_id
            assert maker.price is not None
            if kind == "trade":
                notional = _exact(maker.price * quantity, market.unit)
                buyer, seller = (order, maker) if order.ask.side == "buy" else (maker, order)
                for who, sign in ((buyer.ask.account_id, 1), (seller.ask.account_id, -1)):
                    self.totals[who, market.base] += sign * quantity
                    self.totals[who, market.quote] -= sign * notional
                    values[who] += notional
                fees = {}
                for side, received in ((buyer, (market.base, quantity)), (seller, (market.quote, notional))):
                    rate = side.rates[1] if side is order else side.rates[0]
                    fees[side.id] = math.ceil(Fraction(received[1] * rate, 10**6))
                    self.totals[side.ask.account_id, received[0]] -= fees[side.id]
                    self.totals[2, received[0]] += fees[side.id]
                for side in (order, maker):
                    side.filled += quantity
                    side.notional += notional
                    side.remaining -= quantity
                self.trades.append((maker.id, order.id, maker.price, quantity, fees[maker.id], fees[order.id]))
                market.trades.append((self.now // SECOND, maker.price))
                market.last = maker.price
                if maker.remaining == 0:
                    whole = maker.filled == maker.quantity
                    maker.status, maker.reason = ("filled", None) if whole else ("canceled", "self_trade_prevented")
            else:
                assert maker_id in self.owners
                order.prevented += quantity
                maker.prevented += quantity
                if order.ask.self_trade_prevention == "decrement":
                    maker.remaining -= quantity
                    order.remaining -= quantity
                if gone:
                    maker.status, maker.reason = "canceled", "self_trade_prevented"
        if order.ask.quote_amount is not None:
            order.remaining = 0
        for account_id, notional in values.items():
            if value := self.valued(market.quote, notional):
                self.volumes[account_id][self.now // DAY] += value
        assert taker_id in self.owners

    def valued(self, asset_id: int, amount: int) -> int:
        if asset_id == self.valuation:
            return amount
        for market in self.markets.values():
            if market.base == asset_id and market.quote == self.valuation and market.last is not None:
                return amount * market.last // market.unit
        return 0

    def mine(self, c: Any) -> Order | None:
        """The open order a command means."""
        for order in self.open_orders(c.account_id):
            by_name = c.client_order_id is None or order.ask.client_order_id == c.client_order_id
            if by_name and (order.id == c.order_id if c.order_id is not None else c.client_order_id is not None):
                return order
        return None

    def AmendOrder(self, c: messages.AmendOrder) -> tuple[Any, ...]:
        too_many = self.count(c.account_id)
        if c.account_id not in self.owners and c.account_id not in (1, 2):
            return ("refused", "unknown_account")
        if too_many:
            return ("refused", "order_rate_exceeded")
        order = self.mine(c)
        if order is None:
            return ("refused", "unknown_order")
        if c.price is None and c.quantity is None:
            return ("refused", "amend_without_change")
        market = self.markets[order.ask.market_id]
        old = (order.price, order.quantity, order.remaining)
        free = self.free(c.account_id, self.paid_in(order)) + self.cost(order)
        assert order.quantity is not None
        gone = order.quantity - order.remaining
        price = order.price if c.price is None else c.price
        quantity = order.quantity if c.quantity is None else c.quantity
        keeps = price == order.price and quantity <= order.quantity
        if why := self.why_not_amend(order, market, price, quantity, gone, keeps, free):
            order.price, order.quantity, order.remaining = old
            return ("refused", why)
        if not keeps:
            order.priority = self.sequence
            order.status = "amending"
            self.execute(order, market)
        return self.told(order)

    def why_not_amend(
        self, order: Order, market: Market, price: int | None, quantity: int, gone: int, keeps: bool, free: int
    ) -> str | None:
        """Why the order cannot be amended; otherwise it is."""
        if order.ask.account_id in self.frozen:
            return "account_frozen"
        if why := self.closed(market, order.ask.post_only):
            return why
        if quantity <= gone:
            return "quantity_below_filled"
        assert price is not None
        if why := self.off_grid(market, price, quantity):
            return why
        moved = price != order.price
        order.price, order.quantity, order.remaining = price, quantity, quantity - gone
        if keeps:
            return None
        if moved and (why := self.off_band(market, price)):
            return why
        if why := self.over_position(order, True):
            return why
        if self.cost(order) > free:
            return "insufficient_balance"
        return self.would_take(order)

    def CancelOrder(self, c: messages.CancelOrder) -> tuple[Any, ...]:
        order = self.mine(c)
        if order is None:
            return ("refused", "unknown_order")
        order.status, order.reason = "canceled", "user_canceled"
        return self.told(order)

    def CancelOrders(self, c: messages.CancelOrders) -> tuple[Any, ...]:
        if c.account_id not in self.owners and c.account_id not in (1, 2):
            return ("refused", "unknown_account")
        if c.market_id is not None and c.market_id not in self.markets:
            return ("refused", "unknown_market")
        return ("canceled", self.cancel_all(c.account_id, c.market_id, c.side, "user_canceled"))

    def cancel_all(self, account_id: int, market_id: int | None, side: str | None, reason: str) -> tuple[int, ...]:
        found = [
            order
            for order in self.open_orders(account_id)
            if market_id in (None, order.ask.market_id) and side in (None, order.ask.side)
        ]
        for order in found:
            order.status, order.reason = "canceled", reason
        return tuple(sorted(order.id for order in found))

    # ------------------------------------------------------------------ what the product said it did

    def follow(self, events: list[Any]) -> None:
        """Take from the product's events what this oracle does not judge: set-up, money in and out, rules."""
        for event in events:
            match event:
                case messages.AssetCreated():
                    self.units[event.asset_id] = 10**event.scale
                case messages.MarketChanged(market_id=id):
                    base, quote = event.base_asset_id, event.quote_asset_id
                    market = self.markets.setdefault(id, Market(id, base, quote, self.units[base], event.parameters))
                    if event.breaker_since == self.sequence:
                        market.trades = []
                    market.p, market.state, market.reopens_at = event.parameters, event.state, event.reopens_at
                case messages.AccountOpened():
                    self.owners[event.account_id] = event.user_id
                case messages.AccountFrozen():
                    (self.frozen.add if event.frozen else self.frozen.discard)(event.account_id)
                case messages.LimitsChanged():
                    self.limits.pop(event.account_id, None)
                    if event.limits is not None:
                        self.limits[event.account_id] = event.limits
                case messages.ExchangeStateChanged():
                    self.halted = event.halted
                case messages.FeeTiersChanged():
                    self.tiers, self.valuation = event.tiers, event.valuation_asset_id
                case messages.FeeOverrideChanged(account_id=who, market_id=where):
                    self.overrides.pop((who, where), None)
                    if event.maker_rate is not None and event.taker_rate is not None:
                        self.overrides[who, where] = event.maker_rate, event.taker_rate
                case messages.EntryPosted():
                    self.totals[event.account_id, event.asset_id] += event.amount
                case messages.WithdrawalChanged():
                    self.pending.pop(event.id, None)
                    if event.status == "pending":
                        self.pending[event.id] = (event.account_id, event.asset_id, event.amount)
                case messages.OrderUpdated():
                    self.orders[event.id].status = event.status
                    self.orders[event.id].reason = event.reason
