"""What the filters above a list say, read from the address; a value that means nothing is no filter.

A list goes on at `cursor`, and its links keep the filters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from marketdata.shapes import ID_MAX
from trading.pages.moments import Between, List, between

PAGE_ROWS = 50

_CURSOR = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_SYMBOL = re.compile(r"[A-Z0-9]{1,16}(-[A-Z0-9]{1,16})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Dates:
    """From the UTC day `start` to the end of the UTC day `end`; None: unbounded."""

    start: date | None
    end: date | None

    @property
    def bounded(self) -> bool:
        """Whether there is any bound."""
        return bool(self.start or self.end)

    def ids(self, *, rows: List, cursor: int | None) -> Between:
        """The ids between these dates that come after the cursor in a list, newest first."""
        found = between(rows=rows, start=self.start, end=self.end)
        return Between(found.first, min(found.end, cursor or ID_MAX))


def choice(query: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str | None:
    """One of the choices, or None."""
    found = query.get(name)
    return found if found in choices else None


def symbol(query: Mapping[str, str], name: str, known: list[str]) -> str | None:
    """The symbol of a known asset or market, or None."""
    found = query.get(name, "")
    return found if _SYMBOL.fullmatch(found) and found in known else None


def dates(query: Mapping[str, str]) -> Dates:
    """`start` and `end`."""
    return Dates(_day(query.get("start", "")), _day(query.get("end", "")))


def cursor(query: Mapping[str, str]) -> int | None:
    """Where the list goes on: the id of the last row shown."""
    found = query.get("cursor", "")
    return min(int(found), ID_MAX) if _CURSOR.fullmatch(found) else None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
