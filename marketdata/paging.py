"""Which rows of a history one page shows: from a cursor on, newest or oldest first, within a time, a bounded scan.

Ids only grow with time (no command is received before the one before it), so a moment is a place among the ids, found
by a binary search on the primary key; no history needs an index on its times.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import connections

from marketdata import replica
from marketdata.shapes import ID_MAX, Page, page_of
from marketdata.store import EPOCH

SCAN_MAX = 10_000
"""Rows that one page looks at, at most, for those that fit its filters."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAsked:
    """Up to `limit` rows: newest first, those with an id below `before`; or with `after`, oldest first, those above it.

    `start` and `end` (microseconds since 1970): only rows from then on, only rows before then.
    """

    limit: int
    before: int | None = None
    after: int | None = None
    start: int | None = None
    end: int | None = None


class Paging(Generic[T]):
    """The SQL of a page of `table`, in the order of its ids; `time` is the column that grows with them."""

    def __init__(self, *, table: str, time: str, asked: PageAsked) -> None:
        self._limit = asked.limit
        self._oldest_first = asked.after is not None
        self.order = f"ORDER BY id {'ASC' if self._oldest_first else 'DESC'}"
        self.arguments = {
            "limit": asked.limit,
            "before": min(asked.before or ID_MAX, ID_MAX),
            "after": asked.after or 0,
            "start": asked.start,
            "end": asked.end,
        }
        self.conditions = ["id > %(after)s" if self._oldest_first else "id < %(before)s"]
        self.conditions += [f"id >= {_first_id(table, time, 'start')}"] if asked.start is not None else []
        self.conditions += [f"id < {_first_id(table, time, 'end')}"] if asked.end is not None else []
        self._stopped: int | None = None

    def order_of(self, alias: str) -> str:
        """SQL for the same order of a joined table."""
        return self.order.replace("BY id", f"BY {alias}.id")

    def stop(self, *, ids: list[str], arguments: dict[str, Any]) -> list[str]:
        """SQL's condition that keeps the page from going further than `floor_of` says, for filters without an index."""
        found = floor_of(ids=ids, arguments=self.arguments | arguments, order=self.order)
        if found is not None:
            self._stopped = found - 1 if self._oldest_first else found + 1
        return [] if self._stopped is None else [f"id {'<=' if self._oldest_first else '>='} {self._stopped}"]

    def page(self, *, rows: list[T], ids: list[int]) -> Page[T]:
        """The page of up to `limit` + 1 rows read; `ids` are theirs. Its cursor is the last id shown or looked at."""
        page = page_of(rows=rows, ids=ids, limit=self._limit)
        return page if page.next or self._stopped is None else Page(rows, str(self._stopped))


def rows_of(*, sql: str, arguments: dict[str, Any]) -> list[tuple[Any, ...]]:
    """All rows of one SELECT with named placeholders."""
    with connections[replica.alias()].cursor() as cursor:
        cursor.execute(sql, arguments)
        return list(cursor.fetchall())


def floor_of(*, ids: list[str], arguments: dict[str, Any], order: str = "ORDER BY id DESC") -> int | None:
    """How far one page may look for rows that fit its filters: the id after SCAN_MAX others, None: they end before.

    `ids`: SELECTs of the ids to look at, on an index each. So a page costs the same however long the history is.
    """
    parts = " UNION ALL ".join(f"({select} {order} LIMIT {SCAN_MAX} + 1)" for select in ids)
    sql = f"SELECT id FROM ({parts}) seen {order} OFFSET {SCAN_MAX} LIMIT 1"  # noqa: S608
    found = rows_of(sql=sql, arguments=arguments)
    return found[0][0] if found else None


def _first_id(table: str, time: str, name: str) -> str:
    """SQL for the first id of `table` at the moment of a named argument or later (ID_MAX: there is none yet)."""
    return f"""(
        WITH RECURSIVE search (low, high) AS (
            SELECT 0::bigint, coalesce(max(id), 0) + 1 FROM {table}
            UNION ALL
            SELECT CASE WHEN early THEN id + 1 ELSE low END, CASE WHEN early THEN high ELSE middle END
            FROM search, LATERAL (SELECT (low + high) / 2 AS middle) half, LATERAL (
                SELECT id, {time} < {EPOCH.replace("%s", f"%({name})s")} AS early FROM {table}
                WHERE id >= middle ORDER BY id LIMIT 1) found
            WHERE low < high)
        SELECT low FROM search WHERE low >= high)"""  # noqa: S608
