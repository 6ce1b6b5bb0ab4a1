"""What PlaceOrder, AmendOrder, CancelOrder and CancelOrders do: check everything, hold, match, settle, release.

The engine changes the book and never sees a balance; the ledger moves funds and never sees a book. Everything that
could refuse a command is asked (order_checks) before anything changes; settlement turns matches into money.
"""

from fees.schedule import fee_of
from matching import order_checks
from matching.engine import engine
from matching.engine.book import Order
from matching.engine.messages import (
    AmendOrder,
    AnyEvent,
    CancelOrder,
    CancelOrders,
    CommandRefused,
    OrderDuplicated,
    OrderPlaced,
    OrderPreviewed,
    OrderRejected,
    OrdersCanceled,
    PlaceOrder,
    Reason,
)
from matching.order_checks import Bounds, notional_of, paying_balance, resting_cost
from matching.settlement import settle
from matching.state import State, TradedMarket
from orders import rules
from orders.rules import LiveOrder
from risk import checks
from risk.ledger import Account

Events = list[AnyEvent]

# ---------------------------------------------------------------------------------------------- place


def place_order(state: State, command: PlaceOrder) -> Events:
    """Refuse the order, or match it and rest what remains."""
    placed = state.count_order(command.account_id)
    account = state.accounts.get(command.account_id)
    if reason := order_checks.stranger_refusal(state, account, command):
        return [CommandRefused(reason)]
    assert account is not None
    market = state.markets[command.market_id]
    digest = 0
    if command.client_order_id is not None:
        digest = rules.request_digest(command)
        key = (command.account_id, command.client_order_id)
        if known := state.client_orders.get(key):
            if known[1] == digest:
                return [OrderDuplicated(known[0])]
            return [CommandRefused(Reason.CLIENT_ORDER_ID_CONFLICT)]
        state.client_orders[key] = (state.sequence, digest)
    order = LiveOrder(command, state.sequence, state.now, account.owner, digest)
    reason = checks.order_rate_refusal(limits=state.limits_of(account), placed=placed) or order_checks.refusal(
        state, account, market, order, command, state.now
    )
    if reason:
        order.held = 0
        order.become("rejected", reason)
        return [OrderRejected(order.state(state.now))]
    # After this point the order must succeed.
    order.maker_rate, order.taker_rate = state.rates_of(account, market.id)
    if order.held:
        state.ledger.hold(paying_balance(account, market, order.side), order.held)
    events: Events = []
    _execute(state, account, market, order, events)
    events.append(OrderPlaced(order.state(state.now)))
    return events


def preview_order(state: State, command: PlaceOrder, now: int) -> OrderPreviewed:
    """Every check of placing but the order rate, the cost and the worst fee, at the time `now`; nothing changes."""
    account = state.accounts.get(command.account_id)
    if reason := order_checks.stranger_refusal(state, account, command):
        return OrderPreviewed(reason, 0, 0, 0, 0, 0, 0)
    assert account is not None
    market = state.markets[command.market_id]
    order = LiveOrder(command, state.sequence + 1, now, account.owner, 0)
    maker_rate, taker_rate = state.rates_of(account, market.id)
    key = (command.account_id, command.client_order_id or "")
    if command.client_order_id is not None and key in state.client_orders:
        return OrderPreviewed(Reason.CLIENT_ORDER_ID_CONFLICT, 0, 0, 0, 0, maker_rate, taker_rate)
    if reason := order_checks.refusal(state, account, market, order, command, now):
        return OrderPreviewed(reason, 0, 0, 0, 0, maker_rate, taker_rate)
    budget = order.quote_amount
    expected = order_checks.preview(market, order, order_checks.bounds_of(market, order, budget, now).limit, budget)
    quantity, notional = expected.quantity, expected.notional // market.base.unit
    receives = quantity if order.side == "buy" else notional
    if order.price is not None:
        left = order.remaining - quantity
        receives += left if order.side == "buy" else notional_of(market, order.price, left)
    if order.time_in_force == "fok" and not expected.complete:
        quantity = notional = 0
    fee = max(0, fee_of(receives, max(maker_rate, taker_rate)))
    return OrderPreviewed(None, order.held, fee, quantity, notional, maker_rate, taker_rate)


# ---------------------------------------------------------------------------------------------- execute


def _execute(state: State, account: Account, market: TradedMarket, order: LiveOrder, events: Events) -> None:
    """Match an order whose cost is held, settle its trades, and rest, end or cancel what remains of it."""
    if not order_checks.crosses(market, order):
        _finish(state, account, market, order, _leftover_reason(order))
        return
    bounds = order_checks.bounds_of(market, order, order.quote_amount, state.now)
    if order.time_in_force == "fok" and (killed := _kill_reason(state, market, order, bounds, events)):
        _finish(state, account, market, order, killed)
        return
    outcome = _match(market, order, bounds.limit, order.quote_amount)
    settle(state, account, market, order, outcome, events)
    if order.remaining and not outcome.taker_canceled and bounds.limit != order.price:
        budget = None if order.quote_amount is None else order.remaining
        price = order_checks.next_price(market, order, budget)
        # Before that price only orders of its own owner are in its way: nothing trades, so no bound applies.
        limit = order.price if price is None else order_checks.short_of(order.side, price)
        outcome = _match(market, order, limit, budget)
        assert not outcome.fills
        settle(state, account, market, order, outcome, events)
        if price is not None:
            _finish(state, account, market, order, _stop_reason(state, market, order, price, bounds.band, events))
            return
    _finish(state, account, market, order, _end_reason(order, outcome))


def _match(market: TradedMarket, order: LiveOrder, limit: int | None, budget: int | None) -> engine.Outcome:
    if budget is None:
        return engine.match(market.book, order, limit)
    return engine.match_budget(market.book, order, limit, budget, market.base.unit, market.parameters.lot_size)


def _kill_reason(state: State, market: TradedMarket, order: LiveOrder, bounds: Bounds, events: Events) -> Reason | None:
    """Why a fill-or-kill order cannot be filled completely; None: it can. Trips the breaker if only that stops it."""
    budget = order.quote_amount
    bounded = order_checks.preview(market, order, bounds.limit, budget)
    if bounded.complete:
        return None
    whole = order_checks.preview(market, order, order.price, budget)
    if not whole.complete:
        return Reason.FILL_OR_KILL
    if whole.quantity == bounded.quantity:
        return None
    if order_checks.preview(market, order, bounds.band, budget).quantity < whole.quantity:
        return Reason.PRICE_BAND
    events += market.trip(order_checks.price_beyond(market, order, bounds.limit), state.now)
    return Reason.CIRCUIT_BREAKER


def _stop_reason(
    state: State, market: TradedMarket, order: LiveOrder, price: int, band: int | None, events: Events
) -> Reason:
    """Which bound keeps the order from its next trade, which would be at `price`; trips the breaker if it is that."""
    if order_checks.is_beyond(order.side, price, band):
        return Reason.PRICE_BAND
    events += market.trip(price, state.now)
    return Reason.CIRCUIT_BREAKER


def _end_reason(order: LiveOrder, outcome: engine.Outcome) -> Reason | None:
    """Why an order that no bound has stopped ends before it is filled; None: it is filled, or its rest rests."""
    if outcome.taker_canceled:
        return Reason.SELF_TRADE_PREVENTED
    if order.remaining:
        return _leftover_reason(order)
    if order.quote_amount is None:
        return Reason.SELF_TRADE_PREVENTED if order.filled_quantity < rules.quantity_of(order) else None
    if order.self_trade_prevention == "decrement" and order.prevented_quantity:
        return Reason.SELF_TRADE_PREVENTED
    return None if order.filled_quantity else Reason.NO_LIQUIDITY


def _leftover_reason(order: LiveOrder) -> Reason | None:
    """Why what the book could not fill is canceled; None: it rests."""
    if order.order_type == "market":
        return Reason.FILL_OR_KILL if order.time_in_force == "fok" else Reason.NO_LIQUIDITY
    if order.time_in_force == "fok":
        return Reason.FILL_OR_KILL
    return Reason.IMMEDIATE_OR_CANCEL if order.time_in_force == "ioc" else None


def _finish(state: State, account: Account, market: TradedMarket, order: LiveOrder, reason: Reason | None) -> None:
    """Give the order the status it has earned, release what it no longer needs, and rest it if it is to rest."""
    if order.quote_amount is not None:
        order.remaining = 0
    needed = 0
    if reason is not None:
        order.become("canceled", reason)
    elif order.remaining:
        order.become("open")
        needed = resting_cost(market, order)
    else:
        order.become("filled")
    if order.held > needed:
        state.ledger.release(paying_balance(account, market, order.side), order.held - needed)
        order.held = needed
    if order.status == "open":
        market.book.add(order)
        state.rest(order)


# ---------------------------------------------------------------------------------------------- amend


def amend_order(state: State, command: AmendOrder) -> Events:
    """Change price or total quantity. Only a smaller quantity alone keeps the place in the queue."""
    placed = state.count_order(command.account_id)
    account = state.accounts.get(command.account_id)
    if account is None:
        return [CommandRefused(Reason.UNKNOWN_ACCOUNT)]
    if reason := checks.order_rate_refusal(limits=state.limits_of(account), placed=placed):
        return [CommandRefused(reason)]
    order = state.find_order(command.account_id, command.order_id, command.client_order_id)
    if order is None:
        return [CommandRefused(Reason.UNKNOWN_ORDER)]
    if command.price is None and command.quantity is None:
        return [CommandRefused(Reason.AMEND_WITHOUT_CHANGE)]
    market = state.markets[order.market_id]
    old_quantity = rules.quantity_of(order)
    quantity = old_quantity if command.quantity is None else command.quantity
    price = order.price if command.price is None else command.price
    remaining = quantity - (old_quantity - order.remaining)
    amended = Order(order.id, order.owner, order.side, price, remaining, order.self_trade_prevention)
    keeps_place = price == order.price and quantity <= old_quantity
    if reason := _amend_refusal(state, account, market, order, amended, quantity, keeps_place):
        return [CommandRefused(reason)]
    # After this point the amend must succeed.
    events: Events = []
    previous_price = None
    paying = paying_balance(account, market, order.side)
    held = resting_cost(market, amended)
    if keeps_place:
        if remaining < order.remaining:
            market.book.reduce(order, order.remaining - remaining)
            state.ledger.release(paying, order.held - held)
            order.held = held
        order.quantity = quantity
    else:
        market.book.remove(order)
        state.unrest(order)
        if held > order.held:
            state.ledger.hold(paying, held - order.held)
        else:
            state.ledger.release(paying, order.held - held)
        previous_price = order.price if order.price != price else None
        order.price, order.quantity, order.remaining, order.held = price, quantity, remaining, held
        order.priority = state.sequence
        _execute(state, account, market, order, events)
    events.append(order.update(state.now, previous_price))
    return events


def _amend_refusal(
    state: State,
    account: Account,
    market: TradedMarket,
    order: LiveOrder,
    amended: Order,
    quantity: int,
    keeps_place: bool,
) -> Reason | None:
    """Every check of an amend: `amended` is the order as it would be, `quantity` its total."""
    if account.frozen:
        return Reason.ACCOUNT_FROZEN
    if reason := order_checks.closed_refusal(state, market, order.post_only):
        return reason
    if amended.remaining <= 0:
        return Reason.QUANTITY_BELOW_FILLED
    price = amended.price
    assert price is not None
    if reason := order_checks.grid_refusal(market, price, quantity):
        return reason
    if keeps_place:
        return None
    if price != order.price and (reason := order_checks.band_refusal(market, price)):
        return reason
    if reason := order_checks.position_refusal(state, account, market, amended, state.now, rests=True):
        return reason
    if resting_cost(market, amended) - order.held > paying_balance(account, market, order.side).available:
        return Reason.INSUFFICIENT_BALANCE
    if order.post_only and order_checks.crosses(market, amended):
        return Reason.POST_ONLY_WOULD_TRADE
    return None


# ---------------------------------------------------------------------------------------------- cancel


def cancel_order(state: State, command: CancelOrder) -> Events:
    """Cancel one open order; always accepted, whatever the market's state."""
    order = state.find_order(command.account_id, command.order_id, command.client_order_id)
    if order is None:
        return [CommandRefused(Reason.UNKNOWN_ORDER)]
    events: Events = []
    _cancel(state, order, Reason.USER_CANCELED, events)
    return events


def cancel_orders(state: State, command: CancelOrders) -> Events:
    """Cancel all of an account's open orders, or those of a market and side; none at all is a success."""
    if command.account_id not in state.accounts:
        return [CommandRefused(Reason.UNKNOWN_ACCOUNT)]
    if command.market_id is not None and command.market_id not in state.markets:
        return [CommandRefused(Reason.UNKNOWN_MARKET)]
    events: Events = []
    canceled = cancel_all(state, command, Reason.USER_CANCELED, events)
    return [OrdersCanceled(canceled), *events]


def cancel_all(state: State, which: CancelOrders, reason: Reason, events: Events) -> tuple[int, ...]:
    """Cancel the orders `which` describes for `reason` and return their ids, oldest first."""
    orders = [
        order
        for _, order in sorted(state.account_orders.get(which.account_id, {}).items())
        if which.market_id in (None, order.market_id) and which.side in (None, order.side)
    ]
    for order in orders:
        _cancel(state, order, reason, events)
    return tuple(order.id for order in orders)


def _cancel(state: State, order: LiveOrder, reason: Reason, events: Events) -> None:
    market = state.markets[order.market_id]
    market.book.remove(order)
    state.unrest(order)
    state.ledger.release(paying_balance(state.accounts[order.account_id], market, order.side), order.held)
    order.held = 0
    order.become("canceled", reason)
    events.append(order.update(state.now))
