"""Logs database queries that take long (SLOW_QUERY_MS): their SQL, never the values of their parameters.

Django's connections are watched by `watch_django`, our own by the cursor class `TimedCursor`. The worker's batches have
a log of their own (matching/instruments.py).
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import psycopg
from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg import sql

SQL_CHARACTERS = 2_000

logger = logging.getLogger(__name__)


def watch_django() -> None:
    """Time the queries of every connection that Django opens from now on."""
    connection_created.connect(_watch, dispatch_uid="slow queries")


def _watch(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    if _timed not in connection.execute_wrappers:  # it stays when the connection is opened again
        connection.execute_wrappers.append(_timed)


def _timed(execute: Callable[..., Any], query: str, parameters: Any, many: bool, context: dict[str, Any]) -> Any:
    began = time.perf_counter()
    try:
        return execute(query, parameters, many, context)
    finally:
        _note(query, time.perf_counter() - began)


class TimedCursor(psycopg.Cursor[Any]):
    """psycopg's cursor, timed: for `connect(cursor_factory=TimedCursor)`."""

    def execute(self, query: Any, *args: Any, **options: Any) -> "TimedCursor":
        """As psycopg's."""
        began = time.perf_counter()
        try:
            super().execute(query, *args, **options)
        finally:
            _note(query, time.perf_counter() - began)
        return self


def _note(query: object, seconds: float) -> None:
    if seconds * 1000 >= settings.SLOW_QUERY_MS:
        text = query.as_string() if isinstance(query, sql.Composable) else str(query)
        logger.warning("Slow query: %.0f ms: %s", seconds * 1000, " ".join(text.split())[:SQL_CHARACTERS])
