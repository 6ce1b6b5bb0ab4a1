"""Counts every request that Django answers, by the pattern of its route: the first middleware, so that it sees all."""

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from trading.metrics import instruments


class CountedRequests:
    """The middleware. A streamed answer counts until its first byte."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer as the next does, and count it."""
        began = time.perf_counter()
        response = self.get_response(request)
        match = request.resolver_match
        instruments.request_answered(
            method=request.method or "",
            route="/" + match.route.lstrip("^") if match is not None else "unknown",
            status=response.status_code,
            seconds=time.perf_counter() - began,
        )
        return response
