"""The front page: what Bourse is, and what its markets do."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from marketdata.paging import rows_of
from marketdata.queries import MarketDescription, assets, markets
from orders.book_queries import Ticker, ticker

HOURS = 24
HOUR_SECONDS = 3600
SPARK_WIDTH = 120
SPARK_HEIGHT = 32
SPARK_MARGIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRow:
    """A market in the front page's table; `points` is its sparkline in a box of SPARK_WIDTH x SPARK_HEIGHT."""

    market: MarketDescription
    base_name: str
    ticker: Ticker
    points: str


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """/"""
    return render(request, "home.html", {"rows": market_rows(now=timezone.now())})


def market_rows(*, now: datetime) -> list[MarketRow]:
    """Every market with its last 24 hours."""
    closes = _hourly_closes(now)
    names = {each.asset: each.name for each in assets()}
    return [
        MarketRow(
            market=each,
            base_name=names[each.base],
            ticker=ticker(market=each.market, now=now),
            points=sparkline(closes=closes.get(each.market, {})),
        )
        for each in markets()
    ]


def sparkline(*, closes: dict[int, Decimal]) -> str:
    """The points of an SVG polyline through the closes of the last HOURS hours; an hour without trades is flat.

    `closes` by hour, 0 is the oldest, HOURS the one that runs. "" for fewer than two points.
    """
    if not closes:
        return ""
    first = min(closes)
    line = [closes[first]]
    for hour in range(first + 1, HOURS + 1):
        line.append(closes.get(hour, line[-1]))
    if len(line) < 2:
        return ""
    low, high = min(line), max(line)
    room = SPARK_HEIGHT - 2 * SPARK_MARGIN
    height = [(price - low) * room // (high - low) if high > low else room // 2 for price in line]
    return " ".join(
        f"{(first + at) * SPARK_WIDTH // HOURS},{SPARK_HEIGHT - SPARK_MARGIN - int(up)}" for at, up in enumerate(height)
    )


def _hourly_closes(now: datetime) -> dict[str, dict[int, Decimal]]:
    """For each market the last price of each hour with trades: hour 0 began HOURS hours before the running one."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    since = this_hour - timedelta(hours=HOURS)
    sql = """
        SELECT m.symbol, c.open_time, c.close FROM marketdata_market m
        JOIN marketdata_candle c ON c.market_id = m.id AND c.seconds = %(seconds)s AND c.open_time >= %(since)s
    """
    found: dict[str, dict[int, Decimal]] = {}
    for symbol, open_time, close in rows_of(sql=sql, arguments={"seconds": HOUR_SECONDS, "since": since}):
        found.setdefault(symbol, {})[(open_time - since) // timedelta(hours=1)] = close
    return found
