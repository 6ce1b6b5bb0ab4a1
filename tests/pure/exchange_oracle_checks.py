"""Why the naive oracle would refuse an order, looked at one rule after the other."""

from fractions import Fraction

from matching.engine.messages import MarketParameters, PlaceOrder
from tests.pure.exchange_oracle_ground import Ground, Market, Order, exact


class Checks(Ground):
    """Every rule an order must pass, as a reason or None."""

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
            if c.quote_amount < (exact(asks[0].price * p.min_quantity, market.unit) if asks else 1):
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
            checks: tuple[tuple[bool, str], ...] = (
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
            brings += other.remaining if other.ask.side == "buy" else exact(other.price * other.remaining, theirs.unit)
        walk = self.walk(order, "all")
        if buying:
            brings += order.remaining if order.price is not None else walk.traded()
        else:
            brings += walk.notional(market.unit)
            brings += exact(order.price * (order.remaining - walk.traded()), market.unit) if rests else 0
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
