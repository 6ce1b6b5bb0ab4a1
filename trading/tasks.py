"""The Celery tasks and when beat sends them. Each does what is due by the database, for about a second at most."""

import threading

from django.utils import timezone

from matching.follower import Following
from notifications.delivery import deliver_due
from notifications.upkeep import tidy
from trading.books.promotions import run_due_promotions
from trading.celery import app
from trading.consumers import CONSUMERS
from trading.watch.consumer import settings_of_detectors

FOLLOW_SECONDS = 0.8

_following = Following(makers=CONSUMERS)
_following_mutex = threading.Lock()
_delivering_mutex = threading.Lock()
_values: dict[str, dict[str, float]] = {}


@app.task
def follow() -> None:
    """Hand what is new in the journal to surveillance, notifications and the fee books."""
    if _following_mutex.acquire(blocking=False):
        try:
            _begin_anew_after_changes()
            _following.run(seconds=FOLLOW_SECONDS)
        finally:
            _following_mutex.release()


@app.task
def run_promotions() -> None:
    """Start and end the promotions that are due."""
    run_due_promotions(now=timezone.now())


def _begin_anew_after_changes() -> None:
    """Detectors take their parameters when they are made: changed ones make all consumers begin anew."""
    global _values
    values = settings_of_detectors()
    if values != _values:
        _values = values
        _following.close()


@app.task
def deliver() -> None:
    """Send what notifications have in the outbox."""
    if _delivering_mutex.acquire(blocking=False):
        try:
            deliver_due()
        finally:
            _delivering_mutex.release()


@app.task
def tidy_notifications() -> None:
    """Forget old notifications, and give up webhooks that too much waits for."""
    tidy(now=timezone.now())


def _every(seconds: float, task: object) -> dict[str, object]:
    """An entry of the schedule; a message that nobody took in time is dropped."""
    return {"task": task.name, "schedule": seconds, "options": {"expires": max(5.0, seconds)}}  # type: ignore[attr-defined]


app.conf.beat_schedule = {
    "follow": _every(1.0, follow),
    "deliver": _every(1.0, deliver),
    "tidy-notifications": _every(60.0, tidy_notifications),
    "run_promotions": _every(1.0, run_promotions),
}
