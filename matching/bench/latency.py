"""How long an order takes at a constant 1,000 a second, durable when it is answered, counted from when it was due.

Once with the data on the disk, between two runs of `pgbench -N -c 8 -R 1000` on the same PostgreSQL, whose percentiles
are the yardstick (disks have good and bad minutes), and once on a RAM disk, which leaves only our own time.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matching.bench import report, requests, scratch
from matching.bench.open_loop import Outcome
from matching.bench.order_entry import ACCOUNTS, RESTING
from matching.bench.report import Row
from matching.bench.requests import OpenFloor

CONNECTIONS = 64
PGBENCH_CLIENTS = 8
WARM_UP_SECONDS = 3
PERCENTS = (50, 99, 99.9)
RAM_DISK_MS: dict[float, float] = {50: 4, 99: 12}


def measure(*, disk: Path, seconds: int, rate: int, pgbench_scale: int) -> Iterator[Row]:
    """The rows of latency, RAM disk first."""
    with scratch.folder(parent=scratch.RAM_DISK) as data_dir, scratch.Server(data_dir=data_dir) as server:
        outcome = _orders(server, _open_floor(data_dir), seconds=seconds, rate=rate)
        found = sorted(outcome.latencies)
        for percent in PERCENTS:
            figure = report.percentile(values=found, percent=percent)
            yield report.bounded_row(
                what=f"{rate:,} orders/s, RAM disk, p{percent:g}",
                below=RAM_DISK_MS.get(percent),
                **_fields(figure, outcome, percent),
            )
    with scratch.folder(parent=disk) as data_dir, scratch.Server(data_dir=data_dir) as server:
        scratch.run_part("pgbench_prepare", data_dir=data_dir, returning=type(None), scale=pgbench_scale)
        opened = _open_floor(data_dir)
        transactions = _pgbench(data_dir, seconds=seconds, rate=rate)
        outcome = _orders(server, opened, seconds=seconds, rate=rate)
        transactions = sorted(transactions + _pgbench(data_dir, seconds=seconds, rate=rate))
        found = sorted(outcome.latencies)
        for percent in PERCENTS:
            figure = report.percentile(values=found, percent=percent)
            yield report.bounded_row(
                what=f"{rate:,} orders/s, disk, p{percent:g}",
                yardstick=f"pgbench -N -c {PGBENCH_CLIENTS} -R {rate}, p{percent:g}",
                yardstick_figure=report.percentile(values=transactions, percent=percent),
                ratio_at_most=1 if percent in RAM_DISK_MS else None,
                **_fields(figure, outcome, percent),
            )


def _fields(figure: float, outcome: Outcome, percent: float) -> dict[str, Any]:
    late = f"{len(outcome.latencies):,} orders, {outcome.sent_late} sent more than 1 ms late"
    return {"group": "latency", "figure": figure, "unit": "ms", "note": late if percent == PERCENTS[0] else ""}


def _open_floor(data_dir: Path) -> OpenFloor:
    return scratch.run_part("open_floor", data_dir=data_dir, returning=OpenFloor, accounts=ACCOUNTS, resting=RESTING)


def _orders(server: scratch.Server, opened: OpenFloor, *, seconds: int, rate: int) -> Outcome:
    """The load against a server; PartFailed unless every order was answered 201 and is in the database."""
    path, count = server.data_dir / "latency.requests", (WARM_UP_SECONDS + seconds) * rate
    requests.write_file(path=path, opened=opened, count=count, name="latency")
    outcome = scratch.run_module(
        "matching.bench.open_loop", server.port, path, rate, CONNECTIONS, WARM_UP_SECONDS * rate, returning=Outcome
    )
    placed, rejected, _ = scratch.run_part(
        "count_orders", data_dir=server.data_dir, returning=tuple[int, int, int], name="latency"
    )
    if outcome.refused or rejected or placed != count:
        raise scratch.PartFailed(f"latency: {outcome.refused} not 201, {placed} placed, {rejected} rejected of {count}")
    return outcome


def _pgbench(data_dir: Path, *, seconds: int, rate: int) -> list[float]:
    return scratch.run_part(
        "pgbench_latencies", data_dir=data_dir, returning=list[float],
        clients=PGBENCH_CLIENTS, rate=rate, seconds=seconds,
    )  # fmt: skip
