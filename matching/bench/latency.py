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
        outcome = run_orders(server, open_floor(data_dir), seconds=seconds, rate=rate)
        found = sorted(outcome.latencies)
        for percent in PERCENTS:
            figure = report.percentile(values=found, percent=percent)
            yield report.bounded_row(
                what=f"{rate:,} orders/s, RAM disk, p{percent:g}",
                below=RAM_DISK_MS.get(percent),
                **fields(figure, outcome, percent),
            )
    with scratch.folder(parent=disk) as data_dir, scratch.Server(data_dir=data_dir) as server:
        scratch.run_part("pgbench_prepare", data_dir=data_dir, returning=type(None), scale=pgbench_scale)
        opened = open_floor(data_dir)
        transactions = run_pgbench(data_dir, seconds=seconds, rate=rate)
        outcome = run_orders(server, opened, seconds=seconds, rate=rate)
        transactions = sorted(transactions + run_pgbench(data_dir, seconds=seconds, rate=rate))
        found = sorted(outcome.latencies)
        for percent in PERCENTS:
            figure = report.percentile(values=found, percent=percent)
            yield report.bounded_row(
                what=f"{rate:,} orders/s, disk, p{percent:g}",
                yardstick=f"pgbench -N -c {PGBENCH_CLIENTS} -R {rate}, p{percent:g}",
                yardstick_figure=report.percentile(values=transactions, percent=percent),
                ratio_at_most=1 if percent in RAM_DISK_MS else None,
                **fields(figure, outcome, percent),
            )


def fields(figure: float, outcome: Outcome, percent: float) -> dict[str, Any]:
    """What the rows of latency have in common."""
    late = f"{len(outcome.latencies):,} orders, {outcome.sent_late} sent more than 1 ms late"
    return {"group": "latency", "figure": figure, "unit": "ms", "note": late if percent == PERCENTS[0] else ""}


def open_floor(data_dir: Path) -> OpenFloor:
    """A floor to trade on, on the server that runs on `data_dir`."""
    return scratch.run_part("open_floor", data_dir=data_dir, returning=OpenFloor, accounts=ACCOUNTS, resting=RESTING)


def run_orders(server: scratch.Server, opened: OpenFloor, *, seconds: int, rate: int) -> Outcome:
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


def run_pgbench(data_dir: Path, *, seconds: int, rate: int) -> list[float]:
    """What a transaction of pgbench takes at the same rate, in ms."""
    return scratch.run_part(
        "pgbench_latencies", data_dir=data_dir, returning=list[float],
        clients=PGBENCH_CLIENTS, rate=rate, seconds=seconds,
    )  # fmt: skip
