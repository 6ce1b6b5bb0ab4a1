"""API keys: how they are made, and how their secrets are kept.

An HMAC secret is shown once and stored encrypted under a key derived from SECRET_KEY; of an Ed25519 key only the public
half ever comes here.
"""

import base64
import ipaddress
import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction

from risk.models import Account
from trading.models import ApiKey
from trading.notify.security import tell_api_key

SCOPES = ("read", "trade", "withdraw")
NETWORKS_MAX = 32

_INFO = b"bourse: API secrets at rest, 1"


class InvalidApiKey(ValueError):
    """What was asked for is no API key. `code`: invalid_scopes, invalid_networks, invalid_public_key, house_account."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def issue_api_key(
    *,
    account: Account,
    scopes: Sequence[str],
    networks: Sequence[str] = (),
    expires_at: datetime | None = None,
    public_key: bytes | None = None,
    label: str = "",
) -> tuple[ApiKey, str | None]:
    """Make a key for `account` and its user; returns it with its secret, which is None for an Ed25519 key.

    `networks`: addresses or CIDRs; `public_key`: PEM, OpenSSH, base64 or the raw 32 bytes. Raises InvalidApiKey.
    """
    if not scopes or not set(scopes) <= set(SCOPES):
        raise InvalidApiKey("invalid_scopes", f"Scopes are one or more of {', '.join(SCOPES)}.")
    if account.user_id is None:
        raise InvalidApiKey("house_account", "House accounts have no API keys.")
    secret = None if public_key is not None else secrets.token_urlsafe(32)
    with transaction.atomic():
        api_key = ApiKey.objects.create(
            key=f"bk_{secrets.token_hex(12)}",
            user_id=account.user_id,
            account=account,
            label=label,
            scopes=[scope for scope in SCOPES if scope in scopes],
            networks=_network_texts(networks),
            expires_at=expires_at,
            secret_encrypted=None if secret is None else encrypted(secret.encode()),
            public_key=None if public_key is None else public_key_bytes(public_key),
        )
        tell_api_key(key=api_key)
    return api_key, secret


def encrypted(secret: bytes) -> bytes:
    """The secret as it is stored."""
    return _fernet(settings.SECRET_KEY).encrypt(secret)


def decrypted(stored: bytes) -> bytes:
    """The secret again; raises cryptography.fernet.InvalidToken when SECRET_KEY has changed."""
    return _fernet(settings.SECRET_KEY).decrypt(stored)


def public_key_bytes(text: bytes) -> bytes:
    """The 32 bytes of an Ed25519 public key in PEM, OpenSSH, base64 or raw form. Raises InvalidApiKey."""
    try:
        if text.lstrip().startswith(b"-----"):
            key = serialization.load_pem_public_key(text)
        elif text.startswith(b"ssh-ed25519 "):
            key = serialization.load_ssh_public_key(text.strip())
        else:
            raw = text if len(text) == 32 else base64.b64decode(text.strip(), validate=True)
            key = Ed25519PublicKey.from_public_bytes(raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidApiKey("invalid_public_key", "This is no Ed25519 public key (PEM, OpenSSH or base64).") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidApiKey("invalid_public_key", "The public key must be an Ed25519 key.")
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _network_texts(networks: Sequence[str]) -> list[str]:
    if len(networks) > NETWORKS_MAX:
        raise InvalidApiKey("invalid_networks", f"At most {NETWORKS_MAX} networks.")
    try:
        return [str(ipaddress.ip_network(network)) for network in networks]
    except ValueError as error:
        raise InvalidApiKey("invalid_networks", f"Networks are addresses or CIDRs: {error}.") from error


@cache
def _fernet(secret_key: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(secret_key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
