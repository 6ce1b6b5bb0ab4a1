"""The Celery tasks and when beat sends them. Each does what is due by the database, for about a second at most."""

import logging
import threading

from matching.follower import Following
from trading.celery import app
from trading.consumers import CONSUMERS

FOLLOW_SECONDS = 0.8

_following = Following(makers=CONSUMERS)
_following_mutex = threading.Lock()
_logger = logging.getLogger(__name__)


@app.task
def follow() -> None:
    """Hand what is new in the journal to surveillance, notifications and the fee books."""
    if _following_mutex.acquire(blocking=False):
        try:
            _following.run(seconds=FOLLOW_SECONDS)
        finally:
            _following_mutex.release()


def _every(seconds: float, task: object) -> dict[str, object]:
    """An entry of the schedule; a message that nobody took in time is dropped."""
    return {"task": task.name, "schedule": seconds, "options": {"expires": max(5.0, seconds)}}  # type: ignore[attr-defined]


app.conf.beat_schedule = {
    "follow": _every(1.0, follow),
}
