"""The what-if on the books: reads what was traded, runs the pure model, and puts its outcome into words.

Everything is valued in the asset that volumes are counted in, as in the fee report (fees/reports.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from fees import books_store
from fees.models import AccountDay, DailyVolume, FeeOverride
from fees.models import FeeTier as FeeTierRow
from fees.reports import Period, Prices, money, tiny_money, tiny_of
from fees.schedule import VOLUME_DAYS, Schedule, rates_are_sound, tiers_are_sound
from fees.shapes import PERCENT_DECIMALS, percent_text, rate_from_text
from fees.what_if import AccountChange, Outcome, Revenue, TradedDay, what_if
from marketdata.models import Asset, Market
from marketdata.scale import AmountError, text_from_units, units_from_numeric, units_from_text
from marketdata.shapes import DecimalText
from matching.engine.messages import FeeTier

EPOCH = date(1970, 1, 1)
EVERYTHING = "*"


class BadRules(ValueError):
    """The rules make no sense; the text says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevenueLine:
    """Fees taken, modelled under today's rules and under the proposal, and the difference, in the valuation asset."""

    name: str
    actual: DecimalText
    present: DecimalText
    proposed: DecimalText
    change: DecimalText
    change_rate: DecimalText

    @property
    def tone(self) -> str:
        """Good if more is earned, bad if less."""
        return _tone(self.change)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLine:
    """What changes for an account."""

    account_id: int
    volume: DecimalText
    tier_before: int
    tier_after: int
    rates_before: str
    rates_after: str
    actual: DecimalText
    present: DecimalText
    proposed: DecimalText
    change: DecimalText
    moves: bool

    @property
    def tone(self) -> str:
        """As of a RevenueLine."""
        return _tone(self.change)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The outcome in words; accounts that it costs or saves most come first."""

    period: Period
    asset: str
    total: RevenueLine
    days: list[RevenueLine]
    markets: list[RevenueLine]
    accounts: list[AccountLine]
    moving: int
    outcome: Outcome


def present_rules() -> tuple[Schedule, Asset | None]:
    """The rules in force, and the asset in whose units volumes are."""
    schedule = Schedule()
    rows = list(FeeTierRow.objects.select_related("valuation_asset").order_by("volume"))
    asset = rows[0].valuation_asset if rows else None
    if rows:
        scale = asset.scale if asset else 0
        schedule.tiers = tuple(
            FeeTier(int(Fraction(row.volume) * 10**scale), row.maker_rate, row.taker_rate) for row in rows
        )
        schedule.valuation_asset_id = asset.id if asset else None
    for override in FeeOverride.objects.all():
        schedule.overrides[override.account_id, override.market_id] = (override.maker_rate, override.taker_rate)
    return schedule, asset


def rules_text(schedule: Schedule, asset: Asset | None) -> tuple[str, str]:
    """The tiers and the overrides as `rules_from_text` reads them."""
    scale = asset.scale if asset else 0
    symbols = dict(Market.objects.values_list("id", "symbol"))
    tiers = [
        f"{text_from_units(tier.volume, scale, 0)} {_percent(tier.maker_rate)} {_percent(tier.taker_rate)}"
        for tier in schedule.tiers
    ]
    overrides = [
        f"{account_id or EVERYTHING} {symbols[market_id] if market_id else EVERYTHING} "
        f"{_percent(rates[0])} {_percent(rates[1])}"
        for (account_id, market_id), rates in schedule.overrides.items()
    ]
    return "\n".join(tiers), "\n".join(overrides)


def rules_from_text(*, tiers: str, overrides: str, asset: Asset | None) -> Schedule:
    """A schedule from lines `VOLUME MAKER TAKER` and `ACCOUNT MARKET MAKER TAKER` (* is every one), rates in percent.

    Raises BadRules.
    """
    schedule = Schedule()
    schedule.valuation_asset_id = asset.id if asset else None
    rows = []
    for number, (volume, maker, taker) in _lines(tiers, "tier", 3):
        try:
            rows.append(
                FeeTier(
                    units_from_text(volume, asset.scale if asset else 0), rate_from_text(maker), rate_from_text(taker)
                )
            )
        except AmountError as error:
            raise BadRules(f"Line {number} of the tiers: {error}") from error
    schedule.tiers = tuple(rows)
    if not tiers_are_sound(schedule.tiers):
        raise BadRules("The first tier is at volume 0, volumes rise, and no two tiers may pay out more than they take.")
    if asset is None and len(rows) > 1:
        raise BadRules("Tiers by volume need a valuation asset.")
    markets = dict(Market.objects.values_list("symbol", "id"))
    for number, (account, symbol, maker, taker) in _lines(overrides, "override", 4):
        where = f"Line {number} of the overrides"
        try:
            rates = (rate_from_text(maker), rate_from_text(taker))
        except AmountError as error:
            raise BadRules(f"{where}: {error}") from error
        if symbol != EVERYTHING and symbol.upper() not in markets:
            raise BadRules(f"{where}: there is no market {symbol}.")
        if account != EVERYTHING and not (account.isascii() and account.isdigit() and len(account) < 10):
            raise BadRules(f"{where}: {account} is no number of an account.")
        target = (None if account == EVERYTHING else int(account), markets.get(symbol.upper()))
        if target == (None, None) or not rates_are_sound(*rates):
            raise BadRules(f"{where}: rates for everybody everywhere are the tiers'; others stay within 10 %.")
        schedule.overrides[target] = rates
    return schedule


def run_what_if(*, period: Period, proposed: Schedule) -> WhatIf:
    """What the proposed rules would have earned in a period."""
    present, asset = present_rules()
    prices = Prices(period)
    outcome = what_if(
        traded=_traded(period, prices),
        volumes=_volumes(period, asset.scale if asset else 0),
        last_day=(period.end - EPOCH).days,
        present=present,
        proposed=proposed,
    )
    symbols = dict(Market.objects.values_list("id", "symbol"))
    scale = asset.scale if asset else 0
    return WhatIf(
        period=period,
        asset=prices.asset,
        total=_line("All", outcome.total),
        days=[_line(books_store.day_of(day).isoformat(), revenue) for day, revenue in outcome.days.items()],
        markets=[_line(symbols[market_id], revenue) for market_id, revenue in outcome.markets.items()],
        accounts=[_account_line(change, scale) for change in outcome.accounts],
        moving=sum(change.moves for change in outcome.accounts),
        outcome=outcome,
    )


# ---------------------------------------------------------------------------------------------- pieces


def _traded(period: Period, prices: Prices) -> list[TradedDay]:
    rows = AccountDay.objects.filter(day__range=(period.start, period.end)).values_list(
        "account_id", "day", "market_id", "market__quote_id", "maker_notional", "taker_notional", "value"
    )
    found = []
    for account_id, day, market_id, quote_id, *amounts in rows:
        price = prices.of(quote_id, day)
        maker, taker, value = (tiny_of(amount, price) for amount in amounts)
        found.append(TradedDay(account_id, (day - EPOCH).days, market_id, maker, taker, value))
    return found


def _volumes(period: Period, scale: int) -> Mapping[int, Mapping[int, int]]:
    """Account -> day -> volume in units, of all days that count for one of the period's."""
    first = (period.start - EPOCH).days - VOLUME_DAYS + 1
    rows = DailyVolume.objects.filter(day__range=(first, (period.end - EPOCH).days))
    found: dict[int, dict[int, int]] = {}
    for account_id, day, volume in rows.values_list("account_id", "day", "volume"):
        found.setdefault(account_id, {})[day] = units_from_numeric(format(volume, "f"), scale)
    return found


def _line(name: str, revenue: Revenue) -> RevenueLine:
    rate = Fraction(100 * revenue.change, abs(revenue.present)) if revenue.present else Fraction()
    return RevenueLine(
        name=name,
        actual=tiny_money(revenue.actual),
        present=tiny_money(revenue.present),
        proposed=tiny_money(revenue.proposed),
        change=tiny_money(revenue.change),
        change_rate=money(rate, 1),
    )


def _account_line(change: AccountChange, scale: int) -> AccountLine:
    return AccountLine(
        account_id=change.account_id,
        volume=money(Fraction(change.volume, 10**scale)),
        tier_before=change.tier_before,
        tier_after=change.tier_after,
        rates_before=" / ".join(percent_text(rate) for rate in change.rates_before),
        rates_after=" / ".join(percent_text(rate) for rate in change.rates_after),
        actual=tiny_money(change.revenue.actual),
        present=tiny_money(change.revenue.present),
        proposed=tiny_money(change.revenue.proposed),
        change=tiny_money(change.revenue.change),
        moves=change.moves,
    )


def _tone(change: DecimalText) -> str:
    if not change.strip("-0."):
        return ""
    return "bad" if change.startswith("-") else "good"


def _percent(millionths: int) -> str:
    return text_from_units(millionths, PERCENT_DECIMALS, 2)


def _lines(text: str, what: str, words: int) -> list[tuple[int, list[str]]]:
    """The lines that say something, with their numbers."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        parts = line.split()
        if parts and len(parts) != words:
            raise BadRules(f"Line {number} of the {what}s: expected {words} words, found {len(parts)}.")
        if parts:
            found.append((number, parts))
    return found
