"""What the database says, in a few statements whose cost does not grow with it; each may take STATEMENT_SECONDS_MAX.

Counts stop at bounds, rates look at the newest orders and trades only, best prices come from the book's index.
"""

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection, connections, transaction

from marketdata.candles import ticker_start
from marketdata.paging import rows_of
from marketdata.queries import MARKET_COLUMNS, market_format
from marketdata.shapes import microseconds_of, moment_of, optional_time_text, time_text
from marketdata.store import STORED_SECONDS
from matching.models import EngineState, ProveRun
from matching.session import LEADER_NAME
from matching.worker import LOADING_NAME, STANDBY_NAME
from trading import control
from trading.metrics import database as figures
from trading.status.shapes import (
    OPEN_ORDERS_MAX,
    Exchange,
    Follower,
    Market,
    Postgres,
    Proof,
    Rate,
    Replica,
    Waiting,
    Worker,
)

STATEMENT_SECONDS_MAX = 3
RATE_ROWS_MAX = 5_000
RATE_SECONDS = 60
REPLICAS_MAX = 20
MARKETS_MAX = 200
SEVERITIES = ("high", "medium", "low")

WORKERS = """
SELECT pid, application_name, coalesce(host(client_addr), ''), backend_start FROM pg_stat_activity
WHERE datname = current_database() AND application_name = ANY(%(names)s) ORDER BY backend_start LIMIT 100
"""

BEST = """(SELECT price FROM orders_order WHERE market_id = m.id AND side = '{side}' AND status = 'open'
    ORDER BY price {direction} LIMIT 1)"""

MARKETS = f"""
SELECT m.state, m.note, m.reopens_at,
    (SELECT price FROM marketdata_trade WHERE market_id = m.id ORDER BY id DESC LIMIT 1),
    {BEST.format(side="buy", direction="DESC")}, {BEST.format(side="sell", direction="ASC")},
    (SELECT coalesce(sum(volume), 0) FROM marketdata_candle
        WHERE market_id = m.id AND seconds = {STORED_SECONDS["1m"]} AND open_time >= %(since)s),
    (SELECT count(*) FROM (
        SELECT 1 FROM orders_order WHERE market_id = m.id AND status = 'open' LIMIT {OPEN_ORDERS_MAX}) seen),
    {MARKET_COLUMNS}
FROM marketdata_market m JOIN marketdata_asset b ON b.id = m.base_id JOIN marketdata_asset q ON q.id = m.quote_id
ORDER BY m.id LIMIT {MARKETS_MAX}
"""  # noqa: S608

RATE = """
SELECT count(*) FILTER (WHERE moment > clock_timestamp() - interval '1 second'),
    count(*) FILTER (WHERE moment > clock_timestamp() - interval '{seconds} seconds'), count(*),
    extract(epoch from clock_timestamp() - min(moment))::float8
FROM (SELECT {time} AS moment FROM {table} ORDER BY id DESC LIMIT {most}) newest
"""

SERVER = """
SELECT current_setting('server_version'), pg_database_size(current_database()),
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    current_setting('max_connections')::int
"""
REPLICAS = f"""
SELECT coalesce(nullif(application_name, ''), host(client_addr), '?'), coalesce(state, '?'),
    extract(epoch from replay_lag)::float8
FROM pg_stat_replication ORDER BY 1 LIMIT {REPLICAS_MAX}
"""  # noqa: S608
REPLICA_LAG = """
SELECT CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END
"""


def ask(*, now: datetime) -> tuple[Exchange, Postgres]:
    """Everything that the database says. Raises DatabaseError; the connection is kept unless it failed."""
    try:
        connection.ensure_connection()
        began = time.perf_counter()
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS_MAX}s'")
            answered = time.perf_counter() - began
            return _exchange(now), _postgres(answered * 1_000)
    except BaseException:
        connection.close()
        raise


def _exchange(now: datetime) -> Exchange:
    engine = EngineState.objects.get()
    leader = control.leader()
    workers = [
        _worker(row, leader)
        for row in rows_of(sql=WORKERS, arguments={"names": [LEADER_NAME, LOADING_NAME, STANDBY_NAME]})
    ]
    states = {worker.state for worker in workers}
    state = "loading" if "loading" in states and "leads" not in states else "open"
    if leader is None:
        state = "leaderless"
    elif engine.halted:
        state = "halted"
    proof = ProveRun.objects.order_by("-id").first()
    known = figures.ask()
    return Exchange(
        state=state,
        halt_note=engine.halt_note,
        sequence=engine.sequence,
        last_command_at=time_text(engine.received_at) if engine.sequence else None,
        workers=workers,
        markets=_markets(now),
        orders=_rate("orders_order", "created_at"),
        trades=_rate("marketdata_trade", "executed_at"),
        followers=_followers(known),
        waiting=_waiting(known),
        alerts={severity: int(_number(known, "bourse_alerts_open", severity)) for severity in SEVERITIES},
        proof=None if proof is None else _proof(proof),
    )


def _proof(run: ProveRun) -> Proof:
    return Proof(proved=run.proved, at=time_text(run.ran_at), commands=run.commands, finding=run.finding)


def _worker(row: tuple[Any, ...], leader: control.Leader | None) -> Worker:
    """Who has the lock leads, or will when it has loaded."""
    pid, name, host, since = row
    state = "standby" if leader is None or pid != leader.pid else "loading" if name == LOADING_NAME else "leads"
    return Worker(state=state, host=host, database_pid=pid, since=time_text(since))


def _markets(now: datetime) -> list[Market]:
    since = moment_of(ticker_start(microseconds_of(now)))
    return [_market(*row) for row in rows_of(sql=MARKETS, arguments={"since": since})]


def _market(
    state: str,
    note: str,
    reopens_at: datetime | None,
    last: Decimal | None,
    bid: Decimal | None,
    ask: Decimal | None,
    volume: Decimal,
    open_orders: int,
    *columns: Any,
) -> Market:
    style = market_format(*columns)
    spread = None if bid is None or ask is None else ask - bid
    return Market(
        market=style.symbol,
        state=state,
        note=note,
        reopens_at=optional_time_text(reopens_at),
        last=None if last is None else style.price(last),
        best_bid=None if bid is None else style.price(bid),
        best_ask=None if ask is None else style.price(ask),
        spread=None if spread is None else style.price(spread),
        spread_bp=None if spread is None or not (bid and ask) else round(float(20_000 * spread / (bid + ask)), 1),
        volume=style.quantity(volume),
        base=style.base,
        open_orders=open_orders,
    )


def _rate(table: str, column: str) -> Rate:
    sql = RATE.format(table=table, time=column, seconds=RATE_SECONDS, most=RATE_ROWS_MAX)
    second, minute, rows, span = rows_of(sql=sql, arguments={})[0]
    seconds = float(RATE_SECONDS) if minute < rows or rows < RATE_ROWS_MAX else max(span, 1.0)
    return Rate(now=float(second), minute=round(minute / seconds, 2), seconds=round(seconds, 1))


def _followers(known: list[figures.Row]) -> list[Follower]:
    names = [row.labels[0] for row in known if row.figure.name == "bourse_follower_behind_commands"]
    return [
        Follower(
            name=name,
            behind=int(_number(known, "bourse_follower_behind_commands", name)),
            seconds=round(_number(known, "bourse_follower_behind_seconds", name), 1),
            failed=bool(_number(known, "bourse_follower_failed", name)),
        )
        for name in sorted(names)
    ]


def _waiting(known: list[figures.Row]) -> Waiting:
    return Waiting(
        inbox=int(_number(known, "bourse_inbox_waiting")),
        inbox_seconds=round(_number(known, "bourse_inbox_oldest_seconds"), 1),
        deliveries=int(_number(known, "bourse_deliveries_waiting")),
        deliveries_dead=int(_number(known, "bourse_deliveries_dead")),
        deliveries_late_seconds=round(_number(known, "bourse_deliveries_late_seconds"), 1),
        withdrawals=int(_number(known, "bourse_withdrawals_pending")),
    )


def _number(known: list[figures.Row], name: str, *labels: str) -> float:
    return next((row.value for row in known if row.figure.name == name and row.labels == list(labels)), 0.0)


def _postgres(milliseconds: float) -> Postgres:
    version, size, used, most = rows_of(sql=SERVER, arguments={})[0]
    replicas = [
        Replica(name=name, state=state, lag_seconds=None if lag is None else round(lag, 3))
        for name, state, lag in rows_of(sql=REPLICAS, arguments={})
    ]
    return Postgres(
        version=version.split()[0],
        size=size,
        connections=used,
        connections_max=most,
        milliseconds=round(milliseconds, 2),
        replicas=replicas,
    )


def ask_replica() -> Replica:
    """The server of DATABASE_REPLICA_URL. Raises DatabaseError."""
    replica = connections["replica"]
    try:
        with replica.cursor() as cursor:
            cursor.execute(REPLICA_LAG)
            (lag,) = cursor.fetchone()
    except BaseException:
        replica.close()
        raise
    return Replica(name="DATABASE_REPLICA_URL", state="answers", lag_seconds=None if lag is None else round(lag, 3))


def has_replica() -> bool:
    """Whether reads go to another server."""
    return "replica" in settings.DATABASES


def utc_now() -> datetime:
    """The moment at hand."""
    return datetime.now(UTC)
