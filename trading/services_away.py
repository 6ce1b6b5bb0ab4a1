"""What a request gets while PostgreSQL or Redis is away: 503 and when to come again, as JSON below /api/.

Redis counts what people may try, so nobody signs in or changes anything while it cannot; what only reads goes on.
"""

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from redis.exceptions import RedisError

from trading.api.errors import API_PATH, known_error
from trading.pages import errors

_logger = logging.getLogger(__name__)


class ServicesAway:
    """Middleware around every view."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Go on."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """The answer to a view's exception, None for what is none of our business."""
        if not isinstance(exception, RedisError | OperationalError | InterfaceError):
            return None
        if request.path.startswith(API_PATH):
            return known_error(error=exception)
        _logger.warning("A page could not be made: %s", str(exception).strip())
        return errors.unavailable(request)
