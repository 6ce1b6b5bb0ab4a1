"""The second factor: codes of an authenticator app (TOTP, RFC 6238) and recovery codes for when the app is lost.

Every code works once, and wrong ones make the next wait longer and longer; both are django-otp's doing, on rows that
are locked here. Recovery codes are stored as digests only.
"""

import math
import secrets
import time
from dataclasses import dataclass

import segno
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.util import random_hex

from trading.models import Authenticator, User
from trading.notify.security import tell_two_factor

RECOVERY_CODES = 10
CODE_DIGITS = 6

_RECOVERY_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_RECOVERY_LENGTH = 12
_DEVICE_NAME = "default"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a code was worth. `wait_seconds`: it was not looked at, as too many before it were wrong."""

    right: bool
    wait_seconds: int = 0
    recovery_codes_left: int | None = None
    """After a recovery code was used: how many there are still."""


def is_on(*, user: User) -> bool:
    """Whether signing in as `user` takes a code."""
    return bool(Authenticator.objects.filter(user=user, confirmed=True).exists())


def new_key() -> str:
    """A key for `turn_on`, to be shown to its user first."""
    return str(random_hex(20))


def app_url(*, user: User, key: str) -> str:
    """What an authenticator app is to be told: an otpauth:// URL."""
    return str(Authenticator(user=user, key=key).config_url)


def app_secret(*, user: User, key: str) -> str:
    """The same for people who type, in groups of four characters."""
    text = app_url(user=user, key=key).partition("secret=")[2].partition("&")[0]
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))


def app_picture(*, user: User, key: str) -> str:
    """The same as a QR code: an SVG element, black on white with its quiet zone."""
    code = segno.make(app_url(user=user, key=key), error="m", micro=False)
    return code.svg_inline(omitsize=True, light="#fff", border=3, svgclass="qr", lineclass=None, title="QR code")


def turn_on(*, user: User, key: str, code: str) -> list[str] | None:
    """Ask for codes of the app with `key` from now on; the recovery codes, or None when `code` is not the app's.

    The code is used up by this.
    """
    device = Authenticator(user=user, name=_DEVICE_NAME, key=key)
    text = _plain(code)
    totp = TOTP(device.bin_key, device.step, device.t0, device.digits)
    totp.time = time.time()
    if not _is_app_code(text) or not totp.verify(int(text), device.tolerance):
        return None
    device.last_t = totp.t()
    with transaction.atomic():
        _locked(user)
        Authenticator.objects.filter(user=user).delete()
        device.save()
        tell_two_factor(user=user, change="turned on")
        return _replace_recovery_codes(user)


def turn_off(*, user: User) -> None:
    """Ask for no codes any more, and forget the recovery codes."""
    with transaction.atomic():
        _locked(user)
        Authenticator.objects.filter(user=user).delete()
        StaticDevice.objects.filter(user=user).delete()
        tell_two_factor(user=user, change="turned off")


def new_recovery_codes(*, user: User) -> list[str]:
    """Recovery codes in place of the old ones."""
    with transaction.atomic():
        _locked(user)
        tell_two_factor(user=user, change="new recovery codes")
        return _replace_recovery_codes(user)


def recovery_codes_left(*, user: User) -> int:
    """How many recovery codes have not been used."""
    return int(StaticToken.objects.filter(device__user=user).count())


def check(*, user: User, code: str) -> Checked:
    """Use up a code of the app or a recovery code; blanks, dashes and capitals do not matter."""
    text = _plain(code)
    by_app = _is_app_code(text)
    devices = Authenticator.objects if by_app else StaticDevice.objects
    with transaction.atomic():
        device = devices.select_for_update().filter(user=user, confirmed=True).first()
        if device is None:
            return Checked(False)
        allowed, why = device.verify_is_allowed()
        if not allowed:
            wait = (why["locked_until"] - timezone.now()).total_seconds()
            return Checked(False, wait_seconds=max(1, math.ceil(wait)))
        right = bool(device.verify_token(text if by_app else _digest(text)))
        return Checked(right, recovery_codes_left=None if by_app else recovery_codes_left(user=user))


def _plain(code: str) -> str:
    return "".join(code.split()).replace("-", "").lower()


def _is_app_code(text: str) -> bool:
    return len(text) == CODE_DIGITS and text.isascii() and text.isdigit()


def _locked(user: User) -> None:
    User.objects.select_for_update().get(pk=user.pk)


def _replace_recovery_codes(user: User) -> list[str]:
    codes = [
        "".join(secrets.choice(_RECOVERY_ALPHABET) for _ in range(_RECOVERY_LENGTH)) for _ in range(RECOVERY_CODES)
    ]
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name=_DEVICE_NAME)
    StaticToken.objects.bulk_create(StaticToken(device=device, token=_digest(code)) for code in codes)
    return ["-".join(code[i : i + 4] for i in range(0, _RECOVERY_LENGTH, 4)) for code in codes]


def _digest(recovery_code: str) -> str:
    """64 bits of a keyed digest, which fits the column: codes cannot be guessed offline without SECRET_KEY."""
    return salted_hmac("bourse: recovery code", recovery_code, algorithm="sha256").hexdigest()[:16]
