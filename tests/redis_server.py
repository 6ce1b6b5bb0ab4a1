"""Debian's Redis, started for a test on a free port and ended with it. It keeps nothing: each start finds it empty."""

import contextlib
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

from tests.debian import path_of
from tests.harness import free_port

START_SECONDS_MAX = 20


class RedisServer:
    """One redis-server on one port, which may be stopped and started again, empty. `options` go to its command line."""

    def __init__(self, *, port: int | None = None, options: tuple[str, ...] = ()) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        assert self.process is None, "it runs already"
        executable = path_of("redis-server")
        assert executable is not None, "The tests need redis-server; `make test` says how to get it."
        self._folder = tempfile.TemporaryDirectory(prefix="bourse-redis-")
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._folder.name]
        options += ["--save", "", "--appendonly", "no", *self.options]
        self.process = subprocess.Popen([executable, *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            assert self.process.poll() is None, "Redis has ended"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            assert time.monotonic() < deadline, "Redis does not start"
            time.sleep(0.05)

    def sigstop(self) -> None:
        """Freeze it: connections stay, nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def sigcont(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it at once; all that it knew is gone. Twice is no harm."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(START_SECONDS_MAX)
            self.process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """The URL of an empty Redis that keeps nothing."""
    server = RedisServer()
    try:
        server.start()
        yield server.url
    finally:
        server.stop()
