"""Sends static files, ahead of Django's request handler.

A page asks for dozens of modules at once, and this way they do not queue for Django's threads. What a file is, its
headers, ranges and revalidation are WhiteNoise's business; ASGI and compression are ours.
"""

import asyncio
import contextlib
import gzip
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

COMPRESSED_TYPES = ("text/", "application/javascript", "application/json", "application/manifest+json", "image/svg+xml")
COMPRESSED_BYTES_MIN = 1_000

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class StaticFiles:
    """An ASGI application for those requests for which `find` has found a file."""

    def __init__(self) -> None:
        self._index = WhiteNoiseMiddleware(lambda _request: HttpResponse(status=404))
        self._always = {"x-content-type-options": "nosniff", "cross-origin-resource-policy": "same-origin"}
        if settings.SECURE_HSTS_SECONDS:
            hsts = f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains; preload"
            self._always["strict-transport-security"] = hsts
        self._compressed: dict[str, tuple[str, bytes]] = {}  # one entry a file, at most

    def find(self, scope: Mapping[str, Any]) -> StaticFile | None:
        """The file that this request asks for, if there is such a file."""
        if scope["type"] != "http" or not scope["path"].startswith(settings.STATIC_URL):
            return None
        path = scope["path"]
        return self._index.find_file(path) if self._index.autorefresh else self._index.files.get(path)

    async def send(self, file: StaticFile, scope: Mapping[str, Any], send: Send) -> None:
        """Answer the request with `file`."""
        lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        request = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in lines}
        response = file.get_response(scope["method"], request)
        headers = {name.lower(): value for name, value in response.headers} | self._always
        body = b""
        if response.file is not None:
            with contextlib.closing(response.file):
                body = response.file.read()
        if response.status == 200 and len(body) >= COMPRESSED_BYTES_MIN and _gains_by_compression(headers):
            headers["vary"] = "Accept-Encoding"
            if "gzip" in request.get("HTTP_ACCEPT_ENCODING", ""):
                body = await self._gzipped(scope["path"], headers["etag"], body)
                headers |= {"content-encoding": "gzip", "content-length": str(len(body))}
        head = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": int(response.status), "headers": head})
        await send({"type": "http.response.body", "body": body})

    async def _gzipped(self, path: str, etag: str, body: bytes) -> bytes:
        """`body` compressed, remembered until the file behind `path` changes."""
        known = self._compressed.get(path)
        if known is None or known[0] != etag:
            known = self._compressed[path] = (etag, await asyncio.to_thread(gzip.compress, body, 6))
        return known[1]


def _gains_by_compression(headers: Mapping[str, str]) -> bool:
    return "content-encoding" not in headers and headers.get("content-type", "").startswith(COMPRESSED_TYPES)
