"""The ASGI application that the server runs: order entry, the WebSocket API, metrics, static files, Django."""

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trading.settings")

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_application = get_asgi_application()

from matching import vitals, worker  # noqa: E402 - Django must be set up first
from matching.redis_lane import RedisLane  # noqa: E402
from trading import logs, tracing  # noqa: E402
from trading.api.bodies import bounded  # noqa: E402
from trading.gateway.app import Gateway, route_pattern, takes  # noqa: E402
from trading.gateway.database import READERS  # noqa: E402
from trading.metrics.page import MetricsPage  # noqa: E402
from trading.request_ids import named  # noqa: E402
from trading.static_server import StaticFiles  # noqa: E402
from trading.stream.consumer import PATH, Socket, Sockets  # noqa: E402

_lane = worker.order_lane()
_gateway = Gateway(lane=tracing.carried(_lane))
_ids = _gateway.request_ids
_order_entry = tracing.traced(_gateway, ids=_ids, route=lambda scope: route_pattern(scope["path"]))
_django = tracing.traced(named(bounded(_application), ids=_ids), ids=_ids, route=tracing.django_route)
_static = StaticFiles()
SOCKETS = Sockets(gateway=_gateway)
_socket = Socket.as_asgi(sockets=SOCKETS)
_metrics = MetricsPage(sockets=SOCKETS)


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one connection, or the server's lifespan conversation."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await (_socket if scope["path"] == PATH else _no_socket)(scope, receive, send)
    elif takes(scope):
        await _order_entry(scope, receive, send)
    elif _metrics.takes(scope):
        await _metrics(scope, receive, send)
    elif file := _static.find(scope):
        await _static.send(file, scope, send)
    else:
        await _django(scope, receive, send)


async def _no_socket(_: dict[str, Any], receive: Receive, send: Send) -> None:
    """There is no WebSocket at this path: the handshake is refused."""
    await receive()
    await send({"type": "websocket.close"})


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    if isinstance(_lane, RedisLane):
        await _lane.start()
    SOCKETS.start()
    vitals.tell(role=logs.ROLE, facts=_facts)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await SOCKETS.stop()
    await _gateway.limits.close()
    if isinstance(_lane, RedisLane):
        await _lane.stop()
    READERS.close()
    await send({"type": "lifespan.shutdown.complete"})


def _facts() -> dict[str, Any]:
    here = {"sockets": len(SOCKETS.connections), "lane_depth": _lane.depth}
    return here | vitals.worker_facts(worker.status())
