"""What each process of a spread-out exchange tells Prometheus, and what they tell while a service is away."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.distributed import DistributedExchange
from tests.exposition import changes, scrape, wait_for, wait_for_changes
from tests.gateway_client import ORDERS
from tests.harness import free_port, new_data_dir

ORDER = {"market": "BTC-USDT", "side": "buy", "type": "limit", "price": "40000.00", "quantity": "0.01000"}
PLACED = ("bourse_orders_placed_total", 'market="BTC-USDT"')


@pytest.fixture(scope="module")
def exchange() -> Iterator[DistributedExchange]:
    """Two web processes, a leader and a standby, and Celery with a pool of two processes that share a folder."""
    made = DistributedExchange(data_dir=new_data_dir(), webs=2, workers=2, celery=True)
    for process in [*made.workers, *made.celery]:
        process.env["METRICS_PORT"] = str(free_port())
    celery, _ = made.celery
    celery.env["PROMETHEUS_MULTIPROC_DIR"] = str(made.data_dir / "metrics")
    celery.command += ["--pool", "prefork", "--concurrency", "2"]
    with made as running:
        yield running
    made.remove()


@pytest.fixture(scope="module")
def webs(exchange: DistributedExchange) -> list[str]:
    return [url + "/metrics" for url in exchange.base_urls]


@pytest.fixture(scope="module")
def workers(exchange: DistributedExchange) -> list[str]:
    """The leader first."""
    leader = exchange.leader()
    ordered = sorted(exchange.workers, key=lambda worker: worker is not leader)
    return [f"http://127.0.0.1:{worker.env['METRICS_PORT']}/metrics" for worker in ordered]


def place(exchange: DistributedExchange, base_url: str) -> None:
    body = json.dumps(ORDER).encode()
    headers = exchange.signer("alice").headers("POST", ORDERS, body, window=60_000)
    assert httpx.post(base_url + ORDERS, content=body, headers=headers, timeout=30).status_code == 201


def test_one_leads_another_stands_by_and_everybody_knows(webs: list[str], workers: list[str]) -> None:
    leader, standby = workers
    assert scrape(leader)["bourse_worker_leads", ""] == 1
    assert wait_for(standby, ("bourse_worker_standby", ""), 1)["bourse_worker_leads", ""] == 0
    for web in webs:
        assert wait_for(web, ("bourse_standbys", ""), 1)["bourse_leaders", ""] == 1
        assert "bourse_worker_leads" not in {name for name, _ in scrape(web)}


def test_each_tells_its_own_part_of_an_order(
    exchange: DistributedExchange, webs: list[str], workers: list[str]
) -> None:
    before = {url: scrape(url) for url in [*webs, *workers]}
    first, second = exchange.base_urls
    place(exchange, first)
    place(exchange, second)
    place(exchange, second)
    requests = ("bourse_http_requests_total", 'method="POST",route="/api/v1/orders",status="201"')
    for web, count in zip(webs, (1, 2), strict=True):
        after = wait_for_changes(web, before[web], {requests: count})
        lag = "bourse_feed_lag_seconds_count"
        assert changes(before[web], after, lag) == {(lag, ""): 3}
    leader, standby = workers
    wait_for_changes(leader, before[leader], {PLACED: 3, ("bourse_commands_total", 'kind="place_order"'): 3})
    assert not changes(before[standby], scrape(standby), "bourse_commands_total")


def test_a_pool_of_processes_is_told_by_their_parent(exchange: DistributedExchange) -> None:
    url = f"http://127.0.0.1:{exchange.celery[0].env['METRICS_PORT']}/metrics"
    done = ("bourse_tasks_total", 'outcome="succeeded",task="trading.tasks.follow"')
    exchange.wait_until(lambda: scrape(url).get(done, 0) >= 2, what="tasks that were counted")
    assert {path.name.split("_")[0] for path in (exchange.data_dir / "metrics").iterdir()} == {"counter", "histogram"}


def test_a_database_that_is_away_is_told_and_costs_nothing_else(exchange: DistributedExchange, webs: list[str]) -> None:
    exchange.stop_postgres(crash=True)
    found = wait_for(webs[0], ("bourse_database_up", ""), 0)
    assert "bourse_journal_sequence" not in {name for name, _ in found}
    assert found["bourse_redis_up", ""] == 1
    exchange.postgres.start()
    exchange.wait_ready()
    assert wait_for(webs[0], ("bourse_database_up", ""), 1)["bourse_markets", 'state="open"'] >= 1


def test_a_redis_that_is_away_is_told(exchange: DistributedExchange, webs: list[str]) -> None:
    exchange.redis.stop()
    found = wait_for(webs[1], ("bourse_redis_up", ""), 0)
    assert found["bourse_database_up", ""] == 1
    assert wait_for(webs[1], ("bourse_lane_available", ""), 0)
    exchange.redis.start()
    wait_for(webs[1], ("bourse_redis_up", ""), 1)
    wait_for(webs[1], ("bourse_lane_available", ""), 1)
