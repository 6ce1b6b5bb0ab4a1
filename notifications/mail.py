"""E-mails: one event, or a digest of fills, as text and HTML, from the templates in templates/email/.

The Message-ID is the delivery's key, so a mail that is sent again after a crash is known to be the same.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.template.loader import render_to_string

from notifications.models import Delivery, Notification
from notifications.rules import KINDS
from notifications.words import grouped, path, words

DIGEST_ROWS = 20
DIGEST_TOTALS = 20

_TOTALS = """
SELECT figures->>'market', figures->>'side', figures->>'base', figures->>'quote', count(*),
    coalesce(trim_scale(sum(nullif(figures->>'filled', '')::numeric)), 0)::text,
    coalesce(trim_scale(sum(nullif(figures->>'notional', '')::numeric)), 0)::text
FROM notifications_notification WHERE digest_id = %s GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2 LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Total:
    """What an account traded on one side of a market within a digest, as text for people."""

    market: str
    side: str
    base: str
    quote: str
    orders: str
    quantity: str
    notional: str


def message(*, delivery: Delivery, to: str) -> EmailMultiAlternatives | None:
    """The e-mail; None: what it was to tell has moved on to a later one."""
    context = _digest(delivery) if delivery.digest else _event(delivery)
    if context is None:
        return None
    template = "digest" if delivery.digest else "notification"
    context |= {"site": settings.PUBLIC_URL, "settings_url": f"{settings.PUBLIC_URL}/account/notifications"}
    subject = " ".join(render_to_string(f"email/{template}_subject.txt", context).split())
    mail = EmailMultiAlternatives(
        subject=subject,
        body=render_to_string(f"email/{template}.txt", context),
        to=[to],
        headers={"Message-ID": f"<{delivery.key}@{_domain()}>", "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string(f"email/{template}.html", context), "text/html")
    return mail


def _event(delivery: Delivery) -> dict[str, Any]:
    title, text = words(kind=delivery.kind, figures=delivery.figures)
    where = path(kind=delivery.kind, figures=delivery.figures)
    rule = KINDS[delivery.kind]
    return {
        "title": title,
        "text": text,
        "level": rule.level,
        "group": rule.group,
        "at": delivery.happened_at,
        "link": f"{settings.PUBLIC_URL}{where}" if where else "",
        "always": "email" in rule.always,
    }


def _digest(delivery: Delivery) -> dict[str, Any] | None:
    gathered = Notification.objects.filter(digest=delivery)
    count = gathered.count()
    if not count:
        return None
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS, [delivery.pk, DIGEST_TOTALS])
        totals = [_total(*row) for row in cursor.fetchall()]
    rows = []
    for notification in gathered.order_by("-sequence")[:DIGEST_ROWS]:
        title, _ = words(kind=notification.kind, figures=notification.figures)
        where = path(kind=notification.kind, figures=notification.figures)
        market = notification.figures.get("market", "")
        rows.append(
            {
                "title": title,
                "market": market,
                "side": notification.figures.get("side", ""),
                "at": notification.happened_at,
                "link": f"{settings.PUBLIC_URL}{where}",
            }
        )
    more = count - len(rows)
    return {
        "count": count, "count_text": f"{count:,}", "totals": totals, "rows": rows, "more": f"{more:,}" if more else "",
    }  # fmt: skip


def _total(
    market: str | None,
    side: str | None,
    base: str | None,
    quote: str | None,
    orders: int,
    quantity: str,
    notional: str,
) -> Total:
    return Total(market or "", side or "", base or "", quote or "", f"{orders:,}", grouped(quantity), grouped(notional))


def _domain() -> str:
    """The part of the sender's address behind the at."""
    return settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip("> ") or "localhost"
