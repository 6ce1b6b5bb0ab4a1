"""A spread-out exchange: web processes, a leading worker and a standby, with a real PostgreSQL and a real Redis.

What happens when they are killed is in test_faults_distributed.py.
"""

import itertools
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
import redis
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django.fixtures import Settings
from websockets.exceptions import ConnectionClosed

from matching.redis_lane import STREAM
from tests.distributed import DistributedExchange, Process
from tests.gateway_client import ORDERS, Signer
from tests.harness import free_port, new_data_dir
from tests.socket_client import Socket

ORDER = {"market": "BTC-USDT", "side": "buy", "type": "limit", "price": "43000.00", "quantity": "0.01000"}
HTTP_ORDERS = 6
SOCKET_ORDERS = 4
TRADERS = 4
ANSWERS_FIRST = 40


@pytest.fixture(scope="module")
def exchange() -> Iterator[DistributedExchange]:
    spread_out = DistributedExchange(data_dir=new_data_dir(), webs=2, workers=2)
    try:
        spread_out.start()
        yield spread_out
    finally:
        spread_out.close()
        spread_out.remove()


@pytest.fixture(scope="module")
def alice(exchange: DistributedExchange) -> Signer:
    return exchange.signer("alice")


@pytest.fixture(scope="module")
def bob(exchange: DistributedExchange) -> Signer:
    return exchange.signer("bob")


def place(client: httpx.Client, signer: Signer, **fields: Any) -> httpx.Response:
    body = json.dumps(ORDER | fields).encode()
    return client.post(ORDERS, content=body, headers=signer.headers("POST", ORDERS, body, window=60_000))


def web(exchange: DistributedExchange, number: int) -> httpx.Client:
    return httpx.Client(base_url=exchange.base_urls[number - 1], timeout=60)


def another(exchange: DistributedExchange, command: list[str], **env: str) -> Process:
    """One more process of the exchange, on a port of its own; not started."""
    name = f"another-{free_port()}"
    return Process(
        name=name, command=[sys.executable, *command], env=exchange.env | env, log_path=exchange.data_dir / name
    )


def test_an_order_at_one_web_process_meets_an_order_at_the_other(
    exchange: DistributedExchange, alice: Signer, bob: Signer
) -> None:
    with web(exchange, 1) as first, web(exchange, 2) as second, Socket(exchange.base_urls[1]) as socket:
        assert socket.ask("subscribe", channels=["trades.BTC-USDT"])["ok"]
        assert socket.message("trades.BTC-USDT")["type"] == "snapshot"
        rested = place(second, bob, side="sell", price="43000.00")
        assert (rested.status_code, rested.json()["status"]) == (201, "open"), rested.text

        taken = place(first, alice, price="43001.00")

        assert (taken.status_code, taken.json()["status"]) == (201, "filled"), taken.text
        assert taken.json()["average_price"] == "43000.00"
        told = socket.message("trades.BTC-USDT", type="update")
        assert [(trade["price"], trade["quantity"]) for trade in told["trades"]] == [("43000.00", "0.01000")]
        seen = [each.get("/api/v1/markets/BTC-USDT/trades").json()["results"][0]["id"] for each in (first, second)]
        assert seen == [told["trades"][0]["id"]] * 2


def test_readyz_of_a_web_process_says_what_it_asks(exchange: DistributedExchange) -> None:
    answers = [httpx.get(url + "/readyz") for url in exchange.base_urls]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.json()["checks"] for answer in answers] == [
        {"database": "ok", "redis": "ok", "worker": "ok", "books": "ok"}
    ] * 2

    exchange.redis.stop()
    url = exchange.base_urls[0] + "/readyz"
    exchange.wait_until(lambda: httpx.get(url).status_code == 503, what="503 while Redis is away")
    assert httpx.get(url).json()["checks"]["redis"] == "unreachable"
    assert httpx.get(exchange.base_urls[0] + "/healthz").status_code == 200
    exchange.redis.start()
    exchange.wait_ready()


def test_a_web_process_that_drains_answers_what_is_under_way(exchange: DistributedExchange, alice: Signer) -> None:
    url, draining = exchange.base_urls[0], exchange.webs[0]
    leader = exchange.leader()
    with (
        ThreadPoolExecutor(HTTP_ORDERS) as pool,
        web(exchange, 1) as client,
        Socket(url) as socket,
        redis.Redis.from_url(exchange.redis.url) as stream,
    ):
        assert socket.login(alice)["ok"]
        before = requests_in(stream)
        leader.sigstop()  # so that what is sent now stays under way
        placing = [pool.submit(place, client, alice, price="40000.00") for _ in range(HTTP_ORDERS)]
        for number in range(SOCKET_ORDERS):
            order = ORDER | {"price": "40001.00"}
            socket.connection.send(json.dumps({"op": "order.place", "id": f"s{number}", "order": order}))
        sent = HTTP_ORDERS + SOCKET_ORDERS
        exchange.wait_until(
            lambda: requests_in(stream) - before == sent or any_done(placing), what="orders in the stream"
        )

        assert draining.process is not None
        draining.process.terminate()
        exchange.wait_until(lambda: not is_ready(url), what="web process that drains")
        leader.sigcont()

        # On a machine so busy that the standby has taken over, some may be told 503; without an answer is nobody.
        told = [answer.result().status_code for answer in placing]
        told += [socket.receive(partial(answers, f"s{number}"))["status"] for number in range(SOCKET_ORDERS)]
        assert set(told) <= {201, 503}
        assert 201 in told
        socket.receive(lambda message: message.get("type") == "server_shutdown")
        with pytest.raises(ConnectionClosed) as closed:
            socket.receive(lambda _: False)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
    assert draining.process.wait(60) == 0, draining.log()
    draining.start()
    exchange.wait_ready()


def requests_in(stream: "redis.Redis") -> int:
    entries: Any = stream.xrange(STREAM)
    return sum(len(json.loads(fields[b"requests"])) for _, fields in entries)


def answers(id: str, message: dict[str, Any]) -> bool:
    return message.get("id") == id


def is_ready(url: str) -> bool:
    try:
        return httpx.get(url + "/readyz", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def test_traders_who_leave_a_draining_process_for_the_other_miss_no_answer(
    exchange: DistributedExchange, alice: Signer
) -> None:
    """They send one order after the other; only a refused connection, which took nothing, sends them elsewhere."""
    leaving = exchange.webs[0]
    answered = {url: itertools.count() for url in exchange.base_urls}
    totals = dict.fromkeys(exchange.base_urls, 0)
    stop = threading.Event()

    def trade() -> None:
        for url in exchange.base_urls:
            with httpx.Client(base_url=url, timeout=60) as client:
                try:
                    while not stop.is_set():
                        answer = place(client, alice, price="39000.00")
                        assert answer.status_code == 201, answer.text
                        totals[url] = next(answered[url]) + 1
                except httpx.ConnectError:
                    continue
            return

    with ThreadPoolExecutor(TRADERS) as pool:
        trading = [pool.submit(trade) for _ in range(TRADERS)]
        try:
            first, second = exchange.base_urls
            exchange.wait_until(lambda: totals[first] >= ANSWERS_FIRST or any_done(trading), what="answers by web 1")
            assert leaving.terminate() == 0, leaving.log()
            exchange.wait_until(lambda: totals[second] >= ANSWERS_FIRST or any_done(trading), what="answers by web 2")
        finally:
            stop.set()
        for trader in trading:
            trader.result()
    leaving.start()
    exchange.wait_ready()


def any_done(futures: list[Any]) -> bool:
    return any(future.done() for future in futures)


def test_the_standby_leads_when_the_leader_leaves(exchange: DistributedExchange, alice: Signer) -> None:
    leader = exchange.leader()
    assert leader.terminate() == 0, leader.log()
    assert exchange.leader() is not leader
    exchange.wait_ready()
    with web(exchange, 2) as client:
        assert place(client, alice, price="38000.00").status_code == 201
    leader.start()


def test_any_asgi_server_can_serve_the_application(exchange: DistributedExchange, alice: Signer) -> None:
    port = free_port()
    server = another(exchange, ["-m", "uvicorn", "trading.asgi:application", "--port", str(port), "--no-access-log"])
    url = f"http://127.0.0.1:{port}"
    server.start()
    try:
        exchange.wait_for_200(url + "/readyz")
        with httpx.Client(base_url=url, timeout=60) as client, Socket(url) as socket:
            assert place(client, alice, price="37000.00").status_code == 201
            assert socket.ask("ping")["ok"]
        assert server.terminate() in (0, -15), server.log()  # uvicorn ends by the signal that asked it to
    finally:
        server.ask_to_end()
        server.wait_for_end()


@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        ({"DATABASE_URL": "postgresql://host/bourse"}, "REDIS_URL"),
        ({"REDIS_URL": "redis://host"}, "DATABASE_URL"),
        ({}, "DATABASE_URL and REDIS_URL"),
    ],
)
def test_a_web_process_names_the_service_it_lacks(settings: Settings, given: dict[str, str], lacking: str) -> None:
    settings.DATABASE_URL, settings.REDIS_URL = given.get("DATABASE_URL", ""), given.get("REDIS_URL", "")
    with pytest.raises(CommandError, match=f"^A web process of its own needs {lacking}, the services"):
        call_command("web")


def test_a_web_process_without_services_ends_before_it_begins(exchange: DistributedExchange) -> None:
    process = another(exchange, ["manage.py", "web"], PORT=str(free_port()), DATABASE_URL="", REDIS_URL="")
    process.start()
    process.wait_for_end()
    assert process.process is not None
    assert process.process.returncode == 1
    assert process.log().startswith("CommandError: A web process of its own needs DATABASE_URL and REDIS_URL")


def test_a_web_process_does_not_serve_a_database_without_its_migrations(exchange: DistributedExchange) -> None:
    empty = exchange.env["DATABASE_URL"].replace("/bourse?", "/template1?")
    process = another(exchange, ["manage.py", "web"], PORT=str(free_port()), DATABASE_URL=empty)
    process.start()
    process.wait_for_end()
    assert process.process is not None
    assert process.process.returncode == 1
    assert "The database lacks migrations: " in process.log()
    assert "matching.0001_initial" in process.log()


def test_a_journal_written_by_many_hands_is_proved(exchange: DistributedExchange) -> None:
    proved = exchange.manage("prove")
    assert proved.returncode == 0, proved.stdout + proved.stderr
