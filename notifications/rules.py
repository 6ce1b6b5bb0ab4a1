"""What people are told, in which words, by which channels and when: the rules, by themselves.

Pure, standard library only: time comes as an argument. Figures are texts made by whoever saw the event; a kind of
event that this module does not know cannot be recorded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Channel = Literal["in_app", "email", "webhook"]
Level = Literal["info", "success", "warning", "danger"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)

DAY_MINUTES = 24 * 60
DIGEST_MINUTES = (1, 15, 60, DAY_MINUTES)
"""How long fills may be gathered before they are told by e-mail, as a person chooses; the first is the default."""

DIGESTS_CALM = 3
"""So many digests within an hour are as the person chose; each beyond doubles the wait, to an hour at most."""

ATTEMPTS_MAX = 12
RETRY_SECONDS = 10.0
RETRY_SECONDS_MAX = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of event: how the page of preferences calls it, and how it is told unless a person chose otherwise.

    By default the webhook is for what programs act on; it needs an address in any case. `always`: channels that cannot
    be switched off. `urgent`: does not wait for the end of quiet hours. `gathered`: by
    e-mail it waits for a digest. `operators`: nobody else hears of such things.
    """

    name: str
    group: str
    level: Level = "info"
    channels: frozenset[Channel] = frozenset({"in_app", "webhook"})
    always: frozenset[Channel] = frozenset()
    urgent: bool = False
    gathered: bool = False
    operators: bool = False


_IN_APP_AND_EMAIL: frozenset[Channel] = frozenset({"in_app", "email"})
_ALL: frozenset[Channel] = frozenset(CHANNELS)


def _security(name: str) -> Kind:
    return Kind(
        name=name, group="Security", level="warning", channels=_IN_APP_AND_EMAIL, always=_IN_APP_AND_EMAIL, urgent=True
    )


def _money(name: str, level: Level = "success", *, urgent: bool = False) -> Kind:
    return Kind(name=name, group="Money", level=level, channels=_ALL, urgent=urgent)


KINDS: dict[str, Kind] = {
    "order_filled": Kind(name="Order filled", group="Orders", level="success", channels=_ALL, gathered=True),
    "order_partly_filled": Kind(name="Order partly filled", group="Orders", gathered=True),
    "order_canceled": Kind(name="Order canceled by the exchange", group="Orders", level="warning"),
    "command_refused": Kind(name="Request refused later", group="Orders", level="danger", channels=_ALL),
    "deposit_credited": _money("Deposit credited"),
    "withdrawal_pending": _money("Withdrawal requested", "info", urgent=True),
    "withdrawal_paid": _money("Withdrawal paid", urgent=True),
    "withdrawal_refused": _money("Withdrawal refused", "danger"),
    "fee_tier_changed": Kind(name="Fee tier changed", group="Money"),
    "login_new_address": _security("Login from a new address"),
    "api_key_created": _security("API key created"),
    "two_factor_changed": _security("Two-factor changed"),
    "account_frozen": _security("Account frozen"),
    "account_unfrozen": _security("Account unfrozen"),
    "conduct_warning": _security("Warning about conduct"),
    "market_halted": Kind(name="Market halted", group="Markets", level="warning"),
    "market_reopened": Kind(name="Market reopened", group="Markets"),
    "risk_alert": Kind(
        name="Risk alert", group="Operations", level="danger", channels=_IN_APP_AND_EMAIL, urgent=True, operators=True
    ),
}
GROUPS = ("Orders", "Money", "Security", "Markets", "Operations")

ORDER_KINDS = frozenset({"order_filled", "order_partly_filled", "order_canceled"})
"""Kinds that follow each other on one order: in the list an order has one notification, the latest of these."""

Preferences = Mapping[tuple[str, Channel], bool]
"""(kind, channel) -> on; what is not there is as by default."""

Figures = Mapping[str, str]


def subject(*, kind: str, key: str) -> str:
    """What a notification is about, once per person: all kinds of an order share one subject."""
    return key if kind in ORDER_KINDS else f"{kind} {key}"


def channels(*, kind: str, preferences: Preferences) -> frozenset[Channel]:
    """By which channels a person is told of a kind of event."""
    rule = KINDS[kind]
    wanted = {channel for channel in CHANNELS if preferences.get((kind, channel), channel in rule.channels)}
    return frozenset(wanted | rule.always)


# ---------------------------------------------------------------------------------------------- when


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `begin` to `end` (minutes since midnight in the time zone), every day; both the same: never."""

    begin: int = 0
    end: int = 0
    time_zone: str = "UTC"

    def until(self, now: datetime) -> datetime | None:
        """When the quiet hours end in which `now` lies; None: it lies in none."""
        if self.begin == self.end:
            return None
        here = now.astimezone(zone(self.time_zone))
        minute = here.hour * 60 + here.minute
        if self.begin < self.end:
            quiet, days = self.begin <= minute < self.end, 0
        else:
            quiet, days = minute >= self.begin or minute < self.end, int(minute >= self.begin)
        if not quiet:
            return None
        day = here.replace(hour=self.end // 60, minute=self.end % 60, second=0, microsecond=0, fold=0)
        return max((day + timedelta(days=days)).astimezone(UTC), now)


def zone(name: str) -> tzinfo:
    """The time zone of that name; UTC for one that this machine does not know."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def digest_seconds(*, chosen_minutes: int, recent: int) -> int:
    """How long fills are gathered for the next e-mail, when `recent` digests went out within the last hour."""
    chosen = chosen_minutes * 60
    doublings = min(12, max(0, recent - DIGESTS_CALM + 1))
    return max(chosen, min(3_600, chosen << doublings))


def retry_seconds(*, attempts: int, chance: float) -> float | None:
    """How long to wait after the `attempts`-th attempt failed; None: it was the last.

    Doubles each time from RETRY_SECONDS, to an hour at most; `chance` (0 to 1) takes off up to half of it, so that what
    failed together is not tried again together.
    """
    if attempts >= ATTEMPTS_MAX:
        return None
    return min(RETRY_SECONDS_MAX, RETRY_SECONDS * (1 << attempts - 1)) * (1 - chance / 2)
