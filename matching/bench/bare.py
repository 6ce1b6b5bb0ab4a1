"""The yardstick of order entry over HTTP: the same server software with nothing behind it.

Usage: python -m matching.bench.bare PORT. Reads each request's body and answers 201 with as many bytes as an order has.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import uvicorn
import uvloop

ANSWER = b'{"status":"%s"}' % (b"x" * 640)
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[Mapping[str, Any]]],
    send: Callable[[Mapping[str, Any]], Awaitable[None]],
) -> None:
    """Answer anything."""
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 201, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


def main(port: int) -> None:
    """Serve with the settings of `manage.py up` until a signal."""
    config = uvicorn.Config(
        application, host="127.0.0.1", port=port, http="trading.one_write:OneWriteProtocol", lifespan="off",
        access_log=False, log_config=None, server_header=False, backlog=2048, proxy_headers=False,
    )  # fmt: skip
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main(int(sys.argv[1]))
