"""Where the feed begins: everything public, as of one sequence of the journal, from one snapshot of the database."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from marketdata.candles import Candle
from marketdata.changes import PublicTrade
from marketdata.depth import Depth
from marketdata.feed import TRADES_SHOWN
from marketdata.queries import MARKET_COLUMNS, MarketFormat, candle_now, day_candles, market_format
from marketdata.scale import units_from_numeric
from marketdata.shapes import time_text
from matching.engine.messages import MarketState

_MARKETS = f"""
    SELECT m.id, m.state, {MARKET_COLUMNS} FROM marketdata_market m
    JOIN marketdata_asset b ON b.id = m.base_id JOIN marketdata_asset q ON q.id = m.quote_id ORDER BY m.id
"""  # noqa: S608 - our own constants
_LEVELS = "SELECT market_id, side, price, sum(remaining) FROM orders_order WHERE status = 'open' GROUP BY 1, 2, 3"
_TRADES = f"""
    SELECT id, sequence, price, quantity, notional, taker_side, executed_at FROM marketdata_trade
    WHERE market_id = %s ORDER BY id DESC LIMIT {TRADES_SHOWN}
"""  # noqa: S608
_ANNOUNCEMENTS = """
    SELECT m.symbol, a.announcement_type, a.text, a.announced_at FROM notifications_announcement a
    LEFT JOIN marketdata_market m ON m.id = a.market_id ORDER BY a.id DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedMarket:
    """A market as it stood: levels, latest trades (oldest first), and the minutes of the last 24 hours."""

    id: int
    format: MarketFormat
    state: MarketState
    depth: Depth
    trades: list[PublicTrade]
    minutes: list[Candle]
    last_price: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Everything public as of `sequence`, which was committed at `at` (microseconds since 1970)."""

    sequence: int
    at: int
    markets: list[LoadedMarket]
    announcements: list[dict[str, Any]]


@contextmanager
def one_snapshot() -> Iterator[tuple[int, int]]:
    """A transaction that sees one state of the database all along; gives its sequence and its time (microseconds)."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT sequence, received_at FROM matching_enginestate")
        row = cursor.fetchone()
        assert row is not None, "the engine's row is missing: the database is not migrated"
        yield row[0], microseconds(row[1])


def load_public(*, announcements: int) -> Loaded:
    """Everything public; with the latest `announcements`, oldest first."""
    with one_snapshot() as (sequence, at):
        rows = _rows(_MARKETS)
        formats = {row[0]: market_format(*row[2:]) for row in rows}
        depths = _depths(formats)
        return Loaded(
            sequence=sequence,
            at=at,
            markets=[_market(row[0], formats[row[0]], row[1], depths[row[0]]) for row in rows],
            announcements=[
                {"market": market, "type": kind, "text": text, "announced_at": time_text(moment)}
                for market, kind, text, moment in reversed(_rows(_ANNOUNCEMENTS, announcements))
            ],
        )


def load_sequence() -> int:
    """How far the journal goes."""
    return int(_rows("SELECT sequence FROM matching_enginestate")[0][0])


def load_candle(*, market_id: int, interval: str) -> tuple[int, Candle | None]:
    """The current candle of an interval, and the sequence that it reflects."""
    with one_snapshot():
        return candle_now(market_id=market_id, interval=interval)


def microseconds(moment: datetime) -> int:
    """A moment as microseconds since 1970, exactly."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _depths(formats: dict[int, MarketFormat]) -> dict[int, Depth]:
    sides: dict[tuple[int, str], list[tuple[int, int]]] = {}
    for market_id, side, price, quantity in _rows(_LEVELS):
        style = formats[market_id]
        level = (_units(price, style.quote_scale), _units(quantity, style.base_scale))
        sides.setdefault((market_id, side), []).append(level)
    depths = {market_id: Depth() for market_id in formats}
    for (market_id, side), levels in sides.items():
        depth = depths[market_id]
        (depth.bids if side == "buy" else depth.asks).apply(sorted(levels, reverse=side == "sell"))
    return depths


def _market(market_id: int, style: MarketFormat, state: MarketState, depth: Depth) -> LoadedMarket:
    _, minutes, last_price = day_candles(market_id=market_id, now=time.time_ns() // 1000)
    return LoadedMarket(
        id=market_id,
        format=style,
        state=state,
        depth=depth,
        trades=_trades(market_id, style),
        minutes=minutes,
        last_price=last_price,
    )


def _trades(market_id: int, style: MarketFormat) -> list[PublicTrade]:
    return [
        PublicTrade(
            id,
            sequence,
            _units(price, style.quote_scale),
            _units(quantity, style.base_scale),
            _units(notional, style.quote_scale),
            side,
            microseconds(executed_at),
        )
        for id, sequence, price, quantity, notional, side, executed_at in reversed(_rows(_TRADES, market_id))
    ]


def _units(value: Decimal, scale: int) -> int:
    return units_from_numeric(format(value, "f"), scale)


def _rows(sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        return list(cursor.fetchall())
