"""Database reads beside the event loop: a few threads, each keeping its own connection.

Django's connections belong to threads and requests; these threads serve no requests, so they keep theirs, and open a
new one when the old one has died.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection

from trading.gateway.errors import unavailable
from trading.metrics import instruments

THREADS = 4
WAITING_MAX = 1_000

P = ParamSpec("P")
T = TypeVar("T")

_logger = logging.getLogger(__name__)


class Readers:
    """A bounded pool of threads with a database connection each. `pending`: calls that wait, or are in a thread."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._starting = threading.Lock()
        self.pending = 0

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in a thread and wait for it. ApiError 503 `unavailable` when the database is not there."""
        return await asyncio.wrap_future(self.submit(function, *args, **kwargs))

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Call `function` in a thread; the caller need not wait. ApiError 503 when too many wait already."""
        with self._starting:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="gateway-reader")
            if self.pending >= WAITING_MAX:
                raise unavailable("Too many requests wait for the database. Try again.")
            asked = time.perf_counter()

            def call() -> T:
                instruments.READERS_WAIT.observe(time.perf_counter() - asked)
                return _connected(function, *args, **kwargs)

            future = self._pool.submit(call)
            self.pending += 1
        future.add_done_callback(self._done)
        return future

    def _done(self, _: "Future[T]") -> None:
        with self._starting:
            self.pending -= 1

    def close(self) -> None:
        """End the threads and their connections; the next call starts new ones."""
        with self._starting:
            pool, self._pool = self._pool, None
        if pool is None:
            return
        # Each thread closes its own connection: the barrier keeps one of them from doing it for all.
        everyone = threading.Barrier(THREADS)
        for _ in range(THREADS):
            pool.submit(_disconnect, everyone)
        pool.shutdown(wait=True)


READERS = Readers()
"""The pool of this process."""


def _connected(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    for attempt in (1, 2):
        try:
            return function(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            connection.close()
            if attempt == 2:
                _logger.warning("The database is not reachable: %s", str(error).strip())
    raise unavailable("The database is not reachable at the moment. Try again.")


def _disconnect(everyone: threading.Barrier) -> None:
    everyone.wait()
    connection.close()
