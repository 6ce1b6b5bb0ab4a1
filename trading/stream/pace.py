"""Doing something whenever it is asked for, but not too often: at once after a pause, and otherwise a little later."""

import asyncio
from collections.abc import Callable


class Pace:
    """Calls `action` at most once every `seconds`; who asks in between is served at the end of that time."""

    def __init__(self, seconds: float, action: Callable[[], None]) -> None:
        self._seconds = seconds
        self._action = action
        self._last = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def ask(self) -> None:
        """Have the action done, now or as soon as it may be."""
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        due = self._last + self._seconds
        if loop.time() >= due:
            self._do()
        else:
            self._timer = loop.call_at(due, self._do)

    def cancel(self) -> None:
        """Do not do what was asked for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _do(self) -> None:
        self._timer = None
        self._last = asyncio.get_running_loop().time()
        self._action()
