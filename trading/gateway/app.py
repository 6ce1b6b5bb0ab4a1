"""The ASGI application of order entry: everything that a request passes before and after its handler.

Route, read, count, authenticate, handle, answer. What goes wrong on the way is an ApiError; anything else is a fault of
ours, logged, and told as `internal_error`.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from django.conf import settings

from matching.lanes import LaneError, OrderLane
from trading.gateway import auth, handlers
from trading.gateway.database import READERS
from trading.gateway.errors import ApiError, Headers, internal_error, not_carried
from trading.gateway.handlers import Answer, Call
from trading.gateway.keys import CACHE, Principal
from trading.gateway.limits import Meter, Unlimited, limits_from_settings
from trading.gateway.recent import RecentOrders
from trading.gateway.records import OrderRecord, RecordedLane
from trading.gateway.sessions import authenticate_session
from trading.lingering import send_last_body
from trading.metrics.instruments import API_ERRORS, request_answered
from trading.request_ids import HEADER, RequestIds

PATH = "/api/v1/orders"
BODY_BYTES_MAX = 64 * 1024
READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Handler = Callable[[Call], Awaitable[Answer]]
Routes = dict[str, Handler]

BY_CLIENT_ID = "by-client-id/"
COLLECTION: Routes = {"POST": handlers.place, "DELETE": handlers.cancel_all}
BATCH: Routes = {"POST": handlers.place_batch}
TEST: Routes = {"POST": handlers.test_place}
ORDER: Routes = {"PATCH": handlers.amend, "DELETE": handlers.cancel}
ORDER_BY_CLIENT_ID: Routes = {"PATCH": handlers.amend_by_client_id, "DELETE": handlers.cancel_by_client_id}
EXPORT: Routes = {}
_FIXED = frozenset({"batch", "test", "export"})
READABLE = (COLLECTION, EXPORT, ORDER, ORDER_BY_CLIENT_ID)
"""Where Django answers GET, HEAD and OPTIONS."""

_CHALLENGE = (b"www-authenticate", b'Signature headers="X-API-Key X-Timestamp X-Signature"')

_encode = msgspec.json.Encoder().encode
_logger = logging.getLogger(__name__)
_common_headers = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class _Gone(Exception):
    """The client has hung up."""


def takes(scope: Scope) -> bool:
    """Whether this request is order entry's: a path at or below PATH and a method that is not for reading."""
    if scope["type"] != "http" or scope["method"] in READ_METHODS:
        return False
    path: str = scope["path"]
    return path.startswith(PATH) and (len(path) == len(PATH) or path[len(PATH)] == "/")


class Gateway:
    """Order entry over HTTP. `lane` carries the commands; `limits` None: those of the settings.

    The WebSocket API shares its lane, limits and recent orders.
    """

    def __init__(self, *, lane: OrderLane, limits: Unlimited | None = None) -> None:
        self.recorded: bool = settings.LOG_ORDERS
        self.lane = RecordedLane(lane) if self.recorded else lane
        self.recent = RecentOrders()
        self.limits = limits_from_settings() if limits is None else limits
        self._trusted_proxies = tuple(settings.TRUSTED_PROXIES)
        self.request_ids = RequestIds(trusted=self._trusted_proxies)
        auth.networks_from_texts(self._trusted_proxies)  # a wrong setting ends the start, not a request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()
        request_id = self.request_ids.name(scope).encode()
        record = OrderRecord() if self.recorded else None
        meter = self.limits.meter()
        headers: Headers = ()
        error: ApiError | None = None
        try:
            status, answer = await self._answer(scope, receive, meter)
        except _Gone:
            return
        except ApiError as refused:
            error = refused
        except LaneError as failed:
            error = not_carried(failed)
        except Exception:
            _logger.exception("A request to order entry failed by a fault of ours")
            error = internal_error()
        if error is not None:
            status, answer, headers = error.status, error.answer(), error.headers
            if status == 401:
                headers = (*headers, _CHALLENGE)
        body = _encode(answer)
        told = (HEADER, request_id), (b"content-length", b"%d" % len(body))
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [*_common_headers, *told, *meter.headers(), *headers],
            }
        )
        if status == 413:
            await send_last_body(body=body, receive=receive, send=send)
        else:
            await send({"type": "http.response.body", "body": body})
        if error is not None:
            API_ERRORS.labels("order_entry", error.code).inc()
        request_answered(
            method=scope["method"],
            route=route_pattern(scope["path"]),
            status=status,
            seconds=time.perf_counter() - began,
        )
        if record is not None:
            record.tell(request=f"{scope['method']} {scope['path']}", status=status, answer=answer)

    async def _answer(self, scope: Scope, receive: Receive, meter: Meter) -> Answer:
        handler, name = _route(scope["method"], scope["path"])
        headers: dict[bytes, bytes] = dict(scope["headers"])
        address = self.address(scope, headers)
        meter.request(address=address)
        try:
            body = await _read_body(headers, receive)
            principal = await _principal(scope, headers, body, address, meter)
            return await handler(Call(principal, self.lane, meter, self.recent, body, scope["query_string"], name))
        except ApiError as error:
            if error.status == 401:
                await meter.failure(address=address)
            await meter.settle()
            raise

    def address(self, scope: Scope, headers: dict[bytes, bytes]) -> str:
        """The client's address, behind trusted proxies too."""
        client = scope.get("client")
        peer: str = client[0] if client else ""
        if not self._trusted_proxies or b"x-forwarded-for" not in headers:
            return peer
        hops = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        return auth.client_address(peer=peer, forwarded_for=hops.decode("latin-1"), trusted=self._trusted_proxies)


async def _principal(scope: Scope, headers: dict[bytes, bytes], body: bytes, address: str, meter: Meter) -> Principal:
    """Who asks, by signature or by session, with the right to trade. Raises ApiError 401, 403 or 429."""
    key = headers.get(b"x-api-key")
    if key is not None:
        if CACHE.entry(key.decode("latin-1")) is None:
            await meter.settle()  # the database will be asked
        query, path = scope["query_string"], scope["raw_path"]
        return await auth.authenticate_in_loop(
            credentials=auth.Credentials(
                key, headers.get(b"x-timestamp"), headers.get(b"x-signature"), headers.get(b"x-window")
            ),
            method=scope["method"],
            target=path + b"?" + query if query else path,
            body=body,
            address=address,
            scope="trade",
        )
    if b"cookie" not in headers:
        raise ApiError(401, "authentication_required", "Sign in, or sign the request with an API key.")
    await meter.settle()
    return await READERS.run(authenticate_session, scope=scope, body=body)


def _route(method: str, path: str) -> tuple[Handler, str]:
    """The handler for a request, and the order that its path names. Raises ApiError 404 or 405."""
    name = ""
    rest = path[len(PATH) + 1 :]
    if len(path) == len(PATH):
        routes = COLLECTION
    elif rest == "batch":
        routes = BATCH
    elif rest == "test":
        routes = TEST
    elif rest == "export":
        routes = EXPORT
    elif rest.startswith(BY_CLIENT_ID) and len(rest) > len(BY_CLIENT_ID):
        routes, name = ORDER_BY_CLIENT_ID, rest[len(BY_CLIENT_ID) :]
    elif rest and "/" not in rest:
        routes, name = ORDER, rest
    else:
        raise ApiError(404, "not_found", "There is nothing at this path.")
    handler = routes.get(method)
    if handler is None:
        readable = sorted(READ_METHODS) if any(routes is other for other in READABLE) else []
        allowed = ", ".join([*readable, *sorted(routes)])
        raise ApiError(405, "method_not_allowed", f"This path takes {allowed}.", None, ((b"allow", allowed.encode()),))
    return handler, name


def route_pattern(path: str) -> str:
    """What metrics and traces call a path."""
    rest = path[len(PATH) + 1 :]
    if not rest or rest in _FIXED:
        return path
    return f"{PATH}/{BY_CLIENT_ID}<id>" if rest.startswith(BY_CLIENT_ID) else f"{PATH}/<id>"


async def _read_body(headers: dict[bytes, bytes], receive: Receive) -> bytes:
    """The whole body; ApiError 413 as soon as it is known to be too large, without reading on."""
    announced = headers.get(b"content-length", b"0")
    if not announced.isdigit() or len(announced) > 9 or int(announced) > BODY_BYTES_MAX:
        raise _too_large()
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _Gone
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > BODY_BYTES_MAX:
            raise _too_large()
        return body
    parts, size = [body], len(body)
    while message.get("more_body", False):
        if size > BODY_BYTES_MAX:
            raise _too_large()
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    if size > BODY_BYTES_MAX:
        raise _too_large()
    return b"".join(parts)


def _too_large() -> ApiError:
    # The rest of the body is on its way: the connection cannot be used for another request.
    return ApiError(
        413, "body_too_large", f"A body has at most {BODY_BYTES_MAX} bytes.", None, ((b"connection", b"close"),)
    )
