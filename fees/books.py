"""What the fee books count, as pure sums: fees by day, what accounts traded, ledger entries, and who pays which rates.

Amounts are integers in units. A fee's value is what it is worth in the market's quote asset at the price of its own
trade, in 10^-18 of a whole one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from fees.schedule import Schedule
from matching.engine.messages import (
    EXTERNAL_ACCOUNT_ID,
    FEES_ACCOUNT_ID,
    EntryPosted,
    TradeExecuted,
)

VALUE_DECIMALS = 18

Role = Literal["maker", "taker"]
AccountClass = Literal["users", "fees", "external"]
ROLES: tuple[Role, Role] = ("maker", "taker")


class MarketScales(NamedTuple):
    """A market's assets and their scales."""

    base_id: int
    quote_id: int
    base_scale: int
    quote_scale: int


class OrderTerms(NamedTuple):
    """The rates (millionths) that an order got when it was placed, and the tier they are of; None: an exception."""

    maker_rate: int
    taker_rate: int
    tier: int | None


class FeeKey(NamedTuple):
    """What fees are summed by; `day` counts UTC days since 1970."""

    day: int
    market_id: int
    role: Role
    asset_id: int
    tier: int | None
    rate: int


@dataclass(slots=True)
class FeeSums:
    """`fees` in units of the key's asset, `value` in 10^-18 quote, `notional` in quote units."""

    fees: int = 0
    value: int = 0
    notional: int = 0
    trades: int = 0


class AccountKey(NamedTuple):
    """What an account's trading is summed by."""

    account_id: int
    day: int
    market_id: int


@dataclass(slots=True)
class AccountSums:
    """Notionals in quote units, fees in units of their asset, `value` of all fees in 10^-18 quote."""

    maker_notional: int = 0
    taker_notional: int = 0
    base_fees: int = 0
    quote_fees: int = 0
    value: int = 0
    trades: int = 0


class LedgerKey(NamedTuple):
    """What entries are summed by."""

    day: int
    account_class: AccountClass
    asset_id: int
    entry_type: str


@dataclass(slots=True)
class LedgerSums:
    """In units of the key's asset, both positive; balance = credits - debits."""

    debits: int = 0
    credits: int = 0
    entries: int = 0


class Tally:
    """Sums of trades and entries since the last `clear`."""

    def __init__(self) -> None:
        self.fees: dict[FeeKey, FeeSums] = {}
        self.accounts: dict[AccountKey, AccountSums] = {}
        self.ledger: dict[LedgerKey, LedgerSums] = {}

    def clear(self) -> None:
        """Begin anew."""
        self.fees.clear()
        self.accounts.clear()
        self.ledger.clear()

    def add_entry(self, entry: EntryPosted, day: int) -> None:
        """Count a ledger entry."""
        key = LedgerKey(day, class_of(entry.account_id), entry.asset_id, entry.entry_type)
        sums = self.ledger.get(key)
        if sums is None:
            sums = self.ledger[key] = LedgerSums()
        if entry.amount < 0:
            sums.debits -= entry.amount
        else:
            sums.credits += entry.amount
        sums.entries += 1

    def add_trade(
        self, trade: TradeExecuted, day: int, scales: MarketScales, maker: OrderTerms, taker: OrderTerms
    ) -> None:
        """Count both sides of a trade, given the terms of its orders."""
        self._add_side(trade, day, scales, "maker", trade.maker_account_id, trade.maker_fee, maker)
        self._add_side(trade, day, scales, "taker", trade.taker_account_id, trade.taker_fee, taker)

    def _add_side(
        self,
        trade: TradeExecuted,
        day: int,
        scales: MarketScales,
        role: Role,
        account_id: int,
        fee: int,
        terms: OrderTerms,
    ) -> None:
        receives_base = (trade.taker_side == "buy") == (role == "taker")
        value = value_of(trade, fee, scales) if receives_base else fee * 10 ** (VALUE_DECIMALS - scales.quote_scale)
        key = FeeKey(
            day,
            trade.market_id,
            role,
            scales.base_id if receives_base else scales.quote_id,
            terms.tier,
            terms.maker_rate if role == "maker" else terms.taker_rate,
        )
        sums = self.fees.get(key)
        if sums is None:
            sums = self.fees[key] = FeeSums()
        sums.fees += fee
        sums.value += value
        sums.notional += trade.notional
        sums.trades += 1
        account_key = AccountKey(account_id, day, trade.market_id)
        account = self.accounts.get(account_key)
        if account is None:
            account = self.accounts[account_key] = AccountSums()
        if role == "maker":
            account.maker_notional += trade.notional
        else:
            account.taker_notional += trade.notional
        if receives_base:
            account.base_fees += fee
        else:
            account.quote_fees += fee
        account.value += value
        account.trades += 1


def class_of(account_id: int) -> AccountClass:
    """Whose account it is."""
    if account_id == FEES_ACCOUNT_ID:
        return "fees"
    return "external" if account_id == EXTERNAL_ACCOUNT_ID else "users"


def value_of(trade: TradeExecuted, base_amount: int, scales: MarketScales) -> int:
    """Base units at the trade's price, in 10^-18 quote, cut towards zero: PostgreSQL's `trunc(fee * price, 18)`."""
    decimals = scales.quote_scale + scales.base_scale
    value: int = abs(base_amount) * trade.price * 10**VALUE_DECIMALS // 10**decimals
    return -value if base_amount < 0 else value


# ---------------------------------------------------------------------------------------------- rates


TierReason = Literal["opened", "volume", "nightly", "tier_table"]


class TierChange(NamedTuple):
    """An account's rates on every market from the command `sequence` on. `volume`: units of the valuation asset."""

    account_id: int
    tier: int
    maker_rate: int
    taker_rate: int
    volume: int
    reason: TierReason
    sequence: int
    since: int
    valuation_asset_id: int | None
    previous_tier: int | None


class ExceptionChange(NamedTuple):
    """An override from the command `sequence` on; rates None: there is none any more. `since`: microseconds."""

    account_id: int | None
    market_id: int | None
    maker_rate: int | None
    taker_rate: int | None
    reason: str
    sequence: int
    since: int


class AccountTiers:
    """The tier of every account with its rates, as last written down, and what makes them change."""

    def __init__(self, known: dict[int, tuple[int, int, int]]) -> None:
        self.known = known
        """Account -> tier, maker_rate, taker_rate."""

    def change(
        self, account_id: int, volume: int, schedule: Schedule, *, reason: TierReason, sequence: int, since: int
    ) -> Iterable[TierChange]:
        """The change, if there is one, now that the account's 30-day volume is `volume`."""
        tier = schedule.tier_of(volume)
        rates = schedule.tiers[tier]
        now = (tier, rates.maker_rate, rates.taker_rate)
        before = self.known.get(account_id)
        if before == now:
            return ()
        self.known[account_id] = now
        previous = None if before is None else before[0]
        asset_id = schedule.valuation_asset_id
        return (TierChange(account_id, *now, volume, reason, sequence, since, asset_id, previous),)
