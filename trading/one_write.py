"""uvicorn's HTTP protocol with one write per response instead of two.

uvicorn writes a response's head and body separately, and each write is a system call that wakes the client. For small
answers that is the largest single cost of a request, so what is written within one turn of the event loop is gathered.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class OneWriteProtocol(HttpToolsProtocol):
    """For `uvicorn.Config(http=OneWriteProtocol)`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Put the gathering transport between uvicorn and the socket."""
        super().connection_made(_GatheringTransport(transport, self.loop))  # type: ignore[arg-type]


class _GatheringTransport:
    """A transport that hands over what it was given once a turn of the loop; everything else goes straight on."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Keep `data` until the end of this turn."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """Hand over what is left, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            data = b"".join(self._parts)
            self._parts.clear()
            self._transport.write(data)
