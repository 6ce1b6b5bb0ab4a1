"""The name of each request: what a trusted proxy calls it in X-Request-ID, or one of our own.

It is in the answer's X-Request-ID, in every record that is logged on the request's behalf and, carried along the lane,
in what the matching worker logs about the batch.
"""

import itertools
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from matching.lanes import REQUEST_ID
from trading.gateway import auth

HEADER = b"x-request-id"

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_VALID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_process = os.urandom(6).hex()
_numbers = itertools.count(1)


class RequestIds:
    """Names requests. `trusted`: addresses and networks of proxies whose word is taken."""

    def __init__(self, *, trusted: Sequence[str]) -> None:
        self._trusted = tuple(trusted)

    def name(self, scope: Scope) -> str:
        """The name of a request or handshake, from now on that of the task at hand."""
        sent = self.header(scope, HEADER)
        name = sent.decode() if _VALID.fullmatch(sent) else f"{_process}-{next(_numbers)}"
        REQUEST_ID.set(name)
        return name

    def header(self, scope: Scope, wanted: bytes) -> bytes:
        """A header that only a trusted proxy may set: empty when it was not sent, or by somebody else."""
        if not self._trusted:
            return b""
        value: bytes = next((value for name, value in scope["headers"] if name == wanted), b"")
        return value if value and self._from_proxy(scope) else b""

    def _from_proxy(self, scope: Scope) -> bool:
        """Whether the connection is a trusted proxy's.

        The server has put the client that such a proxy named into its place by then, with port 0: no connection has it.
        """
        client = scope.get("client")
        return client is not None and (not client[1] or _is_trusted(client[0], self._trusted))


def named(application: Application, *, ids: RequestIds) -> Application:
    """The application with a name for each request, told in the answer."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        header = (HEADER, ids.name(scope).encode())

        async def send_named(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], header]}
            await send(message)

        await application(scope, receive, send_named)

    return answer


@lru_cache(maxsize=4_096)
def _is_trusted(address: str, trusted: tuple[str, ...]) -> bool:
    return auth.address_in(address, auth.networks_from_texts(trusted))
