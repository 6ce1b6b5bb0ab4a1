"""The dashboard's figures: is it healthy, is it growing, what waits. None of them reads a whole table.

Volumes and fees come from the daily candles and the fee books, rates from the last minute, counts from partial
indexes; all operators together ask the database once in KEPT_SECONDS.
"""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

from django.core.cache import cache
from django.db.models import Count, Sum
from django.utils import timezone

from fees.models import FeeDay
from marketdata.models import Candle, Market
from marketdata.paging import PageAsked, Paging, rows_of
from marketdata.queries import markets
from marketdata.shapes import microseconds_of, optional_time_text, time_text
from matching import commit_times, worker
from matching.models import EngineState, InboxCommand, ProveRun
from matching.redis_lane import RedisLane
from orders.book_queries import ticker
from risk.models import Alert, Case, Withdrawal
from trading import control
from trading.models import OperatorRequest
from trading.pages import valuation

KEPT_SECONDS = 2
RATE_SECONDS = 60
DAYS_SHOWN = 30
COUNTED_MAX = 300_000
"""No count goes further than this."""

STANDBYS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %(name)s AND datname = current_database()"
OPEN_ORDERS = """SELECT count(*) FROM (
    SELECT 1 FROM orders_order WHERE status = 'open' LIMIT %(most)s) seen"""
USERS = """SELECT count(*), count(*) FILTER (WHERE date_joined > now() - interval '24 hours')
    FROM (SELECT date_joined FROM trading_user ORDER BY id DESC LIMIT %(most)s) newest"""


def figures() -> dict[str, Any]:
    """Everything on the dashboard, at most KEPT_SECONDS old, ready for JSON."""
    found: dict[str, Any] | None = cache.get("desk-figures")
    if found is None:
        found = _ask(timezone.now())
        cache.set("desk-figures", found, KEPT_SECONDS)
    return found


def alerts_by_severity() -> dict[str, int]:
    """How many alerts of cases that are still open there are, by severity, the highest first."""
    counted = dict(Alert.objects.filter(case__closed_at=None).values_list("severity").annotate(Count("id")).order_by())
    return {severity: counted.get(severity, 0) for severity, _ in reversed(Case.SEVERITIES)}


def _ask(now: datetime) -> dict[str, Any]:
    users, new_users = rows_of(sql=USERS, arguments={"most": COUNTED_MAX})[0]
    return {
        "at": time_text(now),
        "worker": _worker(),
        "commit": _commit(),
        "lane": _lane(),
        "orders_per_second": _orders_per_second(now),
        "trades_per_second": _trades_per_second(now),
        "open_orders": rows_of(sql=OPEN_ORDERS, arguments={"most": COUNTED_MAX})[0][0],
        "users": users,
        "new_users": new_users,
        "markets": _markets(now),
        "alerts": alerts_by_severity(),
        "waiting": {
            "requests": OperatorRequest.objects.filter(status="waiting").count(),
            "withdrawals": Withdrawal.objects.filter(status="pending").count(),
            "cases": Case.objects.filter(closed_at=None).count(),
        },
        "proof": _proof(),
        "days": _days(now),
    }


def _worker() -> dict[str, Any]:
    leader = control.leader()
    state = EngineState.objects.get(id=1)
    return {
        "leads": leader is not None,
        "since": optional_time_text(leader.since if leader else None),
        "here": worker.status().books_loaded,
        "standbys": rows_of(sql=STANDBYS, arguments={"name": worker.STANDBY_NAME})[0][0],
        "sequence": state.sequence,
        "halted": state.halted,
    }


def _commit() -> dict[str, float] | None:
    """Milliseconds of this process's worker, or of the leader that is heard through Redis."""
    lane = worker.order_lane()
    if isinstance(lane, RedisLane):
        found = lane.heard.commits if lane.heard is not None and lane.available else []
    else:
        found = commit_times.percentiles(50, 99)
    return {"p50": round(found[0] * 1_000, 2), "p99": round(found[1] * 1_000, 2)} if found else None


def _lane() -> dict[str, int]:
    lane = worker.order_lane()
    return {
        "depth": lane.depth,
        "most": lane.commands_max,
        "inbox": InboxCommand.objects.filter(done_at=None).count(),
    }


def _orders_per_second(now: datetime) -> float:
    start = microseconds_of(now - timedelta(seconds=RATE_SECONDS))
    last = Paging[Any](table="orders_order", time="created_at", asked=PageAsked(limit=1, start=start))
    sql = f"""SELECT count(*) FROM (SELECT 1 FROM orders_order WHERE {" AND ".join(last.conditions)}
        LIMIT {COUNTED_MAX}) seen"""  # noqa: S608
    placed: int = rows_of(sql=sql, arguments=last.arguments)[0][0]
    return round(placed / RATE_SECONDS, 2)


def _trades_per_second(now: datetime) -> float:
    since = now - timedelta(seconds=RATE_SECONDS)
    found = Candle.objects.filter(market__in=Market.objects.values("id"), seconds=1, open_time__gt=since).aggregate(
        trades=Sum("trades")
    )
    return round((found["trades"] or 0) / RATE_SECONDS, 2)


def _markets(now: datetime) -> list[dict[str, Any]]:
    found = []
    for each in markets():
        day = ticker(market=each.market, now=now)
        found.append(
            {"market": each.market, "state": each.state, "note": each.note, "last": day.last, "volume": day.volume}
        )
    return found


def _proof() -> dict[str, Any] | None:
    run = ProveRun.objects.order_by("-id").first()
    if run is None:
        return None
    return {"proved": run.proved, "at": time_text(run.ran_at), "commands": run.commands, "finding": run.finding}


def _days(now: datetime) -> dict[str, Any]:
    """Volume and fees of each of the last DAYS_SHOWN UTC days, both worth so much of one asset at today's prices."""
    today = now.astimezone(UTC).date()
    days = [today - timedelta(days=age) for age in reversed(range(DAYS_SHOWN))]
    prices, unit = _quote_prices(now)
    begin = datetime(days[0].year, days[0].month, days[0].day, tzinfo=UTC)
    volume, fees = dict.fromkeys(days, Fraction()), dict.fromkeys(days, Fraction())
    candles = Candle.objects.filter(market__in=Market.objects.values("id"), seconds=86_400, open_time__gte=begin)
    for market_id, opened, amount in candles.values_list("market_id", "open_time", "quote_volume"):
        volume[opened.astimezone(UTC).date()] += Fraction(amount) * prices.get(market_id, Fraction())
    taken = FeeDay.objects.filter(day__gte=days[0]).values_list("market_id", "day").annotate(Sum("value"))
    for market_id, day, amount in taken:
        if day in fees:
            fees[day] += Fraction(amount) * prices.get(market_id, Fraction())
    return {
        "asset": unit,
        "days": [day.isoformat() for day in days],
        "volume": _whole(volume, days),
        "fees": _whole(fees, days),
    }


def _whole(amounts: dict[date, Fraction], days: list[date]) -> list[float]:
    """For drawing only: rounded to hundredths."""
    return [round(float(amounts[day]), 2) for day in days]


def _quote_prices(now: datetime) -> tuple[dict[int, Fraction], str]:
    """What one quote asset of each market is worth, by the market's id, and in which asset that is."""
    described = markets()
    ids = dict(Market.objects.values_list("symbol", "id"))
    unit = valuation.valuation_asset(described)
    prices = valuation.last_prices(now=now)
    return {ids[each.market]: prices.get(each.quote, Fraction()) for each in described}, unit
