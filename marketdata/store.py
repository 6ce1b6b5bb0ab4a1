"""The SQL that writes and reads the tables of marketdata: assets, markets, trades, candles.

`*_statement(s)` turn events into statements for the batch's transaction; `load_*` give them back as events. Amounts
are units inside; the scales come from the assets (`Scales`).
"""

from typing import Any

import psycopg

from marketdata import arrays, candles
from marketdata.candles import SECOND, WIDTHS, Candle
from marketdata.scale import numeric_suffix
from matching.engine.messages import AssetCreated, MarketChanged, MarketParameters, TradeExecuted

Statement = tuple[str, list[Any]]
"""SQL and its parameters."""

EPOCH = "('epoch'::timestamptz + %s * interval '1 microsecond')"
"""SQL for a time in microseconds since 1970."""


class Scales:
    """The suffixes that turn units into NUMERIC literals, per asset and per market; kept up to date by events."""

    def __init__(self) -> None:
        self.assets: dict[int, str] = {}
        self.markets: dict[int, tuple[str, str]] = {}
        self.quote_scales: dict[int, int] = {}
        self._asset_scales: dict[int, int] = {}

    def learn(self, event: AssetCreated | MarketChanged) -> None:
        """An asset or a market has come; markets have (base, quote) suffixes, prices the quote's."""
        if isinstance(event, AssetCreated):
            self.assets[event.asset_id] = numeric_suffix(event.scale)
            self._asset_scales[event.asset_id] = event.scale
        else:
            self.markets[event.market_id] = (self.assets[event.base_asset_id], self.assets[event.quote_asset_id])
            self.quote_scales[event.market_id] = self._asset_scales[event.quote_asset_id]


INSERT_TRADES = f"""
INSERT INTO marketdata_trade (id, sequence, market_id, price, quantity, notional, taker_side, maker_order_id,
    taker_order_id, maker_account_id, taker_account_id, maker_fee, taker_fee, executed_at)
SELECT t.id, t.sequence, t.market_id, t.price, t.quantity, t.notional, t.taker_side, t.maker_order_id,
    t.taker_order_id, t.maker_account_id, t.taker_account_id, t.maker_fee, t.taker_fee, {EPOCH}
FROM unnest(%s::bourse_trade_row[]) AS t
"""


def trades_statement(trades: list[TradeExecuted], scales: Scales, now: int) -> Statement:
    """Insert the trades of one batch, all executed at `now`."""
    return INSERT_TRADES, [now, arrays.rows([_trade_row(trade, *scales.markets[trade.market_id]) for trade in trades])]


def _trade_row(trade: TradeExecuted, base: str, quote: str) -> str:
    maker_fee, taker_fee = (quote, base) if trade.taker_side == "buy" else (base, quote)
    return (
        f"{trade.id},{trade.sequence},{trade.market_id},{trade.price}{quote},{trade.quantity}{base},"
        f"{trade.notional}{quote},{trade.taker_side},{trade.maker_order_id},{trade.taker_order_id},"
        f"{trade.maker_account_id},{trade.taker_account_id},{trade.maker_fee}{maker_fee},{trade.taker_fee}{taker_fee}"
    )


STORED_SECONDS: dict[str, int] = {interval: WIDTHS[interval] // SECOND for interval in candles.STORED}
"""The stored intervals of candles, and what the column `seconds` says of them."""

FOLD_CANDLES = f"""
INSERT INTO marketdata_candle AS c (market_id, seconds, open_time, open, high, low, close, volume, quote_volume,
    trades, taker_buy_volume)
SELECT r.market_id, i.seconds, {EPOCH.replace("%s", "i.open_time")}, r.open, r.high, r.low, r.close, r.volume,
    r.quote_volume, r.trades, r.taker_buy_volume
FROM unnest(%s::bourse_candle_row[]) AS r, unnest(%s::int[], %s::bigint[]) AS i (seconds, open_time)
ON CONFLICT (market_id, seconds, open_time) DO UPDATE SET high = greatest(c.high, excluded.high),
    low = least(c.low, excluded.low), close = excluded.close, volume = c.volume + excluded.volume,
    quote_volume = c.quote_volume + excluded.quote_volume, trades = c.trades + excluded.trades,
    taker_buy_volume = c.taker_buy_volume + excluded.taker_buy_volume
"""


def candles_statement(trades: list[TradeExecuted], scales: Scales, now: int) -> Statement:
    """Fold the trades of one batch, all executed at `now`, into the candles of every stored interval.

    The trades of a market fall into one candle of each interval, so each market is one row. The database adds it to
    what it has: nobody has to remember candles.
    """
    found: dict[int, Candle] = {}
    for trade in trades:
        so_far = found.get(trade.market_id)
        taker_buys = trade.taker_side == "buy"
        found[trade.market_id] = (
            Candle.of_trade(0, trade.price, trade.quantity, trade.notional, taker_buys)
            if so_far is None
            else so_far.fold(trade.price, trade.quantity, trade.notional, taker_buys)
        )
    return FOLD_CANDLES, [
        arrays.rows([_candle_row(market_id, each, *scales.markets[market_id]) for market_id, each in found.items()]),
        arrays.numbers(STORED_SECONDS.values()),
        arrays.numbers([candles.open_time(interval, now) for interval in STORED_SECONDS]),
    ]


def _candle_row(market_id: int, candle: Candle, base: str, quote: str) -> str:
    return (
        f"{market_id},{candle.open}{quote},{candle.high}{quote},{candle.low}{quote},{candle.close}{quote},"
        f"{candle.volume}{base},{candle.quote_volume}{quote},{candle.trades},{candle.taker_buy_volume}{base}"
    )


CANDLE_COLUMNS = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume")
MERGED_COLUMNS = """(array_agg(open ORDER BY open_time))[1] AS open, max(high) AS high, min(low) AS low,
    (array_agg(close ORDER BY open_time))[count(*)] AS close, sum(volume) AS volume, sum(quote_volume) AS quote_volume,
    sum(trades) AS trades, sum(taker_buy_volume) AS taker_buy_volume"""
"""SQL for CANDLE_COLUMNS of several candles put together: both arrays in one order, so that one sort is enough."""


def interval_start(interval: str, column: str) -> str:
    """SQL for when the interval of a time column began: `candles.open_time` in the database."""
    if interval == candles.MONTH:
        return f"date_trunc('month', {column}, 'UTC')"
    origin = candles.FIRST_MONDAY // SECOND if interval == candles.WEEK else 0
    return f"date_bin('{WIDTHS[interval] // SECOND} s', {column}, 'epoch'::timestamptz + interval '{origin} s')"


def expected_candles(interval: str) -> str:
    """SQL for the candles of a stored interval as they must be: of the trades for the shortest, else of the next one.

    Gives market_id, open_time and CANDLE_COLUMNS.
    """
    place = candles.STORED.index(interval)
    if place == 0:
        return f"""SELECT market_id, {interval_start(interval, "executed_at")} AS open_time,
            (array_agg(price ORDER BY id))[1] AS open, max(price) AS high, min(price) AS low,
            (array_agg(price ORDER BY id))[count(*)] AS close, sum(quantity) AS volume, sum(notional) AS quote_volume,
            count(*) AS trades, coalesce(sum(quantity) FILTER (WHERE taker_side = 'buy'), 0) AS taker_buy_volume
            FROM marketdata_trade GROUP BY 1, 2"""
    start = interval_start(interval, "open_time")
    return f"""SELECT market_id, {start} AS open_time, {MERGED_COLUMNS}
        FROM marketdata_candle WHERE seconds = {STORED_SECONDS[candles.STORED[place - 1]]} GROUP BY 1, 2"""


def asset_statement(event: AssetCreated) -> Statement:
    """Insert an asset."""
    return (
        "INSERT INTO marketdata_asset (id, symbol, name, scale) VALUES (%s, %s, %s, %s)",
        [event.asset_id, event.symbol, event.name, event.scale],
    )


MARKET_COLUMNS = (
    "symbol", "base_id", "quote_id", "tick_size", "lot_size", "min_quantity", "max_quantity", "min_notional",
    "max_notional", "reference_price", "price_band", "breaker_move", "breaker_window", "breaker_pause", "state", "note",
)  # fmt: skip

UPSERT_MARKET = f"""
INSERT INTO marketdata_market (id, {", ".join(MARKET_COLUMNS)}, breaker_since, reopens_at, changed_at)
VALUES (%s, {", ".join(["%s"] * len(MARKET_COLUMNS))}, %s, {EPOCH}, {EPOCH})
ON CONFLICT (id) DO UPDATE SET
{", ".join(f"{name} = excluded.{name}" for name in (*MARKET_COLUMNS, "breaker_since", "reopens_at", "changed_at"))}
"""


def market_statement(event: MarketChanged, scales: Scales) -> Statement:
    """Insert a market or bring it up to date."""
    base, quote = scales.markets[event.market_id]
    p = event.parameters
    return UPSERT_MARKET, [
        event.market_id,
        event.symbol,
        event.base_asset_id,
        event.quote_asset_id,
        f"{p.tick_size}{quote}",
        f"{p.lot_size}{base}",
        f"{p.min_quantity}{base}",
        f"{p.max_quantity}{base}",
        f"{p.min_notional}{quote}",
        f"{p.max_notional}{quote}",
        None if p.reference_price is None else f"{p.reference_price}{quote}",
        p.price_band,
        p.breaker_move,
        p.breaker_window,
        p.breaker_pause,
        event.state,
        event.note,
        event.breaker_since,
        event.reopens_at,
        event.changed_at,
    ]


def load_assets(connection: psycopg.Connection[Any]) -> list[AssetCreated]:
    """Every asset."""
    rows = connection.execute("SELECT id, symbol, name, scale FROM marketdata_asset ORDER BY id")
    return [AssetCreated(*row) for row in rows]


MICROSECONDS = "(extract(epoch from {}) * 1000000)::bigint"


def microseconds(column: str) -> str:
    """SQL for a time column as microseconds since 1970."""
    return MICROSECONDS.format(column)


def load_markets(connection: psycopg.Connection[Any]) -> list[MarketChanged]:
    """Every market as it stands. The connection reads NUMERIC as whole numbers of units."""
    rows = connection.execute(
        f"""SELECT m.id, m.symbol, m.base_id, m.quote_id,
        trunc(tick_size * q.unit), trunc(lot_size * b.unit), trunc(min_quantity * b.unit), trunc(max_quantity * b.unit),
        trunc(min_notional * q.unit), trunc(max_notional * q.unit), trunc(reference_price * q.unit),
        price_band, breaker_move, breaker_window, breaker_pause, state, note,
        {microseconds("reopens_at")}, breaker_since, {microseconds("changed_at")}
        FROM marketdata_market m JOIN {ASSET_UNITS} b ON b.id = m.base_id JOIN {ASSET_UNITS} q ON q.id = m.quote_id
        ORDER BY m.id"""
    )
    return [MarketChanged(*[*row[:4], MarketParameters(*row[4:15]), *row[15:]]) for row in rows]


ASSET_UNITS = "(SELECT id, ('1e' || scale)::numeric AS unit FROM marketdata_asset)"
"""SQL for a table of assets with the number of units in a whole one."""


def load_last_prices(connection: psycopg.Connection[Any]) -> dict[int, int]:
    """The last trade price of every market that has traded, in quote units."""
    rows = connection.execute(
        f"""SELECT m.id, (SELECT trunc(t.price * q.unit) FROM marketdata_trade t
            WHERE t.market_id = m.id ORDER BY t.id DESC LIMIT 1)
        FROM marketdata_market m JOIN {ASSET_UNITS} q ON q.id = m.quote_id"""
    )
    return {market_id: price for market_id, price in rows if price is not None}


def load_breaker_points(connection: psycopg.Connection[Any], market: MarketChanged, now: int) -> list[tuple[int, int]]:
    """The lowest and highest trade price of every second within the market's breaker window, as (second, price)."""
    oldest = (now // 1_000_000 - market.parameters.breaker_window) * 1_000_000
    rows = connection.execute(
        f"""SELECT second, trunc(min(price) * q.unit), trunc(max(price) * q.unit)
        FROM (SELECT floor(extract(epoch from executed_at))::bigint AS second, price FROM marketdata_trade
            WHERE market_id = %s AND sequence > %s AND executed_at >= {EPOCH}) recent, {ASSET_UNITS} q
        WHERE q.id = %s GROUP BY second, q.unit ORDER BY second""",
        [market.market_id, market.breaker_since, oldest, market.quote_asset_id],
    )
    return [(second, price) for second, low, high in rows for price in (low, high)]
