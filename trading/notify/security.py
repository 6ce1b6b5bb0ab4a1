"""What people are told of their account's safety, in the transaction of what happened: logins, API keys, two-factor."""

import ipaddress
import time

import notifications
from trading.models import ApiKey, User
from trading.sessions import device_name

IPV6_PREFIX = 64
"""Browsers change the rest of an address all the time."""


def tell_login(*, user: User, address: str, user_agent: str, first: bool) -> None:
    """A person has signed in; they are told if it is from where they never were, unless it is their `first` time."""
    notifications.record(
        user_id=user.pk,
        kind="login_new_address",
        key=_place(address),
        figures={"address": address or "unknown", "device": device_name(user_agent=user_agent)},
        at=_now(),
        silent=first,
    )


def tell_api_key(*, key: ApiKey) -> None:
    """A program may act for an account from now on."""
    figures = {"key": key.key, "label": key.label, "account": key.account.name, "scopes": ", ".join(key.scopes)}
    notifications.record(
        user_id=key.user_id,
        account_id=key.account_id,
        kind="api_key_created",
        key=f"key {key.pk}",
        figures=figures,
        at=_now(),
    )


def tell_two_factor(*, user: User, change: str) -> None:
    """The second factor was "turned on" or "turned off", or there are "new recovery codes"."""
    at = _now()
    notifications.record(
        user_id=user.pk, kind="two_factor_changed", key=f"{change} {at}", figures={"change": change}, at=at
    )


def _place(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, IPV6_PREFIX), strict=False))


def _now() -> int:
    return time.time_ns() // 1_000
