"""The rows of the benchmark and the one table they make.

A row has a figure and, measured in the same run, a yardstick, so that a slow machine or a noisy hour can be told from
slow code. Parts run in processes of their own and hand their rows over as one line of JSON.
"""

import gc
import io
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from matching.session import GC_THRESHOLDS

SECONDS_PER_NANOSECOND = 1e-9


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table. `required` says in words what `ok` was checked against; `ok` None: nothing is required."""

    group: str
    what: str
    figure: float
    unit: str
    yardstick: str = ""
    yardstick_figure: float | None = None
    required: str = ""
    ok: bool | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The figure in terms of its yardstick."""
        return None if not self.yardstick_figure else self.figure / self.yardstick_figure


class Missing(Exception):
    """Something that a group of rows cannot do without is not there; the text says what and how to get it."""


def rate_row(*, at_least: float | None, ratio_at_least: float | None = None, **fields: Any) -> Row:
    """A row whose figure (per second) must reach `at_least`, and `ratio_at_least` times its yardstick."""
    row = Row(**fields)
    demands: list[str] = []
    met = True
    if at_least is not None:
        demands.append(f">= {at_least:,.0f}")
        met = met and row.figure >= at_least
    if ratio_at_least is not None:
        demands.append(f"ratio >= {ratio_at_least:g}")
        met = met and row.ratio is not None and row.ratio >= ratio_at_least
    return msgspec.structs.replace(row, required=", ".join(demands), ok=met if demands else None)


def bounded_row(*, below: float | None = None, ratio_at_most: float | None = None, **fields: Any) -> Row:
    """A row whose figure (a time) must stay below `below`, or within `ratio_at_most` times its yardstick."""
    row = Row(**fields)
    demands: list[str] = []
    met = True
    if below is not None:
        demands.append(f"< {below:g} {row.unit}")
        met = met and row.figure < below
    if ratio_at_most is not None:
        demands.append(f"ratio <= {ratio_at_most:g}")
        met = met and row.ratio is not None and row.ratio <= ratio_at_most
    return msgspec.structs.replace(row, required=", ".join(demands), ok=met if demands else None)


def unjudged(row: Row) -> Row:
    """The row of a run that is too short to be held against anybody."""
    return msgspec.structs.replace(row, ok=None)


def missed(rows: list[Row]) -> list[Row]:
    """The rows whose required figure was not reached."""
    return [row for row in rows if row.ok is False]


def percentile(*, values: list[float], percent: float) -> float:
    """The value that `percent` % of the sorted `values` do not exceed."""
    assert values
    return values[min(len(values) - 1, int(len(values) * percent / 100))]


def median(values: list[float]) -> float:
    """The middle one of some repeated measurements."""
    return percentile(values=sorted(values), percent=50)


def timed(work: Callable[[], object]) -> float:
    """How long `work` takes, in seconds, with the garbage collector as the worker has it once its books are loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    began = time.perf_counter_ns()
    work()
    took = (time.perf_counter_ns() - began) * SECONDS_PER_NANOSECOND
    gc.unfreeze()
    return took


def hand_over(rows: list[Row]) -> None:
    """Print rows for the process that asked for them."""
    sys.stdout.write(msgspec.json.encode(rows).decode() + "\n")


def machine(*, disk: Path) -> dict[str, Any]:
    """What the figures were measured on, and how busy it was."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cores": os.cpu_count(),
        "processor": model,
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "disk": str(disk),
    }


def machine_text(found: dict[str, Any]) -> str:
    """The machine in one line."""
    load = " ".join(f"{value:.2f}" for value in found["load_average"])
    return (
        f"{found['cores']} cores ({found['processor']}), load average {load}, Python {found['python']}, "
        f"disk {found['disk']}"
    )


def table_text(*, rows: list[Row], width: int) -> str:
    """All rows, a rule between the groups, the notes below; at most `width` columns wide."""
    table = Table(title="Bourse bench", title_justify="left", expand=False)
    for name in ("what", "figure", "yardstick", "its figure", "ratio", "required", ""):
        table.add_column(name, justify="right" if name in ("figure", "its figure", "ratio") else "left")
    group = rows[0].group if rows else ""
    for row in rows:
        if row.group != group:
            group = row.group
            table.add_section()
        table.add_row(
            f"{row.group}: {row.what}",
            f"{_number(row.figure)} {row.unit}",
            row.yardstick,
            "" if row.yardstick_figure is None else f"{_number(row.yardstick_figure)} {row.unit}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            row.required,
            {None: "", True: "ok", False: "NOT MET"}[row.ok],
        )
    output = io.StringIO()
    Console(file=output, width=width).print(table)
    notes = [f"  {row.group}: {row.what}: {row.note}\n" for row in rows if row.note]
    return output.getvalue() + "".join(notes)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
