"""A market's candles as everyone may read them: any interval, without gaps, as of one sequence of the journal."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from marketdata.candles import Candle, close_time, fill_gaps, first_open_from, open_time, opened_after
from marketdata.queries import MARKET_COLUMNS, MarketFormat, UnknownMarket, market_format, read_candles, rows_of
from marketdata.scale import text_from_units
from marketdata.shapes import DecimalText, Interval, TimeText, moment_of, time_text
from marketdata.store import STORED_SECONDS, microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicCandle:
    """What was traded from `open_time` up to the next candle's. Without a trade: the last close, and no volume.

    `volume` and `taker_buy_volume` (the part that takers bought) are in the base asset, `quote_volume` in the quote
    asset; `trades` counts them.
    """

    open_time: TimeText
    open: DecimalText
    high: DecimalText
    low: DecimalText
    close: DecimalText
    volume: DecimalText
    quote_volume: DecimalText
    trades: int
    taker_buy_volume: DecimalText


@dataclass(frozen=True, slots=True, kw_only=True)
class Candles:
    """Candles, oldest first, after the command with that sequence number; each begins where the one before ends.

    They begin with the market's first trade at the earliest, and end with the running interval at the latest.
    """

    sequence: int
    interval: Interval
    results: list[PublicCandle]


def candles(
    *, market: str, interval: Interval, now: int, limit: int, start: int | None = None, end: int | None = None
) -> Candles:
    """The first `limit` candles that begin at `start` or later, or the last `limit` ones, of those begun before `end`.

    Times in microseconds since 1970; `now` is the current one. Raises UnknownMarket.
    """
    market_id, style, first = _market(market)
    stop = close_time(interval, open_time(interval, now))
    bound = None if end is None else first_open_from(interval, end)
    stop = stop if bound is None else min(stop, bound)
    begin = opened_after(interval, stop, -limit) if start is None else first_open_from(interval, start)
    begin = min(max(begin, open_time(interval, now if first is None else first)), stop)
    if start is not None:
        full = opened_after(interval, begin, limit)
        stop, bound = min(stop, full), full if bound is None else min(bound, full)
    # Not bound by `now`: a trade may be a moment later, and what was read is all that the sequence says.
    sequence, found, before = read_candles(market_id=market_id, interval=interval, begin=begin, end=bound)
    if found:
        stop = max(stop, close_time(interval, found[-1].open_time))
    filled = fill_gaps(interval=interval, candles=found, begin=begin, end=stop, last_close=before)
    filled = filled[-limit:] if start is None else [each for each in filled if each.open_time >= start][:limit]
    return Candles(sequence=sequence, interval=interval, results=_written(filled, style))


def _market(symbol: str) -> tuple[int, MarketFormat, int | None]:
    """The market's id and format, and the second of its first trade, which never changes again."""
    sql = f"""
        SELECT m.id, (SELECT {microseconds("min(open_time)")} FROM marketdata_candle
            WHERE market_id = m.id AND seconds = {STORED_SECONDS["1s"]}), {MARKET_COLUMNS}
        FROM marketdata_market m
        JOIN marketdata_asset b ON b.id = m.base_id JOIN marketdata_asset q ON q.id = m.quote_id
        WHERE m.symbol = %(symbol)s
    """  # noqa: S608
    rows = rows_of(sql=sql, arguments={"symbol": symbol})
    if not rows:
        raise UnknownMarket(symbol)
    market_id, first, *columns = rows[0]
    return market_id, market_format(*columns), first


def _written(candles: Iterable[Candle], style: MarketFormat) -> list[PublicCandle]:
    """The candles as text. Most numbers come several times: an open is the close before it, a gap has but one price."""

    @cache
    def price(units: int) -> str:
        return text_from_units(units, style.quote_scale, style.price_decimals)

    @cache
    def volume(units: int) -> str:
        return text_from_units(units, style.base_scale, style.quantity_decimals)

    return [
        PublicCandle(
            open_time=time_text(moment_of(candle.open_time)),
            open=price(candle.open),
            high=price(candle.high),
            low=price(candle.low),
            close=price(candle.close),
            volume=volume(candle.volume),
            quote_volume=price(candle.quote_volume),
            trades=candle.trades,
            taker_buy_volume=volume(candle.taker_buy_volume),
        )
        for candle in candles
    ]
