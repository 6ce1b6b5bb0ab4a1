"""What a match means in money: every trade settled at the maker's price with its fees, prevented self-trades released.

The engine has changed the book already; here the holds are captured, the orders' sums and the makers' ends written,
the volumes counted and the events made.
"""

from fees.schedule import fee_of
from matching.engine import engine
from matching.engine.messages import FEES_ACCOUNT_ID, AnyEvent, Reason, TradeExecuted, VolumeChanged
from matching.order_checks import paying_balance, resting_cost
from matching.state import State, TradedMarket
from orders.rules import LiveOrder
from risk.ledger import Account

Events = list[AnyEvent]


def settle(
    state: State, account: Account, market: TradedMarket, taker: LiveOrder, outcome: engine.Outcome, events: Events
) -> None:
    """Settle what the engine did with `taker`, an order of `account`: its trades, then the self-trades it prevented."""
    if outcome.fills:
        _settle_trades(state, account, market, taker, outcome.fills, events)
    for prevented in outcome.prevented:
        _settle_prevented(state, market, taker, prevented, events)


def end_if_empty(state: State, order: LiveOrder) -> None:
    """End a maker of which nothing remains. One that self-trade prevention made smaller has not been filled."""
    if order.remaining:
        return
    if order.filled_quantity == order.quantity:
        order.become("filled")
    else:
        order.become("canceled", Reason.SELF_TRADE_PREVENTED)
    state.unrest(order)


def _settle_trades(
    state: State, account: Account, market: TradedMarket, taker: LiveOrder, fills: list[engine.Fill], events: Events
) -> None:
    """Move the money of every trade at the maker's price, with the fees, and count the volume."""
    ledger = state.ledger
    pay, pay_held = ledger.pay, ledger.pay_held
    now = state.now
    base_id, quote_id, base_unit = market.base.id, market.quote.id, market.base.unit
    house = state.accounts[FEES_ACCOUNT_ID]
    fees_base, fees_quote = house.balance(base_id), house.balance(quote_id)
    taker_base, taker_quote = account.balance(base_id), account.balance(quote_id)
    buying = taker.side == "buy"
    taker_rate = taker.taker_rate
    notionals: dict[int, int] = {}
    total = 0
    trade_id = state.trade_id
    for fill in fills:
        maker: LiveOrder = fill.maker  # type: ignore[assignment]
        quantity, price = fill.quantity, maker.price
        assert price is not None
        notional = price * quantity // base_unit
        maker_account = state.accounts[maker.account_id]
        maker_base, maker_quote = maker_account.balance(base_id), maker_account.balance(quote_id)
        trade_id += 1
        if buying:
            maker_fee, taker_fee = fee_of(notional, maker.maker_rate), fee_of(quantity, taker_rate)
            pay_held(maker_base, taker_base, quantity, "trade", trade_id)
            pay_held(taker_quote, maker_quote, notional, "trade", trade_id)
            pay(taker_base, fees_base, taker_fee, "fee", trade_id)
            pay(maker_quote, fees_quote, maker_fee, "fee", trade_id)
            taker.held -= notional
            maker.held -= quantity
        else:
            maker_fee, taker_fee = fee_of(quantity, maker.maker_rate), fee_of(notional, taker_rate)
            pay_held(taker_base, maker_base, quantity, "trade", trade_id)
            pay_held(maker_quote, taker_quote, notional, "trade", trade_id)
            pay(taker_quote, fees_quote, taker_fee, "fee", trade_id)
            pay(maker_base, fees_base, maker_fee, "fee", trade_id)
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
        end_if_empty(state, maker)
        events.append(maker.update(now))
        total += notional
        notionals[maker.account_id] = notionals.get(maker.account_id, 0) + notional
    state.trade_id = trade_id
    first, last = fills[0].maker.price, fills[-1].maker.price
    assert first is not None
    assert last is not None
    market.record(first, last, now)
    notionals[taker.account_id] = total
    _count_volumes(state, market, notionals, events)


def _count_volumes(state: State, market: TradedMarket, notionals: dict[int, int], events: Events) -> None:
    """Add traded notionals to the accounts' 30-day volumes; an account that reaches another tier gets its rates."""
    schedule = state.schedule
    if schedule.valuation_asset_id is None:
        return
    day = state.day
    for account_id, notional in notionals.items():
        volume = state.valued(market.quote, notional)
        if not volume:
            continue
        before = schedule.tier_of(state.volumes.total(account_id, day))
        events.append(VolumeChanged(account_id, day, state.volumes.add(account_id, day, volume)))
        if schedule.tier_of(state.volumes.total(account_id, day)) != before:
            state.accounts[account_id].rates.clear()


def _settle_prevented(
    state: State, market: TradedMarket, taker: LiveOrder, prevented: engine.Prevented, events: Events
) -> None:
    """Report a prevented self-trade on both orders, and give the maker back what it no longer holds for."""
    maker = prevented.maker
    assert isinstance(maker, LiveOrder)
    taker.prevented_quantity += prevented.quantity
    maker.prevented_quantity += prevented.quantity
    needed = 0
    if prevented.maker_canceled:
        maker.become("canceled", Reason.SELF_TRADE_PREVENTED)
        state.unrest(maker)
    else:
        needed = resting_cost(market, maker)
    if maker.held > needed:
        state.ledger.release(paying_balance(state.accounts[maker.account_id], market, maker.side), maker.held - needed)
        maker.held = needed
    events.append(maker.update(state.now))
