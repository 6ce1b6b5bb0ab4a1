"""Who signed this request? The authentication of API keys, for order entry and for Django's views alike.

`authenticate` is for threads (it may read the database), `authenticate_in_loop` for the event loop; both check with
`verify`, which knows no framework. The signed text is timestamp + METHOD + path with its raw query + body.
"""

import asyncio
import base64
import binascii
import hmac
import ipaddress
import time
from collections.abc import Sequence
from functools import lru_cache

import msgspec
from cryptography.exceptions import InvalidSignature

from trading.gateway import sightings
from trading.gateway.database import READERS
from trading.gateway.errors import ApiError
from trading.gateway.keys import CACHE, REFRESH_SECONDS, Entry, Network, Principal

WINDOW_MS = 5_000
WINDOW_MS_MAX = 60_000

_NUMBER_LENGTH_MAX = 16
_loading: dict[tuple[str, int], "asyncio.Future[Entry]"] = {}
_NOBODY_SECRET = b"the secret that unknown keys are compared with"


class Credentials(msgspec.Struct, frozen=True, gc=False):
    """The four headers of a signed request as they came; None: not sent."""

    key: bytes
    timestamp: bytes | None
    signature: bytes | None
    window: bytes | None


def authenticate(
    *,
    credentials: Credentials,
    method: str,
    target: bytes,
    body: bytes,
    address: str,
    scope: str,
    now_ms: int | None = None,
) -> Principal:
    """The one who signed the request. Raises ApiError 401 or 403.

    `target`: path and query as they were sent; `address`: the client's, see `client_address`; `scope`: read, trade or
    withdraw; `now_ms`: ms since 1970, the current time unless given.
    """
    arrived_ms = _now_ms() if now_ms is None else now_ms
    key = _key_text(credentials)
    entry = CACHE.entry(key) or CACHE.load(key)
    principal = verify(
        entry=entry,
        credentials=credentials,
        method=method,
        target=target,
        body=body,
        address=address,
        scope=scope,
        now_ms=arrived_ms,
    )
    sightings.note(user_id=principal.user_id, address=address, now_ms=arrived_ms)
    return principal


async def authenticate_in_loop(
    *, credentials: Credentials, method: str, target: bytes, body: bytes, address: str, scope: str | None
) -> Principal:
    """As `authenticate`, without ever blocking the event loop. `scope` None: whatever the key may do."""
    arrived_ms = _now_ms()  # the sender is not to blame if we have to wait for the database
    key = _key_text(credentials)
    entry = CACHE.entry(key)
    if entry is None:
        entry = await _loaded(key)
    elif time.monotonic() - entry.read_at > REFRESH_SECONDS and not entry.refreshing:
        entry.refreshing = True
        READERS.submit(CACHE.load, key)
    principal = verify(
        entry=entry,
        credentials=credentials,
        method=method,
        target=target,
        body=body,
        address=address,
        scope=scope,
        now_ms=arrived_ms,
    )
    sightings.note(user_id=principal.user_id, address=address, now_ms=arrived_ms)
    return principal


async def _loaded(key: str) -> Entry:
    """The entry from the database, read once for all requests that wait for it."""
    name = (key, CACHE.changes)
    loading = _loading.get(name)
    if loading is None:
        loading = _loading[name] = asyncio.wrap_future(READERS.submit(CACHE.load, key))
        loading.add_done_callback(lambda _: _loading.pop(name, None))
    return await asyncio.shield(loading)


def verify(
    *,
    entry: Entry,
    credentials: Credentials,
    method: str,
    target: bytes,
    body: bytes,
    address: str,
    scope: str | None,
    now_ms: int,
) -> Principal:
    """Check everything about a signed request; who it is comes out only when nothing is wrong.

    An unknown key and a wrong signature cannot be told apart; what else is wrong with a key is told to its owner only.
    """
    timestamp, signature = credentials.timestamp, credentials.signature
    if timestamp is None or signature is None:
        raise ApiError(401, "authentication_required", "Send X-API-Key, X-Timestamp and X-Signature together.")
    window = WINDOW_MS if credentials.window is None else _window(credentials.window)
    if abs(now_ms - _number(timestamp)) > window:
        raise ApiError(
            401,
            "timestamp_out_of_window",
            f"X-Timestamp must be milliseconds since 1970 within {window} ms of the server's clock, now {now_ms}.",
        )
    text = b"".join((timestamp, method.encode(), target, body))
    record = entry.record
    if record is None or record.public_key is None:
        secret = _NOBODY_SECRET if record is None or record.secret is None else record.secret
        expected = hmac.digest(secret, text, "sha256").hex().encode()
        genuine = hmac.compare_digest(expected, signature.lower())
    else:
        try:
            record.public_key.verify(base64.b64decode(signature, validate=True), text)
            genuine = True
        except (InvalidSignature, binascii.Error):
            genuine = False
    if not genuine or record is None:
        raise ApiError(401, "invalid_credentials", "The API key is unknown or the signature does not fit the request.")
    # After this point the owner of the key is asking.
    if record.revoked:
        raise ApiError(401, "key_revoked", "This API key was revoked.")
    if record.expires_at is not None and now_ms >= record.expires_at:
        raise ApiError(401, "key_expired", "This API key has expired.")
    if record.networks and not address_in(address, record.networks):
        raise ApiError(403, "ip_not_allowed", f"This API key may not be used from {address or 'here'}.")
    if scope is not None:
        require_scope(record.principal, scope)
    return record.principal


def require_scope(principal: Principal, scope: str) -> None:
    """Raises ApiError 403 when the principal does not have the scope."""
    if scope not in principal.scopes:
        raise ApiError(403, "scope_missing", f"This API key does not have the scope {scope}.")


def client_address(*, peer: str, forwarded_for: str, trusted: Sequence[str]) -> str:
    """The client's address: the peer's or, behind trusted proxies, the last in X-Forwarded-For that is none of them.

    `trusted`: addresses and networks. When all are trusted it is the first of the list.
    """
    if not trusted or not forwarded_for:
        return peer
    networks = networks_from_texts(tuple(trusted))
    client = peer
    for hop in reversed(forwarded_for.split(",")):
        if not address_in(client, networks):
            break
        client = hop.strip()
    return client


@lru_cache
def networks_from_texts(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Addresses and CIDRs as networks; raises ValueError for anything else."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _key_text(credentials: Credentials) -> str:
    return credentials.key.decode("latin-1")


def _number(text: bytes) -> int:
    """A plain whole number; anything else is as far outside of every window as can be."""
    return int(text) if text.isdigit() and len(text) <= _NUMBER_LENGTH_MAX else 0


def _window(text: bytes) -> int:
    window = _number(text)
    if not 1 <= window <= WINDOW_MS_MAX:
        raise ApiError(401, "invalid_window", f"X-Window must be milliseconds from 1 to {WINDOW_MS_MAX}.")
    return window


def address_in(address: str, networks: Sequence[Network]) -> bool:
    """Whether the address is one of the networks', written as IPv6 too; what is no address is in none."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.version == 6 and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return any(ip in network for network in networks if network.version == ip.version)
