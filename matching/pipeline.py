"""Many prepared statements in one transaction and one round trip, straight on libpq.

psycopg's own pipeline mode does the same for 40 to 60 microseconds a statement, spent under the interpreter lock; a
batch of one order is eight statements. This does it for a few: parameters are text already, statements are prepared
once a connection, and the only wait is a poll that lets other threads run.
"""

import select
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import errors, pq
from psycopg.pq import ExecStatus

BEGIN = "BEGIN"
COMMIT = "COMMIT"

Statement = tuple[str, Sequence[Any]]
"""SQL with %s placeholders, and its parameters: None, text, numbers, booleans."""


class Pipeline:
    """Transactions on one connection that is used for nothing else from now on."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        assert connection.autocommit
        self._connection = connection
        self._pgconn: Any = connection.pgconn
        self._names: dict[str, bytes] = {}
        self._poll = select.poll()
        self._poll.register(self._pgconn.socket, select.POLLIN)
        self._pgconn.nonblocking = 1
        self._pgconn.enter_pipeline_mode()

    def run(self, statements: Sequence[Statement]) -> None:
        """Run the statements as one transaction. Raises psycopg.Error, after which it does not hold, unless the
        connection was lost (psycopg.OperationalError) while the commit was under way: then nobody can know.
        """
        pgconn = self._pgconn
        try:
            sent = self._send(BEGIN, ())
            for sql, parameters in statements:
                sent += self._send(sql, parameters)
            sent += self._send(COMMIT, ())
            pgconn.pipeline_sync()
            self._flush()
            self._fetch(sent)
        except psycopg.Error:
            self._names.clear()  # what was being prepared may not be
            raise

    def _send(self, sql: str, parameters: Sequence[Any]) -> int:
        """Queue one statement, preparing it first if it is new; returns how many results it will have."""
        results = 1
        name = self._names.get(sql)
        if name is None:
            name = self._names[sql] = f"bourse_{len(self._names)}".encode()
            self._pgconn.send_prepare(name, _numbered(sql))
            results = 2
        self._pgconn.send_query_prepared(name, [_text(value) for value in parameters])
        return results

    def _flush(self) -> None:
        """Write everything out, reading what comes meanwhile so that neither side waits for the other."""
        pgconn = self._pgconn
        while pgconn.flush():
            self._poll.modify(pgconn.socket, select.POLLIN | select.POLLOUT)
            ready = self._poll.poll()
            self._poll.modify(pgconn.socket, select.POLLIN)
            if any(events & ~select.POLLOUT for _, events in ready):
                pgconn.consume_input()

    def _fetch(self, expected: int) -> None:
        """Read every result up to the sync, then raise the first error among them."""
        failed: pq.abc.PGresult | None = None
        while True:
            result = self._next_result()
            if result is None:
                continue
            if result.status == ExecStatus.PIPELINE_SYNC:
                break
            if result.status == ExecStatus.FATAL_ERROR and failed is None:
                failed = result
            expected -= 1
        if failed is not None:
            raise errors.error_from_result(failed)
        assert expected == 0, "a statement gave another number of results than one"

    def _next_result(self) -> Any:
        """The next result, None at the end of a statement's results; waits without holding the interpreter lock."""
        pgconn = self._pgconn
        while pgconn.is_busy():
            self._poll.poll()
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None and pgconn.status == pq.ConnStatus.BAD:
            raise psycopg.OperationalError("the connection to the database was lost")
        return result


def _numbered(sql: str) -> bytes:
    """PostgreSQL's $1, $2, ... for %s."""
    parts = sql.split("%s")
    return (parts[0] + "".join(f"${number}{part}" for number, part in enumerate(parts[1:], start=1))).encode()


def _text(value: Any) -> bytes | None:
    if value is None:
        return None
    return str(value).encode()
