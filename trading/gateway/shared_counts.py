"""Counters in Redis, exact across processes: who counts at the same time shares one round trip.

While one script is on its way, what is asked for gathers for the next: a quiet process answers at once, a busy one
sends few and long scripts.
"""

import asyncio
import contextvars
import logging
import time
from collections import deque

import msgspec
import redis.asyncio

from matching import redis_url

ANSWER_SECONDS_MAX = 1.0
TOGETHER_MAX = 1_000
"""Counters of one script; Redis does nothing else meanwhile, for about a millisecond."""

SCRIPT = """
local found = {}
for i, wanted in ipairs(cmsgpack.unpack(ARGV[1])) do
  local key = KEYS[1] .. wanted[1]
  found[2 * i - 1] = redis.call('INCRBY', key, wanted[3])
  local left = redis.call('PTTL', key)
  if left < 0 then
    left = wanted[2] * 1000
    redis.call('PEXPIRE', key, left)
  end
  found[2 * i] = left
end
return cmsgpack.pack(found)
"""
"""Adds to each counter, which begins its window with its first count; returns counts and ms until the windows end.

What is wanted comes in one argument: redis-py takes longer for each than Redis does for a counter.
"""

Count = tuple[int, float]
"""How much was counted within the window, and when that ends (Unix seconds)."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[int]).decode
_logger = logging.getLogger(__name__)


class SharedCounts:
    """The counters of one process, for one event loop at a time."""

    def __init__(self, *, url: str) -> None:
        self._url = url
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: redis.asyncio.Redis | None = None
        self._asked: deque[tuple[str, int, int, asyncio.Future[Count | None]]] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._away = False

    def add(self, *, key: str, seconds: int, cost: int) -> "asyncio.Future[Count | None]":
        """Count `cost` in the window of `key`. The answer may be left alone; it is None when Redis gives none."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._sending = loop, None
            self._client = redis_url.connect_async(self._url, socket_timeout=ANSWER_SECONDS_MAX)
            self._asked.clear()
        future: asyncio.Future[Count | None] = loop.create_future()
        self._asked.append((key, seconds, cost, future))
        if self._sending is None:
            self._sending = loop.create_task(self._send(), context=contextvars.Context())  # of no one request
        return future

    async def close(self) -> None:
        """Disconnect; what is asked for later connects anew."""
        client, self._client, self._loop = self._client, None, None
        if client is not None:
            await client.aclose()

    async def _send(self) -> None:
        try:
            while self._asked:
                taken = [self._asked.popleft() for _ in range(min(len(self._asked), TOGETHER_MAX))]
                found = await self._counted([(key, seconds, cost) for key, seconds, cost, _ in taken])
                for (_, _, _, future), count in zip(taken, found, strict=True):
                    if not future.done():
                        future.set_result(count)
        finally:
            self._sending = None

    async def _counted(self, asked: list[tuple[str, int, int]]) -> list[Count | None]:
        client = self._client
        assert client is not None
        try:
            found = _decode(await client.eval(SCRIPT, 1, redis_url.TAG, _encode(asked)))
        except redis_url.ERRORS as error:
            if not self._away:
                _logger.warning("Redis gives no answer, so order entry counts no limits and takes nothing: %s", error)
            self._away = True
            return [None] * len(asked)
        if self._away:
            _logger.warning("Redis answers again.")
        self._away = False
        now = time.time()
        return [(found[place], now + found[place + 1] / 1_000) for place in range(0, len(found), 2)]
