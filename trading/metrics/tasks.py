"""Celery's processes: their tasks are counted, and the process that Prometheus asks listens on METRICS_PORT."""

import functools
import threading
import time
from typing import Any

from celery import signals

from matching import exposition
from trading.metrics import instruments

_running = threading.local()


def connect() -> None:
    """Count the tasks of this process, or of the pool it will start, and listen when Celery starts."""
    signals.task_prerun.connect(_began, weak=False)
    signals.task_postrun.connect(_ended, weak=False)
    signals.celeryd_init.connect(_worker_starts, weak=False)
    signals.beat_init.connect(_beat_starts, weak=False)


def _worker_starts(**_: Any) -> None:
    exposition.forget_other_processes()
    _listen()


def _beat_starts(**_: Any) -> None:
    _listen()


@functools.cache  # a worker may have a beat inside
def _listen() -> None:
    from trading.metrics import shared  # it needs the models, and what counts the tasks

    shared.register()
    exposition.listen()


def _began(**_: Any) -> None:
    _running.since = time.perf_counter()


def _ended(*, task: Any, state: str | None = None, **_: Any) -> None:
    instruments.TASKS.labels(task.name, "succeeded" if state == "SUCCESS" else "failed").inc()
    instruments.TASK_SECONDS.labels(task.name).observe(time.perf_counter() - _running.since)
