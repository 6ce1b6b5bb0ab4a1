"""API keys in memory: what a signature is checked against, at most two seconds behind the table.

A change by this process is seen at once. A key in steady use is read again in the background, so that no request waits
for the database; names that are no keys are remembered as well.
"""

import ipaddress
import logging
import time
from collections.abc import Sequence
from typing import cast

import msgspec
from cryptography.fernet import InvalidToken
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

REFRESH_SECONDS = 1.0
STALE_SECONDS = 2.0
CACHED_KEYS_MAX = 100_000
KEY_LENGTH_MAX = 40

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_logger = logging.getLogger(__name__)


class Principal(msgspec.Struct, frozen=True):
    """Who asks: the account they act for, and what they may do. `key` is empty for a browser session."""

    account_id: int
    user_id: int
    scopes: frozenset[str]
    key: str = ""


class KeyRecord(msgspec.Struct, frozen=True):
    """One row of ApiKey, ready for use. Either `secret` or `public_key` is set; times in ms since 1970."""

    principal: Principal
    secret: bytes | None
    public_key: Ed25519PublicKey | None
    networks: tuple[Network, ...]
    expires_at: int | None
    revoked: bool


class Entry(msgspec.Struct):
    """What is known of a key name; `record` None: there is no such key. `read_at` is on the monotonic clock."""

    record: KeyRecord | None
    read_at: float
    refreshing: bool = False


class KeyCache:
    """Entries by key name. `entry` looks in memory, `load` in the database."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self.changes = 0
        """Goes up whenever something that was read before is not to be believed any more."""

    def entry(self, key: str) -> Entry | None:
        """What memory holds, if it is young enough to be believed."""
        entry = self._entries.get(key)
        if entry is None or time.monotonic() - entry.read_at > STALE_SECONDS:
            return None
        return entry

    def load(self, key: str) -> Entry:
        """Read the key from the database and remember it, unless it was changed meanwhile; for threads."""
        changes, now = self.changes, time.monotonic()
        entry = Entry(_read(key), now)
        if changes == self.changes:
            if len(self._entries) >= CACHED_KEYS_MAX:
                self._entries = {}
            self._entries[key] = entry
        return entry

    def forget(self, key: str) -> None:
        """The row has changed: what is in memory, or being read, is not to be believed any more."""
        self.changes += 1
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything, as after a change of database."""
        self.changes += 1
        self._entries = {}


CACHE = KeyCache()
"""The cache of this process."""


def _read(key: str) -> KeyRecord | None:
    from trading.models import ApiKey

    if len(key) > KEY_LENGTH_MAX or not key.isascii() or "\0" in key:
        return None
    row = ApiKey.objects.filter(key=key, user__is_active=True).first()
    return None if row is None else _record(row)


def _record(row: object) -> KeyRecord | None:
    from trading.api_keys import decrypted
    from trading.models import ApiKey

    row = cast(ApiKey, row)
    secret = None
    if row.secret_encrypted is not None:
        try:
            secret = decrypted(bytes(row.secret_encrypted))
        except InvalidToken:
            _logger.warning("API key %s cannot be used: its secret was encrypted under another SECRET_KEY.", row.key)
            return None
    return KeyRecord(
        principal=Principal(row.account_id, row.user_id, frozenset(row.scopes), row.key),
        secret=secret,
        public_key=None if row.public_key is None else Ed25519PublicKey.from_public_bytes(bytes(row.public_key)),
        networks=_networks(row.networks),
        expires_at=None if row.expires_at is None else int(row.expires_at.timestamp() * 1000),
        revoked=row.revoked_at is not None,
    )


def _networks(texts: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)
