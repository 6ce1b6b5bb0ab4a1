"""The demo flow as a child of the server: started with it, and ended with it in whatever way that ends."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

import msgspec

from trading import environment
from trading.demo_flow.client import Key

END_SECONDS = 3.0


@contextlib.contextmanager
def running(*, url: str, keys: Sequence[Key]) -> Iterator[None]:
    """Run `manage.py demo_flow` for the length of the block; nothing without keys.

    The keys go through its standard input, which says by its end that we have ended, even when we are killed. In a
    session of its own, Ctrl-C is for the server alone.
    """
    if not keys:
        yield
        return
    command = [sys.executable, "manage.py", "demo_flow", "--url", url]
    with subprocess.Popen(
        command, cwd=environment.PROJECT_ROOT, stdin=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(msgspec.json.encode(keys) + b"\n")
            child.stdin.flush()
        try:
            yield
        finally:
            child.stdin.close()
            try:
                child.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
