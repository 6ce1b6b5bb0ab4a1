"""What an account is worth: its balances at the markets' last prices, in the asset that fee tiers are counted in.

A price is found through a market with that asset, or over one other asset (ETH -> BTC -> USDT). Fractions are exact;
the only rounding is the last one, down, for the screen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from fees.models import FeeTier
from marketdata.queries import MarketDescription, assets, markets
from marketdata.scale import text_from_units
from marketdata.shapes import DecimalText
from orders.book_queries import Ticker, ticker
from risk.queries import balances

VALUE_DECIMALS = 2
RATE_DECIMALS = 6

Prices = Mapping[tuple[str, str], Fraction]
"""Quote per base, for (base, quote) and, turned over, for (quote, base)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What the account has of an asset. `price`, `value`: in the portfolio's asset, None without any price.

    `change_rate`: of the price within 24 hours. `share` of the portfolio and the `offset` of its part, in percent.
    """

    asset: str
    name: str
    available: DecimalText
    held: DecimalText
    balance: DecimalText
    price: DecimalText | None
    value: DecimalText | None
    change_rate: DecimalText | None
    share: DecimalText
    offset: DecimalText
    market: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """Everything the account has, worth `total` of `asset`; `change` is against today's balances at prices 24 h ago."""

    asset: str
    total: DecimalText
    change: DecimalText
    change_rate: DecimalText | None
    holdings: list[Holding]
    unpriced: list[str]

    @property
    def parts(self) -> list[Holding]:
        """The holdings that have a share, the largest first as the bar shows them."""
        return sorted((each for each in self.holdings if each.share != "0.00"), key=lambda each: Fraction(each.offset))

    @property
    def empty(self) -> bool:
        """Whether the account has nothing at all."""
        return not any(each.balance.strip("0.") for each in self.holdings)


def portfolio(*, account_id: int, now: datetime) -> Portfolio:
    """The account's portfolio at the last prices before `now`."""
    described = markets()
    unit = valuation_asset(described)
    tickers = [ticker(market=each.market, now=now) for each in described]
    prices, past = _prices(described, tickers), _past_prices(described, tickers)
    names = {each.asset: each.name for each in assets()}
    held = balances(account_id=account_id)
    values = {each.asset: _times(each.balance, _price(each.asset, unit, prices)) for each in held}
    before = sum((_times(each.balance, _price(each.asset, unit, past)) or Fraction() for each in held), Fraction())
    total = sum((value for value in values.values() if value is not None), Fraction())
    offsets = _offsets(values)
    holdings = []
    for each in held:
        price, earlier, value = _price(each.asset, unit, prices), _price(each.asset, unit, past), values[each.asset]
        holdings.append(
            Holding(
                asset=each.asset,
                name=names[each.asset],
                available=each.available,
                held=each.held,
                balance=each.balance,
                price=None if price is None else _text(price, _price_decimals(price)),
                value=None if value is None else _text(value, VALUE_DECIMALS),
                change_rate=None if price is None or not earlier else _text(price / earlier - 1, RATE_DECIMALS),
                share=_percent(value or Fraction(), total),
                offset=_percent(offsets[each.asset], total),
                market=_market_of(each.asset, unit, described),
            )
        )
    return Portfolio(
        asset=unit,
        total=_text(total, VALUE_DECIMALS),
        change=_text(total - before, VALUE_DECIMALS),
        change_rate=_text(total / before - 1, RATE_DECIMALS) if before else None,
        holdings=holdings,
        unpriced=[each.asset for each in held if values[each.asset] is None and each.balance.strip("0.")],
    )


def last_prices(*, now: datetime) -> dict[str, Fraction]:
    """What one of each asset that has a price is worth at the last ones before `now`, in the valuation asset."""
    described = markets()
    unit = valuation_asset(described)
    prices = _prices(described, [ticker(market=each.market, now=now) for each in described])
    found = {each.asset: _price(each.asset, unit, prices) for each in assets()}
    return {asset: price for asset, price in found.items() if price is not None}


def valuation_asset(described: list[MarketDescription]) -> str:
    """The asset in which volumes are counted for fee tiers, or else the quote asset of the first market."""
    counted = FeeTier.objects.exclude(valuation_asset=None).values_list("valuation_asset__symbol", flat=True).first()
    return counted or (described[0].quote if described else "")


def _prices(described: list[MarketDescription], tickers: list[Ticker]) -> Prices:
    return _both_ways({(each.base, each.quote): at.last for each, at in zip(described, tickers, strict=True)})


def _past_prices(described: list[MarketDescription], tickers: list[Ticker]) -> Prices:
    """Prices 24 hours ago: the first trade's since then, or the last one's when nothing was traded."""
    return _both_ways(
        {(each.base, each.quote): at.open or at.last for each, at in zip(described, tickers, strict=True)}
    )


def _both_ways(quoted: dict[tuple[str, str], str | None]) -> Prices:
    prices = {ends: Fraction(text) for ends, text in quoted.items() if text is not None}
    return {(quote, base): 1 / price for (base, quote), price in prices.items()} | prices


def _price(asset: str, unit: str, prices: Prices) -> Fraction | None:
    """How much of `unit` one `asset` is: itself, a market between them, or one asset between two markets."""
    if asset == unit:
        return Fraction(1)
    if (asset, unit) in prices:
        return prices[asset, unit]
    hops = (middle for base, middle in prices if base == asset and (middle, unit) in prices)
    middle = next(hops, None)
    return None if middle is None else prices[asset, middle] * prices[middle, unit]


def _times(balance: DecimalText, price: Fraction | None) -> Fraction | None:
    return None if price is None else Fraction(balance) * price


def _offsets(values: Mapping[str, Fraction | None]) -> dict[str, Fraction]:
    """Where each part of the allocation bar begins, the largest first."""
    offsets, so_far = dict.fromkeys(values, Fraction()), Fraction()
    for asset, value in sorted(values.items(), key=lambda item: item[1] or Fraction(), reverse=True):
        offsets[asset] = so_far
        so_far += value or Fraction()
    return offsets


def _market_of(asset: str, unit: str, described: list[MarketDescription]) -> str | None:
    """Where to trade the asset: against `unit` if possible."""
    found = [each.market for each in described if asset in (each.base, each.quote)]
    direct = [each.market for each in described if {each.base, each.quote} == {asset, unit}]
    return next(iter(direct + found), None)


def _price_decimals(price: Fraction) -> int:
    """Two decimals, more for prices below one."""
    return VALUE_DECIMALS if price >= 1 else 8


def _percent(part: Fraction, total: Fraction) -> DecimalText:
    """Rounded, for the bar and its legend."""
    share = 100 * part / total if total else Fraction()
    return _text(share + Fraction(1, 200), 2)


def _text(value: Fraction, decimals: int) -> DecimalText:
    """Cut towards zero."""
    units = abs(value) * 10**decimals
    whole = units.numerator // units.denominator
    return text_from_units(-whole if value < 0 else whole, decimals, decimals)
