"""Whole histories as CSV files, streamed: read page by page, each in a short transaction of its own.

So memory stays flat, a slow reader keeps no snapshot of the database alive (behind which PostgreSQL could not clean up
what the worker leaves), and a few threads bound what all exports together can ask for. The answer's iterator is
asynchronous: of a synchronous one the ASGI server would collect everything first.
"""

import asyncio
import csv
import dataclasses
import io
import re
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections
from django.http import StreamingHttpResponse

from marketdata.shapes import Page

PAGE_ROWS = 1_000
READERS_MAX = 2

_READERS = ThreadPoolExecutor(max_workers=READERS_MAX, thread_name_prefix="export")
_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)

Read = Callable[[int | None], Page[Any]]
"""Reads the page of up to PAGE_ROWS rows beyond a cursor, None: the first one."""


def csv_response(*, filename: str, columns: type, read: Read) -> StreamingHttpResponse:
    """Everything that `read` gives, page after page, as a CSV file (RFC 4180, UTF-8) with a header row.

    `columns` is the dataclass of a row: its fields are the columns, under the names they have in JSON. The first page
    is read at once, so that what is wrong with the request is an answer of its own; what fails later breaks off the
    connection.
    """
    names = [each.name for each in dataclasses.fields(columns)]
    return StreamingHttpResponse(
        _chunks(names, read(None), read),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )


async def _chunks(names: list[str], page: Page[Any], read: Read) -> AsyncIterator[bytes]:
    yield _lines([names])
    while True:
        yield _lines([getattr(row, name) for name in names] for row in page.results)
        if page.next is None:
            return
        page = await asyncio.get_running_loop().run_in_executor(_READERS, _read_apart, read, int(page.next))


def _read_apart(read: Read, cursor: int) -> Page[Any]:
    """Read in a thread of ours: a connection is kept by nobody."""
    try:
        return read(cursor)
    finally:
        connections.close_all()


def _lines(rows: Iterable[list[Any]]) -> bytes:
    output = io.StringIO()
    csv.writer(output).writerows([cell(value) for value in row] for row in rows)
    return output.getvalue().encode()


def cell(value: str | int | bool | None) -> str:
    """A value as a spreadsheet's cell. Text that would be taken for a formula gets an apostrophe before it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
