"""Figures from places that may be slow or away: asked in a thread of their own, and kept for a moment."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT_SECONDS = 5.0
"""Nobody is asked more often."""

PATIENCE_SECONDS = 0.25
"""A page waits at most so long for new figures; then it shows the last ones."""

STALE_SECONDS = 30.0
"""Figures older than this are not shown any more."""

_logger = logging.getLogger(__name__)


class Kept(Generic[T]):
    """What `ask` said last. `ask` runs in one daemon thread, so it may keep a connection, and hang."""

    def __init__(self, *, name: str, ask: Callable[[], T]) -> None:
        self._name = name
        self._ask = ask
        self._wanted = threading.Event()
        self._news = threading.Condition()
        self._answer: T | None = None
        self._answered_at = float("-inf")
        self._thread: threading.Thread | None = None

    def get(self) -> T | None:
        """What is known, at most STALE_SECONDS old; None: the source does not answer."""
        with self._news:
            if self._age() >= KEPT_SECONDS:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name=f"metrics-{self._name}", daemon=True)
                    self._thread.start()
                self._wanted.set()
                self._news.wait_for(lambda: self._age() < KEPT_SECONDS, PATIENCE_SECONDS)
            return self._answer if self._age() < STALE_SECONDS else None

    def _age(self) -> float:
        return time.monotonic() - self._answered_at

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            try:
                answer = self._ask()
            except Exception as error:  # noqa: BLE001 - whatever it is, the page says that the source is away
                _logger.warning("No figures for the metrics from the %s: %s", self._name, str(error).strip())
                answer = None
            with self._news:
                self._wanted.clear()
                self._answer, self._answered_at = answer, time.monotonic()
                self._news.notify_all()
