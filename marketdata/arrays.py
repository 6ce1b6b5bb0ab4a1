"""PostgreSQL array literals for `unnest`: a whole batch of rows as one text parameter.

Rows go as an array of a composite type (migrations make one for each hot table): one function scan and one literal,
a third cheaper than an array a column, and far cheaper than adapting values one by one. Numbers go as they are (an
amount already bears its scale, see `scale.numeric_suffix`); text of unknown content is quoted and escaped.
"""

import re
from collections.abc import Iterable

_PLAIN = re.compile(r"[A-Za-z0-9_.:/+-]+", re.ASCII).fullmatch


def rows(literals: Iterable[str]) -> str:
    """An array of rows, each given as its fields joined by commas (an empty field is NULL)."""
    return '{"(' + ')","('.join(literals) + ')"}'


def field(value: str | None) -> str:
    """Any text as a field of a row; None is NULL."""
    if value is None:
        return ""
    if _PLAIN(value):
        return value
    inner = value.replace("\\", "\\\\").replace('"', '""')
    return '\\"' + inner.replace("\\", "\\\\").replace('"', '\\"') + '\\"'


def numbers(values: Iterable[int | None]) -> str:
    """An array of numbers; None is NULL."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def words(values: Iterable[str]) -> str:
    """An array of our own names (kinds, statuses): text without anything to escape, never NULL."""
    return "{" + ",".join(values) + "}"


def texts(values: Iterable[str]) -> str:
    """An array of any text, never NULL."""
    return "{" + ",".join(['"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values]) + "}"
