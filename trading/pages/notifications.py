"""The list of notifications, and the page on which people choose what they are told, how and when."""

from datetime import time
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from marketdata.shapes import Page
from notifications import choices, delivery, queries
from notifications.models import Delivery, Recipient
from notifications.rules import CHANNELS, DIGEST_MINUTES, GROUPS, KINDS, Channel
from notifications.webhook import InvalidUrl
from trading.models import User
from trading.pages import listing
from trading.pages.forms import PageForm
from trading.pages.guards import guarded, spend

DELIVERIES_SHOWN = 10

_CHANNEL_NAMES: dict[Channel, str] = {"in_app": "In Bourse", "email": "E-mail", "webhook": "Webhook"}
_DIGESTS = {1: "Once a minute at most", 15: "Every 15 minutes at most", 60: "Once an hour at most", 1440: "Once a day"}


class TimingForm(PageForm):
    """Quiet hours and digests."""

    focus_first = False

    quiet_begin = forms.TimeField(
        label="Quiet from", required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    quiet_end = forms.TimeField(
        label="Quiet until", required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    time_zone = forms.ChoiceField(label="Time zone")
    digest_minutes = forms.TypedChoiceField(
        label="E-mails about fills", choices=[(minutes, _DIGESTS[minutes]) for minutes in DIGEST_MINUTES], coerce=int
    )

    def __init__(self, *args: Any, recipient: Recipient, **kwargs: Any) -> None:
        quiet = recipient.quiet_begin != recipient.quiet_end
        initial = {
            "quiet_begin": _clock(recipient.quiet_begin) if quiet else None,
            "quiet_end": _clock(recipient.quiet_end) if quiet else None,
            "time_zone": recipient.time_zone,
            "digest_minutes": recipient.digest_minutes,
        }
        super().__init__(*args, initial=initial, **kwargs)
        zones = forms.ChoiceField(label="Time zone", choices=[(zone, zone) for zone in choices.time_zones()])
        self.fields["time_zone"] = zones

    def clean(self) -> dict[str, Any]:
        """Both ends of the quiet hours, or none."""
        given = super().clean() or {}
        if (given.get("quiet_begin") is None) != (given.get("quiet_end") is None):
            missing = "quiet_end" if given.get("quiet_end") is None else "quiet_begin"
            self.add_error(missing, "Give both times, or neither.")
        return given


class WebhookForm(PageForm):
    """Where the webhook is."""

    focus_first = False

    url = forms.CharField(
        label="Address", max_length=500, widget=forms.URLInput(attrs={"placeholder": "https://", "autocomplete": "off"})
    )
    new_secret = forms.BooleanField(label="Make a new secret", required=False)

    def __init__(self, *args: Any, recipient: Recipient, **kwargs: Any) -> None:
        super().__init__(*args, initial={"url": recipient.webhook_url}, **kwargs)
        if not recipient.webhook_url:
            del self.fields["new_secret"]


@guarded
@login_required
@require_safe
def news(request: HttpRequest) -> HttpResponse:
    """/notifications: the list."""
    user = _user(request)
    group = listing.choice(request.GET, "about", GROUPS)
    unread = listing.choice(request.GET, "show", ("unread",)) is not None
    cursor = listing.cursor(request.GET)
    rows = queries.listed(user_id=user.pk, limit=listing.PAGE_ROWS + 1, before=cursor, unread=unread, group=group)
    shown = rows[: listing.PAGE_ROWS]
    more = str(shown[-1].sequence) if len(rows) > listing.PAGE_ROWS else None
    context = {
        "page": Page(shown, more),
        "groups": [each for each in GROUPS if user.is_staff or each != "Operations"],
        "group": group,
        "unread": unread,
        "live": not (group or unread or cursor),
    }
    return render(request, "notifications/news.html", context)


@guarded
@login_required
@require_POST
def read_all(request: HttpRequest) -> HttpResponse:
    """Mark all as read."""
    queries.mark_read(user_id=_user(request).pk, now=timezone.now())
    return redirect("notifications")


@guarded
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: HttpRequest) -> HttpResponse:
    """/account/notifications: the page; a POST sets the switches."""
    user = _user(request)
    if request.method == "POST":
        kinds = choices.kinds_for(operator=user.is_staff)
        on = {(kind, channel) for kind in kinds for channel in CHANNELS if f"{kind}.{channel}" in request.POST}
        choices.choose(user_id=user.pk, kinds=kinds, on=on, every_market="every_market" in request.POST)
        messages.success(request, "Saved.")
        return redirect("account_notifications")
    return _page(request, user)


@guarded
@login_required
@require_POST
def timing(request: HttpRequest) -> HttpResponse:
    """Set quiet hours and digests."""
    user = _user(request)
    form = TimingForm(request.POST, recipient=_recipient(user))
    if not form.is_valid():
        return _page(request, user, timing_form=form)
    given = form.cleaned_data
    choices.set_timing(
        user_id=user.pk,
        quiet_begin=_minutes(given["quiet_begin"]),
        quiet_end=_minutes(given["quiet_end"]),
        time_zone=given["time_zone"],
        digest_minutes=given["digest_minutes"],
    )
    messages.success(request, "Saved.")
    return redirect("account_notifications")


@guarded
@login_required
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """Set the webhook; a new secret is shown in this answer only."""
    user = _user(request)
    form = WebhookForm(request.POST, recipient=_recipient(user))
    if not form.is_valid():
        return _page(request, user, webhook_form=form)
    try:
        secret = choices.set_webhook(
            user_id=user.pk, url=form.cleaned_data["url"], new_secret=form.cleaned_data.get("new_secret", False)
        )
    except InvalidUrl as error:
        form.add_error("url", str(error))
        return _page(request, user, webhook_form=form)
    if secret is not None:
        return _page(request, user, secret=secret)
    messages.success(request, "Saved.")
    return redirect("account_notifications")


@guarded
@login_required
@require_POST
def remove_webhook(request: HttpRequest) -> HttpResponse:
    """Post nowhere any more."""
    choices.remove_webhook(user_id=_user(request).pk, now=timezone.now())
    messages.success(request, "The webhook is removed.")
    return redirect("account_notifications")


@guarded
@login_required
@require_POST
def test_webhook(request: HttpRequest) -> HttpResponse:
    """Post a test now, and say what became of it."""
    user = _user(request)
    spend(request=request, group="webhook-test", name=str(user.pk), rate=settings.CONFIRM_RATE)
    tested = delivery.send_test(user_id=user.pk, now=timezone.now())
    if tested.state == "sent":
        messages.success(request, "The test arrived.")
    else:
        messages.error(request, f"The test did not arrive: {tested.last_error}")
    return redirect("account_notifications")


@guarded
@login_required
@require_POST
def send_again(request: HttpRequest, delivery_id: int) -> HttpResponse:
    """Try a delivery of one's own again that was given up."""
    user = _user(request)
    if not delivery.send_again(deliveries=[delivery_id], now=timezone.now(), user_id=user.pk):
        raise Http404
    messages.success(request, "It is sent again in a moment.")
    return redirect("account_notifications")


def _page(
    request: HttpRequest,
    user: User,
    *,
    timing_form: TimingForm | None = None,
    webhook_form: WebhookForm | None = None,
    secret: str | None = None,
) -> HttpResponse:
    recipient = _recipient(user)
    on, every_market = choices.chosen(user_id=user.pk)
    kinds = choices.kinds_for(operator=user.is_staff)
    groups = [
        {"name": group, "rows": [_row(kind, on) for kind in kinds if KINDS[kind].group == group]} for group in GROUPS
    ]
    context = {
        "tab": "notifications",
        "channels": _CHANNEL_NAMES.values(),
        "groups": [group for group in groups if group["rows"]],
        "every_market": every_market,
        "timing_form": timing_form or TimingForm(recipient=recipient),
        "webhook_form": webhook_form or WebhookForm(recipient=recipient),
        "recipient": recipient,
        "secret": secret,
        "deliveries": _deliveries(user),
    }
    return render(request, "notifications/preferences.html", context)


def _row(kind: str, on: set[choices.Choice]) -> dict[str, Any]:
    rule = KINDS[kind]
    cells = [
        {
            "name": f"{kind}.{channel}",
            "channel": _CHANNEL_NAMES[channel],
            "on": (kind, channel) in on,
            "fixed": channel in rule.always,
        }
        for channel in CHANNELS
    ]
    return {"name": rule.name, "cells": cells}


def _deliveries(user: User) -> list[dict[str, Any]]:
    """What went to the webhook last, and what was given up by whichever channel."""
    last = Delivery.objects.filter(user=user, channel="webhook").order_by("-pk")[:DELIVERIES_SHOWN]
    dead = Delivery.objects.filter(user=user, state="dead").order_by("-pk")[:DELIVERIES_SHOWN]
    rows = {row.pk: row for row in [*last, *dead]}
    names = {"test": "Test", "digest": "Fills"}
    return [
        {"row": row, "name": names.get(row.kind) or KINDS[row.kind].name, "again": row.kind != "test"}
        for _, row in sorted(rows.items(), reverse=True)
    ]


def _recipient(user: User) -> Recipient:
    """How the person wants to be told; who never chose anything, by default."""
    defaults = {"quiet_begin": 0, "quiet_end": 0, "time_zone": "UTC", "digest_minutes": DIGEST_MINUTES[0]}
    return Recipient.objects.filter(pk=user.pk).first() or Recipient(user=user, webhook_url="", **defaults)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _clock(minutes: int) -> time:
    return time(minutes // 60, minutes % 60)


def _minutes(clock: time | None) -> int:
    return 0 if clock is None else clock.hour * 60 + clock.minute
