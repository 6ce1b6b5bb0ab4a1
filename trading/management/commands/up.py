"""`manage.py up`: the whole exchange in one process, from an empty folder to `Bourse is ready`.

Lock the data folder, migrate, start the matching worker, seed the demo, serve; a signal undoes it in reverse.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable, Generator, Iterator

import uvicorn
import uvloop
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from matching import worker
from trading import background, demo, embedded, health, static_files
from trading.demo_flow import history
from trading.demo_flow import process as flow_process
from trading.one_write import OneWriteProtocol
from trading.stream.server import FRAME_BYTES_MAX, PING_SECONDS, SocketProtocol

GRACE_SECONDS = 5
KEEP_ALIVE_SECONDS = 75
READY_POLL_SECONDS = 0.05
STILL_WAITING_SECONDS = 10
REVIVE_POLL_SECONDS = 0.5
REVIVE_PAUSE_SECONDS = 3


class Command(BaseCommand):
    """Runs until SIGINT or SIGTERM and then exits with status 0."""

    help = "Start everything: database, migrations, demo data, matching worker and web server."
    requires_system_checks: list[str] = []  # `make check` runs them; a restart should not wait for them

    def add_arguments(self, parser: ArgumentParser) -> None:
        """No arguments: the environment says it all (see .env.example)."""

    def handle(self, *args: object, **options: object) -> None:
        """Bring everything up in order, serve, and take it down in the reverse order."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # before there is a web server to ask
        try:
            with _only_server_of_data_dir(), _listening_socket() as listener, _database_kept_alive():
                _migrate()
                if settings.PRODUCTION:
                    static_files.collect_if_changed()
                history.make_history(say=self._say)
                worker.start()
                try:
                    for line in demo.seed_demo(base_url=base_url()) if settings.DEMO else ():
                        self._say(line)
                    with (
                        background.running(wanted=settings.BACKGROUND),
                        flow_process.running(url=base_url(), keys=demo.flow_keys() if settings.DEMO_FLOW else ()),
                        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
                    ):
                        runner.run(_serve(listener, self._say))
                finally:
                    worker.stop()
        except KeyboardInterrupt:
            self._say("Interrupted.")
        self._say("Bourse has stopped.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


@contextlib.contextmanager
def _only_server_of_data_dir() -> Iterator[None]:
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    with open(settings.DATA_DIR / "server.lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "starting"
            raise CommandError(
                f"Bourse already runs on {settings.DATA_DIR} ({holder}). "
                "Stop it first, or give this one another DATA_DIR and PORT."
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, {base_url()}\n")
        lock.flush()
        yield


@contextlib.contextmanager
def _listening_socket() -> Iterator[socket.socket]:
    """Bound at once, so that a port in use is told before anything else happens; uvicorn listens later."""
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.HOST, settings.PORT))
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {settings.HOST}:{settings.PORT} ({error.strerror}). Choose another with PORT."
            ) from error
        listener.set_inheritable(False)
        yield listener


@contextlib.contextmanager
def _database_kept_alive() -> Iterator[None]:
    """While we serve, start the embedded PostgreSQL again whenever it has died; the worker then recovers by itself."""
    if settings.DATABASE_URL:
        yield
        return
    cluster = embedded.Cluster(data_dir=settings.DATA_DIR)
    cluster.start()
    stopping = threading.Event()

    def revive() -> None:
        while not stopping.wait(REVIVE_POLL_SECONDS):
            if cluster.pid() is None:
                print("PostgreSQL has stopped: starting it again.", file=sys.stderr, flush=True)
                try:
                    cluster.start()
                except embedded.EmbeddedDatabaseError as error:
                    print(f"{error} Trying again.", file=sys.stderr, flush=True)
                    stopping.wait(REVIVE_PAUSE_SECONDS)

    watch = threading.Thread(target=revive, name="postgres-watch", daemon=True)
    watch.start()
    try:
        yield
    finally:
        stopping.set()
        watch.join()
        cluster.close()


def _migrate() -> None:
    """Apply migrations; when there are none left, find that out without the command's long way."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
    connection.close()


def base_url() -> str:
    """Where the web server listens, as a URL without a path."""
    host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
    return f"http://{host}:{settings.PORT}"


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to us: it would raise them again after a clean stop."""

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
        """Say goodbye on every WebSocket before the connections are closed."""
        from trading.asgi import SOCKETS

        await SOCKETS.announce_shutdown()
        await super().shutdown(sockets)


async def _serve(listener: socket.socket, say: Callable[[str], None]) -> None:
    from trading.asgi import application

    config = uvicorn.Config(
        application,
        http=OneWriteProtocol,
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
        timeout_graceful_shutdown=GRACE_SECONDS,
        proxy_headers=bool(settings.TRUSTED_PROXIES),
        forwarded_allow_ips=settings.TRUSTED_PROXIES,
    )
    server = _Server(config)
    announcing = asyncio.create_task(_announce(server, say))
    await server.serve(sockets=[listener])
    announcing.cancel()
    if not server.started:
        raise CommandError("The web server did not start; the log above says why.")


async def _announce(server: _Server, say: Callable[[str], None]) -> None:
    """Say where we are, once `/readyz` answers 200; say what we wait for when that takes long."""
    began = told = time.monotonic()
    while True:
        found = await asyncio.to_thread(health.readiness)
        if server.started and found.ready:
            say(f"Bourse serves on {base_url()}  (health: /healthz, /readyz; stop: Ctrl-C)")
            say("Bourse is ready")
            return
        now = time.monotonic()
        if now - told >= STILL_WAITING_SECONDS:
            told = now
            missing = ", ".join(f"{name}: {result}" for name, result in found.checks.items() if result != "ok")
            say(f"Not ready after {now - began:.0f} s ({missing}) ...")
        await asyncio.sleep(READY_POLL_SECONDS)
