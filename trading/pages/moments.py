"""Dates as places in a list: ids grow with time, so a list between two dates is a list between two ids.

Finding the id costs about forty look-ups on the primary key, however long the list is.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from marketdata.queries import rows_of
from marketdata.shapes import ID_MAX

List = Literal["orders_order", "risk_entry", "marketdata_trade"]

_TIME_COLUMN: dict[List, str] = {
    "orders_order": "created_at",
    "risk_entry": "posted_at",
    "marketdata_trade": "executed_at",
}


@dataclass(frozen=True, slots=True)
class Between:
    """Ids from `first` up to, not including, `end`."""

    first: int
    end: int


def between(*, rows: List, start: date | None, end: date | None) -> Between:
    """The ids of the rows from the UTC day `start` to the end of the UTC day `end`; None: unbounded."""
    return Between(
        1 if start is None else _first_id(rows, _midnight(start)),
        ID_MAX if end is None else _first_id(rows, _midnight(end) + timedelta(days=1)),
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _first_id(rows: List, moment: datetime) -> int:
    """The smallest id that no earlier row of the whole table reaches; bisection over the ids."""
    column = _TIME_COLUMN[rows]
    ((low, high),) = rows_of(sql=f"SELECT 1, coalesce(max(id), 0) + 1 FROM {rows}", arguments={})  # noqa: S608
    probe = f"SELECT id, {column} FROM {rows} WHERE id >= %(id)s ORDER BY id LIMIT 1"  # noqa: S608
    while low < high:
        middle = (low + high) // 2
        found = rows_of(sql=probe, arguments={"id": middle})
        if not found or found[0][1] >= moment:
            high = middle
        else:
            low = found[0][0] + 1
    return int(low)
