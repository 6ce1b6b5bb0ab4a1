"""Asks everybody for the status: database, Redis, broker, the processes themselves, the disk. Who is away is a problem
named in the answer, and never keeps the others from being told."""

import contextlib
import shutil
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.db import DatabaseError
from django.db.utils import InterfaceError
from kombu.exceptions import KombuError
from kombu.exceptions import OperationalError as BrokerError

from marketdata.shapes import moment_of, time_text
from matching import redis_url, vitals
from matching.redis_lane import STREAM
from trading.metrics.brokers import QueueLength
from trading.status import database
from trading.status.shapes import Celery, Disk, Postgres, Process, Redis, Status

REDIS_SECONDS_MAX = 1.0
PROBLEM_LENGTH_MAX = 200
OWN_REDIS = "redis/redis.sock"
"""Below DATA_DIR, where `manage.py run_distributed` brings a Redis along."""

T = TypeVar("T")


class Gathering:
    """Keeps its connections from one `status` to the next."""

    def __init__(self) -> None:
        self._redis: Any = None
        self._queue = QueueLength()
        self._problems: dict[str, str] = {}

    def status(self) -> Status:
        """As of now. At most a few seconds, whatever is away."""
        self._problems = {}
        now = database.utc_now()
        found = self._try("PostgreSQL", lambda: database.ask(now=now), DatabaseError, InterfaceError)
        exchange, postgres = found or (None, None)
        if postgres is not None and database.has_replica():
            postgres = self._with_replica(postgres)
        redis = self._try("Redis", self._ask_redis, *redis_url.ERRORS) if settings.REDIS_URL else None
        if not settings.REDIS_URL and (own := settings.DATA_DIR / OWN_REDIS).is_socket():
            self._problems["not asked"] = f"the Redis of this exchange, at REDIS_URL=unix://{own}?db=0"
        heard: list[vitals.Vitals] = []
        if redis is not None or not settings.REDIS_URL:
            heard = self._try("processes", lambda: vitals.read(now=time.time()), *redis_url.ERRORS) or []
        leader = next((each for each in heard if each.worker == "leads"), None)
        depths = [each.lane_depth for each in heard if each.lane_depth is not None]
        return Status(
            at=time_text(now),
            exchange=exchange,
            commits=[round(seconds * 1_000, 2) for seconds in leader.commits] if leader and leader.commits else None,
            lane_depth=sum(depths) if depths else None,
            processes=[_process(each) for each in heard],
            celery=self._celery(heard, redis),
            postgres=postgres,
            redis=redis,
            disk=self._try("disk", _disk, OSError),
            problems=self._problems,
        )

    def close(self) -> None:
        """Give the connections back."""
        if self._redis is not None:
            with contextlib.suppress(*redis_url.ERRORS):
                self._redis.close()

    def _try(self, part: str, ask: Callable[[], T], *errors: type[Exception]) -> T | None:
        try:
            return ask()
        except errors as error:
            self._problems[part] = " ".join(str(error).split())[:PROBLEM_LENGTH_MAX] or type(error).__name__
            return None

    def _with_replica(self, postgres: Postgres) -> Postgres:
        found = self._try("replica", database.ask_replica, DatabaseError, InterfaceError)
        if found is None:
            return postgres
        return Postgres(
            **{name: getattr(postgres, name) for name in postgres.__struct_fields__}
            | {"replicas": [*postgres.replicas, found]}
        )

    def _ask_redis(self) -> Redis:
        try:
            if self._redis is None:
                self._redis = redis_url.connect(
                    settings.REDIS_URL, socket_timeout=REDIS_SECONDS_MAX, socket_connect_timeout=REDIS_SECONDS_MAX
                )
            began = time.perf_counter()
            stream = self._redis.xlen(STREAM)
            milliseconds = (time.perf_counter() - began) * 1_000
            info = self._redis.info()
        except redis_url.ERRORS:
            self._redis = None
            raise
        if "redis_version" not in info:  # a Cluster: by node
            info = next(iter(info.values()))
        return Redis(
            version=info["redis_version"],
            kind=redis_url.parse(settings.REDIS_URL).kind,
            memory=info["used_memory"],
            clients=info["connected_clients"],
            stream=stream,
            milliseconds=round(milliseconds, 2),
        )

    def _ask_broker(self) -> int | None:
        """None where Celery has never run: its files have no folder."""
        try:
            return self._queue()
        except FileNotFoundError:
            return None

    def _celery(self, heard: list[vitals.Vitals], redis: Redis | None) -> Celery:
        now = time.time()
        tasks = [each.task_at for each in heard if each.task_at is not None]
        ticks = [each.tick_at for each in heard if each.tick_at is not None]
        queue = None
        if redis is not None or not settings.REDIS_URL:
            queue = self._try("broker", self._ask_broker, KombuError, BrokerError, *redis_url.ERRORS)
        return Celery(
            queue=queue,
            task_seconds=round(max(0.0, now - max(tasks)), 1) if tasks else None,
            tick_seconds=round(max(0.0, now - max(ticks)), 1) if ticks else None,
        )


def _process(said: vitals.Vitals) -> Process:
    return Process(
        role=said.role,
        host=said.host,
        pid=said.pid,
        since=time_text(moment_of(int(said.started_at * 1_000_000))),
        silent_seconds=round(max(0.0, time.time() - said.at), 1),
        worker=said.worker,
        sequence=said.sequence,
        sockets=said.sockets,
        lane_depth=said.lane_depth,
    )


def _disk() -> Disk:
    """Where DATA_DIR is, or will be."""
    path = next(folder for folder in (settings.DATA_DIR, *settings.DATA_DIR.parents) if folder.is_dir())
    found = shutil.disk_usage(path)
    return Disk(path=str(path), free=found.free, size=found.total)
