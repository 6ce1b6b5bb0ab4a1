"""Reads that may come from a replica of the database (DATABASE_REPLICA_URL): the past, which does not change.

What a caller has just done has to be there when he looks, so the newest page of a list, balances and all that is about
now come from the primary. So does everything while the replica is away or too far behind.
"""

import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connections

from marketdata.shapes import Page

PRIMARY, REPLICA = "default", "replica"
LAG_SECONDS_MAX = 30.0
"""A replica that lacks a command older than this is not asked."""
PAST_SECONDS = 60.0
"""What ended so long ago, a replica that may be asked has."""
LOOK_SECONDS = 2.0
"""How often it is looked how far behind the replica is, and how long it is left alone after a failure."""

T = TypeVar("T")

_asked: ContextVar[str] = ContextVar("database that is asked", default=PRIMARY)
_usable = False
_looked_at = float("-inf")
_logger = logging.getLogger(__name__)


def alias() -> str:
    """The database that a read is to ask at this moment."""
    return _asked.get()


def read_past(read: Callable[[], T], *, holding: tuple[str, int] | None = None) -> T:
    """What `read` gives of the replica, or of the primary if that is not to be had.

    `holding`: a table and an id in it that the replica must have reached.
    """
    if REPLICA not in connections.settings or not _is_usable():
        return read()
    before = _asked.set(REPLICA)
    try:
        if holding is None or _holds(*holding):
            return read()
    except (OperationalError, InterfaceError) as error:
        _leave_alone(error)
    finally:
        _asked.reset(before)
    return read()


def read_on(query: Callable[..., Page[Any]], *, table: str, **arguments: Any) -> Page[Any]:
    """A page of a list of `table`, whose ids grow in the order of their commits: from the replica if it goes on.

    `arguments` are the query's; `before` or `after` is where the last page ended. A page with which the list ends as
    far as the replica knows is read from the primary.
    """

    def read() -> Page[Any]:
        return query(**arguments)

    after, before = arguments.get("after"), arguments.get("before")
    if before is not None:
        return read_past(read, holding=(table, before))
    if not after:
        return read()
    page = read_past(read)
    return page if page.next is not None else read()


class Export:
    """Reads that belong together: once the primary has answered one, so it does for all that follow.

    A replica that is behind would leave out what lies between.
    """

    def __init__(self) -> None:
        self._on_replica = True

    def read(self, read: Callable[[], T]) -> T:
        """The next of the reads."""
        if not self._on_replica:
            return read()

        def and_remember() -> T:
            found = read()
            self._on_replica = alias() == REPLICA
            return found

        return read_past(and_remember)


def _is_usable() -> bool:
    """Whether the replica is there and close enough, looked up now and then."""
    global _usable, _looked_at
    if time.monotonic() - _looked_at > LOOK_SECONDS:
        _looked_at = time.monotonic()
        try:
            lag = _lag_seconds()
        except (OperationalError, InterfaceError) as error:
            _leave_alone(error)
        else:
            usable = lag <= LAG_SECONDS_MAX
            if usable != _usable:
                level = logging.INFO if usable else logging.WARNING
                _logger.log(level, "The replica is %s: it is %.1f s behind.", "used" if usable else "not used", lag)
            _usable = usable
    return _usable


def _lag_seconds() -> float:
    """The age of the first command that the replica does not have."""
    with connections[REPLICA].cursor() as cursor:
        cursor.execute("SELECT sequence FROM matching_enginestate")
        (reached,) = cursor.fetchone()
    with connections[PRIMARY].cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM clock_timestamp() - received_at) FROM matching_journalentry WHERE sequence = %s",
            [reached + 1],
        )
        row = cursor.fetchone()
    return 0.0 if row is None else float(row[0])


def _holds(table: str, id_: int) -> bool:
    with connections[REPLICA].cursor() as cursor:
        cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {table} WHERE id >= %s)", [id_])  # noqa: S608 - our own tables
        return bool(cursor.fetchone()[0])


def _leave_alone(error: Exception) -> None:
    global _usable, _looked_at
    connections[REPLICA].close()
    if _usable:
        _logger.warning("The replica gives no answer, the primary does: %s", str(error).strip())
    _usable, _looked_at = False, time.monotonic()
