"""What is logged, in both forms, and the name of a request on its way from the first header to the worker's records."""

import asyncio
import io
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from matching import worker
from matching.engine.messages import CancelOrders
from matching.lanes import REQUEST_ID, TRACE, Reply
from matching.redis_lane import RedisLane
from matching.redis_worker_lane import RedisWorkerLane
from tests.gateway_client import LIMIT_BUY, ORDERS, Answer, Floor, Signer, trading_floor
from tests.harness import ServerProcess, clean_env, new_data_dir, remove_data_dir
from tests.redis_server import redis_server
from tests.socket_client import Socket
from trading import environment, logs
from trading.gateway.app import Gateway
from trading.gateway.limits import Unlimited

MADE = re.compile(r"[0-9a-f]{12}-[0-9]+")
PROXY = "10.0.0.1"
WAIT_SECONDS_MAX = 30.0

Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def floor(fresh_database: str) -> Iterator[Floor]:
    with trading_floor() as running:
        yield running


@pytest.fixture
def records() -> Iterator[Callable[[str], Records]]:
    """Everything that was logged so far with a text in its message, as JSON has it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.json_formatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)

    def found(text: str) -> Records:
        return [line for line in map(json.loads, stream.getvalue().splitlines()) if text in line["message"]]

    yield found
    root.removeHandler(handler)
    root.setLevel(level)


def eventually(found: Callable[[], Records]) -> Records:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not (records := found()):
        assert time.monotonic() < deadline, "it was not logged"
        time.sleep(0.02)
    return records


# ---------------------------------------------------------------------------------------------- both forms


def record(message: str, *, error: BaseException | None = None, **fields: Any) -> logging.LogRecord:
    error_info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("a.logger", logging.WARNING, __file__, 1, message, (), error_info)
    made.fields = fields
    return made


def chained() -> BaseException:
    try:
        try:
            raise KeyError("lost")
        except KeyError as error:
            raise ValueError("two\nlines") from error
    except ValueError as error:
        return error


def test_a_line_stays_one_line_and_ends_with_its_fields() -> None:
    line = logs.OneLineFormatter("%(levelname)s %(message)s").format
    assert line(record("one\ntwo", order_id=7, ids=["a", "b"])) == "WARNING one\\ntwo order_id=7 ids=a,b"
    assert line(record("said", name='a "b" c=d')) == 'WARNING said name="a \\"b\\" c=d"'
    failed = line(record("failed", error=chained(), order_id=7))
    assert failed.startswith("WARNING failed order_id=7\\nTraceback (most recent call last):\\n")
    assert failed.endswith("ValueError: two\\nlines")


def test_json_has_the_fields_and_the_whole_chain_of_an_exception() -> None:
    token = REQUEST_ID.set("name-1")
    found = json.loads(logs.json_formatter().format(record("one\ntwo é", error=chained(), order_id=7)))
    REQUEST_ID.reset(token)
    exceptions = found.pop("exception")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert (found.pop("pid"), found.pop("role")) == (os.getpid(), logs.ROLE)
    assert found == {
        "level": "warning",
        "logger": "a.logger",
        "message": "one\ntwo é",
        "request_id": "name-1",
        "order_id": 7,
    }
    assert [(each["exc_type"], each["exc_value"]) for each in exceptions] == [
        ("ValueError", "two\nlines"),
        ("KeyError", "'lost'"),
    ]
    assert exceptions[0]["frames"][-1]["name"] == "chained"
    assert "locals" not in exceptions[0]["frames"][-1], "what is in variables may be secret"


def test_as_json_what_python_itself_has_to_say_is_a_record_too() -> None:
    script = """if True:
        import os, threading, warnings, django
        os.environ["DJANGO_SETTINGS_MODULE"] = "trading.settings"
        django.setup()
        warnings.warn("careful")
        thread = threading.Thread(target=lambda: 1 / 0, name="a thread")
        thread.start(), thread.join()
        raise RuntimeError("the end")
    """
    env = clean_env() | {"LOG_FORMAT": "json", "PYTHONPATH": str(environment.PROJECT_ROOT)}
    ended = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    found = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [(line["level"], line["logger"]) for line in found] == [
        ("warning", "py.warnings"),
        ("critical", "python"),
        ("critical", "python"),
    ]
    assert [line["exception"][0]["exc_type"] for line in found[1:]] == ["ZeroDivisionError", "RuntimeError"]
    assert ended.returncode == 1


def test_lines_need_no_structlog_and_without_traces_there_is_nothing_to_make_them() -> None:
    script = """if True:
        import os, sys, django
        os.environ["DJANGO_SETTINGS_MODULE"] = "trading.settings"
        django.setup()
        import trading.asgi, trading.tasks
        print(sorted({"structlog", "opentelemetry"} & sys.modules.keys()))
    """
    env = clean_env() | {"PYTHONPATH": str(environment.PROJECT_ROOT)}
    ended = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert ended.stdout == "[]\n", ended.stderr


@pytest.mark.parametrize(
    ("arguments", "role"),
    [
        (["./manage.py", "up"], "up"),
        (["/srv/bourse/manage.py", "matching_worker"], "matching_worker"),
        (["/srv/.venv/bin/celery", "-A", "trading", "worker", "-l", "info"], "celery-worker"),
        (["/srv/.venv/lib/celery/__main__.py", "-A", "trading", "beat"], "celery-beat"),
        (["manage.py"], "manage.py"),
        ([], "python"),
    ],
)
def test_a_process_knows_its_role(arguments: list[str], role: str) -> None:
    assert logs.role(arguments) == role


# ---------------------------------------------------------------------------------------------- names of requests


@pytest.fixture
def behind_proxy(floor: Floor, settings: Settings) -> Gateway:
    settings.TRUSTED_PROXIES = [PROXY]
    return Gateway(lane=worker.order_lane(), limits=Unlimited())


def asked(floor: Floor, gateway: Gateway, name: str, address: str) -> str:
    headers = {"X-Request-ID": name}
    answer = floor.call("POST", ORDERS, b"{", signer=floor.alice, headers=headers, gateway=gateway, address=address)
    assert answer.code == "malformed_json"
    return answer.headers["x-request-id"]


def test_a_trusted_proxy_names_requests(floor: Floor, behind_proxy: Gateway) -> None:
    for name in ("a", "A.b_c-9", "x" * 64):
        assert asked(floor, behind_proxy, name, PROXY) == name


def test_names_that_are_none_are_replaced(floor: Floor, behind_proxy: Gateway) -> None:
    for name in ("", "x" * 65, "a b", "a/b", "é", 'a"b'):
        assert MADE.fullmatch(asked(floor, behind_proxy, name, PROXY))


def test_nobody_else_names_requests(floor: Floor, behind_proxy: Gateway) -> None:
    assert MADE.fullmatch(asked(floor, behind_proxy, "mine", "10.0.0.2"))
    default = Gateway(lane=worker.order_lane(), limits=Unlimited())
    assert len({asked(floor, default, "mine", "127.0.0.1") for _ in range(3)}) == 3, "each has its own"


# ---------------------------------------------------------------------------------------------- records of orders


@pytest.fixture
def recorded(floor: Floor, settings: Settings) -> Callable[..., Answer]:
    """Asks a gateway that records orders."""
    settings.LOG_ORDERS = True
    gateway = Gateway(lane=worker.order_lane(), limits=Unlimited())

    def ask(method: str, path: str, body: Any = None, *, signer: Signer = floor.alice) -> Answer:
        return floor.call(method, ORDERS + path, body, signer=signer, gateway=gateway)

    return ask


def test_each_request_to_order_entry_is_a_record(
    floor: Floor, recorded: Callable[..., Answer], records: Callable[[str], Records]
) -> None:
    placed = recorded("POST", "", LIMIT_BUY | {"client_order_id": "rec-1"})
    order_id = placed.json["id"]
    refused = recorded("POST", "", LIMIT_BUY | {"client_order_id": "rec-2", "price": "0.001"})
    floor.place(floor.bob, side="sell", price="101.00", quantity="0.2")
    traded = recorded("PATCH", f"/{order_id}", {"price": "101.00"})
    met = recorded("POST", "", LIMIT_BUY | {"side": "sell", "price": "100.00"}, signer=floor.bob)
    many = recorded("POST", "/batch", {"orders": [LIMIT_BUY | {"client_order_id": f"rec-{n}"} for n in (3, 4)]})
    ids = [each["order"]["id"] for each in many.json["results"]]
    recorded("DELETE", "")
    recorded("DELETE", "/77777777")
    answers = [placed, refused, traded, met, many]
    found = records(ORDERS)
    assert [line["request_id"] for line in found[:5]] == [answer.headers["x-request-id"] for answer in answers]
    assert {line["account"] for line in found} == {floor.alice.account_id, floor.bob.account_id}
    assert all(line["logger"] == "trading.orders" and line["duration_ms"] > 0 for line in found)

    def told(line: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(line.get(name) for name in ("message", "status", "code", "client_order_id", "order_id"))

    assert [told(line) for line in found] == [
        (f"POST {ORDERS}", 201, None, "rec-1", order_id),
        (f"POST {ORDERS}", 422, "price_off_tick", "rec-2", found[1]["sequence"]),
        (f"PATCH {ORDERS}/{order_id}", 200, None, None, order_id),
        (f"POST {ORDERS}", 201, None, None, met.json["id"]),
        (f"POST {ORDERS}/batch", 200, None, ["rec-3", "rec-4"], ids),
        (f"DELETE {ORDERS}", 200, None, None, ids),
        (f"DELETE {ORDERS}/77777777", 404, "unknown_order", None, 77777777),
    ]
    assert found[0]["sequence"] == order_id
    assert met.json["fills"], "it met the first order, whose update comes before its own"


def test_without_the_setting_nothing_is_recorded(floor: Floor, records: Callable[[str], Records]) -> None:
    assert floor.place(floor.alice, price="3.00").status == 201
    assert records(ORDERS) == []


# ---------------------------------------------------------------------------------------------- to the worker


def settled(floor: Floor) -> None:
    """The worker is busy with the batch of another request: it has said what it says about those before."""
    floor.place(floor.alice, price="4.00")


def test_what_the_worker_says_about_a_slow_batch_names_its_requests(
    floor: Floor, settings: Settings, records: Callable[[str], Records]
) -> None:
    settings.SLOW_BATCH_MS = 0
    name = floor.place(floor.alice, price="2.00").headers["x-request-id"]
    settled(floor)
    assert [name] in [line.get("request_ids") for line in records("Slow batch")]


def test_what_the_worker_says_about_a_failed_batch_names_its_requests(
    floor: Floor, records: Callable[[str], Records]
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orders_order ADD CONSTRAINT no_poison CHECK (client_order_id <> 'poison')")
    failed = floor.place(floor.alice, price="2.00", client_order_id="poison")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orders_order DROP CONSTRAINT no_poison")
    assert (failed.status, failed.code) == (500, "internal_error")
    (line,) = eventually(lambda: records("was not committed"))
    assert line["request_ids"] == [failed.headers["x-request-id"]]
    assert "no_poison" in line["message"]


def test_between_processes_the_name_and_the_trace_go_along() -> None:
    async def ask(url: str) -> tuple[str, str]:
        lane, worker_lane = RedisLane(url=url, commands_max=10), RedisWorkerLane(url=url)
        await lane.start()
        worker_lane.open(position="", sequence=0)
        try:
            while not (lane.available and lane.connected):
                await asyncio.sleep(0.02)
            REQUEST_ID.set("a-name")
            TRACE.set("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
            asked = asyncio.create_task(lane.execute((CancelOrders(3),)))
            while not (requests := await asyncio.to_thread(worker_lane.take, limit=1, timeout=0.1)):
                assert not asked.done()
            worker_lane.answer([(requests[0], [Reply(1, 1, [])])])
            await asked
            return requests[0].request_id, requests[0].trace
        finally:
            worker_lane.close()
            await lane.stop()

    with redis_server() as url:
        told = asyncio.run(asyncio.wait_for(ask(url), WAIT_SECONDS_MAX))
    assert told == ("a-name", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


# ---------------------------------------------------------------------------------------------- a whole server


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    data_dir = new_data_dir()
    env = {"LOG_FORMAT": "json", "LOG_ORDERS": "on", "TRUSTED_PROXIES": "127.0.0.1", "BACKGROUND": "on"}
    try:
        with ServerProcess(data_dir=data_dir, env=env) as running:
            yield running
    finally:
        remove_data_dir(data_dir)


def alice(server: ServerProcess) -> Signer:
    key = re.search(r"API key of alice: (\S+)  secret: (\S+)", server.log())
    assert key is not None
    return Signer(key[1], 0, key[2])


def lines(server: ServerProcess, message: str) -> Records:
    """At least one, once it is written: answers come first."""

    def found() -> Records:
        whole = [line for line in server.log().splitlines(keepends=True) if line.startswith("{") and line[-1] == "\n"]
        return [line for line in map(json.loads, whole) if line["message"] == message]

    return eventually(found)


def test_an_order_is_found_by_its_name_wherever_it_came_in(server: ServerProcess) -> None:
    signer = alice(server)
    order = {"market": "BTC-USDT", "side": "buy", "type": "limit", "price": "40000.00", "quantity": "0.01000"}
    body = json.dumps(order | {"client_order_id": "by-http"}).encode()
    headers = signer.headers("POST", ORDERS, body, window=60_000) | {"X-Request-ID": "edge.7"}
    answer = httpx.post(server.base_url + ORDERS, content=body, headers=headers, timeout=30)
    assert (answer.status_code, answer.headers["x-request-id"]) == (201, "edge.7")
    with Socket(server.base_url) as socket:
        assert socket.login(signer)["ok"]
        placed = socket.ask("order.place", order=order | {"client_order_id": "by-socket"})
        response = socket.connection.response
        assert response is not None
        name = response.headers["x-request-id"]
    (by_http,) = lines(server, f"POST {ORDERS}")
    (by_socket,) = lines(server, "order.place")
    assert (by_http["request_id"], by_http["order_id"], by_http["role"]) == ("edge.7", answer.json()["id"], "up")
    assert (by_socket["request_id"], by_socket["order_id"]) == (f"{name}.1", placed["result"]["id"])
    assert by_socket["client_order_id"] == "by-socket"


@pytest.mark.parametrize(("path", "status"), [("/api/v1/markets", 200), ("/api/v1/nothing", 404), ("/login", 200)])
def test_pages_and_errors_have_the_name_too(server: ServerProcess, path: str, status: int) -> None:
    answer = server.get(path, {"X-Request-ID": "edge.8"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (status, "edge.8")
    too_large = httpx.post(server.base_url + "/api/v1/deposits", content=b"x" * 70_000, timeout=30)
    assert too_large.status_code == 413
    assert MADE.fullmatch(too_large.headers["x-request-id"])


def test_everything_on_stderr_is_json_until_the_end(server: ServerProcess) -> None:
    leads = [json.loads(line) for line in server.log().splitlines() if "matching worker leads" in line]
    assert [(line["level"], line["logger"]) for line in leads] == [("info", "matching.session")]
    said = [line for line in server.log().splitlines() if not line.startswith("{")]
    assert not [line for line in said if re.search(r"Traceback|WARN|ERROR|INFO", line)]
