"""Databases of a test's own, each a copy of one that is ready: about a tenth of a second instead of all migrations.

The worker commits from threads with connections of their own, and the journal, the entries and the trades refuse
TRUNCATE: neither a transaction around the test nor a flush after it would do. So a test that runs the real worker gets
a database for itself, and the whole process looks at that one for so long (fixture `fresh_database`).
"""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections
from psycopg import sql


@contextlib.contextmanager
def copied_database(*, source: str) -> Iterator[str]:
    """A copy of the database `source`, to which nobody may be connected.

    Dropped at the end on a server that outlives the tests; the run's own server saves the seconds that takes.
    """
    name = f"test_bourse_{uuid.uuid4().hex[:12]}"
    with _maintenance() as connection:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(source)))
    try:
        yield name
    finally:
        if settings.DATABASE_URL:
            with _maintenance() as connection:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def default_database(*, name: str) -> Iterator[None]:
    """Make `name` the default database of this process, in every thread that connects from now on."""
    connections.close_all()
    before = settings.DATABASES["default"]["NAME"]
    settings.DATABASES["default"]["NAME"] = name
    try:
        yield
    finally:
        connections.close_all()
        settings.DATABASES["default"]["NAME"] = before


def _maintenance() -> psycopg.Connection[Any]:
    return _connect("postgres")


def _connect(name: str) -> psycopg.Connection[Any]:
    parameters = connections["default"].get_connection_params()
    for option in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(option, None)
    return psycopg.connect(**(parameters | {"dbname": name}), autocommit=True)
