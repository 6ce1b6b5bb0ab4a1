"""A million orders, a million trades, two million entries: no page of the desk takes half a second.

The rows come from SQL, as the worker would have left them. The time is the server's: the processor's for the request's
thread, and the clock's for every query. The best of three counts, as others may use the machine too.
"""

import time
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse

from tests.api import Scene, make_scene
from tests.builders import running_exchange
from tests.operators import operator

pytestmark = pytest.mark.slow

MILLION = 1_000_000
BASE = 10_000_000
"""The first id of the rows from SQL, beyond those of the scene."""

SECONDS_MAX = 0.5
TRIES = 3

ROWS = [
    f"""INSERT INTO orders_order (id, account_id, market_id, side, order_type, time_in_force, post_only,
        self_trade_prevention, price, quantity, filled_quantity, filled_notional, remaining, prevented_quantity, held,
        status, reason, maker_rate, taker_rate, priority, request_digest, created_at, updated_at)
    SELECT {BASE} + n, CASE WHEN n % 3 = 0 THEN 3 ELSE 4 END, 1, CASE WHEN n % 2 = 0 THEN 'buy' ELSE 'sell' END,
        'limit', 'gtc', false, 'cancel_taker', 90 + n % 20, 1, 0, 0, CASE WHEN n % 20 = 0 THEN 1 ELSE 0 END, 0, 0,
        CASE WHEN n % 20 = 0 THEN 'open' WHEN n = 5 THEN 'expired' WHEN n % 4 = 1 THEN 'filled' ELSE 'canceled' END,
        NULL, 0, 0, {BASE} + n, 0, now() - interval '1 hour' + n * interval '3 milliseconds', now()
    FROM generate_series(1, {MILLION}) n""",
    f"""INSERT INTO marketdata_trade (id, sequence, market_id, price, quantity, notional, taker_side, maker_order_id,
        taker_order_id, maker_account_id, taker_account_id, maker_fee, taker_fee, executed_at)
    SELECT {BASE} + n, {BASE} + n, 1, 100, 1, 100, CASE WHEN n % 2 = 0 THEN 'buy' ELSE 'sell' END, {BASE} + n,
        {BASE} + n + 1, 3, 4, 0, 0, now() - interval '1 hour' + n * interval '3 milliseconds'
    FROM generate_series(1, {MILLION}) n""",
    f"""INSERT INTO risk_entry (id, sequence, account_id, asset_id, amount, balance, entry_type, reference, posted_at)
    SELECT {BASE} + 2 * n + side, {BASE} + n, 3 + side, 1, 1 - 2 * side, 1, 'trade', {BASE} + n, now()
    FROM generate_series(1, {MILLION}) n, generate_series(0, 1) side""",
    f"""INSERT INTO matching_journalentry (sequence, received_at, kind, account_id, market_id, payload)
    SELECT {BASE} + n, now(), 'place_order', 3, 1, '{{}}' FROM generate_series(1, {MILLION}) n""",
    "VACUUM ANALYZE",
]

PAGES = {
    "dashboard": ("admin:index", [], {}),
    "figures": ("admin:desk_figures", [], {}),
    "orders": ("admin:orders_order_changelist", [], {}),
    "orders, last page": ("admin:orders_order_changelist", [], {"p": "200"}),
    "orders, by account": ("admin:orders_order_changelist", [], {"q": "3"}),
    "orders, by account, last page": ("admin:orders_order_changelist", [], {"q": "3", "p": "200"}),
    "orders, by id": ("admin:orders_order_changelist", [], {"q": str(BASE + 500_000)}),
    "orders, nothing found": ("admin:orders_order_changelist", [], {"q": "nobody"}),
    "orders, open": ("admin:orders_order_changelist", [], {"status": "open"}),
    "orders, a rare status": ("admin:orders_order_changelist", [], {"status": "expired"}),
    "orders, of an account, a rare status": ("admin:orders_order_changelist", [], {"q": "3", "status": "expired"}),
    "orders, status and side": ("admin:orders_order_changelist", [], {"status": "filled", "side": "buy"}),
    "order": ("admin:orders_order_change", [BASE + 7], {}),
    "trades": ("admin:marketdata_trade_changelist", [], {}),
    "trades, by order": ("admin:marketdata_trade_changelist", [], {"q": str(BASE + 77)}),
    "trades, sells": ("admin:marketdata_trade_changelist", [], {"taker_side": "sell"}),
    "entries": ("admin:risk_entry_changelist", [], {}),
    "entries, by account": ("admin:risk_entry_changelist", [], {"q": "4"}),
    "entries, a rare type": ("admin:risk_entry_changelist", [], {"entry_type": "correction"}),
    "journal": ("admin:matching_journalentry_changelist", [], {}),
    "journal, by sequence": ("admin:matching_journalentry_changelist", [], {"q": str(BASE + 5)}),
    "inbox": ("admin:matching_inboxcommand_changelist", [], {}),
    "accounts": ("admin:risk_account_changelist", [], {}),
    "account": ("admin:risk_account_change", [3], {}),
    "markets": ("admin:marketdata_market_changelist", [], {}),
    "users": ("admin:trading_user_changelist", [], {}),
    "audit log": ("admin:trading_auditentry_changelist", [], {}),
}


@pytest.fixture(scope="module")
def scene(fresh_database: str) -> Scene:
    """The scene's accounts and market, then the millions, while nothing trades."""
    with running_exchange() as exchange:
        scene = make_scene(exchange)
    with connection.cursor() as cursor:
        for statement in ROWS:
            cursor.execute(statement)
    return scene


@pytest.fixture(scope="module")
def chief(scene: Scene) -> Client:
    return operator("chief", superuser=True)


def seconds_of(client: Client, path: str, query: dict[str, str]) -> float:
    """What one request takes on the server."""
    in_queries = 0.0

    def timed(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        nonlocal in_queries
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            in_queries += time.perf_counter() - began

    began = time.thread_time()
    with connection.execute_wrapper(timed):
        answer = client.get(path, query)
    assert answer.status_code == 200
    return time.thread_time() - began + in_queries


@pytest.mark.parametrize("page", PAGES)
def test_no_page_takes_half_a_second(chief: Client, page: str):
    name, arguments, query = PAGES[page]
    times = []
    for _ in range(TRIES):
        cache.clear()  # of the dashboard's figures
        times.append(seconds_of(chief, reverse(name, args=arguments), query))
    assert min(times) <= SECONDS_MAX, f"{page}: {[round(each, 3) for each in times]} s"
