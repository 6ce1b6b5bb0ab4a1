"""What everyone may see of the open orders: depth by price level, and the ticker with its best prices.

Both are one statement, so a depth belongs to exactly the sequence number it comes with. They read the partial index
`order_open_book` from the best price on and stop at the last level asked for; the ticker's day is its minutes' candles.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from marketdata.candles import ticker_start
from marketdata.queries import MARKET_COLUMNS, MarketFormat, UnknownMarket, market_format, rows_of
from marketdata.shapes import DecimalText, TimeText, microseconds_of, moment_of, time_text
from marketdata.store import MERGED_COLUMNS, STORED_SECONDS

Level = Annotated[list[DecimalText], Meta(min_length=2, max_length=2, description="[price, quantity]")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Price levels, best first, each [price, quantity], after the command with that sequence number."""

    sequence: int
    bids: list[Level]
    asks: list[Level]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticker:
    """A market's last price, best prices now, and what was traded within 24 hours (null: nothing).

    The 24 hours are 1,440 whole minutes, the last of which is the running one; they begin at `since`.
    `change` is last minus open, `change_rate` the same as a fraction of open, cut to six decimals; `volume` is in the
    base asset, `quote_volume` in the quote asset.
    """

    market: str
    last: DecimalText | None
    best_bid: DecimalText | None
    best_ask: DecimalText | None
    open: DecimalText | None
    high: DecimalText | None
    low: DecimalText | None
    change: DecimalText | None
    change_rate: DecimalText | None
    volume: DecimalText
    quote_volume: DecimalText
    since: TimeText


def depth(*, market: str, levels: int) -> Depth:
    """The `levels` best price levels of both sides. Raises UnknownMarket."""
    sql = f"""
        SELECT e.sequence, l.side, l.price, l.quantity, {MARKET_COLUMNS}
        FROM {_MARKET} CROSS JOIN matching_enginestate e
        LEFT JOIN LATERAL ({_levels("buy", "DESC")} UNION ALL {_levels("sell", "ASC")}) l ON true
        WHERE m.symbol = %(market)s
    """  # noqa: S608
    rows = rows_of(sql=sql, arguments={"market": market, "levels": levels})
    if not rows:
        raise UnknownMarket(market)
    style = market_format(*rows[0][4:])
    sides: dict[str | None, list[tuple[Decimal, Decimal]]] = {"buy": [], "sell": [], None: []}
    for _, side, price, quantity, *_ in rows:
        sides[side].append((price, quantity))
    return Depth(
        sequence=rows[0][0],
        bids=[[style.price(price), style.quantity(total)] for price, total in sorted(sides["buy"], reverse=True)],
        asks=[[style.price(price), style.quantity(total)] for price, total in sorted(sides["sell"])],
    )


def ticker(*, market: str, now: datetime) -> Ticker:
    """The ticker of the 24 hours up to `now`. Raises UnknownMarket."""
    since = moment_of(ticker_start(microseconds_of(now)))
    minutes = f"FROM marketdata_candle WHERE market_id = m.id AND seconds = {STORED_SECONDS['1m']}"
    sql = f"""
        SELECT {_price("buy", "DESC")}, {_price("sell", "ASC")},
            (SELECT close {minutes} ORDER BY open_time DESC LIMIT 1), d.open, d.high, d.low,
            coalesce(d.volume, 0), coalesce(d.quote_volume, 0), {MARKET_COLUMNS}
        FROM {_MARKET} CROSS JOIN LATERAL (
            SELECT {MERGED_COLUMNS} {minutes} AND open_time >= %(since)s
        ) d WHERE m.symbol = %(market)s
    """  # noqa: S608
    rows = rows_of(sql=sql, arguments={"market": market, "since": since})
    if not rows:
        raise UnknownMarket(market)
    bid, ask, last, first, high, low, volume, quote_volume, *columns = rows[0]
    style = market_format(*columns)
    return Ticker(
        market=style.symbol,
        last=_text(last, style),
        best_bid=_text(bid, style),
        best_ask=_text(ask, style),
        open=_text(first, style),
        high=_text(high, style),
        low=_text(low, style),
        change=None if first is None else _text(last - first, style),
        change_rate=None if first is None else _fraction(last - first, first),
        volume=style.quantity(volume),
        quote_volume=style.notional(quote_volume),
        since=time_text(since),
    )


_MARKET = "marketdata_market m JOIN marketdata_asset b ON b.id = m.base_id JOIN marketdata_asset q ON q.id = m.quote_id"


def _levels(side: str, direction: str) -> str:
    return f"""(
        SELECT '{side}' AS side, price, sum(remaining) AS quantity FROM orders_order
        WHERE market_id = m.id AND side = '{side}' AND status = 'open'
        GROUP BY price ORDER BY price {direction} LIMIT %(levels)s
    )"""  # noqa: S608


def _price(side: str, direction: str) -> str:
    return f"""(
        SELECT price FROM orders_order WHERE market_id = m.id AND side = '{side}' AND status = 'open'
        ORDER BY price {direction} LIMIT 1
    )"""  # noqa: S608


def _text(price: Decimal | None, style: MarketFormat) -> str | None:
    return None if price is None else style.price(price)


def _fraction(change: Decimal, base: Decimal) -> str:
    """`change` / `base` with six decimals, cut towards zero."""
    numerator, denominator = change.as_integer_ratio(), base.as_integer_ratio()
    millionths = abs(numerator[0]) * denominator[1] * 1_000_000 // (numerator[1] * denominator[0])
    return f"{'-' if change < 0 and millionths else ''}{millionths // 1_000_000}.{millionths % 1_000_000:06}"
