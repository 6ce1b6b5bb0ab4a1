"""Readers that do not read, and the end of the server: what is told is merged, then the connection closes by name.

A slow reader here is a client with tiny buffers that does not receive: what the server sends piles up on its side.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from docs.clients.book import Book
from tests.gateway_client import Signer
from tests.harness import ServerProcess
from tests.order_flow import MARKET, MIDDLE, ORDERS
from tests.socket_client import Socket, calm_server, socket_url
from tests.test_recovery import demo_signers

CHANNEL = f"depth.{MARKET}"
SUBSCRIBE = json.dumps({"op": "subscribe", "channels": [CHANNEL]})
REFUSED = json.dumps({"op": "order.place_batch", "orders": [{}] * 100})
BATCH = 100
BATCHES = 3
PAUSE_SECONDS = 4
"""Less than the 10 s after which a connection that takes nothing is closed."""

SLOW_READER = 4008
SLOW_SECONDS = 17
"""The buffers on the way are full after a few seconds; 10 s later it is closed, and 10 s after that cut."""

CLOSED_SECONDS_MAX = 40
GROWTH_BYTES_MAX = 64 * 2**20


@pytest.fixture(scope="module")
def quiet_server() -> Iterator[ServerProcess]:
    with calm_server() as server:
        yield server


@pytest.fixture(scope="module")
def signer(quiet_server: ServerProcess) -> Signer:
    return demo_signers(quiet_server)[0]


@contextlib.asynccontextmanager
async def slow_reader(base_url: str) -> AsyncIterator[ClientConnection]:
    """A client whose side of the connection holds next to nothing."""
    with socket.socket() as tiny:
        tiny.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        tiny.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 500)
        host, _, port = base_url.rpartition("/")[2].partition(":")
        tiny.connect((host, int(port)))
        tiny.setblocking(False)
        options: dict[str, Any] = {"compression": None, "max_size": None, "max_queue": 1, "close_timeout": 1}
        async with connect(socket_url(base_url), sock=tiny, **options) as connection:
            yield connection


async def change_many_levels(base_url: str, signer: Signer, until: Callable[[], bool]) -> None:
    """Place orders on levels of their own, hundreds at a time, and cancel them, until told to stop."""
    async with httpx.AsyncClient(base_url=base_url, timeout=30) as client:

        async def ask(method: str, target: str, body: Any = None) -> None:
            content = b"" if body is None else json.dumps(body).encode()
            headers = signer.headers(method, target, content, window=60_000) | {"Content-Type": "application/json"}
            answer = await client.request(method, target, content=content, headers=headers)
            assert answer.status_code < 300, answer.text

        while not until():
            for batch in range(BATCHES):
                prices = [f"{MIDDLE - 1000 - batch * BATCH - place}.00" for place in range(BATCH)]
                order = {"market": MARKET, "side": "buy", "type": "limit", "quantity": "0.00100"}
                await ask("POST", f"{ORDERS}/batch", {"orders": [order | {"price": price} for price in prices]})
            await ask("DELETE", ORDERS)


async def read_book(connection: ClientConnection, reached: Callable[[Book], bool]) -> tuple[Book, int]:
    """Read until the book is `reached`; the book and how many messages it took. Nothing may be missing."""
    book, messages = Book(), 0
    while not reached(book):
        message = json.loads(await asyncio.wait_for(connection.recv(), CLOSED_SECONDS_MAX))
        if message.get("channel") == CHANNEL and message["type"] != "heartbeat":
            assert book.take(message) == "applied", message
            messages += 1
    return book, messages


def test_what_a_slow_reader_missed_is_told_in_one_message(quiet_server: ServerProcess, signer: Signer):
    async def run() -> None:
        base_url = quiet_server.base_url
        async with slow_reader(base_url) as slow, connect(socket_url(base_url), max_size=None, max_queue=None) as quick:
            for connection in (slow, quick):
                await connection.send(SUBSCRIBE)
            stop = asyncio.get_running_loop().time() + PAUSE_SECONDS
            await change_many_levels(base_url, signer, lambda: asyncio.get_running_loop().time() > stop)
            last = httpx.get(f"{base_url}/api/v1/markets/{MARKET}/depth").json()["sequence"]
            quick_book, told = await read_book(quick, lambda book: book.sequence >= last)
            slow_book, merged = await read_book(slow, lambda book: book.sequence >= last)
            assert slow_book.levels() == quick_book.levels()
            assert merged < told - 5

    asyncio.run(run())


def test_who_takes_nothing_for_ten_seconds_is_closed_with_4008(quiet_server: ServerProcess, signer: Signer):
    async def run() -> None:
        async with slow_reader(quiet_server.base_url) as slow:
            await slow.send(SUBSCRIBE)
            clock = asyncio.get_running_loop().time
            stop = clock() + SLOW_SECONDS
            await change_many_levels(quiet_server.base_url, signer, lambda: clock() > stop)
            assert await close_code(slow) == SLOW_READER

    asyncio.run(run())


def test_readers_that_fill_their_buffers_are_closed_and_cost_no_memory(quiet_server: ServerProcess, signer: Signer):
    """Each asks again and again for what cannot be merged, the refusals of a hundred orders, and reads none of it."""
    assert quiet_server.process is not None
    process = psutil.Process(quiet_server.process.pid)

    async def run() -> None:
        base_url = quiet_server.base_url
        before = process.memory_info().rss
        async with contextlib.AsyncExitStack() as stack:
            readers = [await stack.enter_async_context(slow_reader(base_url)) for _ in range(20)]
            for reader in readers:
                await log_in(reader, signer)
            flooding = [asyncio.create_task(flood(reader)) for reader in readers]
            await asyncio.sleep(5)
            assert process.memory_info().rss - before < GROWTH_BYTES_MAX
            assert set(await asyncio.gather(*map(close_code, readers))) == {SLOW_READER}
            for task in flooding:
                task.cancel()
            await asyncio.wait(flooding)
        assert httpx.get(f"{base_url}/readyz").status_code == 200

    async def flood(reader: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await reader.send(REFUSED)
                await asyncio.sleep(0.001)

    asyncio.run(run())


async def log_in(connection: ClientConnection, signer: Signer) -> None:
    """Act for the signer's account; the answer is read."""
    headers = signer.headers("GET", "/api/v1/ws", b"")
    fields = {"api_key": headers["X-API-Key"], "signature": headers["X-Signature"]}
    await connection.send(json.dumps({"op": "login", "timestamp": int(headers["X-Timestamp"]), **fields}))
    assert json.loads(await connection.recv())["ok"]


async def close_code(connection: ClientConnection) -> int | None:
    """Read whatever is there to the end of the connection; why it was closed."""
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(CLOSED_SECONDS_MAX):
            while True:
                await connection.recv()
    return connection.close_code


def test_a_stop_is_announced_and_closes_with_1001():
    with calm_server() as server, Socket(server.base_url) as reader, Socket(server.base_url) as idle:
        assert reader.ask("subscribe", channels=[CHANNEL])["ok"]
        assert idle.ask("ping")["ok"]
        assert server.terminate() == 0
        for each in (reader, idle):
            told = each.receive(lambda message: message.get("type") == "server_shutdown")
            assert 0 < told["reconnect_after_ms"] <= 60_000
            with pytest.raises(ConnectionClosed) as closed:
                each.receive(lambda _: False)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
