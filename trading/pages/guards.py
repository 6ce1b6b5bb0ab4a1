"""What every page of a person's account is guarded by, and the pages that say "not now".

`guarded` goes around a view: nothing is cached, secrets stay out of error reports, and TooMany and ExchangeAway become
pages. `spend` counts a try against a rate; `next_page` trusts nobody with where to go next.
"""

import functools
import math
import unicodedata
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django_ratelimit.core import get_usage

from trading.metrics.instruments import RATE_LIMITED
from trading.people import ExchangeAway

AWAY_SECONDS = 10
"""When to try again while the exchange gives no answer."""

View = Callable[..., HttpResponseBase]


class TooMany(Exception):
    """More tries than a rate allows; the next may come in `wait_seconds`."""

    def __init__(self, wait_seconds: int) -> None:
        super().__init__(f"Try again in {wait_seconds} s.")
        self.wait_seconds = wait_seconds


def guarded(view: View) -> View:
    """The view, never cached, with 429 for TooMany and 503 for ExchangeAway."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except TooMany as error:
            return not_now(request=request, template="account/too_many.html", status=429, seconds=error.wait_seconds)
        except ExchangeAway:
            return not_now(request=request, template="account/exchange_away.html", status=503, seconds=AWAY_SECONDS)

    return never_cache(sensitive_post_parameters()(answer))


def not_now(*, request: HttpRequest, template: str, status: int, seconds: int) -> HttpResponse:
    """A page that says to come again in `seconds`, which Retry-After says too."""
    page = render(request, template, {"wait": wait_in_words(seconds=seconds)}, status=status)
    page["Retry-After"] = str(seconds)
    return page


def wait_in_words(*, seconds: int) -> str:
    """ "40 seconds", "3 minutes", "2 hours": never less than it is."""
    for unit, size in (("hour", 3600), ("minute", 60)):
        if seconds > 1.5 * size:
            return f"{math.ceil(seconds / size)} {unit}s"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def spend(*, request: HttpRequest, group: str, name: str, rate: str) -> None:
    """Count one try of `name` against a rate such as "20/10m". Raises TooMany; RATE_LIMITS=off allows everything."""
    usage = get_usage(request, group=group, key=lambda *_: name, rate=rate, increment=True)
    if usage is not None and usage["should_limit"]:
        RATE_LIMITED.labels(group).inc()
        raise TooMany(max(1, math.ceil(usage["time_left"])))


def folded(text: str) -> str:
    """The same for every way to write a name: capitals and compatibility forms of letters do not make a new one."""
    return unicodedata.normalize("NFKC", text).casefold()


def next_page(request: HttpRequest) -> str:
    """Where the `next` parameter points if that is on this host, else LOGIN_REDIRECT_URL."""
    wanted = request.POST.get(REDIRECT_FIELD_NAME, request.GET.get(REDIRECT_FIELD_NAME, ""))
    safe = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if safe else resolve_url(settings.LOGIN_REDIRECT_URL)
