"""What the filters above a list say, read from the address; a value that means nothing is no filter.

A list goes on at `cursor`, and its links keep the filters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TypedDict
from urllib.parse import urlencode

from marketdata.shapes import ID_MAX, microseconds_of

PAGE_ROWS = 50
YEARS = range(1970, 9000)

_CURSOR = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


class Bounds(TypedDict):
    """Microseconds since 1970, the end excluded; None: unbounded."""

    start: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class Dates:
    """From the UTC day `start` to the end of the UTC day `end`; None: unbounded."""

    start: date | None
    end: date | None

    @property
    def bounded(self) -> bool:
        """Whether there is any bound."""
        return bool(self.start or self.end)

    @property
    def bounds(self) -> Bounds:
        """`start` and `end` as the queries take them."""
        return Bounds(start=_midnight(self.start), end=_midnight(self._day_after))

    @property
    def parameters(self) -> dict[str, date | None]:
        """`start` and `end` as the API takes them, the end excluded."""
        return {"start": self.start, "end": self._day_after}

    @property
    def _day_after(self) -> date | None:
        return self.end and self.end + timedelta(days=1)


def choice(query: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str | None:
    """One of the choices, or None."""
    found = query.get(name)
    return found if found in choices else None


def dates(query: Mapping[str, str]) -> Dates:
    """`start` and `end`."""
    return Dates(_day(query.get("start", "")), _day(query.get("end", "")))


def cursor(query: Mapping[str, str]) -> int | None:
    """Where the list goes on: the id of the last row shown."""
    found = query.get("cursor", "")
    return min(int(found), ID_MAX) if _CURSOR.fullmatch(found) else None


def export_link(path: str, parameters: Mapping[str, object]) -> str:
    """The address of the CSV file at `path` with those parameters that are given."""
    given = {name: value for name, value in parameters.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.year in YEARS else None


def _midnight(day: date | None) -> int | None:
    return None if day is None else microseconds_of(datetime.combine(day, time(), UTC))
