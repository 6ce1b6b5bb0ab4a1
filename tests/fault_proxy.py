"""A WebSocket proxy that behaves like a bad network: it drops, delays, duplicates and cuts, by chance from a seed.

async with FaultProxy(target_url=socket_url(server.base_url), seed=1) as proxy:
    ...                                     # clients connect to proxy.url
print(proxy.counts, proxy.requests)

What the server sends is treated so frame by frame; a delayed frame is overtaken by those after it. What the client
sends arrives, or its connection is cut.
"""

import asyncio
import contextlib
import json
import random
from collections import Counter
from types import TracebackType
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import WebSocketException


class FaultProxy:
    """Passes frames on to `target_url` with faults: each is the chance of one frame; `delay_max` is in seconds.

    `counts`: faults by name, connections, frames. `requests`: all that clients asked. `frames`: all that servers said.
    """

    def __init__(
        self,
        *,
        target_url: str,
        seed: int,
        drop: float = 0.05,
        delay: float = 0.1,
        duplicate: float = 0.05,
        cut: float = 0.005,
        delay_max: float = 0.3,
    ) -> None:
        self.target_url = target_url
        self.url = ""
        self.counts = Counter[str]()
        self.requests: list[dict[str, Any]] = []
        self.frames: list[str] = []
        self._seed = seed
        self._fates = ("drop", "delay", "duplicate", "cut", "pass")
        self._weights = (drop, delay, duplicate, cut, 1 - drop - delay - duplicate - cut)
        self._delay_max = delay_max
        self._server: Server | None = None

    async def __aenter__(self) -> "FaultProxy":
        self._server = await serve(self._pass_on, "127.0.0.1", 0, compression=None, max_size=None)
        self.url = f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _pass_on(self, client: ServerConnection) -> None:
        """One connection, until one of the three ends it; the other end is then cut, too."""
        self.counts["connections"] += 1
        chance = random.Random(f"{self._seed}-{self.counts['connections']}")
        try:
            async with connect(self.target_url, compression=None, max_size=None, close_timeout=1, proxy=None) as server:
                directions = [
                    asyncio.create_task(self._upwards(client, server)),
                    asyncio.create_task(self._downwards(server, client, chance)),
                ]
                try:
                    await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for direction in directions:
                        direction.cancel()
                    await asyncio.wait(directions)
        except (OSError, TimeoutError, WebSocketException):
            self.counts["unreachable"] += 1
        finally:
            client.transport.abort()

    async def _upwards(self, client: ServerConnection, server: ClientConnection) -> None:
        with contextlib.suppress(WebSocketException):
            async for frame in client:
                self.requests.append(json.loads(frame))
                await server.send(frame)

    async def _downwards(self, server: ClientConnection, client: ServerConnection, chance: random.Random) -> None:
        with contextlib.suppress(WebSocketException):
            async with asyncio.TaskGroup() as late:
                async for frame in server:
                    self.counts["frames"] += 1
                    self.frames.append(str(frame))
                    (fate,) = chance.choices(self._fates, self._weights)
                    self.counts[fate] += 1
                    if fate == "cut":
                        client.transport.abort()
                    if fate in ("pass", "duplicate"):
                        await client.send(frame)
                    if fate in ("delay", "duplicate"):
                        late.create_task(self._send_late(client, frame, chance.uniform(0, self._delay_max)))

    async def _send_late(self, client: ServerConnection, frame: str | bytes, seconds: float) -> None:
        await asyncio.sleep(seconds)
        with contextlib.suppress(WebSocketException):
            await client.send(frame)
