"""The outbox on its way: take what is due, send it, and write down what became of it.

Taking gives a delivery to one process for LEASE_SECONDS; whoever is killed in between leaves it to be taken again. So
nothing is lost, and what had been sent just before the kill is sent once more, under the same key.
"""

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import httpx
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.mail import get_connection
from django.db import transaction
from django.utils import timezone

from notifications import mail, rules, secrecy, webhook
from notifications.models import Delivery, Recipient
from notifications.rules import KINDS
from notifications.webhook import Undeliverable

CALL_SECONDS = 4.0
"""After so long a call takes nothing more."""

LEASE_SECONDS = 180.0
BATCH = {"email": 10, "webhook": 64}
"""So few at once that they are done, or have run into their deadlines, within the lease."""

WEBHOOKS_AT_ONCE = 32
ERROR_LENGTH_MAX = 300

_logger = logging.getLogger(__name__)

Failures = dict[int, str]
"""Why a delivery, by id, did not arrive; those that did are not in it."""


def deliver_due(*, now: datetime | None = None) -> int:
    """Send what is due at `now` (default: the clock) and return how many deliveries were tried; several processes may.

    Takes nothing more after CALL_SECONDS.
    """
    began = time.monotonic()
    tried = 0
    busy = list(BATCH)
    while busy and time.monotonic() - began < CALL_SECONDS:
        for channel in tuple(busy):
            looked_at, taken = _take(channel, now or timezone.now())
            _settle(taken, _send(channel, taken), now or timezone.now())
            tried += len(taken)
            if looked_at < BATCH[channel]:
                busy.remove(channel)
    return tried


def send_test(*, user_id: int, now: datetime) -> Delivery:
    """Post a test to the person's webhook at once; what became of it."""
    delivery = Delivery.objects.create(
        key=f"test.{user_id}.{secrecy.new_secret()[-12:]}",
        user_id=user_id,
        channel="webhook",
        kind="test",
        figures={},
        happened_at=now,
        attempts=1,
        next_at=now + timedelta(seconds=LEASE_SECONDS),
    )
    failure = _post_all([delivery]).get(delivery.pk, "")
    Delivery.objects.filter(pk=delivery.pk).update(
        state="dead" if failure else "sent", done_at=timezone.now(), last_error=failure
    )
    delivery.refresh_from_db()
    return delivery


def send_again(*, deliveries: Sequence[int], now: datetime, user_id: int | None = None) -> int:
    """Give dead deliveries (ids; with `user_id` only that person's) all their attempts again; how many there were."""
    dead = Delivery.objects.filter(pk__in=deliveries, state="dead")
    if user_id is not None:
        dead = dead.filter(user_id=user_id)
    # One attempt counts as made: a digest that was never tried would still be gathering.
    return dead.update(state="failed", attempts=1, next_at=now, done_at=None)


# ---------------------------------------------------------------------------------------------- take


def _take(channel: str, now: datetime) -> tuple[int, list[Delivery]]:
    """Some of what is due, ours for LEASE_SECONDS, and how many were looked at: some wait for quiet hours to end."""
    with transaction.atomic():
        due = list(
            Delivery.objects.select_for_update(skip_locked=True)
            .filter(channel=channel, state__in=("pending", "failed"), next_at__lte=now)
            .order_by("next_at", "id")[: BATCH[channel]]
        )
        recipients = Recipient.objects.in_bulk({delivery.user_id for delivery in due})
        taken = []
        for delivery in due:
            recipient = recipients.get(delivery.user_id)
            quiet_until = None if recipient is None or is_urgent(delivery.kind) else recipient.quiet_hours.until(now)
            if quiet_until is not None:
                delivery.next_at = quiet_until
            elif delivery.attempts >= rules.ATTEMPTS_MAX:
                delivery.state, delivery.done_at = "dead", now
                delivery.last_error = delivery.last_error or "Every attempt was cut off."
            else:
                delivery.attempts += 1
                delivery.next_at = now + timedelta(seconds=LEASE_SECONDS)
                taken.append(delivery)
        Delivery.objects.bulk_update(due, ["state", "attempts", "next_at", "done_at", "last_error"])
    return len(due), taken


def is_urgent(kind: str) -> bool:
    """Whether a delivery does not wait for the end of quiet hours."""
    return kind in KINDS and KINDS[kind].urgent


# ---------------------------------------------------------------------------------------------- send


def _send(channel: str, taken: Sequence[Delivery]) -> Failures:
    if not taken:
        return {}
    return _mail_all(taken) if channel == "email" else _post_all(taken)


def _mail_all(taken: Sequence[Delivery]) -> Failures:
    """Send e-mails over one connection; when that fails, all that are left have failed with it."""
    users = get_user_model().objects.in_bulk({delivery.user_id for delivery in taken})
    failures: Failures = {}
    server = get_connection(settings.NOTIFICATION_EMAIL_BACKEND or None)
    try:
        server.open()
    except OSError as error:
        return {delivery.pk: f"{type(error).__name__}: {error}" for delivery in taken}
    try:
        for delivery in taken:
            to = users[delivery.user_id].email
            if not to:
                failures[delivery.pk] = "There is no e-mail address."
                continue
            try:
                message = mail.message(delivery=delivery, to=to)
                if message is not None:
                    server.send_messages([message])
            except Exception as error:
                if not isinstance(error, OSError):  # SMTP's refusals are OSErrors; this one is a fault of ours
                    _logger.exception("The e-mail %s could not be made", delivery.key)
                failures[delivery.pk] = f"{type(error).__name__}: {error}"
    finally:
        server.close()
    return failures


def _post_all(taken: Sequence[Delivery]) -> Failures:
    """Post webhooks, several at a time."""
    recipients = Recipient.objects.in_bulk({delivery.user_id for delivery in taken})

    async def post_all() -> Failures:
        places = asyncio.Semaphore(WEBHOOKS_AT_ONCE)
        failures: Failures = {}

        async def post(delivery: Delivery) -> None:
            try:
                async with places:
                    await _post(by, delivery, recipients.get(delivery.user_id))
            except Undeliverable as error:
                failures[delivery.pk] = str(error)
            except Exception as error:
                _logger.exception("The webhook %s failed by a fault of ours", delivery.key)
                failures[delivery.pk] = f"{type(error).__name__}: {error}"

        async with webhook.client() as by:
            await asyncio.gather(*map(post, taken))
        return failures

    return asyncio.run(post_all())


async def _post(by: httpx.AsyncClient, delivery: Delivery, recipient: Recipient | None) -> None:
    if recipient is None or not recipient.webhook_url or recipient.webhook_secret_encrypted is None:
        raise Undeliverable("There is no webhook any more.")
    try:
        secret = secrecy.decrypted(recipient.webhook_secret_encrypted)
    except InvalidToken:
        raise Undeliverable("The secret cannot be read any more: make a new one.") from None
    body = webhook.body_of(
        key=delivery.key,
        kind=delivery.kind,
        account_id=delivery.account_id,
        figures=delivery.figures,
        happened_at=delivery.happened_at.isoformat(),
    )
    at = time.time_ns() // 1_000_000
    await webhook.post(by=by, url=recipient.webhook_url, secret=secret, key=delivery.key, body=body, at=at)


# ---------------------------------------------------------------------------------------------- settle


def _settle(taken: Sequence[Delivery], failures: Failures, now: datetime) -> None:
    """Write down what became of each, unless its lease is over and somebody else is at it."""
    for delivery in taken:
        ours = Delivery.objects.filter(pk=delivery.pk, attempts=delivery.attempts, state__in=("pending", "failed"))
        error = failures.get(delivery.pk)
        if error is None:
            ours.update(state="sent", done_at=now, last_error="")
            continue
        wait = rules.retry_seconds(attempts=delivery.attempts, chance=random.random())  # noqa: S311 - no secret
        if wait is None:
            ours.update(state="dead", done_at=now, last_error=error[:ERROR_LENGTH_MAX])
            continue
        again = now + timedelta(seconds=wait)
        ours.update(state="failed", next_at=again, last_error=error[:ERROR_LENGTH_MAX])
        if delivery.channel == "webhook":  # whoever does not answer now will not answer the others either
            others = Delivery.objects.filter(user_id=delivery.user_id, channel="webhook", attempts=0, state="pending")
            others.filter(next_at__lt=again).update(next_at=again)
