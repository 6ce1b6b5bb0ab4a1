"""What people choose: which news by which channels, when not to be disturbed, and where their webhook is."""

from collections.abc import Collection
from datetime import datetime
from zoneinfo import available_timezones

from django.db import transaction

from notifications import recording, secrecy
from notifications.models import Delivery, Preference
from notifications.rules import CHANNELS, KINDS, Channel
from notifications.webhook import checked_url

MARKET_KINDS = ("market_halted", "market_reopened")

Choice = tuple[str, Channel]


def kinds_for(*, operator: bool) -> list[str]:
    """The kinds of news that a person can hear of."""
    return [kind for kind, rule in KINDS.items() if operator or not rule.operators]


def chosen(*, user_id: int) -> tuple[set[Choice], bool]:
    """Everything that is switched on, and whether halts are told of markets that do not concern the person too."""
    stored = {(row.kind, row.channel): row.on for row in Preference.objects.filter(user_id=user_id)}
    on = {
        (kind, channel)
        for kind, rule in KINDS.items()
        for channel in CHANNELS
        if channel in rule.always or stored.get((kind, channel), channel in rule.channels)
    }
    return on, any(stored.get((kind, "in_app"), False) for kind in MARKET_KINDS)


def choose(*, user_id: int, kinds: Collection[str], on: Collection[Choice], every_market: bool) -> None:
    """Switch on what is in `on` and off what else there is of `kinds`; what cannot be switched off stays on."""
    rows = [
        Preference(user_id=user_id, kind=kind, channel=channel, on=(kind, channel) in on)
        for kind in kinds
        for channel in CHANNELS
        if channel not in KINDS[kind].always
    ]
    insisted = [row for row in rows if every_market and row.kind in MARKET_KINDS and row.channel == "in_app"]
    different = [row for row in rows if row.on != (row.channel in KINDS[row.kind].channels) or row in insisted]
    with transaction.atomic():
        recording.hold(user_id=user_id)
        Preference.objects.filter(user_id=user_id, kind__in=kinds).delete()
        Preference.objects.bulk_create(different)


def time_zones() -> list[str]:
    """The time zones that this machine knows, UTC first."""
    return ["UTC", *sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))]


def set_timing(*, user_id: int, quiet_begin: int, quiet_end: int, time_zone: str, digest_minutes: int) -> None:
    """Quiet hours in minutes since midnight (both the same: none), their time zone, and how long fills are gathered."""
    with transaction.atomic():
        recipient = recording.hold(user_id=user_id)
        recipient.quiet_begin, recipient.quiet_end = quiet_begin, quiet_end
        recipient.time_zone, recipient.digest_minutes = time_zone, digest_minutes
        recipient.save(update_fields=["quiet_begin", "quiet_end", "time_zone", "digest_minutes"])


def set_webhook(*, user_id: int, url: str, new_secret: bool) -> str | None:
    """Post to `url` from now on; the secret if a new one was made (asked for, or there was none).

    Raises notifications.webhook.InvalidUrl.
    """
    checked_url(url)
    with transaction.atomic():
        recipient = recording.hold(user_id=user_id)
        secret = None
        if new_secret or recipient.webhook_secret_encrypted is None:
            secret = secrecy.new_secret()
            recipient.webhook_secret_encrypted = secrecy.encrypted(secret)
        recipient.webhook_url = url
        recipient.save(update_fields=["webhook_url", "webhook_secret_encrypted"])
    return secret


def remove_webhook(*, user_id: int, now: datetime) -> None:
    """Post nowhere any more; what was on its way is given up, and the secret forgotten."""
    with transaction.atomic():
        recipient = recording.hold(user_id=user_id)
        recipient.webhook_url, recipient.webhook_secret_encrypted = "", None
        recipient.save(update_fields=["webhook_url", "webhook_secret_encrypted"])
        waiting = Delivery.objects.filter(user_id=user_id, channel="webhook", state__in=("pending", "failed"))
        waiting.update(state="dead", done_at=now, last_error="The webhook was removed.")
