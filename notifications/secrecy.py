"""Webhook secrets at rest: encrypted under a key derived from SECRET_KEY, as the secrets of API keys are."""

import base64
import secrets
from functools import cache

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_INFO = b"bourse: webhook secrets at rest, 1"


def new_secret() -> str:
    """A secret that nobody can guess, to be shown once."""
    return f"whsec_{secrets.token_urlsafe(32)}"


def encrypted(secret: str) -> bytes:
    """The secret as it is stored."""
    return _fernet(settings.SECRET_KEY).encrypt(secret.encode())


def decrypted(stored: bytes | memoryview) -> bytes:
    """The secret again; raises cryptography.fernet.InvalidToken when SECRET_KEY has changed."""
    return _fernet(settings.SECRET_KEY).decrypt(bytes(stored))


@cache
def _fernet(secret_key: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(secret_key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
