"""OpenTelemetry traces, when the settings ask for them; otherwise everything here gives back what it was given.

Only with TRACES on is `trading/spans.py` imported, and with it OpenTelemetry.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from django.conf import settings
from django.urls import Resolver404, resolve

from matching.lanes import OrderLane
from trading.request_ids import Application, RequestIds, Scope


def wanted() -> bool:
    """Whether this process makes traces."""
    return bool(settings.TRACES != "off")


def start() -> None:
    """Make traces of batches and of Celery's tasks from now on, and send them where the settings say."""
    if wanted():
        from trading import spans

        spans.start()


def traced(application: Application, *, ids: RequestIds, route: Callable[[Scope], str]) -> Application:
    """The application with a span for each HTTP request, named by its method and `route`."""
    if not wanted():
        return application
    from trading import spans

    return spans.traced(application, ids=ids, route=route)


def carried(lane: OrderLane) -> OrderLane:
    """The lane with a span for each request in it, whose name goes along to the worker."""
    if not wanted():
        return lane
    from trading import spans

    return spans.TracedLane(lane)


def followed(work: Coroutine[Any, Any, None], *, name: str) -> Coroutine[Any, Any, None]:
    """The work of a request that came on a WebSocket, in a span of its own."""
    if not wanted():
        return work
    from trading import spans

    return spans.followed(work, name=name)


def django_route(scope: Scope) -> str:
    """The pattern of the route that a path belongs to."""
    try:
        return f"/{resolve(scope['path']).route}"
    except Resolver404:
        return "unknown"
