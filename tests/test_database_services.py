"""A spread-out exchange that reaches PostgreSQL through pgbouncer and reads the past from a replica."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
import psycopg
import pytest

from notifications.recording import NEWS_CHANNEL
from tests.distributed import DistributedExchange
from tests.gateway_client import ORDERS, Signer
from tests.harness import new_data_dir
from tests.replicas import Pgbouncer, Replica
from tests.socket_client import Socket
from trading import embedded

pytestmark = pytest.mark.slow

ORDER = {"market": "BTC-USDT", "side": "buy", "type": "limit", "price": "43000.00", "quantity": "0.01000"}
EXPORT = "/api/v1/orders/export"


@dataclass(frozen=True)
class Services:
    """The exchange, the replica that its web processes know (not yet running), and the demo's key."""

    exchange: DistributedExchange
    replica: Replica

    @property
    def alice(self) -> Signer:
        """Who asks."""
        return self.exchange.signer("alice")

    def ask(self, method: str, target: str, body: Any = None) -> httpx.Response:
        """Ask the first web process, signed."""
        data = b"" if body is None else json.dumps(body).encode()
        headers = self.alice.headers(method, target, data, window=60_000)
        return httpx.request(method, self.exchange.base_urls[0] + target, content=data, headers=headers, timeout=60)

    def place(self) -> int:
        """The id of a new order that rests."""
        answer = self.ask("POST", ORDERS, ORDER)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def exported(self) -> list[int]:
        """The ids in the file of all orders, newest first."""
        answer = self.ask("GET", EXPORT)
        assert answer.status_code == 200, answer.text
        return [int(row["id"]) for row in csv.DictReader(io.StringIO(answer.text))]

    def listed(self, **parameters: object) -> dict[str, Any]:
        """A page of the list of orders."""
        answer = self.ask("GET", f"{ORDERS}?{urlencode(parameters)}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def database(self, statement: str) -> Any:
        """One value from the primary."""
        with psycopg.connect(self.exchange.env["DATABASE_URL"]) as connection:
            row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return row[0]


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    """Two web processes behind pgbouncer in transaction mode, two workers behind it in session mode."""
    exchange = DistributedExchange(data_dir=new_data_dir(), webs=2, workers=2)
    primary_url = exchange.env["DATABASE_URL"]
    pooler = Pgbouncer(primary_url=primary_url, roles=[embedded.SUPERUSER, *(each.name for each in exchange.workers)])
    replica = Replica(primary_url=primary_url)
    for web in exchange.webs:
        web.env["DATABASE_REPLICA_URL"] = replica.url
    for process in exchange.processes:
        role = process.name if process in exchange.workers else embedded.SUPERUSER
        process.env["DATABASE_URL"] = pooler.url("transaction", role=role)
        process.env["DATABASE_SESSION_URL"] = pooler.url("session", role=role)
    try:
        pooler.start()
        exchange.start()
        yield Services(exchange, replica)
    finally:
        replica.remove()
        exchange.close()
        pooler.stop()
        exchange.remove()


def test_web_processes_work_through_a_pooler_that_gives_their_connections_away(services: Services) -> None:
    exchange = services.exchange
    with Socket(exchange.base_urls[1]) as socket:
        socket.login(services.alice)
        assert socket.ask("subscribe", channels=["orders"])["ok"]
        socket.message("orders")
        order = services.place()
        socket.receive(lambda told: order in [each["id"] for each in told.get("orders", [])])
    pages = [exchange.base_urls[1] + path for path in ("/", "/trade/BTC-USDT", "/api/v1/markets", "/status")]
    assert [httpx.get(page, timeout=60).status_code for page in pages] == [200] * 4
    with httpx.Client(base_url=exchange.base_urls[0], timeout=60) as visitor:
        visitor.get("/login")
        begun = visitor.post("/demo/start", data={"csrfmiddlewaretoken": visitor.cookies["csrftoken"]})
        assert begun.status_code == 302, begun.text
        assert visitor.get("/portfolio").status_code == 200
    listening = f"SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN {NEWS_CHANNEL}'"
    assert services.database(listening) == len(exchange.webs)


def test_a_standby_behind_the_pooler_takes_over(services: Services) -> None:
    exchange = services.exchange
    leader = exchange.leader()
    leader.kill9()
    exchange.wait_until(lambda: services.ask("POST", ORDERS, ORDER).status_code == 201, what="order that is taken")
    assert exchange.leader() is not leader
    leader.start()
    proved = exchange.manage("prove")
    assert proved.returncode == 0, proved.stdout + proved.stderr


def test_without_its_replica_everything_comes_from_the_primary(services: Services) -> None:
    order = services.place()
    assert services.exported()[0] == order


def test_a_replica_answers_for_the_past_and_never_for_what_was_just_done(services: Services) -> None:
    services.replica.start()
    services.exchange.wait_until(lambda: replica_is_read(services), what="read from the replica")
    old = services.place()
    services.exchange.wait_until(lambda: services.exported()[0] == old, what="order at the replica")
    services.replica.pause()
    try:
        new = services.place()
        assert services.exported()[0] == old
        assert services.listed(limit=5)["results"][0]["id"] == new
        # What lies between is left out by nobody: the replica does not have the order where the page ended.
        first = services.listed(limit=1)
        assert [each["id"] for each in services.listed(limit=1, cursor=first["next"])["results"]] == [old]
        oldest = services.listed(order="oldest", limit=1)
        rest = services.listed(order="oldest", limit=500, cursor=oldest["next"])
        assert rest["results"][-1]["id"] == new
        # It is not asked any more when it is too far behind.
        services.exchange.wait_until(lambda: services.exported()[0] == new, what="order from the primary")
    finally:
        services.replica.resume()
    services.exchange.wait_until(lambda: replica_is_read(services), what="read from the replica again")


def test_a_replica_that_goes_away_is_not_missed(services: Services) -> None:
    services.replica.start()
    services.exchange.wait_until(lambda: replica_is_read(services), what="read from the replica")
    order = services.place()
    services.replica.stop()
    assert services.exported()[0] == order


def replica_is_read(services: Services) -> bool:
    """Whether an export came from the replica: only it says so, paused, by not having the newest order."""
    services.replica.pause()
    try:
        new = services.place()
        return services.exported()[0] != new
    finally:
        services.replica.resume()
