"""Celery's processes: their tasks are counted, and the process that Prometheus asks listens on METRICS_PORT."""

import threading
import time
from typing import Any

from celery import signals

from matching import exposition
from trading.metrics import instruments

_running = threading.local()
_listening = threading.Lock()
_listens = False


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


def _listen() -> None:
    """Once, also where a worker has a beat in another thread."""
    global _listens
    from trading.metrics import shared  # it needs the models, and what counts the tasks

    with _listening:
        if not _listens:
            _listens = True
            shared.register()
            exposition.listen()


def _began(**_: Any) -> None:
    _running.since = time.perf_counter()


def _ended(*, task: Any, state: str | None = None, **_: Any) -> None:
    instruments.TASKS.labels(task.name, "succeeded" if state == "SUCCESS" else "failed").inc()
    instruments.TASK_SECONDS.labels(task.name).observe(time.perf_counter() - _running.since)
