"""What a server brings along when it is given no services: its data folder for itself, PostgreSQL, Redis, migrations.

For `manage.py up` and `manage.py run_distributed`.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from trading import embedded, serving

REVIVE_POLL_SECONDS = 0.5
REVIVE_PAUSE_SECONDS = 3

_logger = logging.getLogger(__name__)

REDIS_CONFIGURATION = """\
# Written by Bourse at each start. Nothing in it has to outlive it, so it writes nothing to the disk.
port 0
unixsocket "{socket}"
unixsocketperm 700
dir "{folder}"
save ""
appendonly no
maxmemory-policy noeviction
daemonize no
logfile "{folder}/redis.log"
loglevel warning
"""


@contextlib.contextmanager
def only_server_of_data_dir() -> Iterator[None]:
    """Hold the lock of DATA_DIR, which says who we are and where. Raises CommandError when another holds it."""
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
def database_kept_alive() -> Iterator[str]:
    """The database's URL. While we serve, start the embedded one again whenever it has died; workers then recover."""
    if settings.DATABASE_URL:
        yield settings.DATABASE_URL
        return
    cluster = embedded.Cluster(data_dir=settings.DATA_DIR)
    cluster.start()
    stopping = threading.Event()

    def revive() -> None:
        while not stopping.wait(REVIVE_POLL_SECONDS):
            if cluster.pid() is None:
                _logger.warning("PostgreSQL has stopped: starting it again")
                try:
                    cluster.start()
                except embedded.EmbeddedDatabaseError as error:
                    _logger.error("%s Trying again", error)
                    stopping.wait(REVIVE_PAUSE_SECONDS)

    watch = threading.Thread(target=revive, name="postgres-watch", daemon=True)
    watch.start()
    try:
        yield embedded.database_url(data_dir=settings.DATA_DIR)
    finally:
        stopping.set()
        watch.join()
        cluster.close()


def migrate() -> None:
    """Apply migrations; when there are none left, find that out without the command's long way."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
    connection.close()


def prepare_redis(*, data_dir: Path) -> tuple[str, list[str]]:
    """The URL of a Redis of our own, on a unix socket that is only ours, and the command that runs it.

    Raises CommandError where there is no redis-server.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise CommandError(
            "redis-server is not installed (on Debian: apt install redis-server). Or name a Redis in REDIS_URL."
        )
    folder = data_dir / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "redis.sock"
    if len(os.fsencode(path)) > embedded.SOCKET_PATH_BYTES_MAX:
        path = _short_folder(folder) / "redis.sock"
    configuration = folder / "redis.conf"
    configuration.write_text(REDIS_CONFIGURATION.format(socket=path, folder=folder), encoding="utf-8")
    return f"unix://{quote(str(path))}?db=0", [program, str(configuration)]


def _short_folder(folder: Path) -> Path:
    """A folder of ours below /tmp that is always the same for `folder`."""
    short = Path("/tmp") / f"bourse-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"  # noqa: S108
    short.mkdir(mode=0o700, exist_ok=True)
    if short.is_symlink() or short.stat().st_uid != os.geteuid():
        raise CommandError(f"{short} is needed for Redis's socket but belongs to another user.")
    return short
