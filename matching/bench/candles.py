"""How long a thousand candles take when millions of trades are stored, over the whole endpoint and for every interval.

The trades are made by SQL, and the candles of them: three quarters in bursts over eight years, so that long intervals
have a thousand candles as well, the rest one a second. Then Django answers requests in this process. The yardstick is a
plain read of as many stored rows.
"""

import time
from collections.abc import Callable

from django.db import connection
from django.test import Client

from marketdata.candles import INTERVALS, STORED
from marketdata.store import CANDLE_COLUMNS, STORED_SECONDS, expected_candles
from matching.bench import flow, report
from matching.bench.commit import prepare_database, running_worker
from matching.bench.report import Row

LIMIT = 1_000
MS_MAX = 50
YEARS = 8
YEAR_SECONDS = 365 * 86_400
BURST = 5

INSERT_TRADES = """
INSERT INTO marketdata_trade (id, sequence, market_id, price, quantity, notional, taker_side, maker_order_id,
    taker_order_id, maker_account_id, taker_account_id, maker_fee, taker_fee, executed_at)
SELECT n, n, %s, price, quantity, price * quantity, CASE WHEN random() < 0.5 THEN 'buy' ELSE 'sell' END,
    2 * n, 2 * n + 1, 3 + n %% 100, 103 + n %% 100, 0, 0, now() - make_interval(secs => CASE
        WHEN n > bursts THEN total - n
        ELSE total - bursts + (bursts - n) / {burst} * ({seconds} / (bursts / {burst})) END)
FROM (SELECT n, round((43000 + 5000 * sin(n / 100000.0) + 50 * random())::numeric, 2) AS price,
    round((0.0001 + random())::numeric, 4) AS quantity FROM generate_series(1, %s) n) made,
    (VALUES (%s::bigint, %s::bigint)) AS counts (total, bursts)
"""
OTHER_INDEXES = """
SELECT indexname FROM pg_indexes WHERE tablename = 'marketdata_trade'
AND indexname NOT IN ('marketdata_trade_pkey', 'trade_market')
"""
INSERT_CANDLES = """
INSERT INTO marketdata_candle (market_id, seconds, open_time, {columns})
SELECT market_id, {seconds}, open_time, {columns} FROM ({candles}) c
"""
STORED_ROWS = f"""
SELECT * FROM marketdata_candle WHERE market_id = 1 AND seconds = 1 ORDER BY open_time DESC LIMIT {LIMIT}
"""  # noqa: S608 - our own constants


def history(*, trades: int, runs: int) -> list[Row]:
    """The row of the slowest interval: its latest candles, or those from the middle of the history. A part."""
    user_ids = prepare_database(users=2)
    with running_worker() as load:
        market_id = flow.build(execute=load.execute, user_ids=user_ids).market_id
    _store_trades(market_id=market_id, trades=trades)
    middle = int((time.time() - YEARS * YEAR_SECONDS / 2) * 1_000)
    found: dict[str, float] = {}
    for interval in INTERVALS:
        latest = f"/api/v1/markets/{flow.SYMBOL}/candles?interval={interval}&limit={LIMIT}"
        for name, path in ((interval, latest), (f"{interval} from the middle", f"{latest}&start={middle}")):
            found[name] = _median_ms(lambda path=path: _get(path), runs)  # type: ignore[misc]
    slowest = max(found, key=lambda name: found[name])
    return [
        report.bounded_row(
            group="candles",
            what=f"{LIMIT:,} candles, the slowest interval ({slowest}), {trades:,} trades",
            figure=found[slowest],
            unit="ms",
            yardstick=f"{LIMIT:,} stored rows by SQL",
            yardstick_figure=_median_ms(_read_rows, runs),
            below=MS_MAX,
            note=", ".join(f"{name} {found[name]:.0f}" for name in INTERVALS),
        )
    ]


def _store_trades(*, market_id: int, trades: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(OTHER_INDEXES)  # no candle is read by them, and they take most of the time
        for (name,) in cursor.fetchall():
            cursor.execute(f'DROP INDEX "{name}"')
        bursts = trades * 3 // 4 // BURST * BURST
        cursor.execute(
            INSERT_TRADES.format(burst=BURST, seconds=YEARS * YEAR_SECONDS), [market_id, trades, trades, bursts]
        )
        for interval in STORED:
            cursor.execute(
                INSERT_CANDLES.format(
                    columns=", ".join(CANDLE_COLUMNS),
                    seconds=STORED_SECONDS[interval],
                    candles=expected_candles(interval),
                )
            )
        cursor.execute("VACUUM ANALYZE marketdata_trade, marketdata_candle")


def _get(path: str) -> None:
    answer = Client(SERVER_NAME="127.0.0.1").get(path, secure=True)
    assert answer.status_code == 200, answer.content


def _read_rows() -> None:
    with connection.cursor() as cursor:
        cursor.execute(STORED_ROWS)
        assert cursor.fetchall()


def _median_ms(work: Callable[[], None], runs: int) -> float:
    work()  # warms up
    return report.median([report.timed(work) * 1_000 for _ in range(runs)])
