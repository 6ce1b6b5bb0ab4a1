"""What other fee rules would have earned on what was traded, and who would be in another tier: a pure model.

The model knows days, not trades: an account's trading of a day is spread evenly over its volume of that day, and each
part pays the tier that the 30-day volume has reached there. A fee then is notional x rate, without the rounding up of
single fees (less than one unit of the asset received a trade and side), and an order that waited in the book pays the
rates of the day on which it traded, not of the day on which it was placed. Both rules are modelled alike, so their
difference is what the proposal changes; the model of the rules in force against what was taken says how good it is.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from fees.schedule import VOLUME_DAYS, Rates, Schedule
from matching.engine.messages import RATE_UNIT


class TradedDay(NamedTuple):
    """What an account traded on a market on a UTC day (days since 1970), all in the same tiny unit of one asset.

    `actual`: the fees that were taken.
    """

    account_id: int
    day: int
    market_id: int
    maker_notional: int
    taker_notional: int
    actual: int


@dataclass(frozen=True, slots=True)
class Revenue:
    """Fees: as they were taken, and as the model has them under the rules in force and under those proposed."""

    actual: int
    present: int
    proposed: int

    @property
    def change(self) -> int:
        """What the proposal adds."""
        return self.proposed - self.present


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChange:
    """What changes for an account. Tiers are those of the period's end, of the 30-day `volume` there."""

    account_id: int
    volume: int
    tier_before: int
    tier_after: int
    rates_before: Rates
    rates_after: Rates
    revenue: Revenue

    @property
    def moves(self) -> bool:
        """Whether it changes its tier."""
        return self.tier_before != self.tier_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the proposal comes to; days and markets in order, the accounts that it costs or saves most first."""

    total: Revenue
    days: dict[int, Revenue]
    markets: dict[int, Revenue]
    accounts: list[AccountChange]


class _Sums:
    def __init__(self) -> None:
        self.values = [0, 0, 0]

    def add(self, values: Iterable[int]) -> None:
        for index, value in enumerate(values):
            self.values[index] += value

    def revenue(self) -> Revenue:
        return Revenue(*self.values)


def what_if(
    *, traded: Iterable[TradedDay], volumes: Mapping[int, Mapping[int, int]], last_day: int, present: Schedule,
    proposed: Schedule
) -> Outcome:  # fmt: skip
    """Model both schedules on what was traded until `last_day`.

    `volumes`: account -> day -> volume in units of the valuation asset, from 29 days before the first day traded on.
    """
    total = _Sums()
    days: dict[int, _Sums] = defaultdict(_Sums)
    markets: dict[int, _Sums] = defaultdict(_Sums)
    accounts: dict[int, _Sums] = defaultdict(_Sums)
    for row in traded:
        own = volumes.get(row.account_id, {})
        begin = _volume(own, row.day - 1, VOLUME_DAYS - 1)
        end = begin + own.get(row.day, 0)
        values = (row.actual, _modelled(present, row, begin, end), _modelled(proposed, row, begin, end))
        for sums in (total, days[row.day], markets[row.market_id], accounts[row.account_id]):
            sums.add(values)
    changes = [
        _change(account_id, _volume(volumes.get(account_id, {}), last_day, VOLUME_DAYS), sums, present, proposed)
        for account_id, sums in accounts.items()
    ]
    return Outcome(
        total=total.revenue(),
        days={day: days[day].revenue() for day in sorted(days)},
        markets={market_id: markets[market_id].revenue() for market_id in sorted(markets)},
        accounts=sorted(changes, key=lambda each: (-abs(each.revenue.change), each.account_id)),
    )


def _volume(own: Mapping[int, int], day: int, days: int) -> int:
    """The volume of so many days that end with `day`."""
    return sum(own.get(day - back, 0) for back in range(days))


def _modelled(schedule: Schedule, row: TradedDay, begin: int, end: int) -> int:
    """Fees on a row while the 30-day volume goes from `begin` to `end`; rounded down once."""
    for target in ((row.account_id, row.market_id), (row.account_id, None), (None, row.market_id)):
        if (rates := schedule.overrides.get(target)) is not None:
            return _fees(row, *rates) // RATE_UNIT
    if begin == end:
        tier = schedule.tiers[schedule.tier_of(begin)]
        return _fees(row, tier.maker_rate, tier.taker_rate) // RATE_UNIT
    parts = 0
    ceilings = [tier.volume for tier in schedule.tiers[1:]] + [end]
    for tier, ceiling in zip(schedule.tiers, ceilings, strict=True):
        length = min(max(ceiling, begin), end) - min(max(tier.volume, begin), end)
        parts += length * _fees(row, tier.maker_rate, tier.taker_rate)
    return parts // ((end - begin) * RATE_UNIT)


def _fees(row: TradedDay, maker_rate: int, taker_rate: int) -> int:
    return row.maker_notional * maker_rate + row.taker_notional * taker_rate


def _change(account_id: int, volume: int, sums: _Sums, present: Schedule, proposed: Schedule) -> AccountChange:
    before, after = present.tier_of(volume), proposed.tier_of(volume)
    return AccountChange(
        account_id=account_id,
        volume=volume,
        tier_before=before,
        tier_after=after,
        rates_before=_own_rates(present, account_id, before),
        rates_after=_own_rates(proposed, account_id, after),
        revenue=sums.revenue(),
    )


def _own_rates(schedule: Schedule, account_id: int, tier: int) -> Rates:
    """The account's rates on markets without rates of their own."""
    of_tier = schedule.tiers[tier]
    return schedule.overrides.get((account_id, None), (of_tier.maker_rate, of_tier.taker_rate))
