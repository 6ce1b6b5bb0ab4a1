"""The yardstick of the feed: the same server software with nothing behind it but a list of readers.

Usage: python -m matching.bench.bare_feed PORT [REDIS_URL]. A POST is answered 201 and told to every reader, in as many
bytes as an update has; a subscription is answered with an empty snapshot. With a Redis, the readers of every process on
it are told, by a published message for each POST.
"""

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import redis.asyncio
import uvicorn
import uvloop

CHANNEL = "bare-feed"
SNAPSHOT = '{"type":"snapshot"}'
UPDATE = '{"type":"update","first_sequence":%d,"last_sequence":%d,"checksum":"%s"}'
PADDING = "x" * 180

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Application:
    """Readers, and the number of the last POST."""

    def __init__(self, redis_url: str | None = None) -> None:
        self._readers: set[Send] = set()
        self._numbers = itertools.count(1)
        self._redis = None if redis_url is None else redis.asyncio.from_url(redis_url)
        self._publishing = asyncio.Lock()
        self._listening: asyncio.Task[None] | None = None

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Mapping[str, Any]]], send: Send
    ) -> None:
        """Answer a POST, or keep a reader."""
        if self._redis is not None and self._listening is None:
            self._listening = asyncio.create_task(self._listen(self._redis))
        if scope["type"] == "websocket":
            await self._keep(receive, send)
            return
        while (await receive()).get("more_body"):
            pass
        number = next(self._numbers)
        answer = b'{"id":%d}' % number
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": answer})
        if self._redis is None:
            await self._tell(number)
        else:
            async with self._publishing:  # in the order of their numbers
                await self._redis.publish(CHANNEL, number)

    async def _listen(self, client: redis.asyncio.Redis) -> None:
        async with client.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(CHANNEL)
            async for message in channel.listen():
                await self._tell(int(message["data"]))

    async def _tell(self, number: int) -> None:
        message = {"type": "websocket.send", "text": UPDATE % (number, number, PADDING)}
        for reader in list(self._readers):
            await reader(message)

    async def _keep(self, receive: Callable[[], Awaitable[Mapping[str, Any]]], send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while (await receive())["type"] == "websocket.receive":
                self._readers.add(send)
                await send({"type": "websocket.send", "text": SNAPSHOT})
        finally:
            self._readers.discard(send)


def main(port: int, redis_url: str | None = None) -> None:
    """Serve with the settings of `manage.py up` until a signal."""
    config = uvicorn.Config(
        Application(redis_url), host="127.0.0.1", port=port, http="trading.one_write:OneWriteProtocol",
        ws="websockets-sansio", ws_per_message_deflate=False, lifespan="off", access_log=False, log_config=None,
        server_header=False, backlog=2048, proxy_headers=False,
    )  # fmt: skip
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
