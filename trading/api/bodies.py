"""Bodies of requests to Django have the bound that order entry's have, kept before they are read whole.

Django itself reads a body to its end, to a file if it is large, before any of our code is asked.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings

from marketdata.rest import ApiError
from trading.api.errors import json_error
from trading.lingering import send_last_body

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class _TooLarge(Exception):
    """More has come than a body may have."""


def bounded(application: Application) -> Application:
    """The ASGI application; 413 `body_too_large` for bodies of more than DATA_UPLOAD_MAX_MEMORY_SIZE bytes."""
    size_max: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if _announced(scope) > size_max:
            await _refuse(receive, send, size_max)
            return
        size = 0

        async def counted() -> Mapping[str, Any]:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > size_max:
                raise _TooLarge
            return message

        try:
            await application(scope, counted, send)
        except _TooLarge:
            await _refuse(receive, send, size_max)

    return answer


def _announced(scope: Scope) -> int:
    """What Content-Length says, 0 if nothing."""
    lengths = [value for name, value in scope.get("headers", ()) if name == b"content-length" and value.isdigit()]
    return max((int(length[:20]) for length in lengths), default=0)


async def _refuse(receive: Receive, send: Send, size_max: int) -> None:
    """The rest of the body is on its way, so the connection cannot be used for another request."""
    error = ApiError("body_too_large", f"A body has at most {size_max} bytes.", status_code=413)
    response = json_error(error=error)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(response.content)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send_last_body(body=response.content, receive=receive, send=send)
