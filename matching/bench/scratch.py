"""Scratch folders, and the processes that measure in them: parts of the benchmark and whole servers.

Every process gets an environment of its own (an embedded PostgreSQL in the scratch folder, nothing of the caller's but
the two batch settings), is bounded in time and is ended by its process id; nothing stays behind.
"""

import contextlib
import http.client
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psutil
from django.conf import settings

T = TypeVar("T")

RAM_DISK = Path("/dev/shm")  # noqa: S108 - the RAM disk is the point
PART_SECONDS_MAX = 900
READY_SECONDS_MAX = 120
STOP_SECONDS_MAX = 60
POLL_SECONDS = 0.01
KEPT_VARIABLES = frozenset({"BATCH_COMMANDS_MAX", "LANE_COMMANDS_MAX"})
OUTPUT_SHOWN = 4_000
SECRET_KEY = secrets.token_urlsafe(64)
"""All processes of a run share it; production settings, as these, bring no demo data."""


class PartFailed(Exception):
    """A process of the benchmark failed; the text has the end of its output."""


def environment(*, data_dir: Path, **extra: str) -> dict[str, str]:
    """The variables of a process on `data_dir`: every other setting has its default, Celery runs elsewhere."""
    names = re.findall(r"^([A-Z_]+)=", (settings.BASE_DIR / ".env.example").read_text(), re.MULTILINE)
    blank = dict.fromkeys((name for name in names if name not in KEPT_VARIABLES), "")
    production = {"BOURSE_ENV": "production", "SECRET_KEY": SECRET_KEY, "ALLOWED_HOSTS": "127.0.0.1"}
    return {**os.environ, **blank, **production, "DATA_DIR": str(data_dir), "BACKGROUND": "off", **extra}


@contextlib.contextmanager
def folder(*, parent: Path) -> Iterator[Path]:
    """A new folder; at the end a PostgreSQL that still runs in it is stopped, and the folder removed."""
    parent.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        yield path
    finally:
        _stop_postgres(path)
        shutil.rmtree(path)


def run_module(module: str, *args: object, returning: type[T]) -> T:
    """Run a module of ours that needs no database, and decode the last line it prints."""
    return _run([sys.executable, "-m", module, *map(str, args)], dict(os.environ), returning)


def run_part(part: str, *, data_dir: Path, returning: type[T], **options: Any) -> T:
    """Run `manage.py bench_part` on the database of `data_dir`, and decode the last line it prints."""
    command = [sys.executable, "manage.py", "bench_part", part, msgspec.json.encode(options).decode()]
    return _run(command, environment(data_dir=data_dir), returning)


def _run(command: list[str], env: dict[str, str], returning: type[T]) -> T:
    process = subprocess.Popen(
        command, cwd=settings.BASE_DIR, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        output, errors = process.communicate(timeout=PART_SECONDS_MAX)
    except BaseException:
        _end(process)
        raise
    if process.returncode != 0:
        raise PartFailed(f"{' '.join(command[1:4])} failed:\n{(output + errors)[-OUTPUT_SHOWN:]}")
    return msgspec.json.decode(output.strip().splitlines()[-1], type=returning)


class Server:
    """`manage.py up` (or `web`) on a scratch folder and a free port. Its output goes to a file beside the data."""

    def __init__(self, *, data_dir: Path, command: str = "up", **extra: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self._command = command
        self._env = environment(data_dir=data_dir, PORT=str(self.port), RATE_LIMITS="off", **extra)
        self._log_path = data_dir / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it takes orders."""
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", self._command],
                cwd=settings.BASE_DIR, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until `/readyz` answers 200."""
        wait_until(lambda: self._ended() or answers(port=self.port, path="/readyz"))
        if self._ended():
            raise PartFailed(f"The server has ended:\n{self._log_path.read_text()[-OUTPUT_SHOWN:]}")

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """A clean stop, if it runs."""
        if self._process is not None:
            _end(self._process)

    def __enter__(self) -> "Server":
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def background(*command: object) -> Iterator[None]:
    """A Python process of ours that runs until the end of the block: `background("-m", module, argument)`."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        _end(process)


@contextlib.contextmanager
def program(*command: object, log_path: Path, env: dict[str, str] | None = None) -> Iterator[int]:
    """Any program, in the project's folder, with its output in a file; its process id."""
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [*map(str, command)],
            cwd=settings.BASE_DIR, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield process.pid
    finally:
        _end(process)


def answers(*, port: int, path: str, status: int = 200) -> bool:
    """Whether somebody answers with `status` there at this moment."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == status
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until(reached: Callable[[], bool]) -> None:
    """Ask again and again; PartFailed when it takes too long."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not reached():
        if time.monotonic() > deadline:
            raise PartFailed("A process of the benchmark does not get ready.")
        time.sleep(POLL_SECONDS)


def free_port() -> int:
    """A port of the loopback interface that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[Any]) -> None:
    """SIGTERM, and SIGKILL when that does not help in time."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def postgres(*, data_dir: Path) -> psutil.Process | None:
    """The PostgreSQL that runs in this very folder, if one does."""
    pgdata = data_dir / "postgres"
    try:
        process = psutil.Process(int((pgdata / "postmaster.pid").read_text().split()[0]))
        return process if process.name() == "postgres" and os.path.samefile(process.cwd(), pgdata) else None
    except (FileNotFoundError, IndexError, psutil.NoSuchProcess):
        return None


def _stop_postgres(data_dir: Path) -> None:
    """Stop what a killed process has left running."""
    with contextlib.suppress(psutil.NoSuchProcess):
        if (process := postgres(data_dir=data_dir)) is not None:
            process.send_signal(signal.SIGINT)
            process.wait(STOP_SECONDS_MAX)
