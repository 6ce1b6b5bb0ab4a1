"""How much one may ask of Django's views: requests per address and per caller, told in headers, else 429.

Counted by django-ratelimit in fixed windows in Django's cache; RATE_LIMITS=off switches it off. Order entry counts for
itself (trading/gateway/limits.py) and tells it in the same headers.
"""

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django_ratelimit.core import get_usage
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from marketdata.rest import ApiError
from trading.api.addresses import client_address_of
from trading.api.errors import API_PATH, json_error, uncounted
from trading.gateway.keys import Principal
from trading.metrics.instruments import RATE_LIMITED

if TYPE_CHECKING:  # rest_framework.views imports this module
    from rest_framework.views import APIView

_USAGES = "rate_limit_usages"


class ApiRequests:
    """Middleware for everything below /api/: the limit per address, the headers, and no NUL in a path."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer 429 or 400 itself, or go on and add the headers."""
        if not request.path.startswith(API_PATH):
            return self.get_response(request)
        if "\0" in request.path:
            return json_error(error=ApiError("malformed_path", "The path has a NUL in it.", status_code=400))
        try:
            _spend(
                request, group="api-address", name=client_address_of(request=request), rate=settings.API_RATE_ADDRESS
            )
        except ApiError as error:
            response = json_error(error=error)
        else:
            response = self.get_response(request)
        return _with_headers(request, response)


class CallerThrottle(BaseThrottle):
    """The limit per API key or user: DEFAULT_THROTTLE_CLASSES has it. Changing anything has a tighter one."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Raises ApiError 429 instead of answering no, so that every limit is told in the same way."""
        caller = request.auth
        if isinstance(caller, Principal):
            name = caller.key or f"user {caller.user_id}"
            if request.method not in ("GET", "HEAD"):
                _spend(request._request, group="api-change", name=name, rate=settings.API_RATE_CHANGES)
            _spend(request._request, group="api-caller", name=name, rate=settings.API_RATE_CALLER)
        return True


def _spend(request: HttpRequest, *, group: str, name: str, rate: str) -> None:
    """Count one request of `name`, in a rate like "100/s". While nobody can count, reads are free."""
    try:
        usage = get_usage(request, group=group, key=lambda *_: name, rate=rate, increment=True)
    except RedisError as error:
        if request.method in ("GET", "HEAD"):
            return
        raise uncounted() from error
    if usage is None:
        return
    usages: list[dict[str, Any]] = request.__dict__.setdefault(_USAGES, [])
    usages.append(usage)
    if usage["should_limit"]:
        RATE_LIMITED.labels(group).inc()
        wait = max(1, math.ceil(usage["time_left"]))
        raise ApiError(
            "rate_limited",
            f"More than {rate.replace('/', ' per ')}. Wait {wait} s.",
            status_code=429,
            headers={"Retry-After": str(wait)},
        )


def _with_headers(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Tell how far the tightest limit has been used up; the reset in Unix seconds."""
    usages: list[dict[str, Any]] = request.__dict__.get(_USAGES, [])
    if usages:
        tightest = min(usages, key=lambda usage: usage["limit"] - usage["count"])
        response["X-RateLimit-Limit"] = str(tightest["limit"])
        response["X-RateLimit-Remaining"] = str(max(0, tightest["limit"] - tightest["count"]))
        response["X-RateLimit-Reset"] = str(math.ceil(time.time() + tightest["time_left"]))
    return response
