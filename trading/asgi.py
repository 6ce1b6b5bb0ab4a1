"""The ASGI application that the server runs: order entry, static files, and Django for the rest."""

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trading.settings")

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_application = get_asgi_application()

from matching.worker import order_lane  # noqa: E402 - Django must be set up first
from trading.api.bodies import bounded  # noqa: E402
from trading.gateway.app import Gateway, takes  # noqa: E402
from trading.gateway.database import READERS  # noqa: E402
from trading.static_server import StaticFiles  # noqa: E402

_django = bounded(_application)
_gateway = Gateway(lane=order_lane())
_static = StaticFiles()


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one connection, or the server's lifespan conversation."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif takes(scope):
        await _gateway(scope, receive, send)
    elif file := _static.find(scope):
        await _static.send(file, scope, send)
    else:
        await _django(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    READERS.close()
    await send({"type": "lifespan.shutdown.complete"})
