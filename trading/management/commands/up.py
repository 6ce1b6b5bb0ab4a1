"""`manage.py up`: the whole exchange in one process, from an empty folder to `Bourse is ready`.

Lock the data folder, migrate, start the matching worker, seed the demo, serve; a signal undoes it in reverse.
"""

import contextlib
import fcntl
import os
import signal
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterator

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from matching import worker
from trading import background, demo, embedded, serving, static_files
from trading.demo_flow import history
from trading.demo_flow import process as flow_process

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
            with _only_server_of_data_dir(), serving.listening_socket() as listener, _database_kept_alive():
                _migrate()
                if settings.PRODUCTION:
                    static_files.collect_if_changed()
                history.make_history(say=self._say)
                worker.start()
                try:
                    for line in demo.seed_demo(base_url=serving.base_url()) if settings.DEMO else ():
                        self._say(line)
                    with (
                        background.running(wanted=settings.BACKGROUND),
                        flow_process.running(
                            url=serving.base_url(), keys=demo.flow_keys() if settings.DEMO_FLOW else ()
                        ),
                    ):
                        serving.run(listener=listener, say=self._say, ready_lines=_ready_lines())
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
        lock.write(f"process {os.getpid()}, {serving.base_url()}\n")
        lock.flush()
        yield


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


def _ready_lines() -> list[str]:
    return [f"Bourse serves on {serving.base_url()}  (health: /healthz, /readyz; stop: Ctrl-C)", "Bourse is ready"]
