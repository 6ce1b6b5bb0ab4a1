"""The whole state of the exchange as plain messages: what the database holds at a batch boundary.

`take` and `restore` are inverse: a restored state answers every further command exactly as the original would. The
worker restores what the database gives; `prove` compares what a replay takes with it, part by part.
"""

import msgspec

from matching.engine.messages import (
    HOUSE_ACCOUNT_IDS,
    AccountOpened,
    AssetCreated,
    BalanceChanged,
    FeeOverrideChanged,
    FeeTiersChanged,
    LimitsChanged,
    MarketChanged,
    OrderState,
    VolumeChanged,
    WithdrawalChanged,
)
from matching.state import Asset, State, TradedMarket
from orders.rules import LiveOrder
from risk.breakers import SECOND
from risk.ledger import Account


class Snapshot(msgspec.Struct, frozen=True):
    """Everything but the history. `last_prices` and `breaker_points` are by market; `placed`: account -> orders placed
    or amended within the second of `now`. Open orders come in book order: market, side, price, priority.
    """

    sequence: int
    now: int
    trade_id: int
    entry_id: int
    halted: bool
    halt_note: str
    assets: list[AssetCreated]
    markets: list[MarketChanged]
    last_prices: dict[int, int]
    breaker_points: dict[int, list[tuple[int, int]]]
    accounts: list[AccountOpened]
    frozen: list[int]
    balances: list[BalanceChanged]
    limits: list[LimitsChanged]
    fee_tiers: FeeTiersChanged
    fee_overrides: list[FeeOverrideChanged]
    volumes: list[VolumeChanged]
    withdrawals: list[WithdrawalChanged]
    placed: dict[int, int]
    orders: list[OrderState]


def take(state: State) -> Snapshot:
    """The state as messages. An order's `updated_at` is not part of the live state; it is given as its creation."""
    users = [account for account in state.accounts.values() if account.id not in HOUSE_ACCOUNT_IDS]
    schedule = state.schedule
    return Snapshot(
        sequence=state.sequence,
        now=state.now,
        trade_id=state.trade_id,
        entry_id=state.ledger.entry_id,
        halted=state.halted,
        halt_note=state.halt_note,
        assets=[AssetCreated(asset.id, asset.symbol, asset.name, asset.scale) for asset in state.assets.values()],
        markets=[market.changed() for market in state.markets.values()],
        last_prices={m.id: m.last_price for m in state.markets.values() if m.last_price is not None},
        breaker_points={
            market.id: points
            for market in state.markets.values()
            if (points := market.breaker.points(state.now, market.parameters.breaker_window))
        },
        accounts=[AccountOpened(account.id, account.owner, account.name, account.opened_at) for account in users],
        frozen=[account.id for account in users if account.frozen],
        balances=[
            BalanceChanged(account.id, asset_id, balance.available, balance.held)
            for account in state.accounts.values()
            for asset_id, balance in sorted(account.balances.items())
            if balance.available or balance.held
        ],
        limits=[
            LimitsChanged(None, state.limits),
            *(LimitsChanged(account.id, account.limits) for account in users if account.limits is not None),
        ],
        fee_tiers=FeeTiersChanged(schedule.tiers, schedule.valuation_asset_id),
        fee_overrides=[
            FeeOverrideChanged(account_id, market_id, *rates)
            for (account_id, market_id), rates in sorted(
                schedule.overrides.items(), key=lambda item: tuple(part or 0 for part in item[0])
            )
        ],
        volumes=[VolumeChanged(*volume) for volume in state.volumes.each(state.day)],
        withdrawals=list(state.withdrawals.values()),
        placed=dict(state.placed) if state.placed_second == state.now // SECOND else {},
        orders=[order.state(order.created_at) for order in orders_in_book_order(state)],
    )


def orders_in_book_order(state: State) -> list[LiveOrder]:
    """Every open order, market by market, bids then asks, by price and then by place in the queue."""
    found: list[LiveOrder] = []
    for market in state.markets.values():
        for side in (market.book.bids, market.book.asks):
            for key in sorted(side.levels, key=abs):
                found += side.levels[key]  # type: ignore[arg-type]
    return found


def restore(snapshot: Snapshot) -> State:
    """The state that `take` gave `snapshot` for. Client order ids of ended orders are not part of it."""
    state = State()
    state.sequence = snapshot.sequence
    state.now = snapshot.now
    state.trade_id = snapshot.trade_id
    state.ledger.entry_id = snapshot.entry_id
    state.halted = snapshot.halted
    state.halt_note = snapshot.halt_note
    for asset in snapshot.assets:
        state.assets[asset.asset_id] = Asset.of_scale(asset.asset_id, asset.symbol, asset.name, asset.scale)
    for changed in snapshot.markets:
        state.markets[changed.market_id] = _restored_market(state, changed, snapshot)
    _restore_accounts(state, snapshot)
    state.placed, state.placed_second = dict(snapshot.placed), snapshot.now // SECOND
    state.schedule.tiers = snapshot.fee_tiers.tiers
    state.schedule.valuation_asset_id = snapshot.fee_tiers.valuation_asset_id
    for override in snapshot.fee_overrides:
        assert override.maker_rate is not None
        assert override.taker_rate is not None
        state.schedule.overrides[override.account_id, override.market_id] = override.maker_rate, override.taker_rate
    for volume in snapshot.volumes:
        state.volumes.add(volume.account_id, volume.day, volume.volume)
    state.withdrawals = {withdrawal.id: withdrawal for withdrawal in snapshot.withdrawals}
    for order_state in snapshot.orders:
        order = LiveOrder.restored(order_state, state.accounts[order_state.account_id].owner)
        state.markets[order.market_id].book.add(order)
        state.rest(order)
        if order.client_order_id is not None:
            state.client_orders[order.account_id, order.client_order_id] = (order.id, order.request_digest)
    return state


def _restored_market(state: State, changed: MarketChanged, snapshot: Snapshot) -> TradedMarket:
    base, quote = state.assets[changed.base_asset_id], state.assets[changed.quote_asset_id]
    market = TradedMarket(changed.market_id, changed.symbol, base, quote, changed.parameters, snapshot.now)
    market.state = changed.state
    market.note = changed.note
    market.reopens_at = changed.reopens_at
    market.breaker_since = changed.breaker_since
    market.changed_at = changed.changed_at
    market.last_price = snapshot.last_prices.get(market.id)
    for second, price in snapshot.breaker_points.get(market.id, ()):
        market.breaker.record(price, second * SECOND, market.parameters.breaker_window)
    return market


def _restore_accounts(state: State, snapshot: Snapshot) -> None:
    for opened in snapshot.accounts:
        account = Account(opened.account_id, opened.user_id, opened.name, opened.opened_at)
        state.open_account(account)
    for account_id in snapshot.frozen:
        state.accounts[account_id].frozen = True
    for changed in snapshot.balances:
        balance = state.accounts[changed.account_id].balance(changed.asset_id)
        balance.available, balance.held = changed.available, changed.held
    for limits in snapshot.limits:
        if limits.account_id is None:
            assert limits.limits is not None
            state.limits = limits.limits
        else:
            state.accounts[limits.account_id].limits = limits.limits
