"""`manage.py bench`: how fast Bourse is on this machine, as one table, every figure next to its yardstick.

Each group measures in processes of its own, in scratch folders that are removed; matching/bench/ says how, module by
module. The exit status is 1 when a required figure is missed or a group could not run; with --quick, which only shows
that everything runs, figures are not held against anybody.
"""

import os
import shutil
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from matching.bench import distributed, feed, growth, latency, order_entry, page, report, scratch, socket_orders
from matching.bench.report import Missing, Row
from matching.bench.scratch import PartFailed

TABLE_WIDTH_MIN = 110


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured. `history`: orders; `pgbench_scale`: x 100,000 rows; `recovery`: accounts, open orders."""

    engine_commands: int = 500_000
    runs: int = 3
    exchange_orders: int = 100_000
    commit_orders: int = 60_000
    commit_resting: int = 13_000
    http_seconds: int = 10
    latency_seconds: int = 20
    rate: int = 1_000
    feed_seconds: int = 20
    feed_readers: int = 1_000
    page_seconds: int = 60
    pgbench_scale: int = 10
    growth_orders: int = 20_000
    growth_resting: int = 200_000
    history: int = 1_000_000
    recovery: tuple[int, int] = (10_000, 100_000)
    recoveries: int = 3
    candle_trades: int = 5_000_000
    candle_runs: int = 5


QUICK = Sizes(
    engine_commands=20_000, runs=1, exchange_orders=2_000, commit_orders=2_000, commit_resting=1_000, http_seconds=1,
    latency_seconds=1, rate=100, feed_seconds=1, feed_readers=50, page_seconds=1, pgbench_scale=1, growth_orders=1_000,
    growth_resting=2_000, history=2_000, recovery=(100, 1_000), recoveries=1, candle_trades=20_000,
    candle_runs=1,
)  # fmt: skip


def engine_rows(sizes: Sizes, disk: Path) -> Iterator[Row]:
    """matching/bench/engine.py."""
    options = ("--commands", sizes.engine_commands, "--runs", sizes.runs)
    yield from scratch.run_module("matching.bench.engine", *options, returning=list[Row])


def exchange_rows(sizes: Sizes, disk: Path) -> Iterator[Row]:
    """matching/bench/exchange.py."""
    options = ("--orders", sizes.exchange_orders, "--runs", sizes.runs)
    yield from scratch.run_module("matching.bench.exchange", *options, returning=list[Row])


def commit_rows(sizes: Sizes, disk: Path) -> Iterator[Row]:
    """matching/bench/commit.py, on the disk."""
    with scratch.folder(parent=disk) as data_dir:
        yield from scratch.run_part(
            "commit", data_dir=data_dir, returning=list[Row], orders=sizes.commit_orders, resting=sizes.commit_resting
        )


def http_rows(sizes: Sizes, disk: Path) -> Iterator[Row]:
    """matching/bench/order_entry.py."""
    yield from order_entry.measure(
        disk=disk, seconds=sizes.http_seconds, connections=list(order_entry.REQUIRED), pgbench_scale=sizes.pgbench_scale
    )


def latency_rows(sizes: Sizes, disk: Path) -> Iterator[Row]:
    """matching/bench/latency.py."""
    yield from latency.measure(
        disk=disk, seconds=sizes.latency_seconds, rate=sizes.rate, pgbench_scale=sizes.pgbench_scale
    )


def socket_rows(sizes: Sizes, disk: Path) -> Iterator[Row]:
    """matching/bench/socket_orders.py."""
    yield from socket_orders.measure(disk=disk, seconds=sizes.http_seconds)


def feed_rows(sizes: Sizes, disk: Path) -> Iterator[Row]:
    """matching/bench/feed.py."""
    yield from feed.measure(disk=disk, seconds=sizes.feed_seconds, readers=sizes.feed_readers)


def distributed_rows(sizes: Sizes, disk: Path) -> Iterator[Row]:
    """matching/bench/distributed.py."""
    yield from distributed.measure(
        disk=disk, seconds=sizes.http_seconds, feed_seconds=sizes.feed_seconds, readers=sizes.feed_readers,
        pgbench_scale=sizes.pgbench_scale,
    )  # fmt: skip
    yield from distributed.latency_rows(
        seconds=sizes.latency_seconds, rate=sizes.rate, pgbench_scale=sizes.pgbench_scale
    )


def page_rows(sizes: Sizes, disk: Path) -> Iterator[Row]:
    """matching/bench/page.py."""
    yield from page.measure(disk=disk, seconds=sizes.page_seconds)


def growth_rows(sizes: Sizes, disk: Path) -> Iterator[Row]:
    """matching/bench/growth.py."""
    yield from growth.measure(
        orders=sizes.growth_orders, resting=sizes.growth_resting, history=sizes.history, runs=sizes.runs
    )
    accounts, resting = sizes.recovery
    yield from growth.recovery(disk=disk, accounts=accounts, resting=resting, times=sizes.recoveries)


def candle_rows(sizes: Sizes, disk: Path) -> Iterator[Row]:
    """matching/bench/candles.py, on the disk."""
    with scratch.folder(parent=disk) as data_dir:
        yield from scratch.run_part(
            "candles", data_dir=data_dir, returning=list[Row], trades=sizes.candle_trades, runs=sizes.candle_runs
        )


GROUPS: dict[str, Callable[[Sizes, Path], Iterator[Row]]] = {
    "engine": engine_rows,
    "exchange": exchange_rows,
    "commit": commit_rows,
    "http": http_rows,
    "sockets": socket_rows,
    "latency": latency_rows,
    "feed": feed_rows,
    "distributed": distributed_rows,
    "page": page_rows,
    "growth": growth_rows,
    "candles": candle_rows,
}


class Command(BaseCommand):
    """Measures, prints the table, and exits with status 1 if it does not reach what it must."""

    help = "Measure everything next to its yardstick and print one table (about twelve minutes; --quick: about one)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to measure, how much, and where."""
        parser.add_argument("--only", default=",".join(GROUPS), help=f"Some of {','.join(GROUPS)}.")
        parser.add_argument("--quick", action="store_true", help="Tiny runs that only show that everything works.")
        parser.add_argument("--json", type=Path, metavar="FILE", help="Write machine and rows there as well.")
        parser.add_argument("--page-seconds", type=int, metavar="N", help="How long the page is looked at (60).")
        parser.add_argument(
            "--disk", type=Path, metavar="DIR", default=settings.DATA_DIR / "bench", help="Where 'disk' is (DATA_DIR)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Measure group by group; a group that cannot run does not keep the others from running."""
        names = options["only"].split(",")
        if unknown := set(names) - set(GROUPS):
            raise CommandError(f"There is no {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}.")
        sizes = QUICK if options["quick"] else Sizes()
        if options["page_seconds"] is not None:
            sizes = msgspec.structs.replace(sizes, page_seconds=options["page_seconds"])
        disk: Path = options["disk"].resolve()
        machine = report.machine(disk=disk)
        self.stdout.write(report.machine_text(machine))
        rows: list[Row] = []
        failures: dict[str, str] = {}
        for name in names:
            self.stderr.write(f"measuring {name} ...")
            try:
                for row in GROUPS[name](sizes, disk):
                    rows.append(report.unjudged(row) if options["quick"] else row)
            except (Missing, PartFailed) as error:
                failures[name] = str(error)
        self.stdout.write(
            report.table_text(rows=rows, width=max(shutil.get_terminal_size((180, 0)).columns, TABLE_WIDTH_MIN))
        )
        after = " ".join(f"{load:.2f}" for load in os.getloadavg())
        self.stdout.write(f"load average at the end {after}")
        if options["json"] is not None:
            found = {"machine": machine, "quick": options["quick"], "rows": rows, "failures": failures}
            options["json"].write_bytes(msgspec.json.format(msgspec.json.encode(found)))
        for name, text in failures.items():
            self.stdout.write(f"NOT RUN: {name}: {text}")
        if failures or report.missed(rows):
            sys.exit(1)
