"""Clients of the WebSocket API for tests: one that asks and is answered, one that follows any channel, and both books.

with Socket(server.base_url) as socket:
    socket.login(signer)
    assert socket.ask("subscribe", channels=["orders"])["ok"]
    snapshot = socket.message("orders")

`follow_channel` obeys the four rules of docs/websocket.md for every channel; `following` runs a reference client.
"""

import asyncio
import contextlib
import json
import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect as connect_and_wait

from docs.clients import book
from tests.gateway_client import Signer
from tests.harness import ServerProcess, new_data_dir, remove_data_dir
from tests.node import node_path
from trading import environment

PATH = "/api/v1/ws"
ANSWER_SECONDS_MAX = 10
ASK_AGAIN_SECONDS = 1
START_SECONDS_MAX = 120
CLIENTS = ("python", "javascript")

DRIVER = """
import { follow } from "./docs/clients/book.mjs";
const [url, market, silence] = process.argv.slice(1);
for await (const state of follow(url, market, { silence: Number(silence) })) console.log(JSON.stringify(state));
"""

Message = dict[str, Any]
State = tuple[int, book.Levels, book.Levels]
"""A book as a client had it: its sequence, bids and asks."""


class Following:
    """A reference client that runs: every state of its book so far, and whether it has ended by itself."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self.ended = False


def socket_url(base_url: str) -> str:
    """The socket of a server, from the URL of its pages."""
    return base_url.replace("http", "ws", 1) + PATH


@contextlib.contextmanager
def calm_server(**env: str) -> Iterator[ServerProcess]:
    """A server on which nothing happens by itself and nothing is limited, unless `env` says otherwise."""
    data_dir = new_data_dir()
    server = ServerProcess(data_dir=data_dir, env={"DEMO_FLOW": "0", "RATE_LIMITS": "off"} | env)
    try:
        server.start()
        server.wait_ready(START_SECONDS_MAX)
        yield server
    finally:
        server.close()
        remove_data_dir(data_dir)


class Socket:
    """One connection. What comes before it is asked for is kept, so that a test reads things in its own order."""

    def __init__(self, base_url: str, **options: Any) -> None:
        options = {"compression": None, "max_size": None, "proxy": None} | options
        self._open = contextlib.ExitStack()
        self.connection = self._open.enter_context(connect_and_wait(socket_url(base_url), **options))
        self._waiting: list[Message] = []
        self._asked = 0

    def ask(self, op: str, **fields: Any) -> Message:
        """Send a request, and wait for its answer."""
        self._asked += 1
        id = self._asked
        self.connection.send(json.dumps({"op": op, "id": id, **fields}))
        return self.receive(lambda message: message.get("id") == id)

    def login(self, signer: Signer, **options: Any) -> Message:
        """Log in with an API key; the answer."""
        headers = signer.headers("GET", PATH, b"")
        return self.ask(
            "login",
            api_key=headers["X-API-Key"],
            timestamp=int(headers["X-Timestamp"]),
            signature=headers["X-Signature"],
            **options,
        )

    def message(self, channel: str, *, type: str | None = None) -> Message:
        """The next message of a channel, of one type if given; heartbeats only when they are asked for."""
        return self.receive(
            lambda message: (
                message.get("channel") == channel
                and (message["type"] == type if type else message["type"] != "heartbeat")
            )
        )

    def receive(self, wanted: Callable[[Message], bool], *, timeout: float = ANSWER_SECONDS_MAX) -> Message:
        """The next message that is `wanted`; TimeoutError when there is none within `timeout` seconds."""
        for place, message in enumerate(self._waiting):
            if wanted(message):
                return self._waiting.pop(place)
        deadline = time.monotonic() + timeout
        while True:
            received: Message = json.loads(self.connection.recv(max(deadline - time.monotonic(), 0)))
            if wanted(received):
                return received
            self._waiting.append(received)

    def close(self) -> None:
        """Close the connection; twice is no harm."""
        self._open.close()

    def __enter__(self) -> "Socket":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


async def follow_channel(url: str, channel: str) -> AsyncIterator[Message]:
    """Every message of a public channel that the rules say to apply, over as many connections as it takes."""
    mine = -1
    clock = asyncio.get_running_loop().time
    while True:
        with contextlib.suppress(OSError, TimeoutError, WebSocketException):
            async with connect(url, max_size=None, close_timeout=1, proxy=None) as socket:
                asked, missed = -1.0, True
                while True:
                    if missed and clock() - asked >= ASK_AGAIN_SECONDS:
                        resumes = mine >= 0 and channel.startswith(("depth.", "trades."))
                        resume = {"from_sequence": mine} if resumes else {}
                        await socket.send(json.dumps({"op": "subscribe", "channels": [channel], **resume}))
                        asked = clock()
                    message = json.loads(await asyncio.wait_for(socket.recv(), book.SILENCE))
                    if message.get("channel") != channel:
                        assert message.get("ok") is not False, message
                        continue
                    last = message["last_sequence"]
                    fresh = message["type"] == "snapshot" or last > mine
                    missed = fresh and message["type"] != "snapshot" and message.get("first_sequence", last) > mine + 1
                    missed = missed or (fresh and message["type"] == "heartbeat")
                    if fresh and not missed:
                        mine = last
                        yield message
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def following(kind: str, url: str, market: str, *, silence: float = book.SILENCE) -> AsyncIterator[Following]:
    """Run a reference client while the block does. `silence`: seconds.

    A client that ends by itself raises at the end of the block, with what it said.
    """
    client = Following()
    run = _python_client if kind == "python" else _javascript_client

    async def follow() -> None:
        try:
            await run(client.states, url, market, silence)
        finally:
            client.ended = True

    task = asyncio.create_task(follow())
    try:
        yield client
    finally:
        ended = client.ended
        task.cancel()
        await asyncio.wait([task])
        if ended:
            task.result()


async def _python_client(states: list[State], url: str, market: str, silence: float) -> None:
    async with contextlib.aclosing(book.follow(url, market, silence=silence)) as found:
        async for sequence, bids, asks in found:
            states.append((sequence, bids, asks))


async def _javascript_client(states: list[State], url: str, market: str, silence: float) -> None:
    process = await asyncio.create_subprocess_exec(
        *node_command(), "--input-type=module", "--eval", DRIVER, url, market, str(int(silence * 1000)),
        cwd=environment.PROJECT_ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=2**24,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async for line in process.stdout:
            sequence, bids, asks = json.loads(line)
            states.append((sequence, bids, asks))
        raise book.Refused((await process.stderr.read()).decode())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def node_command() -> list[str]:
    """Node with a WebSocket, which versions before 22 have on demand."""
    node = str(node_path())
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    major = re.match(r"v(\d+)", version)
    assert major is not None, version
    return [node, *["--experimental-websocket"] * (int(major[1]) < 22)]


async def until(reached: Callable[[], bool], *, seconds: float = 30, pause: float = 0.02) -> None:
    """Look again and again; AssertionError when it takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not reached within {seconds} s"
        await asyncio.sleep(pause)
