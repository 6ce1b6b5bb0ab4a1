"""What was earned, told from the fee books: by day, market, tier and role, worth how much of one asset.

A fee's value in its market's quote asset is exact, at the price of its own trade. What is quoted in another asset than
the one that volumes are counted in is worth the last price of its day on the market between the two.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db.models import Q, Sum

from fees.models import FeeDay, FeeTier
from fees.shapes import percent_text, tier_text
from marketdata.models import Candle, Market
from marketdata.scale import text_from_units, units_from_numeric
from marketdata.shapes import DecimalText, Page

DAYS_MAX = 400
DAY_SECONDS = 86_400
MONEY_DECIMALS = 2
TINY_DECIMALS = 18
TINY = 10**TINY_DECIMALS
CSV_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Period:
    """UTC days, both included; at most DAYS_MAX."""

    start: date
    end: date

    @property
    def days(self) -> list[date]:
        """Every day."""
        return [self.start + timedelta(days=number) for number in range((self.end - self.start).days + 1)]


@dataclass(frozen=True, slots=True)
class Worth:
    """Fees, rebates and notionals in 10^-18 of the report's asset; how many sides of trades."""

    fees: int = 0
    rebates: int = 0
    notional: int = 0
    trades: int = 0

    @property
    def net(self) -> int:
        """What stays: fees less rebates."""
        return self.fees - self.rebates

    @property
    def rate(self) -> int:
        """Net per notional of a side, in millionths."""
        return self.net * 1_000_000 // self.notional if self.notional else 0


NOTHING = Worth()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLine:
    """A row of a table, as text. `rate`: what was taken of the notional, in percent."""

    name: str
    fees: DecimalText
    rebates: DecimalText
    net: DecimalText
    share: DecimalText
    notional: DecimalText
    rate: str
    trades: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeReport:
    """Fees of a period in `asset`. `unpriced`: quote assets that had no price, so that their fees count for nothing."""

    period: Period
    asset: str
    total: ReportLine
    by_day: dict[date, dict[str, Worth]]
    by_market: list[ReportLine]
    by_tier: list[ReportLine]
    by_role: list[ReportLine]
    by_asset: list[tuple[str, DecimalText, DecimalText]]
    unpriced: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRow:
    """A row of the CSV: fees in `asset`, `value` and `notional` in `quote`, both also in `valuation_asset`."""

    day: str
    market: str
    role: str
    tier: str
    rate: DecimalText
    asset: str
    fees: DecimalText
    quote: str
    value: DecimalText
    notional: DecimalText
    trades: int
    valuation_asset: str
    valuation: DecimalText | None


def period_of(*, start: str | None, end: str | None, today: date, days: int = 30) -> Period:
    """The period between two days as text; what is missing or makes no sense: the last `days` until `today`."""
    last = _day(end) or today
    first = _day(start) or last - timedelta(days=days - 1)
    if first > last:
        first, last = last, first
    return Period(max(first, last - timedelta(days=DAYS_MAX - 1)), last)


def valuation_asset() -> tuple[str, int]:
    """The asset that fee tiers count volumes in, else the first market's quote; its symbol and id."""
    counted = FeeTier.objects.exclude(valuation_asset=None).values_list("valuation_asset__symbol", "valuation_asset")
    found = counted.first() or Market.objects.order_by("id").values_list("quote__symbol", "quote").first()
    return found or ("", 0)


class Prices:
    """What a whole quote asset was worth of the valuation asset at the end of each day of a period."""

    def __init__(self, period: Period) -> None:
        self.asset, self._asset_id = valuation_asset()
        self._period = period
        self._days: dict[int, dict[date, Fraction]] = {}
        self.unpriced: set[int] = set()

    def of(self, asset_id: int, day: date) -> Fraction:
        """The price, 0 if there was none until then."""
        if asset_id == self._asset_id:
            return Fraction(1)
        if asset_id not in self._days:
            self._days[asset_id] = self._load(asset_id)
        price = self._days[asset_id].get(day)
        if price is None:
            self.unpriced.add(asset_id)
        return price or Fraction()

    def _load(self, asset_id: int) -> dict[date, Fraction]:
        for market in Market.objects.filter(
            base_id__in=(asset_id, self._asset_id), quote_id__in=(asset_id, self._asset_id)
        ):
            closes = self._closes(market.id)
            if closes:
                upright = market.base_id == asset_id
                return {day: close if upright else 1 / close for day, close in closes.items()}
        return {}

    def _closes(self, market_id: int) -> dict[date, Fraction]:
        """The last price until the end of each day, from daily candles."""
        candles = Candle.objects.filter(market_id=market_id, seconds=DAY_SECONDS)
        begin, end = (datetime.combine(day, time(), UTC) for day in (self._period.start, self._period.end))
        before = candles.filter(open_time__lt=begin).order_by("-open_time").values_list("close", flat=True).first()
        within = candles.filter(open_time__range=(begin, end)).values_list("open_time", "close")
        closes = {opened.date(): Fraction(close) for opened, close in within}
        last = None if before is None else Fraction(before)
        found = {}
        for day in self._period.days:
            last = closes.get(day, last)
            if last is not None:
                found[day] = last
        return found


def fee_report(*, period: Period, market: str | None = None) -> FeeReport:
    """The fee report of a period, of all markets or one."""
    prices = Prices(period)
    sums: dict[tuple[str, Hashable], Worth] = defaultdict(lambda: NOTHING)
    by_day: dict[date, dict[str, Worth]] = {day: {"maker": NOTHING, "taker": NOTHING} for day in period.days}
    for day, symbol, quote_id, role, tier, fees, rebates, notional, trades in _sums(period, market):
        price = prices.of(quote_id, day)
        worth = Worth(tiny_of(fees, price), -tiny_of(rebates, price), tiny_of(notional, price), trades)
        for key in (("", ""), ("market", symbol), ("tier", tier), ("role", role)):
            sums[key] = _plus(sums[key], worth)
        by_day[day][role] = _plus(by_day[day][role], worth)
    total = sums["", ""]
    return FeeReport(
        period=period,
        asset=prices.asset,
        total=_line("All", total, total),
        by_day=by_day,
        by_market=_lines(sums, "market", total, str),
        by_tier=_lines(sums, "tier", total, tier_text),
        by_role=_lines(sums, "role", total, str),
        by_asset=[
            (symbol, exact_text(earned or Decimal(), scale), exact_text(-(paid or Decimal()), scale))
            for symbol, scale, earned, paid in _taken(period, market)
        ],
        unpriced=_symbols(prices.unpriced),
    )


def fee_rows(*, period: Period, market: str | None = None) -> Callable[[int | None], Page[FeeRow]]:
    """Reads the CSV's pages: every row of the books."""
    prices = Prices(period)

    def read(cursor: int | None) -> Page[FeeRow]:
        rows = _rows(period, market).select_related("market__quote", "asset").order_by("id")
        found = list(rows.filter(id__gt=cursor or 0)[: CSV_ROWS + 1])
        more = len(found) > CSV_ROWS
        shown = found[:CSV_ROWS]
        return Page([_csv_row(row, prices) for row in shown], str(shown[-1].id) if more else None)

    return read


def tiny_of(value: Decimal | None, price: Fraction) -> int:
    """What an amount is worth at a price, in 10^-18; rounded down."""
    if not value:
        return 0
    return units_from_numeric(format(value, "f"), TINY_DECIMALS) * price.numerator // price.denominator


def tiny_money(tiny: int) -> DecimalText:
    """An amount in 10^-18 as money."""
    return money(Fraction(tiny, TINY))


def money(value: Fraction, decimals: int = MONEY_DECIMALS) -> DecimalText:
    """Rounded to the nearest, halves up."""
    return text_from_units((value * 10**decimals * 2 + 1) // 2, decimals, decimals)


def exact_text(value: Fraction | Decimal, scale: int) -> DecimalText:
    """An amount of an asset with as many decimals as it needs."""
    return text_from_units(int(Fraction(value) * 10**scale), scale, 0)


# ---------------------------------------------------------------------------------------------- pieces


def _rows(period: Period, market: str | None) -> Any:
    rows = FeeDay.objects.filter(day__range=(period.start, period.end))
    return rows if market is None else rows.filter(market__symbol=market)


def _sums(period: Period, market: str | None) -> Any:
    """Day, market, its quote, role and tier with fees, rebates (negative), notional and sides."""
    rows = _rows(period, market).values_list("day", "market__symbol", "market__quote_id", "role", "tier")
    return rows.annotate(
        earned=Sum("value", filter=Q(fees__gte=0)),
        paid=Sum("value", filter=Q(fees__lt=0)),
        traded=Sum("notional"),
        sides=Sum("trades"),
    ).order_by("day")


def _taken(period: Period, market: str | None) -> Any:
    """Asset and scale with fees and rebates (negative) in it."""
    rows = _rows(period, market).values_list("asset__symbol", "asset__scale")
    sums = rows.annotate(earned=Sum("fees", filter=Q(fees__gte=0)), paid=Sum("fees", filter=Q(fees__lt=0)))
    return sums.order_by("asset__symbol")


def _plus(one: Worth, other: Worth) -> Worth:
    return Worth(
        one.fees + other.fees, one.rebates + other.rebates, one.notional + other.notional, one.trades + other.trades
    )


def _lines(
    sums: Mapping[tuple[str, Hashable], Worth], kind: str, total: Worth, name: Callable[[Any], str]
) -> list[ReportLine]:
    """The lines of one kind, the largest first; tiers in their order."""
    found = [(key[1], worth) for key, worth in sums.items() if key[0] == kind]
    if kind == "tier":
        found.sort(key=lambda item: (item[0] is None, item[0]))
    else:
        found.sort(key=lambda item: (-item[1].net, str(item[0])))
    return [_line(name(key), worth, total) for key, worth in found]


def _line(name: str, worth: Worth, total: Worth) -> ReportLine:
    return ReportLine(
        name=name,
        fees=tiny_money(worth.fees),
        rebates=tiny_money(worth.rebates),
        net=tiny_money(worth.net),
        share=money(Fraction(100 * worth.net, total.net), 1) if total.net else "0.0",
        notional=tiny_money(worth.notional),
        rate=percent_text(worth.rate),
        trades=str(worth.trades),
    )


def _csv_row(row: FeeDay, prices: Prices) -> FeeRow:
    quote = row.market.quote
    price = prices.of(quote.id, row.day)
    return FeeRow(
        day=row.day.isoformat(),
        market=row.market.symbol,
        role=row.role,
        tier="" if row.tier is None else str(row.tier),
        rate=text_from_units(row.rate, 6, 0),
        asset=row.asset.symbol,
        fees=exact_text(row.fees, row.asset.scale),
        quote=quote.symbol,
        value=exact_text(row.value, 18),
        notional=exact_text(row.notional, quote.scale),
        trades=row.trades,
        valuation_asset=prices.asset,
        valuation=exact_text(Fraction(row.value) * price, 18) if price else None,
    )


def _symbols(asset_ids: Iterable[int]) -> list[str]:
    markets = Market.objects.filter(quote_id__in=asset_ids)
    return sorted(set(markets.values_list("quote__symbol", flat=True)))


def _day(text: str | None) -> date | None:
    try:
        found = date.fromisoformat(text or "")
    except ValueError:
        return None
    return found if 1970 <= found.year < 9000 else None
