"""The web server of one process, for `manage.py up` and `manage.py web`: uvicorn, our protocols and our way to stop.

It stops in an order that loses no answer: /readyz says no while everything is still answered, each connection is closed
with its last answer, sockets are told, and what is under way is waited for.
"""

import asyncio
import contextlib
import gc
import signal
import socket
import struct
import time
from array import array
from collections.abc import Callable, Generator, Iterator, Sequence

import uvicorn
import uvloop
from django.conf import settings
from django.core.management.base import CommandError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from matching.redis_lane import RedisLane
from matching.session import GC_THRESHOLDS
from matching.worker import order_lane
from trading import health
from trading.one_write import OneWriteProtocol
from trading.stream.server import FRAME_BYTES_MAX, PING_SECONDS, SocketProtocol

GRACE_SECONDS = 5
REMOTE_GRACE_SECONDS = 12
"""How long what is under way may take at the end; an answer by way of Redis comes within 10 s, whatever it is."""

KEEP_ALIVE_SECONDS = 75
READY_POLL_SECONDS = 0.05
STILL_WAITING_SECONDS = 10
DRAIN_POLL_SECONDS = 0.05
LAST_REQUEST_SECONDS = 0.2
"""How long after the last connection its request may come."""

SO_ATTACH_FILTER = 26
DROP_SYN = (
    (0x30, 0, 0, 13),  # load the byte with TCP's flags
    (0x45, 0, 1, 0x02),  # unless SYN is among them, skip the next
    (0x06, 0, 0, 0),  # drop the packet
    (0x06, 0, 0, 0xFFFF_FFFF),  # let the packet pass
)
"""Linux's socket filter for a listening socket: code, jump if true, jump if false, operand."""


def base_url(*, port: int | None = None) -> str:
    """Where the web server listens (on `port`, if not on PORT), as a URL without a path."""
    host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
    return f"http://{host}:{port or settings.PORT}"


@contextlib.contextmanager
def listening_socket(*, port: int | None = None) -> Iterator[socket.socket]:
    """Bound at once (to `port`, if not to PORT), so that a port in use is told before anything else happens.

    uvicorn listens later. Raises CommandError.
    """
    port = port or settings.PORT
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.HOST, port))
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {settings.HOST}:{port} ({error.strerror}). Choose another with PORT."
            ) from error
        listener.set_inheritable(False)
        yield listener


def run(
    *, listener: socket.socket, say: Callable[[str], None], ready_lines: Sequence[str], drain_seconds: float = 0
) -> None:
    """Serve until a signal asks for the end, then drain for `drain_seconds` and stop. Raises CommandError.

    `ready_lines` are said once /readyz answers 200.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(listener, say, ready_lines, drain_seconds))


async def _serve(
    listener: socket.socket, say: Callable[[str], None], ready_lines: Sequence[str], drain_seconds: float
) -> None:
    from trading.asgi import application

    gc.freeze()  # what is loaded stays; with the default thresholds a busy server looks it all over again and again
    gc.set_threshold(*GC_THRESHOLDS)
    config = uvicorn.Config(
        application,
        http=_DrainingProtocol,
        ws=SocketProtocol,
        ws_max_size=FRAME_BYTES_MAX,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        ws_per_message_deflate=False,  # the feed is encoded once for all, not compressed for each
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=2048,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=REMOTE_GRACE_SECONDS if isinstance(order_lane(), RedisLane) else GRACE_SECONDS,
        proxy_headers=bool(settings.TRUSTED_PROXIES),
        forwarded_allow_ips=settings.TRUSTED_PROXIES,
    )
    server = _Server(config, drain_seconds)
    announcing = asyncio.create_task(_announce(server, say, ready_lines))
    await server.serve(sockets=[listener])
    announcing.cancel()
    if not server.started:
        raise CommandError("The web server did not start; the log above says why.")


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to us: it would raise them again after a clean stop."""

    def __init__(self, config: uvicorn.Config, drain_seconds: float) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Ask for a clean stop, and at the second signal for an immediate one; the handlers stay until we exit."""

        def stop(*_: object) -> None:
            self.force_exit = self.should_exit
            self.should_exit = True

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, and say goodbye on every WebSocket before the connections are closed."""
        from trading.asgi import SOCKETS

        await self._drain(sockets or ())
        await SOCKETS.announce_shutdown()
        await super().shutdown(sockets)

    async def _drain(self, sockets: Sequence[socket.socket]) -> None:
        """Not ready any more, but everything is answered; who asks is sent elsewhere with the answer."""
        health.start_draining()
        for connection in self.server_state.connections:
            if isinstance(connection, HttpToolsProtocol) and connection.cycle is not None:
                connection.cycle.keep_alive = False
        end = time.monotonic() + self._drain_seconds
        while time.monotonic() < end and not self.force_exit:
            await asyncio.sleep(DRAIN_POLL_SECONDS)
        for listener in sockets:
            _let_nobody_else_in(listener)
        await asyncio.sleep(LAST_REQUEST_SECONDS)


def _let_nobody_else_in(listener: socket.socket) -> None:
    """Take no new connections, but those that are already on their way, which closing the socket would reset.

    The kernel drops further SYNs; who sent one tries again in a second and finds the door closed, so it knows that
    nothing was taken. Systems without this filter go on as before.
    """
    program = array("B", b"".join(struct.pack("HBBI", *line) for line in DROP_SYN))
    address, _ = program.buffer_info()
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(DROP_SYN), address))


class _DrainingProtocol(OneWriteProtocol):
    """While the process drains, each answer closes its connection: nobody's next request meets a closed door."""

    def on_headers_complete(self) -> None:
        """As uvicorn does it, then look whether this is the connection's last request."""
        super().on_headers_complete()
        if health.is_draining() and self.cycle is not None:
            self.cycle.keep_alive = False


async def _announce(server: _Server, say: Callable[[str], None], ready_lines: Sequence[str]) -> None:
    """Say that we are there, once `/readyz` answers 200; say what we wait for when that takes long."""
    began = told = time.monotonic()
    while True:
        found = await asyncio.to_thread(health.readiness)
        if server.started and found.ready:
            for line in ready_lines:
                say(line)
            return
        now = time.monotonic()
        if now - told >= STILL_WAITING_SECONDS:
            told = now
            missing = ", ".join(f"{name}: {result}" for name, result in found.checks.items() if result != "ok")
            say(f"Not ready after {now - began:.0f} s ({missing}) ...")
        await asyncio.sleep(READY_POLL_SECONDS)
