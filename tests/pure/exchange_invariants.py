"""What must hold for the exchange after every command, checked the slow way, and events folded into plain dicts.

`check_state` looks at a state alone; `Fold` follows the events from a snapshot on and must then say what a fresh
snapshot says; `check_refusal` sees that a refused command has changed nothing.
"""

from collections import defaultdict
from fractions import Fraction
from typing import Any

import msgspec

from matching import snapshot
from matching.engine import messages
from matching.engine.messages import HOUSE_ACCOUNT_IDS, AnyEvent, OrderState, OrderUpdated
from matching.snapshot import Snapshot
from matching.state import State
from tests.pure.invariants import check_book


def check_state(state: State) -> None:
    """Fail if money, holds, counters or books of the exchange contradict each other."""
    held: dict[tuple[int, int], int] = defaultdict(int)
    counts: dict[tuple[int, int], int] = defaultdict(int)
    for market in state.markets.values():
        check_book(market.book)
        for side in (market.book.bids, market.book.asks):
            for level in side.levels.values():
                priorities = [order.priority for order in level]  # type: ignore[attr-defined]
                assert priorities == sorted(set(priorities)), "a queue is out of order"
        for order in market.book.orders.values():
            assert state.orders[order.id] is order
            assert state.account_orders[order.account_id][order.id] is order
            _check_order(order, market.base.unit)
            paid_in = market.quote.id if order.side == "buy" else market.base.id
            held[order.account_id, paid_in] += order.held
            counts[order.account_id, market.id] += 1
    assert len(state.orders) == sum(counts.values()) == sum(len(orders) for orders in state.account_orders.values())
    for withdrawal in state.withdrawals.values():
        assert withdrawal.status == "pending"
        held[withdrawal.account_id, withdrawal.asset_id] += withdrawal.amount
    sums: dict[int, int] = defaultdict(int)
    for account in state.accounts.values():
        for market_id, count in account.open_orders.items():
            assert count == counts[account.id, market_id], "open orders are miscounted"
        for asset_id, balance in account.balances.items():
            assert balance.held == held.pop((account.id, asset_id), 0), "held is not what orders and withdrawals hold"
            assert balance.held >= 0
            assert balance.available >= 0 or account.id in HOUSE_ACCOUNT_IDS, "an account owes money"
            sums[asset_id] += balance.available + balance.held
    assert not any(held.values()), "an order holds for a balance that does not exist"
    assert not any(sums.values()), "money appeared or vanished"


def _check_order(order: Any, base_unit: int) -> None:
    cost = Fraction(order.price * order.remaining, base_unit) if order.side == "buy" else order.remaining
    assert order.held == cost, "an order does not hold exactly what it can cost"
    assert order.status == "open"
    assert order.order_type == "limit"
    assert order.time_in_force == "gtc"
    assert order.filled_quantity + order.remaining <= order.quantity
    assert 0 <= order.filled_quantity < order.quantity


def check_events(events: list[AnyEvent], state: State) -> None:
    """Fail if the entries of a command do not balance, or an order among its events has more than it asked for."""
    sums: dict[int, int] = defaultdict(int)
    for event in events:
        match event:
            case messages.EntryPosted():
                assert event.amount != 0
                assert (event.sequence, event.posted_at) == (state.sequence, state.now)
                sums[event.asset_id] += event.amount
            case messages.OrderPlaced() | messages.OrderRejected():
                order = event.order
                assert order.quantity is None or order.filled_quantity + order.remaining <= order.quantity
                assert order.quote_amount is None or order.filled_notional <= order.quote_amount
                assert order.status == "open" or order.held == 0
                assert (order.status == "rejected") == isinstance(event, messages.OrderRejected)
            case messages.TradeExecuted():
                assert event.maker_account_id != event.taker_account_id
                assert event.quantity > 0
    assert not any(sums.values()), "the entries of a command do not sum to zero"


def check_refusal(before: Snapshot, after: Snapshot) -> None:
    """Fail if a refused command changed more than the sequence, the time and the count of orders within the second."""
    changed = {"sequence": 0, "now": 0, "placed": {}, "breaker_points": {}, "volumes": []}
    assert msgspec.structs.replace(before, **changed) == msgspec.structs.replace(after, **changed)


class Fold:
    """A snapshot kept up to date by events alone."""

    def __init__(self, start: Snapshot) -> None:
        self.assets = {event.asset_id: event for event in start.assets}
        self.markets = {event.market_id: event for event in start.markets}
        self.accounts = {event.account_id: event for event in start.accounts}
        self.frozen = set(start.frozen)
        self.balances = {(event.account_id, event.asset_id): event for event in start.balances}
        self.limits = {event.account_id: event for event in start.limits}
        self.fee_tiers = start.fee_tiers
        self.overrides = {(event.account_id, event.market_id): event for event in start.fee_overrides}
        self.volumes = {(event.account_id, event.day): event for event in start.volumes}
        self.withdrawals = {event.id: event for event in start.withdrawals}
        self.orders: dict[int, OrderState] = {order.id: order for order in start.orders}
        self.halted = start.halted
        self.trade_id = start.trade_id
        self.entry_id = start.entry_id
        self.last_prices = dict(start.last_prices)

    def take(self, event: AnyEvent) -> None:
        """Follow one event."""
        match event:
            case messages.OrderPlaced(order=order):
                self.orders[order.id] = order
                self._drop_ended(order.id)
            case OrderUpdated():
                fields = {name: getattr(event, name) for name in OrderUpdated.__struct_fields__}
                moved_from = fields.pop("previous_price")
                before = self.orders[event.id].price
                assert moved_from == (before if before != event.price else None)
                self.orders[event.id] = msgspec.structs.replace(self.orders[event.id], **fields)
                self._drop_ended(event.id)
            case messages.TradeExecuted():
                assert event.id == self.trade_id + 1
                self.trade_id = event.id
                self.last_prices[event.market_id] = event.price
            case messages.EntryPosted():
                assert event.id == self.entry_id + 1
                self.entry_id = event.id
            case messages.BalanceChanged():
                self.balances[event.account_id, event.asset_id] = event
            case messages.AccountOpened():
                self.accounts[event.account_id] = event
            case messages.WithdrawalChanged():
                self.withdrawals[event.id] = event
                if event.status != "pending":
                    del self.withdrawals[event.id]
            case messages.AssetCreated():
                self.assets[event.asset_id] = event
            case messages.MarketChanged():
                self.markets[event.market_id] = event
            case messages.ExchangeStateChanged():
                self.halted = event.halted
            case messages.AccountFrozen():
                (self.frozen.add if event.frozen else self.frozen.discard)(event.account_id)
            case messages.LimitsChanged():
                self.limits[event.account_id] = event
                if event.limits is None:
                    del self.limits[event.account_id]
            case messages.FeeTiersChanged():
                self.fee_tiers = event
            case messages.FeeOverrideChanged():
                self.overrides[event.account_id, event.market_id] = event
                if event.maker_rate is None:
                    del self.overrides[event.account_id, event.market_id]
            case messages.VolumeChanged():
                self.volumes[event.account_id, event.day] = event

    def _drop_ended(self, order_id: int) -> None:
        if self.orders[order_id].status != "open":
            del self.orders[order_id]

    def check(self, state: State) -> None:
        """Fail unless a fresh snapshot of `state` says what the events have told."""
        fresh = snapshot.take(state)
        assert list(self.assets.values()) == fresh.assets
        assert list(self.markets.values()) == fresh.markets
        assert list(self.accounts.values()) == fresh.accounts
        assert sorted(self.frozen) == fresh.frozen
        balances = sorted((key, event) for key, event in self.balances.items() if event.available or event.held)
        assert [event for _, event in balances] == fresh.balances
        limits = sorted((key or 0, event) for key, event in self.limits.items())
        assert [event for _, event in limits] == fresh.limits
        assert self.fee_tiers == fresh.fee_tiers
        overrides = sorted(((key[0] or 0, key[1] or 0), event) for key, event in self.overrides.items())
        assert [event for _, event in overrides] == fresh.fee_overrides
        volumes = sorted((key, event) for key, event in self.volumes.items() if key[1] > state.day - 30)
        assert [event for _, event in volumes] == fresh.volumes
        assert sorted(self.withdrawals.items()) == [(event.id, event) for event in fresh.withdrawals]
        assert (self.halted, self.trade_id, self.entry_id) == (fresh.halted, fresh.trade_id, fresh.entry_id)
        assert self.last_prices == fresh.last_prices
        told = {key: msgspec.structs.replace(order, updated_at=0) for key, order in self.orders.items()}
        assert told == {order.id: msgspec.structs.replace(order, updated_at=0) for order in fresh.orders}
