"""The exchange behind Debian's nginx: two web processes over HTTPS, one of them killed in the middle of the day."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, LiteralString

import httpx
import psycopg
import pytest

from tests.distributed import DistributedExchange
from tests.edge import Nginx
from tests.gateway_client import ORDERS, Signer
from tests.harness import new_data_dir
from tests.socket_client import Socket, follow_channel, socket_url

ORDER = {"market": "BTC-USDT", "type": "limit", "price": "43000.00", "quantity": "0.00100"}
CREATED = 201
AGAIN = {502, 503, 504}
"""What a client may be told when a process dies under its request: to repeat it."""
STREAMS = 4
ORDERS_OF_STREAM = 50
SOCKETS = 4
WAIT_SECONDS_MAX = 60
POLL_SECONDS = 0.05


@pytest.fixture(scope="module")
def exchange() -> Iterator[DistributedExchange]:
    running = DistributedExchange(data_dir=new_data_dir(), webs=2, env={"TRUSTED_PROXIES": "127.0.0.1"})
    with contextlib.ExitStack() as stack:
        stack.callback(running.remove)
        yield stack.enter_context(running)


@pytest.fixture(scope="module")
def edge(exchange: DistributedExchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with nginx_before(exchange, tmp_path_factory.mktemp("edge")) as running:
        yield running


def nginx_before(exchange: DistributedExchange, folder: Path, **options: Any) -> Nginx:
    return Nginx(folder=folder, webs=tuple(url.removeprefix("http://") for url in exchange.base_urls), **options)


def signed(client: httpx.Client, signer: Signer, method: str, target: str, body: Any = None) -> httpx.Response:
    data = b"" if body is None else json.dumps(body).encode()
    headers = signer.headers(method, target, data, window=60_000)
    return client.request(method, target, content=data, headers=headers)


def test_orders_pass_and_both_processes_answer(exchange: DistributedExchange, edge: Nginx) -> None:
    alice = exchange.signer("alice")
    requests = []
    with edge.client() as client:
        for number in range(4):
            name = f"over/the:edge.{number}"
            placed = signed(client, alice, "POST", ORDERS, ORDER | {"side": "buy", "client_order_id": name})
            assert placed.status_code == CREATED, placed.text
            target = f"{ORDERS}/by-client-id/over%2Fthe:edge.{number}"
            assert signed(client, alice, "GET", target).json()["id"] == placed.json()["id"]
            canceled = signed(client, alice, "DELETE", target)
            assert (canceled.status_code, canceled.json()["status"]) == (200, "canceled")
            requests += [answer.headers["X-Request-ID"] for answer in (placed, canceled)]
    answered_by = {edge.log(request_id=request_id)["upstream"] for request_id in requests}
    assert {f"http://{address}" for address in answered_by} == set(exchange.base_urls)


def test_an_address_that_a_client_invents_opens_no_key(
    exchange: DistributedExchange, edge: Nginx, tmp_path: Path
) -> None:
    made = exchange.manage("create_api_key", "bob", "--scopes", "read", "--ips", "203.0.113.7", "--json")
    assert made.returncode == 0, made.stderr
    key = json.loads(made.stdout)
    signer = Signer(key["key"], 0, key["secret"])
    target = "/api/v1/balances"
    invented = signer.headers("GET", target, b"", window=60_000) | {"X-Forwarded-For": "203.0.113.7"}
    refused = edge.get(target, **invented)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "ip_not_allowed")
    assert "127.0.0.1" in refused.json()["error"]["message"]
    with nginx_before(exchange, tmp_path, behind=("127.0.0.1",)) as behind_a_proxy:
        assert behind_a_proxy.get(target, **invented).status_code == 200


def test_a_socket_hears_at_one_process_what_was_ordered_at_another(exchange: DistributedExchange, edge: Nginx) -> None:
    alice = exchange.signer("alice")
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(Socket(edge.base_url, ssl=edge.context())) for _ in range(2)]
        for socket in sockets:
            assert socket.login(alice)["ok"]
            assert socket.ask("subscribe", channels=["orders"])["ok"]
            assert socket.message("orders")["type"] == "snapshot"
        placed = sockets[0].ask("order.place", order=ORDER | {"side": "buy"})
        assert placed["ok"], placed
        for socket in sockets:
            update = socket.message("orders", type="update")
            assert [order["id"] for order in update["orders"]] == [placed["result"]["id"]]
        assert sockets[1].ask("order.cancel", order_id=placed["result"]["id"])["ok"]


class Stream:
    """A bot: places orders one after the other, and repeats each under its client_order_id until it is acknowledged."""

    def __init__(self, *, name: str, signer: Signer, side: str, edge: Nginx, acknowledged: threading.Semaphore) -> None:
        self.name = name
        self.signer = signer
        self.side = side
        self.edge = edge
        self.acknowledged = acknowledged
        self.orders: dict[str, int] = {}
        self.repeated = 0

    def run(self) -> None:
        """Everything but an answer of ours, in JSON, ends it: nothing else may be seen through the edge."""
        with self.edge.client() as client:
            for number in range(ORDERS_OF_STREAM):
                name = f"{self.name}-{number}"
                body = ORDER | {"side": self.side, "client_order_id": name}
                while (answer := signed(client, self.signer, "POST", ORDERS, body)).status_code in AGAIN:
                    assert answer.json()["error"]["code"] in {"outcome_unknown", "unavailable", "overloaded"}
                    self.repeated += 1
                assert answer.status_code == CREATED or answer.json().get("duplicate"), answer.text
                self.orders[name] = answer.json()["id"]
                self.acknowledged.release()


class Ear:
    """A socket on the trades of the market, over as many connections as it takes."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.snapshots = 0

    async def listen(self, url: str) -> None:
        """Keep what is told, for ever."""
        async for message in follow_channel(url, "trades.BTC-USDT"):
            self.snapshots += message["type"] == "snapshot"
            self.heard += [trade["id"] for trade in message["trades"]]


async def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds; TimeoutError when it never does."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not holds():
            await asyncio.sleep(POLL_SECONDS)


def rows(exchange: DistributedExchange, query: LiteralString) -> list[tuple[Any, ...]]:
    with psycopg.connect(exchange.env["DATABASE_URL"]) as connection:
        return connection.execute(query).fetchall()


def sockets_ended_at(edge: Nginx, base_url: str) -> int:
    address = base_url.removeprefix("http://")
    return sum(line["uri"] == "/api/v1/ws" and line["upstream"] == address for line in edge.lines())


def test_a_web_process_killed_under_load_costs_nobody_more_than_a_repeated_request(
    exchange: DistributedExchange, edge: Nginx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(edge.certificate))
    acknowledged = threading.Semaphore(0)
    who = [("alice", "sell"), ("bob", "buy")] * (STREAMS // 2)
    streams = [
        Stream(name=f"kill-{n}", signer=exchange.signer(name), side=side, edge=edge, acknowledged=acknowledged)
        for n, (name, side) in enumerate(who)
    ]
    ears = [Ear() for _ in range(SOCKETS)]
    ended_before = sockets_ended_at(edge, exchange.base_urls[0])

    def kill_in_the_middle() -> None:
        for _ in range(STREAMS * ORDERS_OF_STREAM // 3):
            assert acknowledged.acquire(timeout=WAIT_SECONDS_MAX)
        exchange.webs[0].kill9()

    async def day() -> None:
        listening = [asyncio.create_task(ear.listen(socket_url(edge.base_url))) for ear in ears]
        await until(lambda: all(ear.snapshots for ear in ears))
        await asyncio.gather(asyncio.to_thread(kill_in_the_middle), *(asyncio.to_thread(s.run) for s in streams))
        trades = [id for (id,) in rows(exchange, "SELECT id FROM marketdata_trade ORDER BY id")]
        assert len(trades) >= STREAMS * ORDERS_OF_STREAM // 2
        await until(lambda: all(ear.heard[-len(trades) :] == trades for ear in ears))
        for task in listening:
            task.cancel()
        await asyncio.wait(listening)

    asyncio.run(day())
    assert [ear.snapshots for ear in ears] == [1] * SOCKETS, "who was cut off resumes where it was"
    assert all(len(ear.heard) == len(set(ear.heard)) for ear in ears), "no trade is told twice"
    stored = rows(exchange, "SELECT client_order_id, id FROM orders_order WHERE client_order_id LIKE 'kill-%'")
    assert sorted(stored) == sorted(item for stream in streams for item in stream.orders.items())
    assert len(stored) == STREAMS * ORDERS_OF_STREAM
    edge.wait_until(lambda: sockets_ended_at(edge, exchange.base_urls[0]) > ended_before, "sockets that were cut off")

    exchange.webs[0].start()
    exchange.wait_ready()
    with edge.client() as client:

        def used_again() -> bool:
            answers = [client.get("/api/v1/time") for _ in range(4)]
            assert {answer.status_code for answer in answers} == {200}
            asked = {edge.log(request_id=answer.headers["X-Request-ID"])["upstream"] for answer in answers}
            return exchange.base_urls[0].removeprefix("http://") in asked

        edge.wait_until(used_again, "use of the process that is back")
    proved = exchange.manage("prove")
    assert proved.returncode == 0, proved.stdout + proved.stderr
