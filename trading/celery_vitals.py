"""Celery's worker and beat say how they are: when a task ended last, and when beat sent one."""

import time
from typing import Any

from celery import signals

from matching import vitals
from trading import logs

_last: dict[str, float] = {}
_begun = False


def connect() -> None:
    """Speak from the moment at which Celery starts in this process."""
    signals.celeryd_init.connect(_begin, weak=False)
    signals.beat_init.connect(_begin, weak=False)
    signals.beat_embedded_init.connect(_begin, weak=False)
    signals.task_postrun.connect(_task_ended, weak=False)
    signals.after_task_publish.connect(_task_sent, weak=False)


def _begin(**_: Any) -> None:
    """Once, also where a worker has a beat in another thread."""
    global _begun
    if not _begun:
        _begun = True
        vitals.tell(role=logs.ROLE, facts=lambda: dict(_last))


def _task_ended(**_: Any) -> None:
    _last["task_at"] = time.time()


def _task_sent(**_: Any) -> None:
    _last["tick_at"] = time.time()
