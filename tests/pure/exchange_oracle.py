"""A second exchange, as naive as can be, to compare the real one with: lists, fractions, everything looked up anew.

It shares no code with the product, and keeps totals and open orders only.
"""

import math
from collections import defaultdict
from fractions import Fraction
from typing import Any

from matching.engine import messages
from matching.engine.messages import PlaceOrder
from tests.pure.exchange_oracle_checks import Checks
from tests.pure.exchange_oracle_ground import DAY, SECOND, Market, Order, Walk, exact


class Oracle(Checks):
    """The naive exchange: `apply` returns what happened as plain tuples."""

    def apply(self, command: Any, now: int) -> tuple[Any, ...]:
        self.now = now
        self.sequence += 1
        self.trades = []
        match command:
            case PlaceOrder():
                return self._place(command)
            case messages.AmendOrder():
                return self._amend(command)
            case messages.CancelOrder():
                return self._cancel(command)
        return self._cancel_orders(command)

    def count(self, account_id: int) -> bool:
        """Count an order; True: it is one too many."""
        self.counts[account_id, self.now // SECOND] += 1
        most = self.limits.get(account_id, self.limits[None]).orders_per_second
        return most is not None and self.counts[account_id, self.now // SECOND] > most

    def _place(self, c: PlaceOrder) -> tuple[Any, ...]:
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
                notional = exact(maker.price * quantity, market.unit)
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

    def _amend(self, c: messages.AmendOrder) -> tuple[Any, ...]:
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

    def _cancel(self, c: messages.CancelOrder) -> tuple[Any, ...]:
        order = self.mine(c)
        if order is None:
            return ("refused", "unknown_order")
        order.status, order.reason = "canceled", "user_canceled"
        return self.told(order)

    def _cancel_orders(self, c: messages.CancelOrders) -> tuple[Any, ...]:
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
