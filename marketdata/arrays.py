"""PostgreSQL array literals for `unnest`: whole columns as one text parameter, the fastest way into the database.

Numbers are joined as they are (an amount already bears its scale, see `scale.numeric_suffix`); text is quoted and
escaped.
"""

from collections.abc import Iterable


def numbers(values: Iterable[int | str | None]) -> str:
    """An array literal of numbers or numeric literals; None is NULL."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def words(values: Iterable[str]) -> str:
    """An array literal of our own names (sides, statuses): text without anything to escape, never NULL."""
    return "{" + ",".join(values) + "}"


def texts(values: Iterable[str | None]) -> str:
    """An array literal of any text; None is NULL."""
    return (
        "{"
        + ",".join(
            [
                "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
                for value in values
            ]
        )
        + "}"
    )


def flags(values: Iterable[bool]) -> str:
    """An array literal of booleans."""
    return "{" + ",".join(["t" if value else "f" for value in values]) + "}"
