"""Celery's worker and beat as a child of the server: started with it, started again when they die, ended with it."""

import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

from trading import environment

END_SECONDS = 4.0
REVIVE_SECONDS = 2.0

_logger = logging.getLogger(__name__)


@contextlib.contextmanager
def running(*, wanted: bool) -> Iterator[None]:
    """Run `manage.py background` for the length of the block, if wanted.

    Its standard input says by its end that we have ended, even after `kill -9`. In a session of its own, Ctrl-C is for
    the server alone.
    """
    if not wanted:
        yield
        return
    keeper = _Keeper()
    keeper.start()
    try:
        yield
    finally:
        keeper.stop()


class _Keeper(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="background-watch", daemon=True)
        self._stopping = threading.Event()
        self._child = self._spawn()

    def run(self) -> None:
        """Wait for the child's end, and start another unless that is what was asked for."""
        while True:
            code = self._child.wait()
            if self._stopping.wait(REVIVE_SECONDS):
                return
            _logger.warning("Celery's worker ended with status %d: starting it again.", code)
            self._child = self._spawn()

    def stop(self) -> None:
        """End the child, politely first."""
        self._stopping.set()
        child = self._child
        assert child.stdin is not None
        child.stdin.close()
        try:
            child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        self.join()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "manage.py", "background", "--with-parent"],
            cwd=environment.PROJECT_ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
