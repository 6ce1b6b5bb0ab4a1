"""Webhooks: a JSON body, signed, posted to an address that somebody else chose and that we therefore do not trust.

The name is resolved once and the connection goes to the address that was checked; redirects are not followed, answers
are read no further than a few bytes, and the whole exchange has one deadline.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from notifications.words import words

SECONDS_MAX = 10.0
RESPONSE_BYTES_MAX = 4_096
URL_LENGTH_MAX = 500
REFUSED_SHOWN = 80

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Undeliverable(Exception):
    """The receiver has not taken it; the text says why, for its owner and for operators."""


class InvalidUrl(ValueError):
    """The text is no address that we would post to; the text says why."""


def checked_url(url: str) -> str:
    """The address, if it looks like one of a public HTTPS server. Raises InvalidUrl.

    Where private addresses are allowed (WEBHOOK_PRIVATE_ADDRESSES), plain HTTP is too.
    """
    schemes = ("https", "http") if settings.WEBHOOK_PRIVATE_ADDRESSES else ("https",)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidUrl("This is no address.") from None
    if len(url) > URL_LENGTH_MAX or not url.isascii() or any(sign <= " " for sign in url):
        raise InvalidUrl(f"Use an address of at most {URL_LENGTH_MAX} plain characters.")
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        raise InvalidUrl(f"Use an address that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}.")
    if parts.username is not None or parts.password is not None:
        raise InvalidUrl("Leave name and password out of the address: every request is signed.")
    try:
        literal = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return url
    if not is_allowed(literal):
        raise InvalidUrl("Private, local and reserved addresses are not allowed.")
    return url


def is_allowed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether we connect to an address: to public ones, or to all if WEBHOOK_PRIVATE_ADDRESSES says so."""
    if settings.WEBHOOK_PRIVATE_ADDRESSES:
        return True
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_allowed(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def body_of(*, key: str, kind: str, account_id: int | None, figures: dict[str, str], happened_at: str) -> bytes:
    """What is posted about an event; the same for every attempt."""
    title, text = ("Test", "Your webhook works.") if kind == "test" else words(kind=kind, figures=figures)
    shown: dict[str, Any] = {
        "id": key,
        "kind": kind,
        "title": title,
        "text": text,
        "account_id": account_id,
        "figures": figures,
        "at": happened_at,
    }
    return json.dumps(shown, separators=(",", ":")).encode()


def signature(*, secret: bytes, timestamp: str, body: bytes) -> str:
    """The hex HMAC-SHA256 of the timestamp (milliseconds since 1970, as text) and the body."""
    return hmac.new(secret, timestamp.encode() + body, hashlib.sha256).hexdigest()


def client() -> httpx.AsyncClient:
    """What posts: it asks no proxy, follows nobody elsewhere, and opens a connection for each request.

    A kept connection would be known by its address alone, and the next name at that address would not be verified.
    """
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=SECONDS_MAX, limits=limits)


async def post(*, by: httpx.AsyncClient, url: str, secret: bytes, key: str, body: bytes, at: int) -> None:
    """Post a body, signed at `at` (milliseconds since 1970). Raises Undeliverable unless the answer is a 2xx."""
    timestamp = str(at)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Bourse",
        "Idempotency-Key": key,
        "X-Timestamp": timestamp,
        "X-Signature": signature(secret=secret, timestamp=timestamp, body=body),
    }
    try:
        async with asyncio.timeout(SECONDS_MAX):
            status = await _exchange(by, url=checked_url(url), headers=headers, body=body)
    except InvalidUrl as error:
        raise Undeliverable(str(error)) from None
    except TimeoutError:
        raise Undeliverable(f"No answer within {SECONDS_MAX:g} s.") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise Undeliverable(f"{type(error).__name__}: {error}"[:REFUSED_SHOWN]) from None
    if not 200 <= status < 300:
        raise Undeliverable(f"The answer was {status}.")


async def _exchange(by: httpx.AsyncClient, *, url: str, headers: dict[str, str], body: bytes) -> int:
    """One request to the address that the name stands for now; the answer's status."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = await _resolved(host, parts.port or (443 if parts.scheme == "https" else 80))
    target = httpx.URL(url).copy_with(host=address)
    extensions = {"sni_hostname": host} if parts.scheme == "https" else {}
    headers = {"Host": parts.netloc, **headers}
    async with by.stream("POST", target, content=body, headers=headers, extensions=extensions) as answer:
        read = 0
        async for piece in answer.aiter_raw(RESPONSE_BYTES_MAX):
            read += len(piece)
            if read >= RESPONSE_BYTES_MAX:
                break
        return answer.status_code


async def _resolved(host: str, port: int) -> str:
    """One of the name's addresses, if we may connect to all of them. Raises Undeliverable."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not addresses:
        raise Undeliverable("The name has no address.")
    if not all(is_allowed(address) for address in addresses):
        raise Undeliverable("The name stands for a private, local or reserved address.")
    return str(addresses[0])
