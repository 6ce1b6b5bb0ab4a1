"""What an account pays: its 30-day volume, its tier and the next, and its rates on every market.

The tables are loaded into the same pure Schedule that the exchange uses, so what is shown is what will be charged.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fees.models import FeeOverride
from fees.models import FeeTier as FeeTierRow
from fees.schedule import MICROSECONDS_PER_DAY, VOLUME_DAYS, Schedule
from marketdata.models import Market
from marketdata.queries import rows_of
from marketdata.scale import text_from_units, units_from_numeric
from marketdata.shapes import DecimalText, rate_text
from matching.engine.messages import FeeTier


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Rates, as fractions, from a 30-day volume on. A negative maker rate is a rebate."""

    volume: DecimalText
    maker_rate: DecimalText
    taker_rate: DecimalText


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRates:
    """What the account pays on a market, overrides included. A negative maker rate is a rebate."""

    market: str
    maker_rate: DecimalText
    taker_rate: DecimalText


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """The account's 30-day volume, its tier, the next (null: it is in the highest), and its rates on every market.

    Volumes are in `valuation_asset` (null: volumes are not counted). An order keeps the rates of when it was placed.
    """

    valuation_asset: str | None
    volume: DecimalText
    tier: Tier
    next_tier: Tier | None
    markets: list[MarketRates]


def fees(*, account_id: int, now: datetime) -> Fees:
    """The account's fees for an order placed at `now` (a tier follows the 30 UTC days that end with today)."""
    schedule = Schedule()
    valuation, scale = _load_tiers(schedule)
    _load_overrides(schedule, account_id)
    volume = _volume(account_id, now, scale) if valuation else 0
    tier = schedule.tier_of(volume)
    markets = []
    for market_id, symbol in Market.objects.order_by("id").values_list("id", "symbol"):
        maker_rate, taker_rate = schedule.rates(account_id, market_id, volume)
        markets.append(MarketRates(market=symbol, maker_rate=rate_text(maker_rate), taker_rate=rate_text(taker_rate)))
    has_next = tier + 1 < len(schedule.tiers)
    return Fees(
        valuation_asset=valuation,
        volume=text_from_units(volume, scale),
        tier=_shown(schedule.tiers[tier], scale),
        next_tier=_shown(schedule.tiers[tier + 1], scale) if has_next else None,
        markets=markets,
    )


def _load_tiers(schedule: Schedule) -> tuple[str | None, int]:
    """Fill in the tier table; the valuation asset and its scale."""
    rows = list(FeeTierRow.objects.select_related("valuation_asset").order_by("volume"))
    valuation = rows[0].valuation_asset if rows else None
    scale = valuation.scale if valuation else 0
    if rows:
        schedule.tiers = tuple(FeeTier(_units(row.volume, scale), row.maker_rate, row.taker_rate) for row in rows)
    return valuation.symbol if valuation else None, scale


def _load_overrides(schedule: Schedule, account_id: int) -> None:
    rows = FeeOverride.objects.filter(account_id=account_id) | FeeOverride.objects.filter(account_id=None)
    for row in rows:
        schedule.overrides[row.account_id, row.market_id] = (row.maker_rate, row.taker_rate)


def _volume(account_id: int, now: datetime, scale: int) -> int:
    today = int(now.timestamp()) * 1_000_000 // MICROSECONDS_PER_DAY
    sql = """SELECT coalesce(sum(volume), 0) FROM fees_dailyvolume
        WHERE account_id = %(account_id)s AND day > %(from)s AND day <= %(to)s"""
    ((total,),) = rows_of(sql=sql, arguments={"account_id": account_id, "from": today - VOLUME_DAYS, "to": today})
    return _units(total, scale)


def _units(value: Any, scale: int) -> int:
    return units_from_numeric(format(value, "f"), scale)


def _shown(tier: FeeTier, scale: int) -> Tier:
    return Tier(
        volume=text_from_units(tier.volume, scale),
        maker_rate=rate_text(tier.maker_rate),
        taker_rate=rate_text(tier.taker_rate),
    )
