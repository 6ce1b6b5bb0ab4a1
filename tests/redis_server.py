"""Debian's Redis, started for a test on a free port and ended with it."""

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

from tests.debian import path_of
from tests.harness import free_port

START_SECONDS_MAX = 20


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """The URL of an empty Redis that keeps nothing."""
    executable = path_of("redis-server")
    assert executable is not None, "The tests need redis-server; `make test` says how to get it."
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bourse-redis-") as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"]
        process = subprocess.Popen([executable, *options], stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + START_SECONDS_MAX
            while True:
                assert process.poll() is None, "Redis has ended"
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                assert time.monotonic() < deadline, "Redis does not start"
                time.sleep(0.05)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(START_SECONDS_MAX)
