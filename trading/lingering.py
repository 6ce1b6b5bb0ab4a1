"""Closing a connection on a client that is still sending, without taking the answer away from it.

A socket that is closed with unread data resets the connection, and the client may never see why it was refused. So the
answer goes out at once, and what keeps coming is dropped for a moment, bounded in bytes and time, before the close.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

BYTES_MAX = 1024 * 1024
SECONDS_MAX = 0.5


async def send_last_body(
    *,
    body: bytes,
    receive: Callable[[], Awaitable[Mapping[str, Any]]],
    send: Callable[[Mapping[str, Any]], Awaitable[None]],
) -> None:
    """Send the whole body of an ASGI answer, linger, then end the answer, whose head has said `connection: close`."""
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SECONDS_MAX):
            dropped = 0
            while dropped < BYTES_MAX:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    break
                dropped += len(message.get("body", b""))
    await send({"type": "http.response.body", "body": b""})
