"""One connection of the WebSocket API: its requests, its subscriptions, and who it acts for.

Orders of one connection reach the exchange in the order in which they were sent, and are answered as they are done;
everything else is answered before the next request is looked at.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec
from channels.consumer import AsyncConsumer
from django.conf import settings

from matching.engine.messages import CancelOrders
from matching.lanes import REQUEST_ID, LaneError, WorkerUnavailable
from trading import tracing
from trading.gateway.app import Gateway
from trading.gateway.database import READERS
from trading.gateway.encode import time_text
from trading.gateway.errors import ApiError, internal_error, not_carried
from trading.gateway.keys import Principal
from trading.gateway.messages import ErrorAnswer
from trading.gateway.records import OrderRecord
from trading.metrics import instruments
from trading.notify.live import NotificationStreams
from trading.request_ids import HEADER
from trading.stream import login, order_requests, requests
from trading.stream.channels import Channel
from trading.stream.hub import Hub, lasting
from trading.stream.outbox import Outbox
from trading.stream.private import PRIVATE_CHANNELS, PrivateStreams

PATH = "/api/v1/ws"
ADDRESS_CONNECTIONS_MAX = 100
MALFORMED_MAX = 100
REQUESTS_PER_SECOND = 50
SLOW_CHECK_SECONDS = 1.0
IDENTITY_CHECK_SECONDS = 4.0
CLOSING_SECONDS = 10.0
ANSWERS_SECONDS_MAX = 11.0
GOODBYE_SECONDS_MAX = 1.0
FAREWELL_SECONDS_MAX = 5.0
CANCEL_ATTEMPTS = 30
CANCEL_PAUSE_SECONDS = 1.0
RECONNECT_AFTER_MS = 2_000

GOING_AWAY = 1001
POLICY_VIOLATION = 1008
SLOW_READER = 4008
TOO_MANY_CONNECTIONS = 4029

Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_encode = msgspec.json.Encoder().encode
_logger = logging.getLogger(__name__)


class Sockets:
    """What all connections of this process share."""

    def __init__(self, *, gateway: Gateway) -> None:
        self.gateway = gateway
        self.hub = Hub()
        self.private = PrivateStreams(self.hub)
        self.notifications = NotificationStreams()
        self.connections: set[Socket] = set()
        self.by_address: Counter[str] = Counter()
        self.farewells: set[asyncio.Task[None]] = set()
        self._checks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Follow the exchange from now on, on the running event loop."""
        self.hub.start()
        self.notifications.start()
        checks = (self._part_from_slow_readers, self._log_out)
        self._checks = [asyncio.create_task(lasting(check)) for check in checks]

    async def announce_shutdown(self) -> None:
        """Tell everyone that the server is about to stop, answer what is under way, and close.

        Who takes too long is left behind.
        """
        connections = list(self.connections)
        for connection in connections:
            connection.take_leave()
        if answers := [task for connection in connections for task in connection.answers_under_way]:
            await asyncio.wait(answers, timeout=ANSWERS_SECONDS_MAX)
        if endings := [connection.end(GOING_AWAY) for connection in connections]:
            await asyncio.wait(endings, timeout=GOODBYE_SECONDS_MAX)

    async def stop(self) -> None:
        """Follow no more; the orders that are to be canceled with their connections are canceled first."""
        for check in self._checks:
            check.cancel()
        if self.farewells:
            await asyncio.wait(self.farewells, timeout=FAREWELL_SECONDS_MAX)
        await self.notifications.stop()
        await self.hub.stop()

    async def _part_from_slow_readers(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SLOW_CHECK_SECONDS)
            for connection in list(self.connections):
                if connection.outbox.is_too_slow(loop.time()):
                    connection.end(SLOW_READER)

    async def _log_out(self) -> None:
        """Log out those whose key or session has ended; what cannot be found out now is asked again later."""
        while True:
            await asyncio.sleep(IDENTITY_CHECK_SECONDS)
            by_identity: dict[login.Identity, list[Socket]] = {}
            for connection in self.connections:
                if connection.identity is not None:
                    by_identity.setdefault(connection.identity, []).append(connection)
            with contextlib.suppress(ApiError):
                for identity in await READERS.run(login.ended, list(by_identity)) if by_identity else ():
                    for connection in by_identity[identity]:
                        connection.log_out(identity)


class Socket(AsyncConsumer):
    """The consumer of one connection."""

    def __init__(self, *, sockets: Sockets) -> None:
        self.sockets = sockets
        self.identity: login.Identity | None = None
        self.address = ""
        self.outbox: Outbox
        self._channels: dict[str, Channel] = {}
        self._cancel_on_disconnect: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._name = ""
        self._orders = 0
        self._malformed = 0
        self._second = 0
        self._requests = 0
        self._leaving = False
        self._ending: asyncio.Task[None] | None = None

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        """Live as long as the connection."""
        self.scope = scope
        self.base_send = send
        server = scope.get("extensions", {}).get("bourse.socket", {})
        self._abort = server.get("abort")
        self.outbox = Outbox(send=send, room=server.get("room"), full=lambda: self.end(SLOW_READER))
        self.address = self.sockets.gateway.address(scope, dict(scope["headers"]))
        self._name = self.sockets.gateway.request_ids.name(scope)
        await receive()
        await send({"type": "websocket.accept", "headers": [(HEADER, self._name.encode())]})
        counts = self.sockets.by_address
        counts[self.address] += 1
        try:
            if settings.RATE_LIMITS and counts[self.address] > ADDRESS_CONNECTIONS_MAX:
                instruments.RATE_LIMITED.labels("socket-connections").inc()
                self.end(TOO_MANY_CONNECTIONS)
            else:
                self.sockets.connections.add(self)
            while (message := await receive())["type"] != "websocket.disconnect":
                if self._ending is None:
                    await self._receive(message.get("text"))
        finally:
            self.sockets.connections.discard(self)
            counts[self.address] -= 1
            if not counts[self.address]:
                del counts[self.address]
            self._disconnected()

    def take_leave(self) -> None:
        """Say that the server is about to stop; orders that come from now on are not taken, and answered so."""
        self._leaving = True
        text = _encode({"type": "server_shutdown", "reconnect_after_ms": RECONNECT_AFTER_MS}).decode()
        self.outbox.push(text)

    @property
    def answers_under_way(self) -> Collection[asyncio.Task[None]]:
        """Requests that wait for the exchange."""
        return self._tasks

    def end(self, code: int) -> asyncio.Task[None]:
        """Close the connection; when the client does not take that either, cut it."""
        if self._ending is None:
            self._leave(list(self._channels))
            self.sockets.connections.discard(self)
            self._ending = asyncio.create_task(self._end(code))
        return self._ending

    async def _end(self, code: int) -> None:
        if code == SLOW_READER:
            self.outbox.close()
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                await self.outbox.emptied()
                self.outbox.close()
                await self.base_send({"type": "websocket.close", "code": code})
        except (TimeoutError, OSError, RuntimeError):
            if self._abort is not None:
                self._abort()

    def _disconnected(self) -> None:
        self._leave(list(self._channels))
        self.outbox.close()
        for account_id in self._cancel_on_disconnect:
            task = asyncio.create_task(_cancel_all(self.sockets.gateway, account_id))
            self.sockets.farewells.add(task)
            task.add_done_callback(self.sockets.farewells.discard)

    # ------------------------------------------------------------------------------------------ requests

    async def _receive(self, text: str | None) -> None:
        op, id_ = requests.head(text) if text is not None else (None, None)
        try:
            if text is None:
                raise ApiError(422, "invalid_body", "Requests are text frames.")
            request = requests.request(op, text)
        except ApiError as error:
            self._refuse(op, id_, error)
            self._malformed += 1
            if self._malformed > MALFORMED_MAX:
                self.end(POLICY_VIOLATION)
            return
        if (handler := order_requests.HANDLERS.get(request.op)) is not None:
            task = asyncio.create_task(tracing.followed(self._order(handler, request), name=request.op))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        try:
            self._count_request()
            result, then = await self._answer(request)
        except ApiError as error:
            self._refuse(op, id_, error)
        except Exception:
            _logger.exception("A request of the WebSocket API failed by a fault of ours")
            self._refuse(op, id_, internal_error())
        else:
            instruments.SOCKET_REQUESTS.labels(request.op, "200").inc()
            self.outbox.push(_encode({"id": id_, "op": op, "ok": True, "result": result}).decode())
            if then is not None:
                then()

    def _count_request(self) -> None:
        if not settings.RATE_LIMITS:
            return
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._requests = second, 0
        self._requests += 1
        if self._requests > REQUESTS_PER_SECOND:
            instruments.RATE_LIMITED.labels("socket-requests").inc()
            raise ApiError(429, "rate_limited", f"At most {REQUESTS_PER_SECOND} requests a second on one connection.")

    async def _answer(self, request: requests.Request) -> tuple[Any, Callable[[], None] | None]:
        """The result, and what to do once it is told."""
        if isinstance(request, requests.Subscribe):
            return await self._subscribe(request)
        if isinstance(request, requests.Unsubscribe):
            self._leave(request.channels)
            return {"channels": request.channels}, None
        if isinstance(request, requests.Login):
            return await self._login(request), None
        assert isinstance(request, requests.Ping)
        return {"time": time_text(time.time_ns() // 1000)}, None

    async def _order(self, handler: order_requests.Handler, request: requests.Request) -> None:
        """Carry out one request to order entry: its name is the connection's with a number."""
        self._orders += 1
        REQUEST_ID.set(f"{self._name}.{self._orders}")
        record = OrderRecord() if self.sockets.gateway.recorded else None
        error: ApiError | None = None
        try:
            if self._leaving:
                raise WorkerUnavailable
            principal = self._principal("trade")
            status, answer = await handler(self.sockets.gateway, principal, self.address, request)
        except ApiError as refused:
            error = refused
        except LaneError as failed:
            error = not_carried(failed)
        except Exception:
            _logger.exception("An order by the WebSocket API failed by a fault of ours")
            error = internal_error()
        if error is not None:
            status, answer = error.status, error.answer()
            self._refuse(request.op, request.id, error)
        else:
            head: dict[str, Any] = {"id": request.id, "op": request.op}
            instruments.SOCKET_REQUESTS.labels(request.op, str(status)).inc()
            if isinstance(answer, ErrorAnswer):
                body = {"ok": False, "status": status, "error": answer.error, "duplicate": answer.duplicate}
            else:
                body = {"ok": True, "status": status, "result": answer}
            self.outbox.push(_encode(head | body).decode())
        if record is not None:
            record.tell(request=request.op, status=status, answer=answer)

    def _refuse(self, op: str | None, id_: requests.RequestId, error: ApiError) -> None:
        instruments.SOCKET_REQUESTS.labels(op if op in requests.TYPES else "unknown", str(error.status)).inc()
        instruments.API_ERRORS.labels("socket", error.code).inc()
        answer = {"id": id_, "op": op, "ok": False, "status": error.status, "error": error.body()}
        self.outbox.push(_encode(answer).decode())

    # ------------------------------------------------------------------------------------------ subscriptions

    async def _subscribe(self, request: requests.Subscribe) -> tuple[Any, Callable[[], None]]:
        names = list(dict.fromkeys(request.channels))
        if len(self._channels.keys() | set(names)) > requests.CHANNELS_MAX:
            message = f"A connection has at most {requests.CHANNELS_MAX} subscriptions."
            raise ApiError(422, "too_many_subscriptions", message, "channels")
        found = [await self._channel(name) for name in names]

        def begin() -> None:
            for name, channel in zip(names, found, strict=True):
                self._channels[name] = channel
                channel.join(self, request.from_sequence)

        return {"channels": names}, begin

    async def _channel(self, name: str) -> Channel:
        if name in PRIVATE_CHANNELS:
            principal = self._principal("read")
            if name == "notifications":
                return await self.sockets.notifications.channel(principal)
            return await self.sockets.private.channel(principal.account_id, name)
        channel = await self.sockets.hub.channel(name)
        if channel is None:
            raise ApiError(404, "unknown_channel", f"There is no channel {name!r}.", "channels")
        return channel

    def _leave(self, names: list[str]) -> None:
        for name in names:
            if (channel := self._channels.pop(name, None)) is not None:
                channel.leave(self)

    # ------------------------------------------------------------------------------------------ who

    async def _login(self, request: requests.Login) -> dict[str, Any]:
        meter = self.sockets.gateway.limits.meter()
        try:
            identity = await login.identify(request=request, scope=self.scope, address=self.address)
        except ApiError as error:
            if error.status == 401:
                await meter.failure(address=self.address)
            raise
        principal = identity.principal
        if request.cancel_on_disconnect and "trade" not in principal.scopes:
            raise ApiError(403, "scope_missing", "cancel_on_disconnect needs the scope trade.", "cancel_on_disconnect")
        self._leave([name for name in self._channels if name in PRIVATE_CHANNELS])
        self.identity = identity
        if request.cancel_on_disconnect:
            self._cancel_on_disconnect.add(principal.account_id)
        else:
            self._cancel_on_disconnect.discard(principal.account_id)
        return {"account_id": principal.account_id, "scopes": sorted(principal.scopes)}

    def _principal(self, scope: str) -> Principal:
        if self.identity is None:
            raise ApiError(401, "authentication_required", "Log in first.")
        if scope not in self.identity.principal.scopes:
            raise ApiError(403, "scope_missing", f"This login does not have the scope {scope}.")
        return self.identity.principal

    def log_out(self, identity: login.Identity) -> None:
        """Act for nobody any more, if it still acts by this identity."""
        if self.identity == identity:
            self.identity = None
            self._leave([name for name in self._channels if name in PRIVATE_CHANNELS])
            error = ApiError(401, "logged_out", "The API key or the session has ended.")
            self.outbox.push(_encode({"type": "error", "error": error.body()}).decode())


async def _cancel_all(gateway: Gateway, account_id: int) -> None:
    for _ in range(CANCEL_ATTEMPTS):
        try:
            await gateway.lane.execute((CancelOrders(account_id),))
            return
        except LaneError:
            await asyncio.sleep(CANCEL_PAUSE_SECONDS)
    _logger.error("The orders of account %d could not be canceled when its connection ended", account_id)
