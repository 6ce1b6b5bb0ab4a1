"""Assets, markets, public trades and announcements, read in one SQL statement each.

Everything comes back as plain frozen dataclasses that are ready to be sent: decimals and times as text. Owners of
orders and trades are nowhere in them.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from marketdata.candles import SOURCES, STORED, Candle, open_time, ticker_start
from marketdata.models import Asset as AssetRow
from marketdata.models import Market
from marketdata.paging import PageAsked, Paging, rows_of
from marketdata.scale import decimals_of, units_from_numeric
from marketdata.shapes import (
    DecimalText,
    Page,
    TimeText,
    amount_text,
    optional_amount_text,
    optional_time_text,
    rate_text,
    time_text,
)
from marketdata.store import (
    ASSET_UNITS,
    CANDLE_COLUMNS,
    EPOCH,
    MERGED_COLUMNS,
    STORED_SECONDS,
    interval_start,
    microseconds,
)
from matching.engine.messages import MarketState, Side

MARKET_COLUMNS = "m.symbol, b.symbol, q.symbol, b.scale, q.scale, m.tick_size, m.lot_size"
"""What `market_format` takes, of the tables joined by MARKET_JOIN."""


class UnknownMarket(LookupError):
    """No market has that symbol."""


class UnknownAsset(LookupError):
    """No asset has that symbol."""


@dataclass(frozen=True, slots=True)
class MarketFormat:
    """How a market's numbers are written: scales of its assets, decimals of its tick and lot size."""

    symbol: str
    base: str
    quote: str
    base_scale: int
    quote_scale: int
    price_decimals: int
    quantity_decimals: int

    def price(self, value: Decimal) -> str:
        """A price with the decimals of the tick size."""
        return amount_text(value, self.quote_scale, self.price_decimals)

    def quantity(self, value: Decimal) -> str:
        """A quantity with the decimals of the lot size."""
        return amount_text(value, self.base_scale, self.quantity_decimals)

    def base_amount(self, value: Decimal) -> str:
        """An amount of the base asset with as many decimals as it needs."""
        return amount_text(value, self.base_scale, 0)

    def quote_amount(self, value: Decimal) -> str:
        """An amount of the quote asset with as many decimals as it needs."""
        return amount_text(value, self.quote_scale, 0)

    def notional(self, value: Decimal) -> str:
        """A price times a quantity, with at least the decimals of the tick size."""
        return amount_text(value, self.quote_scale, self.price_decimals)


@lru_cache(maxsize=4096)
def market_format(
    symbol: str, base: str, quote: str, base_scale: int, quote_scale: int, tick_size: Decimal, lot_size: Decimal
) -> MarketFormat:
    """The format of a market from its MARKET_COLUMNS."""
    tick = units_from_numeric(format(tick_size, "f"), quote_scale)
    lot = units_from_numeric(format(lot_size, "f"), base_scale)
    return MarketFormat(
        symbol, base, quote, base_scale, quote_scale, decimals_of(tick, quote_scale), decimals_of(lot, base_scale)
    )


def market_join(*, of: str) -> str:
    """SQL that joins the market `m`, its base `b` and its quote `q` to a table's `market_id`."""
    return (
        f"JOIN marketdata_market m ON m.id = {of}.market_id "
        "JOIN marketdata_asset b ON b.id = m.base_id JOIN marketdata_asset q ON q.id = m.quote_id"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """Something that can be owned and traded; amounts have at most `scale` decimals."""

    asset: str
    name: str
    scale: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketDescription:
    """A market: its filters, circuit breaker and state. Rates are fractions (0.2 is 20 %), times in seconds.

    The price band is around the last trade (before the first: the reference price); 0 is off. The breaker trips when
    a trade would move the price by more than `breaker_move` within `breaker_window_seconds`; 0 is off.
    """

    market: str
    base: str
    quote: str
    state: MarketState
    note: str
    reopens_at: TimeText | None
    tick_size: DecimalText
    lot_size: DecimalText
    min_quantity: DecimalText
    max_quantity: DecimalText
    min_notional: DecimalText
    max_notional: DecimalText
    reference_price: DecimalText | None
    price_band: DecimalText
    breaker_move: DecimalText
    breaker_window_seconds: int
    breaker_pause_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicTrade:
    """One match, as everyone may see it."""

    id: int
    price: DecimalText
    quantity: DecimalText
    taker_side: Side
    executed_at: TimeText


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicAnnouncement:
    """What the exchange tells everyone: halts, reopenings, circuit breakers. `market` null: the whole exchange."""

    id: int
    sequence: int
    market: str | None
    type: str
    text: str
    announced_at: TimeText


def assets() -> list[Asset]:
    """Every asset, in the order of creation."""
    rows = AssetRow.objects.order_by("id").values_list("symbol", "name", "scale")
    return [Asset(asset=symbol, name=name, scale=scale) for symbol, name, scale in rows]


def asset_scale(*, asset: str) -> tuple[int, int]:
    """(id, scale) of the asset with that symbol. Raises UnknownAsset."""
    row = AssetRow.objects.filter(symbol=asset).values_list("id", "scale").first()
    if row is None:
        raise UnknownAsset(asset)
    return row


def markets() -> list[MarketDescription]:
    """Every market, in the order of creation."""
    found = Market.objects.select_related("base", "quote").order_by("id")
    return [_described(market) for market in found]


def market(*, symbol: str) -> MarketDescription:
    """One market. Raises UnknownMarket."""
    found = Market.objects.select_related("base", "quote").filter(symbol=symbol).first()
    if found is None:
        raise UnknownMarket(symbol)
    return _described(found)


def require_market(*, symbol: str) -> None:
    """Raises UnknownMarket unless there is such a market."""
    if not Market.objects.filter(symbol=symbol).exists():
        raise UnknownMarket(symbol)


def require_asset(*, symbol: str) -> None:
    """Raises UnknownAsset unless there is such an asset."""
    if not AssetRow.objects.filter(symbol=symbol).exists():
        raise UnknownAsset(symbol)


def trades(
    *,
    market: str,
    limit: int,
    before: int | None = None,
    after: int | None = None,
    start: int | None = None,
    end: int | None = None,
) -> Page[PublicTrade]:
    """A market's trades; the page is as in PageAsked. Raises UnknownMarket."""
    asked = PageAsked(limit=limit, before=before, after=after, start=start, end=end)
    paging = Paging[PublicTrade](table="marketdata_trade", time="executed_at", asked=asked)
    conditions = ["market_id = (SELECT id FROM marketdata_market WHERE symbol = %(market)s)", *paging.conditions]
    sql = f"""
        SELECT t.id, t.price, t.quantity, t.taker_side, t.executed_at, {MARKET_COLUMNS}
        FROM (
            SELECT * FROM marketdata_trade WHERE {" AND ".join(conditions)} {paging.order} LIMIT %(limit)s + 1
        ) t {market_join(of="t")} {paging.order_of("t")}
    """  # noqa: S608
    rows = rows_of(sql=sql, arguments=paging.arguments | {"market": market})
    if not rows:
        require_market(symbol=market)
    found = []
    for id_, price, quantity, taker_side, executed_at, *columns in rows:
        style = market_format(*columns)
        found.append(
            PublicTrade(
                id=id_,
                price=style.price(price),
                quantity=style.quantity(quantity),
                taker_side=taker_side,
                executed_at=time_text(executed_at),
            )
        )
    return paging.page(rows=found, ids=[trade.id for trade in found])


def read_candles(
    *, market_id: int, interval: str, begin: int, end: int | None = None
) -> tuple[int, list[Candle], int | None]:
    """(sequence, candles, the last close before them) of the intervals with trades from `begin` on, up to `end`.

    Both are microseconds since 1970 at which an interval begins. One statement, so that everything is as of that
    sequence of the journal. Raises UnknownMarket.
    """
    seconds = STORED_SECONDS[SOURCES[interval]]
    part = f"FROM marketdata_candle WHERE market_id = %(market_id)s AND seconds = {seconds}"
    until = f"AND open_time < {_at('end')}" if end is not None else ""
    if interval in STORED:
        found = f"SELECT open_time AS at, {', '.join(CANDLE_COLUMNS)} {part} AND open_time >= {_at('begin')} {until}"
    else:
        start = interval_start(interval, "open_time")
        found = f"SELECT {start} AS at, {MERGED_COLUMNS} {part} AND open_time >= {_at('begin')} {until} GROUP BY 1"
    sql = f"""
        SELECT e.sequence, trunc(q.unit * (
                SELECT close {part} AND open_time < {_at("begin")} ORDER BY open_time DESC LIMIT 1))::text,
            {microseconds("c.at")}, trunc(c.open * q.unit)::text, trunc(c.high * q.unit)::text,
            trunc(c.low * q.unit)::text, trunc(c.close * q.unit)::text, trunc(c.volume * b.unit)::text,
            trunc(c.quote_volume * q.unit)::text, c.trades, trunc(c.taker_buy_volume * b.unit)::text
        FROM matching_enginestate e CROSS JOIN marketdata_market m
        JOIN {ASSET_UNITS} b ON b.id = m.base_id JOIN {ASSET_UNITS} q ON q.id = m.quote_id
        LEFT JOIN LATERAL ({found}) c ON true WHERE m.id = %(market_id)s ORDER BY c.at
    """  # noqa: S608
    rows = rows_of(sql=sql, arguments={"market_id": market_id, "begin": begin, "end": end})
    if not rows:
        raise UnknownMarket(market_id)
    sequence, close, at = rows[0][:3]
    read = [] if at is None else [Candle(*map(int, row[2:])) for row in rows]
    return sequence, read, None if close is None else int(close)


def _at(name: str) -> str:
    """SQL for the moment that a named argument in microseconds says."""
    return EPOCH.replace("%s", f"%({name})s")


def candle_now(*, market_id: int, interval: str) -> tuple[int, Candle | None]:
    """(sequence, the candle of the interval with the market's newest trade; None: it never traded). In units."""
    sql = f"""SELECT {microseconds("max(open_time)")} FROM marketdata_candle
        WHERE market_id = %(market_id)s AND seconds = {STORED_SECONDS[STORED[0]]}"""  # noqa: S608
    ((newest,),) = rows_of(sql=sql, arguments={"market_id": market_id})
    sequence, found, _ = read_candles(market_id=market_id, interval=interval, begin=open_time(interval, newest or 0))
    return sequence, found[-1] if found else None


def day_candles(*, market_id: int, now: int) -> tuple[int, list[Candle], int | None]:
    """(sequence, the 1m candles of a ticker's 24 hours at `now`, oldest first, the last price ever; None: no trade).

    In units and microseconds. Minutes without a trade have no candle.
    """
    sequence, found, before = read_candles(market_id=market_id, interval="1m", begin=ticker_start(now))
    return sequence, found, found[-1].close if found else before


def announcements(*, limit: int, before: int | None = None) -> Page[PublicAnnouncement]:
    """Announcements, newest first, those with an id below `before`."""
    asked = PageAsked(limit=limit, before=before)
    paging = Paging[PublicAnnouncement](table="notifications_announcement", time="announced_at", asked=asked)
    sql = f"""
        SELECT a.id, a.sequence, m.symbol, a.announcement_type, a.text, a.announced_at
        FROM (
            SELECT * FROM notifications_announcement WHERE {" AND ".join(paging.conditions)}
            {paging.order} LIMIT %(limit)s + 1
        ) a LEFT JOIN marketdata_market m ON m.id = a.market_id {paging.order_of("a")}
    """  # noqa: S608
    found = [
        PublicAnnouncement(
            id=id_, sequence=sequence, market=symbol, type=kind, text=text, announced_at=time_text(announced_at)
        )
        for id_, sequence, symbol, kind, text, announced_at in rows_of(sql=sql, arguments=paging.arguments)
    ]
    return paging.page(rows=found, ids=[row.id for row in found])


def _described(market: Market) -> MarketDescription:
    style = market_format(
        market.symbol,
        market.base.symbol,
        market.quote.symbol,
        market.base.scale,
        market.quote.scale,
        market.tick_size,
        market.lot_size,
    )
    return MarketDescription(
        market=market.symbol,
        base=style.base,
        quote=style.quote,
        state=market.state,  # type: ignore[arg-type]
        note=market.note,
        reopens_at=optional_time_text(market.reopens_at),
        tick_size=style.price(market.tick_size),
        lot_size=style.quantity(market.lot_size),
        min_quantity=style.quantity(market.min_quantity),
        max_quantity=style.quantity(market.max_quantity),
        min_notional=style.notional(market.min_notional),
        max_notional=style.notional(market.max_notional),
        reference_price=optional_amount_text(market.reference_price, style.quote_scale, style.price_decimals),
        price_band=rate_text(market.price_band),
        breaker_move=rate_text(market.breaker_move),
        breaker_window_seconds=market.breaker_window,
        breaker_pause_seconds=market.breaker_pause,
    )
