"""What an order must pass before it reaches the book, and the prices at which it may trade once it is there.

Questions only: nothing here changes the exchange but `order.held`, which becomes what the order can cost.
"""

from typing import NamedTuple

from matching.engine import engine
from matching.engine.book import Order
from matching.engine.messages import HOUSE_ACCOUNT_IDS, PlaceOrder, Reason, Side
from matching.state import State, TradedMarket, text_is_sound
from orders import rules
from orders.rules import LiveOrder
from risk import checks
from risk.breakers import Range
from risk.ledger import Account, Balance

CLIENT_ORDER_ID_LENGTH_MAX = 64


class Bounds(NamedTuple):
    """The worst prices at which an order may trade now; None: any price.

    `band` is set by the order's own price and the price band, `limit` by these and the circuit breaker.
    """

    limit: int | None
    band: int | None


# ---------------------------------------------------------------------------------------------- refusals


def stranger_refusal(state: State, account: Account | None, command: PlaceOrder) -> Reason | None:
    """Refuse what cannot even be kept in the history: nobody's order, one for no market, one that no column holds."""
    if account is None:
        return Reason.UNKNOWN_ACCOUNT
    if account.id in HOUSE_ACCOUNT_IDS:
        return Reason.HOUSE_ACCOUNT
    market = state.markets.get(command.market_id)
    if market is None:
        return Reason.UNKNOWN_MARKET
    price, quantity, quote_amount = command.price, command.quantity, command.quote_amount
    if price is not None and not 0 <= price <= market.quote.units_max:
        return Reason.INVALID_AMOUNT
    if quantity is not None and not 0 <= quantity <= market.base.units_max:
        return Reason.INVALID_AMOUNT
    if quote_amount is not None and not 0 <= quote_amount <= market.quote.units_max:
        return Reason.INVALID_AMOUNT
    client_order_id = command.client_order_id
    if client_order_id is not None and not (
        client_order_id and text_is_sound(client_order_id, CLIENT_ORDER_ID_LENGTH_MAX)
    ):
        return Reason.INVALID_PARAMETERS
    return None


def refusal(
    state: State, account: Account, market: TradedMarket, order: LiveOrder, command: PlaceOrder, now: int
) -> Reason | None:
    """Every check before the book, the cheap ones first. Sets `order.held` to what the order can cost."""
    if account.frozen:
        return Reason.ACCOUNT_FROZEN
    if reason := closed_refusal(state, market, order.post_only) or rules.shape_refusal(command):
        return reason
    if order.price is None:
        return _market_order_refusal(state, account, market, order, now)
    return (
        grid_refusal(market, order.price, order.remaining)
        or band_refusal(market, order.price)
        or (_open_orders_refusal(state, account, market) if order.time_in_force == "gtc" else None)
        or position_refusal(state, account, market, order, now, rests=order.time_in_force == "gtc")
        or _funds_refusal(account, market, order, resting_cost(market, order))
        or (Reason.POST_ONLY_WOULD_TRADE if order.post_only and crosses(market, order) else None)
    )


def _market_order_refusal(
    state: State, account: Account, market: TradedMarket, order: LiveOrder, now: int
) -> Reason | None:
    """The checks of an order without a price: what it can cost and bring is what the book says now."""
    if reason := _market_filter_refusal(market, order):
        return reason
    expected = preview(market, order, bounds_of(market, order, order.quote_amount, now).limit, order.quote_amount)
    notional = expected.notional // market.base.unit
    buying = order.side == "buy"
    if order.quote_amount is not None:
        cost = order.quote_amount
        reason = Reason.QUANTITY_TOO_LARGE if expected.quantity > market.parameters.max_quantity else None
    else:
        cost = notional if buying else order.remaining
        reason = _notional_refusal(market, notional, expected.complete)
    return (
        reason
        or _position_refusal(state, account, market, order, expected.quantity if buying else notional)
        or _funds_refusal(account, market, order, cost)
    )


def closed_refusal(state: State, market: TradedMarket, post_only: bool) -> Reason | None:
    """Refuse while the exchange or the market is not open for this kind of order."""
    if state.halted:
        return Reason.EXCHANGE_HALTED
    if market.state == "open":
        return None
    if market.state == "halted":
        return Reason.MARKET_HALTED
    if market.state == "cancel_only":
        return Reason.MARKET_CANCEL_ONLY
    return None if post_only else Reason.MARKET_POST_ONLY


def grid_refusal(market: TradedMarket, price: int, quantity: int) -> Reason | None:
    """The filters of a limit order."""
    parameters = market.parameters
    return (
        rules.price_refusal(parameters, price)
        or rules.quantity_refusal(parameters, quantity)
        or rules.notional_refusal(parameters, price * quantity // market.base.unit)
    )


def band_refusal(market: TradedMarket, price: int) -> Reason | None:
    """Refuse a limit price too far from the last trade, whatever the side."""
    band = market.band()
    if band is not None and not band[0] <= price <= band[1]:
        return Reason.PRICE_OUTSIDE_BAND
    return None


def _open_orders_refusal(state: State, account: Account, market: TradedMarket) -> Reason | None:
    return checks.open_orders_refusal(account=account, limits=state.limits_of(account), market_id=market.id)


def _market_filter_refusal(market: TradedMarket, order: LiveOrder) -> Reason | None:
    """The filters of a market order: its quantity, or its amount and whether that buys enough at the best price."""
    if order.quote_amount is None:
        return rules.quantity_refusal(market.parameters, order.remaining)
    if reason := rules.notional_refusal(market.parameters, order.quote_amount):
        return reason
    best = market.book.asks.best()
    least = 1 if best is None else notional_of(market, best.price, market.parameters.min_quantity)
    return Reason.QUANTITY_TOO_SMALL if order.quote_amount < least else None


def _notional_refusal(market: TradedMarket, notional: int, complete: bool) -> Reason | None:
    """The notional filter of a market order by quantity; too small only if it is not the book that runs out."""
    if complete and notional < market.parameters.min_notional:
        return Reason.NOTIONAL_TOO_SMALL
    return Reason.NOTIONAL_TOO_LARGE if notional > market.parameters.max_notional else None


def position_refusal(
    state: State, account: Account, market: TradedMarket, order: Order, now: int, *, rests: bool
) -> Reason | None:
    """The maximum position in what a limit order would bring: its trades now, and at its price what then `rests`."""
    if _received_id(market, order.side) not in state.limits_of(account).max_positions:
        return None
    receiving = order.remaining
    if order.side == "sell":
        expected = preview(market, order, bounds_of(market, order, None, now).limit, None)
        left = order.remaining - expected.quantity if rests else 0
        receiving = expected.notional // market.base.unit + notional_of(market, order.price, left)
    return _position_refusal(state, account, market, order, receiving)


def _position_refusal(
    state: State, account: Account, market: TradedMarket, order: Order, receiving: int
) -> Reason | None:
    """The maximum position in what the order would bring: all orders of the account still open count in full."""
    limits = state.limits_of(account)
    asset_id = _received_id(market, order.side)
    if asset_id not in limits.max_positions:
        return None
    incoming = 0
    for other in state.account_orders.get(account.id, {}).values():
        traded_on = state.markets[other.market_id]
        if other.id != order.id and _received_id(traded_on, other.side) == asset_id:
            buying = other.side == "buy"
            incoming += other.remaining if buying else notional_of(traded_on, other.price, other.remaining)
    return checks.position_refusal(
        account=account, limits=limits, asset_id=asset_id, incoming=incoming, receiving=receiving
    )


def _funds_refusal(account: Account, market: TradedMarket, order: LiveOrder, cost: int) -> Reason | None:
    """Set `order.held` to exactly what the order can cost, and refuse if the account does not have it available."""
    if cost > paying_balance(account, market, order.side).available:
        return Reason.INSUFFICIENT_BALANCE
    order.held = cost
    return None


# ---------------------------------------------------------------------------------------------- amounts


def notional_of(market: TradedMarket, price: int | None, quantity: int) -> int:
    """Price times quantity in quote units; exact, because prices and quantities lie on the market's grid."""
    assert price is not None
    return price * quantity // market.base.unit


def resting_cost(market: TradedMarket, order: Order) -> int:
    """What the rest of an order can cost at its limit price: base units for a sell, quote units for a buy."""
    return order.remaining if order.side == "sell" else notional_of(market, order.price, order.remaining)


def paying_balance(account: Account, market: TradedMarket, side: Side) -> Balance:
    """The balance an order is paid from."""
    return account.balance(market.quote.id if side == "buy" else market.base.id)


def _received_id(market: TradedMarket, side: Side) -> int:
    return market.base.id if side == "buy" else market.quote.id


# ---------------------------------------------------------------------------------------------- prices


def crosses(market: TradedMarket, order: Order) -> bool:
    """Whether the best price of the other side is within the order's price."""
    best = market.book.opposite_of(order.side).best()
    if best is None:
        return False
    price = order.price
    return price is None or (best.price <= price if order.side == "buy" else best.price >= price)


def is_beyond(side: Side, price: int, limit: int | None) -> bool:
    """Whether an order of `side` bounded by `limit` may not trade at `price`."""
    return limit is not None and (price > limit if side == "buy" else price < limit)


def short_of(side: Side, price: int) -> int:
    """The worst limit at which an order of `side` does not yet trade at `price`."""
    return price - 1 if side == "buy" else price + 1


def bounds_of(market: TradedMarket, order: Order, budget: int | None, now: int) -> Bounds:
    """The bounds at the time `now` (microseconds). An order that would only meet its owner's own has its own price."""
    first = next_price(market, order, budget)
    if first is None:
        return Bounds(order.price, order.price)
    band = _narrowed(order.price, order.side, first, market.band())
    return Bounds(_narrowed(band, order.side, first, market.breaker_range(first, now)), band)


def _narrowed(limit: int | None, side: Side, first: int, allowed: Range | None) -> int | None:
    """`limit` within the `allowed` prices; if not even the `first` trade's price is, just short of that."""
    if allowed is None:
        return limit
    lowest, highest = allowed
    if side == "buy":
        highest = highest if lowest <= first <= highest else short_of(side, first)
        return highest if limit is None else min(limit, highest)
    lowest = lowest if lowest <= first <= highest else short_of(side, first)
    return lowest if limit is None else max(limit, lowest)


def next_price(market: TradedMarket, order: Order, budget: int | None) -> int | None:
    """The price of the order's next trade, band and breaker aside; None: it would not trade, whatever is in the book.

    Orders of the same owner in the way are taken as self-trade prevention would take them. `budget`: quote units a
    market buy may still spend.
    """
    best = market.book.opposite_of(order.side).best()
    if best is None or is_beyond(order.side, best.price, order.price):
        return None
    assert best.head is not None
    if budget is None and best.head.owner != order.owner:
        return best.price
    remaining = order.remaining
    for level in market.book.opposite_of(order.side).in_order():
        if is_beyond(order.side, level.price, order.price):
            return None
        wanted = remaining
        if budget is not None:
            lot_size = market.parameters.lot_size
            wanted = remaining = budget * market.base.unit // level.price // lot_size * lot_size
        for maker in level:
            if not remaining:
                return None
            if maker.owner != order.owner:
                return level.price
            if order.self_trade_prevention == "decrement":
                remaining -= min(maker.remaining, remaining)
            elif order.self_trade_prevention != "cancel_maker":
                return None
        if budget is not None:
            budget -= notional_of(market, level.price, wanted - remaining)
    return None


def price_beyond(market: TradedMarket, order: Order, limit: int | None) -> int:
    """The price of the first trade beyond `limit` of an order that would fill completely without it."""
    for level in market.book.opposite_of(order.side).in_order():
        if is_beyond(order.side, level.price, limit) and any(maker.owner != order.owner for maker in level):
            return level.price
    raise AssertionError("nothing to trade with beyond the limit")


def preview(market: TradedMarket, order: Order, limit: int | None, budget: int | None) -> engine.Preview:
    """What the order would trade up to `limit`; with `budget`, what that many quote units would buy."""
    if budget is None:
        return engine.preview(market.book, order, limit)
    return engine.preview_budget(market.book, order, limit, budget, market.base.unit, market.parameters.lot_size)
