"""The last stage of the flow: from the worker's thread into the channel layer, without ever holding up the worker.

What is published is on disk already, so nothing here needs to be safe: a web process that misses a message sees the
hole in the sequences and reads the database.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from channels.layers import get_channel_layer
from django.conf import settings

from matching import instruments
from matching.committed import GROUP

WAITING_MAX = 10_000
"""Batches that may wait for the channel layer; beyond, the oldest are dropped and readers notice."""

GATHER_SECONDS = 0.005
"""Between processes a message costs each of them more than what is in it: what comes within so long goes together."""

_logger = logging.getLogger(__name__)


class Publisher:
    """Carries batches to the group of all web processes. `publish` is for the worker, the rest for one event loop."""

    def __init__(self) -> None:
        self._batches: deque[tuple[bytes, Callable[[], None] | None]] = deque(maxlen=WAITING_MAX)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None

    def publish(self, batch: bytes, then: Callable[[], None] | None = None) -> None:
        """Hand over a committed batch (see matching/committed.py). Dropped while there is no loop to carry it.

        `then` is called when it was published, or at once if it is dropped here.
        """
        loop, news = self._loop, self._news
        if loop is None or news is None:
            if then is not None:
                then()
            return
        self._batches.append((batch, then))
        if len(self._batches) == 1:
            try:
                loop.call_soon_threadsafe(news.set)
            except RuntimeError:  # the loop has just closed: there is nobody left to tell
                self._batches.clear()

    def start(self) -> None:
        """Carry batches on the running event loop from now on."""
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()
        self._task = self._loop.create_task(self._carry(self._news))

    async def stop(self) -> None:
        """Stop carrying; what is published from now on is dropped."""
        self._loop = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._batches.clear()

    async def _carry(self, news: asyncio.Event) -> None:
        layer = get_channel_layer()
        gather = GATHER_SECONDS if settings.REDIS_URL else 0.0
        told = False
        while True:
            await news.wait()
            if gather:
                await asyncio.sleep(gather)
            news.clear()
            batches: list[bytes] = []
            waiting: list[Callable[[], None]] = []
            while self._batches:
                batch, then = self._batches.popleft()
                batches.append(batch)
                if then is not None:
                    waiting.append(then)
            if batches:
                began = time.perf_counter()
                try:
                    await layer.group_send(GROUP, {"type": "exchange.committed", "batches": batches})
                except Exception as error:  # noqa: BLE001 - whatever the layer is; hubs will notice the hole
                    if not told:
                        _logger.warning("Batches cannot be published: %s", error)
                    told = True
                else:
                    told = False
                instruments.PUBLISHED.observe(time.perf_counter() - began)
                for then in waiting:
                    then()


PUBLISHER = Publisher()
"""The publisher of this process's worker."""
