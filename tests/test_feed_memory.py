"""The server's memory stays what it is: with a thousand readers for five minutes, and while thousands come and go."""

import contextlib
import json
import select
import statistics
import threading
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from matching.bench.frames import Connection, masked
from tests.gateway_client import Signer
from tests.harness import ServerProcess
from tests.order_flow import MARKET, MIDDLE, ORDERS
from tests.socket_client import calm_server
from tests.test_recovery import demo_signers

pytestmark = pytest.mark.slow

READERS = 1_000
UPDATES_PER_SECOND = 10
SECONDS = 300
SAMPLE_SECONDS = 5
GROWTH_BYTES_MAX = 8 * 2**20
"""What five minutes may add: a few thousand orders' ids, and how the allocator places things."""

WARM_UP_VISITS, VISITS = 10_000, 5_000
"""A leak grows for ever, the garbage that awaits the collector only at first."""

VISITS_GROWTH_BYTES_MAX = 2 * 2**20
SUBSCRIBE = masked(json.dumps({"op": "subscribe", "channels": [f"depth.{MARKET}"]}).encode())
CHANNELS = [f"depth.{MARKET}", f"trades.{MARKET}", f"ticker.{MARKET}", "announcements"]
SUBSCRIBE_TO_ALL = masked(json.dumps({"op": "subscribe", "channels": CHANNELS}).encode())


@pytest.fixture(scope="module")
def quiet_server() -> Iterator[ServerProcess]:
    with calm_server() as server:
        yield server


@pytest.fixture(scope="module")
def signers(quiet_server: ServerProcess) -> list[Signer]:
    return demo_signers(quiet_server)


class Crowd(threading.Thread):
    """Readers of the depth who do nothing but read; `last`: the last sequence of each."""

    def __init__(self, *, port: int, count: int) -> None:
        super().__init__()
        self.last: dict[int, int] = {}
        self.updates = 0
        self._stopping = threading.Event()
        self._poll = select.epoll()
        self._connections: dict[int, Connection] = {}
        for number in range(count):
            connection = Connection(port=port, number=number)
            connection.socket.sendall(SUBSCRIBE)
            self._connections[connection.socket.fileno()] = connection
            self._poll.register(connection.socket, select.EPOLLIN)

    def run(self) -> None:
        while not self._stopping.is_set():
            for descriptor, _ in self._poll.poll(0.2):
                for frame in self._connections[descriptor].receive():
                    if b'"type":"update"' in frame:
                        place = frame.index(b'"last_sequence":') + 16
                        self.last[descriptor] = int(frame[place : frame.index(b",", place)])
                        self.updates += 1

    def leave(self) -> None:
        """Stop reading and hang up."""
        self._stopping.set()
        self.join()
        for connection in self._connections.values():
            connection.socket.close()


def place_and_cancel(client: httpx.Client, signer: Signer, number: int) -> int:
    """One change of the book: an order, or the end of the order before; the sequence of the first."""
    if number % 2:
        return send(client, signer, "DELETE", ORDERS, None)
    price = f"{MIDDLE - 100 - number % 50}.00"
    body = {"market": MARKET, "side": "buy", "type": "limit", "price": price, "quantity": "0.00100"}
    return send(client, signer, "POST", ORDERS, body)


def send(client: httpx.Client, signer: Signer, method: str, target: str, body: object) -> int:
    content = b"" if body is None else json.dumps(body).encode()
    headers = signer.headers(method, target, content, window=60_000) | {"Content-Type": "application/json"}
    answer = client.request(method, target, content=content, headers=headers)
    assert answer.status_code < 300, answer.text
    return int(answer.json().get("id", 0))


def memory(server: ServerProcess) -> int:
    """Bytes that the server's process has resident."""
    assert server.process is not None
    return int(psutil.Process(server.process.pid).memory_info().rss)


def test_a_thousand_readers_for_five_minutes_cost_no_more_memory(quiet_server: ServerProcess, signers: list[Signer]):
    crowd = Crowd(port=quiet_server.port, count=READERS)
    crowd.start()
    samples: list[int] = []
    placed = 0
    with contextlib.closing(httpx.Client(base_url=quiet_server.base_url, timeout=30)) as client:
        began = time.monotonic()
        for number in range(SECONDS * UPDATES_PER_SECOND):
            placed = place_and_cancel(client, signers[0], number) or placed
            if number % (SAMPLE_SECONDS * UPDATES_PER_SECOND) == 0:
                samples.append(memory(quiet_server))
            time.sleep(max(began + (number + 1) / UPDATES_PER_SECOND - time.monotonic(), 0))
    deadline = time.monotonic() + 10
    while len(crowd.last) < READERS or min(crowd.last.values()) <= placed:
        assert time.monotonic() < deadline, "not every reader got the last update"
        time.sleep(0.1)
    crowd.leave()
    minute = 60 // SAMPLE_SECONDS
    growth = statistics.median(samples[-minute:]) - statistics.median(samples[minute : 2 * minute])
    slope, _ = statistics.linear_regression(range(len(samples) - minute), samples[minute:])
    assert growth < GROWTH_BYTES_MAX, samples
    assert slope * (len(samples) - minute) < GROWTH_BYTES_MAX, samples


def test_thousands_of_visitors_leave_nothing_behind(quiet_server: ServerProcess, signers: list[Signer]):
    """Each subscribes, reads a little and goes: half of them properly, half by hanging up."""
    before = 0
    login = signers[0].headers("GET", "/api/v1/ws", b"", window=60_000)
    for number in range(WARM_UP_VISITS + VISITS):
        if number == WARM_UP_VISITS:
            before = memory(quiet_server)
        if number % 100 == 0:
            login = signers[0].headers("GET", "/api/v1/ws", b"", window=60_000)
        visit(quiet_server.port, number, login)
    with httpx.Client(base_url=quiet_server.base_url) as client:
        assert client.get("/readyz").status_code == 200
    assert memory(quiet_server) - before < VISITS_GROWTH_BYTES_MAX


def visit(port: int, number: int, login: dict[str, str]) -> None:
    """Every fifth visitor logs in and looks at his orders, too."""
    connection = Connection(port=port, number=0)
    connection.socket.sendall(SUBSCRIBE_TO_ALL)
    wanted = 5
    if number % 5 == 0:
        fields = {
            "api_key": login["X-API-Key"], "timestamp": int(login["X-Timestamp"]), "window": int(login["X-Window"]),
            "signature": login["X-Signature"],
        }  # fmt: skip
        connection.socket.sendall(masked(json.dumps({"op": "login", **fields}).encode()))
        connection.socket.sendall(masked(b'{"op":"subscribe","channels":["orders","balances"]}'))
        wanted = 9
    answers: list[bytes] = []
    while len(answers) < wanted:
        answers += connection.receive()
    assert not any(b'"ok":false' in answer for answer in answers), answers
    if number % 2:
        connection.socket.sendall(b"\x88\x82\0\0\0\0\x03\xe8")  # a close frame, code 1000
        connection.socket.settimeout(10)
        while connection.socket.recv(4096):
            pass
    connection.socket.close()
