"""What each process says of itself once a second, so that `manage.py status` need not ask it: where all look.

With a REDIS_URL that is one hash in Redis, without one files in DATA_DIR. It is said and forgotten: nothing depends on
it, and who is silent for a while is left out.
"""

import atexit
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from django.conf import settings

from matching import commit_times, redis_url

if TYPE_CHECKING:  # Celery imports this before Django is ready
    from matching.worker import Status

KEY = f"{redis_url.TAG}:vitals"
EVERY_SECONDS = 1.0
SILENT_SECONDS = 4.0
"""Who has said nothing for so long hangs, or is cut off."""

FORGET_SECONDS = 30.0
"""Who has said nothing for so long is gone."""

PATIENCE_SECONDS = 1.0
PROCESSES_MAX = 1_000


class Vitals(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A process; times in seconds since 1970. What it does not have is None.

    `worker`: starting, standby or leads; `sequence`: the last command that its worker applied; `commits`: the 50th and
    99th percentiles of its last commits in seconds; `lane_depth`: requests in its end of the order lane; `sockets`:
    open WebSockets; `task_at`, `tick_at`: when Celery ended a task here, and when beat sent one.
    """

    role: str
    host: str
    pid: int
    started_at: float
    at: float
    worker: str | None = None
    sequence: int | None = None
    commits: list[float] | None = None
    lane_depth: int | None = None
    sockets: int | None = None
    task_at: float | None = None
    tick_at: float | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Vitals).decode
_telling = threading.Lock()
_facts: list[Callable[[], Mapping[str, Any]]] = []


def tell(*, role: str, facts: Callable[[], Mapping[str, Any]]) -> None:
    """Say these facts too from now on, in a thread of its own. `role` is that of the first who tells."""
    with _telling:
        _facts.append(facts)
        if len(_facts) == 1:
            threading.Thread(target=_tell_on, args=(role,), name="vitals", daemon=True).start()


def worker_facts(status: "Status") -> dict[str, Any]:
    """What there is to say of a matching worker."""
    if not status.alive:
        return {}
    worker = "leads" if status.books_loaded else "standby" if status.standby else "starting"
    return {"worker": worker, "sequence": status.sequence, "commits": commit_times.percentiles(50, 99) or None}


def read(*, now: float) -> list[Vitals]:
    """Everyone who was heard lately, by role and age. Raises redis_url.ERRORS."""
    found = []
    for text in _read_redis() if settings.REDIS_URL else _read_files():
        with contextlib.suppress(msgspec.MsgspecError):
            vitals = _decode(text)
            if now - vitals.at <= FORGET_SECONDS:
                found.append(vitals)
    return sorted(found, key=lambda vitals: (vitals.role, vitals.started_at))[:PROCESSES_MAX]


def _tell_on(role: str) -> None:
    host, pid, started_at = socket.gethostname(), os.getpid(), time.time()
    place: _Redis | _File = _Redis(f"{host}:{pid}") if settings.REDIS_URL else _File(f"{pid}.json")
    saying, ended = threading.Lock(), threading.Event()

    def end() -> None:
        with saying:
            ended.set()
            place.forget()

    atexit.register(end)
    while not ended.is_set():
        said: dict[str, Any] = {}
        for facts in _facts.copy():
            said |= facts()
        vitals = Vitals(role=role, host=host, pid=pid, started_at=started_at, at=time.time(), **said)
        with saying, contextlib.suppress(*redis_url.ERRORS):
            if not ended.is_set():
                place.put(_encode(vitals))
        time.sleep(EVERY_SECONDS)


class _Redis:
    """A field of the hash."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._client: Any = None

    def put(self, vitals: bytes) -> None:
        """Say it; who comes first takes those away that are gone."""
        try:
            if self._client is None:
                self._client = _connect()
                gone = [name for name, text in self._client.hgetall(KEY).items() if _is_gone(text)]
                if gone:
                    self._client.hdel(KEY, *gone)
            self._client.hset(KEY, self._name, vitals)
        except redis_url.ERRORS:
            self._client = None
            raise

    def forget(self) -> None:
        """The process ends."""
        with contextlib.suppress(*redis_url.ERRORS):
            _connect().hdel(KEY, self._name)


class _File:
    """A file, always whole."""

    def __init__(self, name: str) -> None:
        self._path = _folder() / name

    def put(self, vitals: bytes) -> None:
        """Say it; who comes first takes those away that are gone."""
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            for other in self._path.parent.glob("*.json"):
                if _is_gone(other.read_bytes()):
                    other.unlink(missing_ok=True)
        beside = self._path.with_suffix(".part")
        beside.write_bytes(vitals)
        beside.replace(self._path)

    def forget(self) -> None:
        """The process ends."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def _connect() -> Any:
    return redis_url.connect(
        settings.REDIS_URL, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS
    )


def _read_redis() -> list[bytes]:
    with contextlib.closing(_connect()) as client:
        return list(client.hgetall(KEY).values())


def _read_files() -> list[bytes]:
    texts = []
    for path in _folder().glob("*.json"):
        with contextlib.suppress(OSError):  # it has just ended
            texts.append(path.read_bytes())
    return texts


def _folder() -> Path:
    return Path(settings.DATA_DIR) / "vitals"


def _is_gone(text: bytes) -> bool:
    try:
        return time.time() - _decode(text).at > FORGET_SECONDS
    except msgspec.MsgspecError:
        return True
