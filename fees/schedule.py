"""What a trade costs: the tier table, overrides and 30-day volumes, and the only rounding of fees.

Rates are millionths and fees integers in units of the asset received. A fee rounds up to the unit and a rebate
(negative) rounds down, both in the house's favour. The narrowest rule wins: account on a market, account, market, tier.
"""

import itertools
from collections import deque

from matching.engine.messages import RATE_UNIT, FeeTier

DEFAULT_TIERS = (FeeTier(volume=0, maker_rate=1_000, taker_rate=1_500),)
"""0.10 % for makers and 0.15 % for takers, whatever the volume."""

RATE_MAX = 100_000
"""No rate, fee or rebate, is beyond 10 %."""

VOLUME_DAYS = 30
TIERS_MAX = 50
MICROSECONDS_PER_DAY = 86_400_000_000

Rates = tuple[int, int]
"""(maker_rate, taker_rate) in millionths."""


def fee_of(amount: int, rate: int) -> int:
    """The fee on `amount` units received: rounded up; a rebate's size is rounded down."""
    return -(-amount * rate // RATE_UNIT)


def rates_are_sound(maker_rate: int, taker_rate: int) -> bool:
    """Rates within 10 %, no taker rebate, and no maker rebate above what the taker pays."""
    return -RATE_MAX <= maker_rate <= RATE_MAX and 0 <= taker_rate <= RATE_MAX and maker_rate + taker_rate >= 0


def tiers_are_sound(tiers: tuple[FeeTier, ...]) -> bool:
    """A first tier at volume 0, rising volumes, and no pair of tiers that pays out more than it takes in."""
    if not tiers or len(tiers) > TIERS_MAX or tiers[0].volume != 0:
        return False
    if any(low.volume >= high.volume for low, high in itertools.pairwise(tiers)):
        return False
    return rates_are_sound(min(tier.maker_rate for tier in tiers), min(tier.taker_rate for tier in tiers)) and all(
        rates_are_sound(tier.maker_rate, tier.taker_rate) for tier in tiers
    )


class Volumes:
    """What each account traded on each of the last 30 UTC days, in units of the valuation asset."""

    def __init__(self) -> None:
        self._days: dict[int, deque[list[int]]] = {}
        self._totals: dict[int, int] = {}

    def total(self, account_id: int, day: int) -> int:
        """The volume of the 30 days that end with `day`."""
        days = self._days.get(account_id)
        if not days:
            return 0
        while days and days[0][0] <= day - VOLUME_DAYS:
            self._totals[account_id] -= days.popleft()[1]
        return self._totals[account_id]

    def add(self, account_id: int, day: int, amount: int) -> int:
        """Count `amount` on `day` and return the day's volume so far."""
        days = self._days.setdefault(account_id, deque())
        if not days or days[-1][0] != day:
            days.append([day, 0])
        days[-1][1] += amount
        self._totals[account_id] = self._totals.get(account_id, 0) + amount
        return days[-1][1]

    def each(self, day: int) -> list[tuple[int, int, int]]:
        """(account_id, day, volume) of everything within the 30 days that end with `day`."""
        return sorted(
            (account_id, then, volume)
            for account_id, days in self._days.items()
            for then, volume in days
            if then > day - VOLUME_DAYS and volume
        )


class Schedule:
    """The fee rules in force: which rates an account pays on a market, given its 30-day volume."""

    def __init__(self) -> None:
        self.tiers: tuple[FeeTier, ...] = DEFAULT_TIERS
        self.valuation_asset_id: int | None = None
        self.overrides: dict[tuple[int | None, int | None], Rates] = {}

    def tier_of(self, volume: int) -> int:
        """The index of the highest tier that `volume` (units of the valuation asset) reaches."""
        index = len(self.tiers) - 1
        while self.tiers[index].volume > volume:
            index -= 1
        return index

    def rates(self, account_id: int, market_id: int, volume: int) -> Rates:
        """The rates of an account on a market: its narrowest override, else those of its tier."""
        for target in ((account_id, market_id), (account_id, None), (None, market_id)):
            if (rates := self.overrides.get(target)) is not None:
                return rates
        tier = self.tiers[self.tier_of(volume)]
        return tier.maker_rate, tier.taker_rate
