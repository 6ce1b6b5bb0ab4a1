"""What is told to Prometheus is what was done: orders, refusals, requests, sockets, tasks, to those who may know it."""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from tests.exposition import Key, changes, families, page, parse, scrape, wait_for, wait_for_changes
from tests.gateway_client import ORDERS, Signer
from tests.harness import ServerProcess, free_port, new_data_dir, remove_data_dir
from tests.socket_client import Socket
from trading import environment

ORDER = {"market": "BTC-USDT", "side": "buy", "type": "limit", "price": "40000.00", "quantity": "0.01000"}
KEY_LIMIT = 30
METRICS_PAGE = environment.PROJECT_ROOT / "docs" / "metrics.md"

Place = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """Everything in one process, and Celery in its child, which listens on METRICS_PORT."""
    env = {"BACKGROUND": "on", "METRICS_PORT": str(free_port()), "RATE_LIMIT_KEY": str(KEY_LIMIT)}
    data_dir = new_data_dir()
    try:
        with ServerProcess(data_dir=data_dir, env=env) as running:
            yield running
    finally:
        remove_data_dir(data_dir)


@pytest.fixture(scope="module")
def url(server: ServerProcess) -> str:
    return server.base_url + "/metrics"


@pytest.fixture(scope="module")
def celery_url(server: ServerProcess) -> str:
    return f"http://127.0.0.1:{server.env['METRICS_PORT']}/metrics"


@pytest.fixture(scope="module")
def call(server: ServerProcess) -> Place:
    """Sends a request to order entry as one of the demo's people."""
    signers = {}
    for name in ("alice", "bob"):
        found = re.search(rf"API key of {name}: (\S+)  secret: (\S+)", server.log())
        assert found is not None, server.log()
        signers[name] = Signer(found[1], 0, found[2])

    def send(name: str, method: str, target: str, body: dict[str, Any] | None = None) -> httpx.Response:
        data = b"" if body is None else json.dumps(body).encode()
        headers = signers[name].headers(method, target, data, window=60_000)
        return httpx.request(method, server.base_url + target, content=data, headers=headers, timeout=30)

    return send


def of(name: str, **labels: str) -> Key:
    return name, ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))


def test_orders_trades_and_refusals_are_counted_as_they_were(url: str, call: Place) -> None:
    before = scrape(url)
    assert call("alice", "POST", ORDERS, ORDER | {"side": "sell", "quantity": "0.03000"}).status_code == 201
    assert call("bob", "POST", ORDERS, ORDER | {"client_order_id": "m-1"}).status_code == 201
    assert call("bob", "POST", ORDERS, ORDER | {"client_order_id": "m-1"}).json()["duplicate"]
    assert call("bob", "POST", ORDERS, ORDER).status_code == 201
    resting = call("bob", "POST", ORDERS, ORDER | {"price": "39000.00"}).json()["id"]
    assert call("bob", "DELETE", f"{ORDERS}/{resting}").status_code == 200
    for _ in range(2):
        assert call("bob", "POST", ORDERS, ORDER | {"price": "40000.001"}).status_code == 422
    assert call("bob", "DELETE", f"{ORDERS}/{resting}").status_code == 409
    refused = call("bob", "POST", ORDERS, ORDER | {"post_only": True})
    assert refused.json()["error"]["code"] == "post_only_would_trade"
    market = {"market": "BTC-USDT"}
    after = wait_for_changes(
        url,
        before,
        {
            of("bourse_orders_placed_total", **market): 4,
            of("bourse_trades_total", **market): 2,
            of("bourse_order_duplicates_total"): 1,
            of("bourse_commands_total", kind="place_order"): 8,
            of("bourse_commands_total", kind="cancel_order"): 2,
            of("bourse_refusals_total", kind="place_order", reason="price_off_tick"): 2,
            of("bourse_refusals_total", kind="place_order", reason="post_only_would_trade"): 1,
            of("bourse_refusals_total", kind="cancel_order", reason="unknown_order"): 1,
        },
    )
    batches = changes(before, after, "bourse_batch_commands_count")[of("bourse_batch_commands_count")]
    counts = ("bourse_batch_apply_seconds_count", "bourse_batch_commit_seconds_count")
    assert changes(before, after, *counts) == dict.fromkeys(map(of, counts), batches)
    assert changes(before, after, "bourse_batch_commands_sum") == {of("bourse_batch_commands_sum"): 10}
    assert (
        changes(before, after, "bourse_batch_lane_wait_seconds_count")[of("bourse_batch_lane_wait_seconds_count")] == 10
    )
    assert after[of("bourse_breaker_trips_total", **market)] == 0


def test_requests_are_counted_by_route_status_and_error(url: str, call: Place, server: ServerProcess) -> None:
    before = scrape(url)
    assert call("alice", "POST", ORDERS + "/test", ORDER).status_code == 200
    assert call("alice", "DELETE", ORDERS + "/123456789").status_code == 404
    assert call("alice", "DELETE", ORDERS + "/by-client-id/a-name-of-mine").status_code == 404
    assert call("alice", "POST", ORDERS, {"market": "BTC-USDT"}).status_code == 422
    assert call("alice", "GET", ORDERS + "/123456789").status_code == 404
    assert server.get("/api/v1/markets/BTC-USDT/ticker").status_code == 200
    assert server.get("/api/v1/no/such/path").status_code == 404
    assert server.get("/no/such/page").status_code == 404
    assert httpx.request("PROPFIND", server.base_url + "/healthz", timeout=30).status_code == 403
    after = wait_for_changes(
        url,
        before,
        {
            of("bourse_http_requests_total", method="POST", route="/api/v1/orders/test", status="200"): 1,
            of("bourse_http_requests_total", method="DELETE", route="/api/v1/orders/<id>", status="404"): 1,
            of(
                "bourse_http_requests_total", method="DELETE", route="/api/v1/orders/by-client-id/<id>", status="404"
            ): 1,
            of("bourse_http_requests_total", method="POST", route="/api/v1/orders", status="422"): 1,
            of("bourse_http_requests_total", method="GET", route="/api/v1/orders/<int:order_id>", status="404"): 1,
            of(
                "bourse_http_requests_total", method="GET", route="/api/v1/markets/<str:market>/ticker", status="200"
            ): 1,
            of("bourse_http_requests_total", method="GET", route="/api/", status="404"): 1,
            of("bourse_http_requests_total", method="GET", route="unknown", status="404"): 1,
            of("bourse_http_requests_total", method="other", route="/healthz", status="403"): 1,
        },
    )
    assert changes(before, after, "bourse_http_request_seconds_count").keys() == {
        (key[0].replace("requests_total", "request_seconds_count"), re.sub(r',status="\d+"', "", key[1]))
        for key in changes(before, after, "bourse_http_requests_total")
    }
    errors = changes(before, after, "bourse_api_errors_total")
    assert errors[of("bourse_api_errors_total", way="order_entry", code="unknown_order")] == 2
    assert sum(errors.values()) == 5


def test_too_many_orders_are_counted_by_the_limit_that_refused_them(url: str, call: Place) -> None:
    before = scrape(url)
    batch = {"orders": [ORDER | {"price": "30000.00"}] * KEY_LIMIT}
    statuses = [call("alice", "POST", ORDERS + "/batch", batch).status_code for _ in range(6)]
    while 429 not in statuses:  # each began a new second
        statuses.append(call("alice", "POST", ORDERS + "/batch", batch).status_code)
    wait_for_changes(url, before, {of("bourse_rate_limited_total", limit="key"): statuses.count(429)})


def test_sockets_are_counted_while_they_are_open(url: str, server: ServerProcess) -> None:
    before = scrape(url)
    with Socket(server.base_url) as first, Socket(server.base_url):
        assert first.ask("ping")["ok"]
        assert not first.ask("subscribe", channels=["orders"])["ok"]
        assert not first.ask("no-such-op")["ok"]
        assert scrape(url)[of("bourse_sockets")] == 2
    after = wait_for(url, of("bourse_sockets"), 0)
    assert changes(before, after, "bourse_socket_requests_total") == {
        of("bourse_socket_requests_total", op="ping", status="200"): 1,
        of("bourse_socket_requests_total", op="subscribe", status="401"): 1,
        of("bourse_socket_requests_total", op="unknown", status="404"): 1,
    }


def test_a_worker_that_leads_says_so_and_its_feed_is_at_the_journals_end(url: str) -> None:
    found = scrape(url)
    for name in ("bourse_worker_alive", "bourse_worker_leads", "bourse_lane_available", "bourse_database_up"):
        assert found[of(name)] == 1, name
    assert found[of("bourse_worker_standby")] == 0
    wait_for(url, of("bourse_journal_sequence"), found[of("bourse_worker_sequence")])
    wait_for(url, of("bourse_feed_sequence"), found[of("bourse_worker_sequence")])
    assert found[of("bourse_leaders")] == 1
    assert found[of("bourse_markets", state="open")] >= 1
    assert found[of("process_resident_memory_bytes")] > 10_000_000
    assert 0 < found[of("bourse_disk_free_bytes")] <= found[of("bourse_disk_size_bytes")]


def test_celery_tells_its_tasks_and_what_it_follows(celery_url: str) -> None:
    wait_for(celery_url, of("bourse_follower_behind_commands", consumer="surveillance"), 0)
    found = scrape(celery_url)
    done = found[of("bourse_tasks_total", task="trading.tasks.follow", outcome="succeeded")]
    assert done > 0
    assert found[of("bourse_task_seconds_count", task="trading.tasks.follow")] >= done
    assert found[of("bourse_celery_queue")] >= 0


def test_everything_that_is_told_is_described(url: str, celery_url: str) -> None:
    """And the other way round; what comes from the language and the system is told by the library."""
    described = set(re.findall(r"^\| `(bourse_\w+)` \|", METRICS_PAGE.read_text(), re.MULTILINE))
    told = families(page(url)) | families(page(celery_url))
    assert {name for name in told if name.startswith("bourse_")} == described - {"bourse_redis_up"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"X-Forwarded-For": "127.0.0.1"}, 200),
        ({"X-Forwarded-For": "203.0.113.9"}, 403),
        ({"X-Forwarded-For": "203.0.113.9, 127.0.0.1"}, 403),
        ({"X-Forwarded-For": "::1, 127.0.0.1"}, 200),
        ({"X-Real-IP": "10.0.0.7"}, 403),
        ({"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "not an address"}, 403),
        ({"Forwarded": "for=127.0.0.1"}, 403),
    ],
)
def test_who_came_through_a_proxy_must_be_allowed_too(url: str, headers: dict[str, str], status: int) -> None:
    assert httpx.get(url, headers=headers, timeout=30).status_code == status


def test_the_page_speaks_both_formats_and_compresses(url: str) -> None:
    assert httpx.post(url, timeout=30).status_code == 405
    plain = httpx.get(url, headers={"Accept-Encoding": "gzip"}, timeout=30)
    assert plain.headers["content-encoding"] == "gzip"
    assert parse(plain.text)
    with httpx.stream("GET", url, headers={"Accept-Encoding": "gzip"}, timeout=30) as raw:
        assert parse(gzip.decompress(b"".join(raw.iter_raw())).decode())
    modern = httpx.get(url, headers={"Accept": "application/openmetrics-text; version=1.0.0"}, timeout=30)
    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    assert {family.name for family in parse_openmetrics(modern.text)} >= {"bourse_trades", "bourse_batch_commands"}
