"""What PlaceOrder, AmendOrder, CancelOrder and CancelOrders do: check everything, hold, match, settle, release.

The engine changes the book and never sees a balance; the ledger moves funds and never sees a book. Everything that
could refuse a command is asked before anything changes.
"""

from fees.schedule import fee_of
from matching.engine import engine
from matching.engine.messages import (
    FEES_ACCOUNT_ID,
    HOUSE_ACCOUNT_IDS,
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
    TradeExecuted,
    VolumeChanged,
)
from matching.state import State, TradedMarket
from orders import rules
from orders.rules import LiveOrder
from risk import checks
from risk.ledger import Account, Balance

Events = list[AnyEvent]

# ---------------------------------------------------------------------------------------------- place


def place_order(state: State, command: PlaceOrder) -> Events:
    """Refuse the order, or match it and rest what remains."""
    account = state.accounts.get(command.account_id)
    if reason := _stranger(state, account, command.market_id):
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
    limits = state.limits_of(account)
    reason = checks.count_order(account=account, limits=limits, now=state.now) or _refusal(
        state, account, market, order, command
    )
    if reason:
        order.held = 0
        order.become("rejected", reason)
        return [OrderRejected(order.state(state.now))]
    # After this point the order must succeed.
    order.maker_rate, order.taker_rate = state.rates_of(account, market.id)
    if order.held:
        state.ledger.hold(_paying(account, market, order), order.held)
    events: Events = []
    _execute(state, account, market, order, events)
    events.append(OrderPlaced(order.state(state.now)))
    return events


def preview_order(state: State, command: PlaceOrder, now: int) -> OrderPreviewed:
    """Every check of placing, the cost and the worst fee, at the time `now`; nothing changes, not even the order rate."""
    account = state.accounts.get(command.account_id)
    if reason := _stranger(state, account, command.market_id):
        return OrderPreviewed(reason, 0, 0, 0, 0, 0, 0)
    assert account is not None
    market = state.markets[command.market_id]
    order = LiveOrder(command, state.sequence + 1, now, account.owner, 0)
    maker_rate, taker_rate = state.rates_of(account, market.id)
    key = (command.account_id, command.client_order_id or "")
    if command.client_order_id is not None and key in state.client_orders:
        return OrderPreviewed(Reason.CLIENT_ORDER_ID_CONFLICT, 0, 0, 0, 0, maker_rate, taker_rate)
    if reason := _refusal(state, account, market, order, command):
        return OrderPreviewed(reason, 0, 0, 0, 0, maker_rate, taker_rate)
    expected = _preview(market, order, _trade_limit(state, market, order), order.quote_amount)
    expected_notional = expected.notional // market.base.unit
    if order.side == "buy":
        receives = order.quantity if order.quantity is not None else expected.quantity
    elif order.price is not None:
        receives = max(expected_notional, _notional(market, order.price, order.remaining))
    else:
        receives = expected_notional
    fee = max(fee_of(receives, taker_rate), fee_of(receives, maker_rate))
    return OrderPreviewed(None, order.held, fee, expected.quantity, expected_notional, maker_rate, taker_rate)


def _stranger(state: State, account: Account | None, market_id: int) -> Reason | None:
    """Refuse what cannot even be kept in the history: nobody's order, or one for no market."""
    if account is None:
        return Reason.UNKNOWN_ACCOUNT
    if account.id in HOUSE_ACCOUNT_IDS:
        return Reason.HOUSE_ACCOUNT
    if market_id not in state.markets:
        return Reason.UNKNOWN_MARKET
    return None


def _refusal(
    state: State, account: Account, market: TradedMarket, order: LiveOrder, command: PlaceOrder
) -> Reason | None:
    """Every check before the book, in the order of cost. Sets `order.held` to what the order can cost."""
    reason = (
        (Reason.ACCOUNT_FROZEN if account.frozen else None)
        or _closed(state, market, order.post_only)
        or rules.shape_refusal(command)
    )
    if reason:
        return reason
    if order.price is not None:
        receiving = order.remaining if order.side == "buy" else _notional(market, order.price, order.remaining)
        reason = _grid_refusal(market, order.price, order.remaining) or _band_refusal(market, order.price)
        if not reason and order.time_in_force == "gtc":
            limits = state.limits_of(account)
            reason = checks.open_orders_refusal(account=account, limits=limits, market_id=market.id)
        cost = _resting_cost(market, order)
    else:
        reason = _market_filter_refusal(market, order)
        if reason:
            return reason
        expected = _preview(market, order, _trade_limit(state, market, order), order.quote_amount)
        notional = expected.notional // market.base.unit
        receiving = expected.quantity if order.side == "buy" else notional
        if order.quote_amount is None:
            reason = _notional_refusal(market, notional, expected.complete)
        cost = order.quote_amount or (notional if order.side == "buy" else order.remaining)
    return (
        reason
        or _position_refusal(state, account, market, order, receiving)
        or _balance_refusal(account, market, order, cost, already_held=0)
        or _crossing_refusal(market, order)
    )


def _closed(state: State, market: TradedMarket, post_only: bool) -> Reason | None:
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


def _grid_refusal(market: TradedMarket, price: int, quantity: int) -> Reason | None:
    """The filters of a limit order."""
    parameters = market.parameters
    return (
        rules.price_refusal(parameters, price)
        or rules.quantity_refusal(parameters, quantity)
        or rules.notional_refusal(parameters, price * quantity // market.base.unit)
    )


def _band_refusal(market: TradedMarket, price: int) -> Reason | None:
    band = market.band()
    if band is not None and not band[0] <= price <= band[1]:
        return Reason.PRICE_OUTSIDE_BAND
    return None


def _market_filter_refusal(market: TradedMarket, order: LiveOrder) -> Reason | None:
    """The filters of a market order: its quantity, or its amount and whether that buys a lot at all."""
    if order.quote_amount is None:
        return rules.quantity_refusal(market.parameters, order.remaining)
    if reason := rules.notional_refusal(market.parameters, order.quote_amount):
        return reason
    best = market.book.asks.best()
    lot_cost = 0 if best is None else _notional(market, best.price, market.parameters.lot_size)
    return Reason.QUANTITY_TOO_SMALL if order.quote_amount < lot_cost else None


def _notional_refusal(market: TradedMarket, notional: int, complete: bool) -> Reason | None:
    """The notional filter of a market order by quantity; too small only if it is not the book that runs out."""
    if complete and notional < market.parameters.min_notional:
        return Reason.NOTIONAL_TOO_SMALL
    return Reason.NOTIONAL_TOO_LARGE if notional > market.parameters.max_notional else None


def _position_refusal(
    state: State, account: Account, market: TradedMarket, order: LiveOrder, receiving: int
) -> Reason | None:
    """The maximum position in what the order would bring: all orders of the account still open count in full."""
    limits = state.limits_of(account)
    asset_id = _received(market, order)
    if asset_id not in limits.max_positions:
        return None
    incoming = sum(
        other.remaining if other.side == "buy" else _resting_notional(state, other)
        for other in state.account_orders.get(account.id, {}).values()
        if other is not order and _received(state.markets[other.market_id], other) == asset_id
    )
    return checks.position_refusal(
        account=account, limits=limits, asset_id=asset_id, incoming=incoming, receiving=receiving
    )


def _resting_notional(state: State, order: LiveOrder) -> int:
    return _notional(state.markets[order.market_id], order.price, order.remaining)


def _received(market: TradedMarket, order: LiveOrder) -> int:
    return market.base.id if order.side == "buy" else market.quote.id


def _resting_cost(market: TradedMarket, order: LiveOrder) -> int:
    """What an order at its limit price can cost: base units for a sell, quote units for a buy."""
    return order.remaining if order.side == "sell" else _notional(market, order.price, order.remaining)


def _balance_refusal(
    account: Account, market: TradedMarket, order: LiveOrder, cost: int, already_held: int
) -> Reason | None:
    """Set `order.held` to exactly what the order can cost, and refuse if the account does not have it available."""
    if cost - already_held > _paying(account, market, order).available:
        return Reason.INSUFFICIENT_BALANCE
    order.held = cost
    return None


def _crossing_refusal(market: TradedMarket, order: LiveOrder) -> Reason | None:
    """Refuse a post-only order that would trade at once."""
    return Reason.POST_ONLY_WOULD_TRADE if order.post_only and _crosses(market, order) else None


def _crosses(market: TradedMarket, order: LiveOrder) -> bool:
    best = market.book.opposite_of(order.side).best()
    if best is None:
        return False
    price = order.price
    return price is None or (best.price <= price if order.side == "buy" else best.price >= price)


def _notional(market: TradedMarket, price: int | None, quantity: int) -> int:
    assert price is not None
    return price * quantity // market.base.unit


def _paying(account: Account, market: TradedMarket, order: LiveOrder) -> Balance:
    """The balance the order is paid from."""
    return account.balance(market.quote.id if order.side == "buy" else market.base.id)


# ---------------------------------------------------------------------------------------------- match and settle


def _trade_limit(state: State, market: TradedMarket, order: LiveOrder, *, breaker: bool = True) -> int | None:
    """The worst price at which the order may trade now: its own, the band's and the breaker's. None: any price.

    When even the best price of the other side is not allowed, the limit is just short of it.
    """
    best = market.book.opposite_of(order.side).best()
    if best is None:
        return order.price
    limit = order.price
    buying = order.side == "buy"
    ranges = (market.band(), market.breaker_range(best.price, state.now) if breaker else None)
    for allowed in ranges:
        if allowed is None:
            continue
        lowest, highest = allowed
        if not lowest <= best.price <= highest:
            return best.price - 1 if buying else best.price + 1
        if buying:
            limit = highest if limit is None else min(limit, highest)
        else:
            limit = lowest if limit is None else max(limit, lowest)
    return limit


def _preview(market: TradedMarket, order: LiveOrder, limit: int | None, budget: int | None) -> engine.Preview:
    """What the order would trade up to `limit`; with `budget`, what that many quote units would buy."""
    if budget is None:
        return engine.preview(market.book, order, limit)
    return engine.preview_budget(market.book, order, limit, budget, market.base.unit, market.parameters.lot_size)


def _execute(state: State, account: Account, market: TradedMarket, order: LiveOrder, events: Events) -> None:
    """Match an order whose cost is held, settle its trades, and rest, end or cancel what remains of it."""
    if not _crosses(market, order):
        _finish(state, account, market, order, _leftover_reason(order))
        return
    limit = _trade_limit(state, market, order)
    if order.time_in_force == "fok" and not _preview(market, order, limit, order.quote_amount).complete:
        _finish(state, account, market, order, Reason.FILL_OR_KILL)
        return
    if order.quote_amount is None:
        outcome = engine.match(market.book, order, limit)
    else:
        outcome = engine.match_budget(
            market.book, order, limit, order.quote_amount, market.base.unit, market.parameters.lot_size
        )
    if outcome.fills:
        _settle(state, account, market, order, outcome.fills, events)
    for prevented in outcome.prevented:
        _settle_prevented(state, market, order, prevented, events)
    if outcome.taker_canceled:
        reason: Reason | None = Reason.SELF_TRADE_PREVENTED
    elif not order.remaining:
        reason = _shrunk_reason(order)
    else:
        reason = _stopped_by(state, market, order, limit, events)
    _finish(state, account, market, order, reason)


def _shrunk_reason(order: LiveOrder) -> Reason | None:
    """Why an order that has nothing left is not filled all the same; None: it is filled."""
    if not order.filled_quantity:
        return Reason.NO_LIQUIDITY
    if order.quantity is not None and order.filled_quantity < order.quantity:
        return Reason.SELF_TRADE_PREVENTED
    return None


def _leftover_reason(order: LiveOrder) -> Reason | None:
    """Why what the book could not fill is canceled; None: it rests."""
    if order.order_type == "market":
        return Reason.NO_LIQUIDITY
    if order.time_in_force == "fok":
        return Reason.FILL_OR_KILL
    return Reason.IMMEDIATE_OR_CANCEL if order.time_in_force == "ioc" else None


def _stopped_by(
    state: State, market: TradedMarket, order: LiveOrder, limit: int | None, events: Events
) -> Reason | None:
    """Why matching stopped before the order was filled; trips the breaker if that is why. None: the rest rests."""
    if limit == order.price:
        return _leftover_reason(order)
    budget = None if order.quote_amount is None else order.remaining
    if _preview(market, order, _trade_limit(state, market, order, breaker=False), budget).quantity:
        best = market.book.opposite_of(order.side).best()
        assert best is not None
        events += market.trip(best.price, state.now)
        return Reason.CIRCUIT_BREAKER
    if _preview(market, order, order.price, budget).quantity:
        return Reason.PRICE_BAND
    return _leftover_reason(order)


def _finish(state: State, account: Account, market: TradedMarket, order: LiveOrder, reason: Reason | None) -> None:
    """Give the order the status it has earned, release what it no longer needs, and rest it if it is to rest."""
    if order.quote_amount is not None:
        order.remaining = 0
    paying = _paying(account, market, order)
    if reason is not None:
        order.become("canceled", reason)
        needed = 0
    elif order.remaining:
        order.become("open")
        needed = _resting_cost(market, order)
    else:
        order.become("filled")
        needed = 0
    if order.held > needed:
        state.ledger.release(paying, order.held - needed)
        order.held = needed
    if order.status == "open":
        market.book.add(order)
        state.rest(order)


def _settle(
    state: State, account: Account, market: TradedMarket, taker: LiveOrder, fills: list[engine.Fill], events: Events
) -> None:
    """Move the money of every trade at the maker's price, with the fees, and count the volume."""
    ledger = state.ledger
    now = state.now
    base_id, quote_id, base_unit = market.base.id, market.quote.id, market.base.unit
    fees_base = state.accounts[FEES_ACCOUNT_ID].balance(base_id)
    fees_quote = state.accounts[FEES_ACCOUNT_ID].balance(quote_id)
    taker_base, taker_quote = account.balance(base_id), account.balance(quote_id)
    buying = taker.side == "buy"
    volumes: dict[int, int] = {}
    total = 0
    price = 0
    for fill in fills:
        maker: LiveOrder = fill.maker  # type: ignore[assignment]
        quantity = fill.quantity
        assert maker.price is not None
        price = maker.price
        notional = price * quantity // base_unit
        maker_account = state.accounts[maker.account_id]
        maker_base, maker_quote = maker_account.balance(base_id), maker_account.balance(quote_id)
        state.trade_id += 1
        trade_id = state.trade_id
        if buying:
            maker_fee, taker_fee = fee_of(notional, maker.maker_rate), fee_of(quantity, taker.taker_rate)
            ledger.pay_held(maker_base, taker_base, quantity, "trade", trade_id)
            ledger.pay_held(taker_quote, maker_quote, notional, "trade", trade_id)
            ledger.pay(taker_base, fees_base, taker_fee, "fee", trade_id)
            ledger.pay(maker_quote, fees_quote, maker_fee, "fee", trade_id)
            taker.held -= notional
            maker.held -= quantity
        else:
            maker_fee, taker_fee = fee_of(quantity, maker.maker_rate), fee_of(notional, taker.taker_rate)
            ledger.pay_held(taker_base, maker_base, quantity, "trade", trade_id)
            ledger.pay_held(maker_quote, taker_quote, notional, "trade", trade_id)
            ledger.pay(taker_quote, fees_quote, taker_fee, "fee", trade_id)
            ledger.pay(maker_base, fees_base, maker_fee, "fee", trade_id)
            taker.held -= quantity
            maker.held -= notional
        taker.filled_quantity += quantity
        taker.filled_notional += notional
        maker.filled_quantity += quantity
        maker.filled_notional += notional
        events.append(
            TradeExecuted(
                trade_id, state.sequence, market.id, price, quantity, notional, taker.side, maker.id, taker.id,
                maker.account_id, taker.account_id, maker_fee, taker_fee, now,
            )
        )  # fmt: skip
        if maker.remaining == 0:
            maker.become("filled")
            state.unrest(maker)
        events.append(maker.update(now))
        total += notional
        volumes[maker.account_id] = volumes.get(maker.account_id, 0) + notional
        market.breaker.record(price, now)
    market.last_price = price
    volumes[taker.account_id] = volumes.get(taker.account_id, 0) + total
    _count_volumes(state, market, volumes, events)


def _count_volumes(state: State, market: TradedMarket, notionals: dict[int, int], events: Events) -> None:
    """Add traded notionals to the accounts' 30-day volumes; an account that reaches another tier gets its rates."""
    if state.schedule.valuation_asset_id is None:
        return
    day = state.day
    for account_id, notional in notionals.items():
        volume = state.valued(market.quote, notional)
        if not volume:
            continue
        before = state.schedule.tier_of(state.volumes.total(account_id, day))
        events.append(VolumeChanged(account_id, day, state.volumes.add(account_id, day, volume)))
        if state.schedule.tier_of(state.volumes.total(account_id, day)) != before:
            state.accounts[account_id].rates.clear()


def _settle_prevented(
    state: State, market: TradedMarket, taker: LiveOrder, prevented: engine.Prevented, events: Events
) -> None:
    """Report a prevented self-trade on both orders, and give the maker back what it no longer holds for."""
    maker: LiveOrder = prevented.maker  # type: ignore[assignment]
    taker.prevented_quantity += prevented.quantity
    maker.prevented_quantity += prevented.quantity
    if prevented.maker_canceled:
        maker.become("canceled", Reason.SELF_TRADE_PREVENTED)
        state.unrest(maker)
    needed = 0
    if maker.status == "open":
        needed = _resting_cost(market, maker)
    if maker.held > needed:
        state.ledger.release(_paying(state.accounts[maker.account_id], market, maker), maker.held - needed)
        maker.held = needed
    events.append(maker.update(state.now))


# ---------------------------------------------------------------------------------------------- amend


def amend_order(state: State, command: AmendOrder) -> Events:
    """Change price or total quantity. A smaller quantity alone keeps the place in the queue, all else goes to its end."""
    account = state.accounts.get(command.account_id)
    if account is None:
        return [CommandRefused(Reason.UNKNOWN_ACCOUNT)]
    limits = state.limits_of(account)
    if reason := checks.count_order(account=account, limits=limits, now=state.now):
        return [CommandRefused(reason)]
    order = state.find_order(command.account_id, command.order_id, command.client_order_id)
    if order is None:
        return [CommandRefused(Reason.UNKNOWN_ORDER)]
    assert order.price is not None
    assert order.quantity is not None
    price = order.price if command.price is None else command.price
    quantity = order.quantity if command.quantity is None else command.quantity
    market = state.markets[order.market_id]
    keeps_place = price == order.price and quantity <= order.quantity
    before = (order.price, order.quantity, order.remaining, order.held)
    if reason := _amend_refusal(state, account, market, order, command, price, quantity, keeps_place):
        order.price, order.quantity, order.remaining, order.held = before
        return [CommandRefused(reason)]
    # After this point the amend must succeed.
    order.price, order.quantity, remaining, held = before[0], before[1], order.remaining, order.held
    order.remaining, order.held = before[2], before[3]
    events: Events = []
    paying = _paying(account, market, order)
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
        order.price, order.quantity, order.remaining, order.held = price, quantity, remaining, held
        order.priority = state.sequence
        _execute(state, account, market, order, events)
    events.append(order.update(state.now))
    return events


def _amend_refusal(
    state: State,
    account: Account,
    market: TradedMarket,
    order: LiveOrder,
    command: AmendOrder,
    price: int,
    quantity: int,
    keeps_place: bool,
) -> Reason | None:
    """Every check of an amend, made on the order as it would be; the caller puts the old values back."""
    if command.price is None and command.quantity is None:
        return Reason.AMEND_WITHOUT_CHANGE
    if account.frozen:
        return Reason.ACCOUNT_FROZEN
    if reason := _closed(state, market, order.post_only):
        return reason
    assert order.quantity is not None
    done = order.quantity - order.remaining
    if quantity <= done:
        return Reason.QUANTITY_BELOW_FILLED
    already_held = order.held
    same_price = price == order.price
    order.price, order.quantity, order.remaining = price, quantity, quantity - done
    receiving = order.remaining if order.side == "buy" else _notional(market, price, order.remaining)
    return (
        _grid_refusal(market, price, quantity)
        or (None if same_price else _band_refusal(market, price))
        or (None if keeps_place else _position_refusal(state, account, market, order, receiving))
        or _balance_refusal(account, market, order, _resting_cost(market, order), already_held)
        or _crossing_refusal(market, order)
    )


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
    state.ledger.release(_paying(state.accounts[order.account_id], market, order), order.held)
    order.held = 0
    order.become("canceled", reason)
    events.append(order.update(state.now))
