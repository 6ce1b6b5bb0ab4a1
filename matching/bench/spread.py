"""A spread-out exchange in a scratch folder: PostgreSQL, Redis, a matching worker and web processes, each a process.

Everything is real and of this run alone: the embedded PostgreSQL (held by a part whose standard input ends with us),
Debian's redis-server, `manage.py matching_worker`, `manage.py web`.
"""

import contextlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil
from django.conf import settings

from matching.bench import scratch
from matching.bench.report import Missing
from matching.bench.scratch import PartFailed, Server
from matching.bench.served import DATABASE_URL_FILE

STOP_SECONDS_MAX = 60


class Spread(NamedTuple):
    """The processes of a running exchange. `roles`: process ids by what they are."""

    data_dir: Path
    webs: list[Server]
    redis_url: str
    roles: dict[str, list[int]]


@contextlib.contextmanager
def running(*, data_dir: Path, webs: int) -> Iterator[Spread]:
    """An exchange with so many web processes that takes orders; ended, all of it, with the block."""
    with redis(folder=data_dir) as (redis_url, redis_pid), _database(data_dir) as database_url:
        services = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        env = scratch.environment(data_dir=data_dir, **services)
        worker = (sys.executable, "manage.py", "matching_worker")
        with (
            scratch.program(*worker, log_path=data_dir / "worker.log", env=env) as worker_pid,
            contextlib.ExitStack() as stack,
        ):
            servers = [
                stack.enter_context(Server(data_dir=data_dir, command="web", **services, DRAIN_SECONDS="0"))
                for _ in range(webs)
            ]
            postgres = scratch.postgres(data_dir=data_dir)
            assert postgres is not None
            yield Spread(
                data_dir,
                servers,
                redis_url,
                {
                    "web": [server.pid for server in servers],
                    "worker": [worker_pid],
                    "Redis": [redis_pid],
                    "PostgreSQL": [postgres.pid],
                },
            )


@contextlib.contextmanager
def redis(*, folder: Path) -> Iterator[tuple[str, int]]:
    """An empty Redis that keeps nothing: its URL and its process id."""
    found = shutil.which("redis-server")
    if found is None:
        raise Missing("redis-server is not installed: apt install redis-server")
    port = scratch.free_port()
    options = ("--port", port, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no")
    with scratch.program(found, *options, log_path=folder / "redis.log") as pid:
        scratch.wait_until(lambda: _listens(port))
        yield f"redis://127.0.0.1:{port}/0", pid


def processor_seconds(spread: Spread) -> dict[str, float]:
    """The processor time that each kind of process has taken so far, its children included."""
    return {role: sum(map(_seconds_of, pids)) for role, pids in spread.roles.items()}


def shares_text(before: Mapping[str, float], after: Mapping[str, float], orders: int) -> str:
    """What an order took of each kind of process, in words."""
    taken = (f"{role} {(after[role] - before[role]) / orders * 1e6:.0f}" for role in before)
    return f"processor time of an order, us: {', '.join(taken)}"


@contextlib.contextmanager
def _database(data_dir: Path) -> Iterator[str]:
    """The URL of a migrated database in the folder, which runs until the end of the block."""
    command = [sys.executable, "manage.py", "bench_part", "hold_database", "{}"]
    path, log_path = data_dir / DATABASE_URL_FILE, data_dir / "database.log"
    env = scratch.environment(data_dir=data_dir)
    with log_path.open("wb") as log:
        holder = subprocess.Popen(
            command, cwd=settings.BASE_DIR, env=env, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        scratch.wait_until(lambda: path.exists() or holder.poll() is not None)
        if not path.exists():
            raise PartFailed(f"The database has not started:\n{log_path.read_text()[-scratch.OUTPUT_SHOWN :]}")
        yield path.read_text()
    finally:
        holder.communicate(timeout=STOP_SECONDS_MAX)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _seconds_of(pid: int) -> float:
    """Of a process, its children, and those that have ended."""
    process = psutil.Process(pid)
    total: float = sum(process.cpu_times()[:4])
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(child.cpu_times()[:2])
    return total
