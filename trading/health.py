"""Is the process alive, and may it be sent orders: `/healthz` and `/readyz`, for people and load balancers."""

import importlib
import importlib.util
from dataclasses import dataclass

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@dataclass(frozen=True, slots=True)
class Readiness:
    """Each check's name with "ok" or what is wrong, and the sequence number of the last applied command."""

    checks: dict[str, str]
    sequence: int | None

    @property
    def ready(self) -> bool:
        """True when every check is ok."""
        return all(result == "ok" for result in self.checks.values())


def readiness() -> Readiness:
    """Ask the database and the matching worker of this process."""
    checks = {"database": _database_check()}
    if importlib.util.find_spec("matching.worker") is None:
        return Readiness(checks={**checks, "worker": "absent", "books": "not loaded"}, sequence=None)
    status = importlib.import_module("matching.worker").status()
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
