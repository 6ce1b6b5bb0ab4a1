"""The server's clock, for clients that sign requests, and the answer to paths that do not exist."""

import time
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from marketdata.api import PublicView
from marketdata.rest import documented, query
from marketdata.shapes import TimeText, time_text


@dataclass(frozen=True, slots=True)
class ServerTime:
    """The server's clock: milliseconds since 1970, as X-Timestamp wants it, and the same for people."""

    milliseconds: int
    time: TimeText


class Time(PublicView):
    """What time it is here."""

    @documented(tag="public", operation="get_time", summary="The server's time", returns=ServerTime, public=True)
    def get(self, request: Request) -> Response:
        """For setting a client's clock."""
        query(request)
        return Response(ServerTime(time.time_ns() // 1_000_000, time_text(timezone.now())))


class Nothing(PublicView):
    """Whatever has no view below /api/."""

    schema = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """404 for every method."""
        self.http_method_not_allowed = self.options = self._nothing  # type: ignore[method-assign]
        return super().dispatch(request, *args, **kwargs)

    def _nothing(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        raise Http404
