"""`/metrics` of a web process: for the addresses in METRICS_ALLOW, before Django, made in a thread.

A proxy in front would make everybody come from its own address. So whoever was passed on must be allowed at every
station, as the headers tell them; a client can add stations there, never take one away.
"""

import asyncio
import gzip
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from prometheus_client.exposition import choose_encoder

from matching import exposition
from trading.metrics import shared
from trading.metrics.here import WebProcess
from trading.stream.consumer import Sockets

PATH = "/metrics"

_STATIONS = frozenset({b"x-forwarded-for", b"x-real-ip"})
_TEXT = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class MetricsPage:
    """The ASGI application of one path."""

    def __init__(self, *, sockets: Sockets) -> None:
        exposition.ASKED.register(WebProcess(sockets=sockets))
        shared.register()

    def takes(self, scope: Mapping[str, Any]) -> bool:
        """Whether the request is for it."""
        return bool(scope["path"] == PATH)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not allowed(scope):
            await _answer(send, 403, _TEXT, b"This address is not in METRICS_ALLOW.\n")
        elif scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, [*_TEXT, (b"allow", b"GET, HEAD")], b"This path takes GET, HEAD.\n")
        else:
            headers = dict(scope["headers"])
            accepted = headers.get(b"accept", b"").decode("latin-1")
            content_type, body = await asyncio.to_thread(_page, accepted)
            answered = [(b"content-type", content_type.encode()), (b"cache-control", b"no-store")]
            if b"gzip" in headers.get(b"accept-encoding", b""):
                body = await asyncio.to_thread(gzip.compress, body, 1)
                answered += [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
            await _answer(send, 200, answered, body if scope["method"] == "GET" else b"")


def allowed(scope: Mapping[str, Any]) -> bool:
    """Whether everyone who had this request in hand may see the metrics."""
    client = scope.get("client")
    stations = [client[0] if client else ""]
    for name, value in scope["headers"]:
        if name in _STATIONS:
            stations += value.decode("latin-1").split(",")
        elif name == b"forwarded":
            return False  # another way to write the stations, which our proxies do not use
    return all(_is_allowed(station.strip()) for station in stations)


def _is_allowed(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in settings.METRICS_ALLOW)


def _page(accepted: str) -> tuple[str, bytes]:
    encode, content_type = choose_encoder(accepted)
    return content_type, encode(exposition.registry())


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
