"""Is the process alive, and may it be sent orders: `/healthz` and `/readyz`, for people and load balancers."""

from dataclasses import dataclass

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from matching import worker
from matching.redis_lane import RedisLane


@dataclass(frozen=True, slots=True)
class Readiness:
    """Each check's name with "ok" or what is wrong, and the sequence number of the last applied command."""

    checks: dict[str, str]
    sequence: int | None

    @property
    def ready(self) -> bool:
        """True when every check is ok."""
        return all(result == "ok" for result in self.checks.values())


_draining = False


def start_draining() -> None:
    """From now on this process is not ready, whatever else it finds: it is about to stop."""
    global _draining
    _draining = True


def is_draining() -> bool:
    """Whether this process is about to stop."""
    return _draining


def readiness() -> Readiness:
    """Ask the database, and the matching worker: that of this process, or the one that is heard through Redis."""
    checks = {"database": _database_check()}
    if _draining:
        checks["server"] = "draining"
    lane = worker.order_lane()
    if isinstance(lane, RedisLane):
        checks["redis"] = "ok" if lane.connected else "unreachable"
        checks["worker"] = "ok" if lane.available else "no leader is heard"
        checks["books"] = "ok" if lane.available else "not loaded"
        return Readiness(checks=checks, sequence=None if lane.heard is None else lane.heard.sequence)
    status = worker.status()
    checks["worker"] = "ok" if status.alive else "not running"
    checks["books"] = "ok" if status.books_loaded else "not loaded"
    return Readiness(checks=checks, sequence=status.sequence)


def _database_check() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "unreachable"
    finally:
        connection.close()
    return "ok"


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers at all."""
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when orders can be taken, else 503; the body names every check and what it found."""
    found = readiness()
    body = {"ready": found.ready, "checks": found.checks, "sequence": found.sequence}
    return JsonResponse(body, status=200 if found.ready else 503)
