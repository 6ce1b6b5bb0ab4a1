"""What the fee books need of the journal's steps, gathered: a pure part of the consumer.

Rates change with a command (from the next one on) and at midnight UTC, when a day falls out of the 30 of an account's
volume: that is seen at the new day's first command, or a little after midnight while nothing happens.
"""

from collections import defaultdict
from collections.abc import Iterable

from fees.books import AccountTiers, ExceptionChange, MarketScales, Tally, TierChange, TierReason
from fees.schedule import MICROSECONDS_PER_DAY
from matching.engine.messages import (
    AccountOpened,
    AnyEvent,
    EntryPosted,
    FeeOverrideChanged,
    FeeTiersChanged,
    TradeExecuted,
    VolumeChanged,
)
from matching.state import State

MIDNIGHT_GRACE = 60_000_000
"""Microseconds after midnight until nobody can come any more whose command was received before."""


class Counting:
    """What was found since the last `clear`. Trades are in `tally` once somebody knows the terms of their orders.

    `known_tiers`: account -> tier, maker_rate and taker_rate, as the history has them.
    """

    def __init__(self, known_tiers: dict[int, tuple[int, int, int]]) -> None:
        self.tally = Tally()
        self.trades: list[TradeExecuted] = []
        self.tier_changes: list[TierChange] = []
        self.exceptions: list[ExceptionChange] = []
        self.assets: dict[int, int] = {}
        self.markets: dict[int, MarketScales] = {}
        self._tiers = AccountTiers(known_tiers)
        self._day: int | None = None

    def clear(self) -> None:
        """All of it was written down."""
        self.tally.clear()
        self.trades.clear()
        self.tier_changes.clear()
        self.exceptions.clear()

    def observe(self, sequence: int, received_at: int, events: list[AnyEvent], state: State) -> None:
        """Count what a command caused, and see whose rates it changes; `state` is as after it."""
        self._learn(state)
        day = received_at // MICROSECONDS_PER_DAY
        opened: list[int] = []
        traders: list[int] = []
        trades: list[TradeExecuted] = []
        new_table = False
        for event in events:
            if isinstance(event, EntryPosted):
                self.tally.add_entry(event, day)
            elif isinstance(event, TradeExecuted):
                trades.append(event)
            elif isinstance(event, VolumeChanged):
                traders.append(event.account_id)
            elif isinstance(event, AccountOpened):
                opened.append(event.account_id)
            elif isinstance(event, FeeTiersChanged):
                new_table = True
            elif isinstance(event, FeeOverrideChanged):
                target = (event.account_id, event.market_id, event.maker_rate, event.taker_rate)
                self.exceptions.append(ExceptionChange(*target, "override", sequence + 1, received_at))
        self.trades += trades
        if day != self._day and not new_table:
            self._midnight(day, state, sequence, _volumes_of(trades, state))
        self._day = day
        self._change(opened, state, "opened", sequence + 1, received_at)
        self._change(traders, state, "volume", sequence + 1, received_at)
        if new_table:
            self._change(list(self._tiers.known), state, "tier_table", sequence + 1, received_at)

    def tick(self, now: int, state: State) -> None:
        """A midnight may have passed without a command. `now`: microseconds of the clock."""
        self._learn(state)
        day, since_midnight = divmod(now, MICROSECONDS_PER_DAY)
        if day != self._day and day > state.day and since_midnight >= MIDNIGHT_GRACE:
            self._midnight(day, state, state.sequence + 1, {})
            self._day = day

    def _learn(self, state: State) -> None:
        """The scales of assets and markets, which never change."""
        if len(self.assets) != len(state.assets):
            self.assets = {asset.id: asset.scale for asset in state.assets.values()}
        if len(self.markets) != len(state.markets):
            self.markets = {
                market.id: MarketScales(market.base.id, market.quote.id, market.base.scale, market.quote.scale)
                for market in state.markets.values()
            }

    def _midnight(self, day: int, state: State, sequence: int, traded: dict[int, int]) -> None:
        """Who has another tier on `day`, as of before the volumes `traded` by the command at hand."""
        totals: dict[int, int] = defaultdict(int)
        for account_id, _, volume in state.volumes.each(day):
            totals[account_id] += volume
        for account_id, volume in traded.items():
            totals[account_id] -= volume
        risen = {account_id for account_id, known in self._tiers.known.items() if known[0]}
        for account_id in sorted(totals.keys() | risen):
            volume = totals.get(account_id, 0)
            self._change_one(account_id, volume, state, "nightly", sequence, day * MICROSECONDS_PER_DAY)

    def _change(self, account_ids: Iterable[int], state: State, reason: TierReason, sequence: int, since: int) -> None:
        for account_id in account_ids:
            volume = state.volumes.total(account_id, state.day)
            self._change_one(account_id, volume, state, reason, sequence, since)

    def _change_one(
        self, account_id: int, volume: int, state: State, reason: TierReason, sequence: int, since: int
    ) -> None:
        self.tier_changes += self._tiers.change(
            account_id, volume, state.schedule, reason=reason, sequence=sequence, since=since
        )


def _volumes_of(trades: list[TradeExecuted], state: State) -> dict[int, int]:
    """What a command's trades added to the volumes of accounts, as it was counted (matching/settlement.py)."""
    notionals: dict[int, int] = defaultdict(int)
    for trade in trades:
        notionals[trade.maker_account_id] += trade.notional
        notionals[trade.taker_account_id] += trade.notional
    if not trades:
        return {}
    quote = state.markets[trades[0].market_id].quote
    return {account_id: state.valued(quote, notional) for account_id, notional in notionals.items()}
