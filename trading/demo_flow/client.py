"""A client of the public API as anybody could write it: one kept connection, requests signed with API keys."""

import hmac
import http.client
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec

TIMEOUT_SECONDS = 10.0
WINDOW_MS = 30_000
RETRY_STATUSES = (408, 429)
"""Besides everything from 500 on: nothing is wrong with the request, only with the moment."""


class Unavailable(Exception):
    """The exchange cannot be reached or wants to be left alone. `retry_after`: seconds, if it said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(Exception):
    """The exchange said no to this one request; `code` is its stable name."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An API key of one of the demo's makers or takers."""

    username: str
    key: str
    secret: str


class Client:
    """`url`: the exchange's, without a path. Not for several threads."""

    def __init__(self, *, url: str) -> None:
        parts = urlsplit(url)
        assert parts.scheme == "http"
        assert parts.hostname is not None
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=TIMEOUT_SECONDS)

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        self._connection.close()

    def get(self, target: str, *, key: Key | None = None) -> Any:
        """The answer to GET, below /api/v1. Raises Unavailable, Refused."""
        return self.send("GET", target, key=key)

    def send(self, method: str, target: str, body: object = None, *, key: Key | None = None) -> Any:
        """The answer to one request, below /api/v1. Raises Unavailable (whatever came of it), Refused."""
        path = f"/api/v1{target}"
        data = b"" if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        if key is not None:
            timestamp = str(time.time_ns() // 1_000_000)
            signed = f"{timestamp}{method}{path}".encode() + data
            signature = hmac.digest(key.secret.encode(), signed, "sha256").hex()
            headers |= {"X-API-Key": key.key, "X-Timestamp": timestamp, "X-Signature": signature}
            headers["X-Window"] = str(WINDOW_MS)
        try:
            self._connection.request(method, path, body=data or None, headers=headers)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unavailable(f"no answer ({type(error).__name__})") from error
        return _understood(response, answer)


def _understood(response: http.client.HTTPResponse, answer: bytes) -> Any:
    try:
        body = msgspec.json.decode(answer)
    except msgspec.DecodeError as error:
        raise Unavailable(f"status {response.status} without JSON") from error
    if response.status < 400:
        return body
    told = body["error"]
    if response.status in RETRY_STATUSES or response.status >= 500:
        wait = response.headers.get("Retry-After", "")
        raise Unavailable(told["code"], float(wait) if wait.isdigit() else None)
    raise Refused(told["code"], told["message"])
