"""What stays cheap when the exchange grows: the cost of an order, and the time to be ready again after a crash.

An order's cost is taken in the exchange alone (apply) and through the whole worker to the commit, with a small and a
large book, and with an empty and a long history; on the RAM disk, as the disk's moods are not the subject, and the
small case before and after the large ones. Recovery is the time from `kill -9` of a server to its next `/readyz` 200.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from matching.bench import report, scratch
from matching.bench.exchange import GROWTH_MAX
from matching.bench.report import Row

RESTING_SMALL = 1_000
READY_SECONDS = 5
RECOVERIES = 3


def measure(*, orders: int, resting: int, history: int, runs: int) -> Iterator[Row]:
    """The rows of the cost per order."""
    yield from scratch.run_module(
        "matching.bench.exchange", "--orders", orders, "--growth", RESTING_SMALL, resting, "--runs", runs,
        returning=list[Row],
    )  # fmt: skip
    small = _worker_costs(orders=orders, resting=RESTING_SMALL, history=0, runs=runs)
    large_book = _worker_costs(orders=orders, resting=resting, history=0, runs=runs)
    long_history = _worker_costs(orders=orders, resting=RESTING_SMALL, history=history, runs=runs)
    small += _worker_costs(orders=orders, resting=RESTING_SMALL, history=0, runs=runs)
    for what, costs, yardstick in (
        (f"{resting:,} resting orders", large_book, f"{RESTING_SMALL:,} resting orders"),
        (f"{history:,} orders in the history", long_history, "empty history"),
    ):
        yield report.bounded_row(
            group="growth",
            what=f"whole worker, {what}",
            figure=report.median(costs),
            unit="us",
            yardstick=yardstick,
            yardstick_figure=report.median(small),
            ratio_at_most=GROWTH_MAX,
        )


def recovery(*, disk: Path, accounts: int, resting: int, times: int = RECOVERIES) -> Iterator[Row]:
    """The row of recovery: the slowest of several crashes."""
    with scratch.folder(parent=disk) as data_dir:
        found = scratch.run_part("crowd", data_dir=data_dir, returning=int, accounts=accounts, resting=resting)
        assert found == resting
        with scratch.Server(data_dir=data_dir) as server:
            seconds: list[float] = []
            for _ in range(times):
                began = time.monotonic()
                server.kill()
                server.start()
                seconds.append(time.monotonic() - began)
    yield report.bounded_row(
        group="growth",
        what=f"kill -9 to ready, {resting:,} open orders, {accounts:,} accounts",
        figure=max(seconds),
        unit="s",
        below=READY_SECONDS,
        note="the slowest of " + ", ".join(f"{value:.2f}" for value in seconds),
    )


def _worker_costs(*, orders: int, resting: int, history: int, runs: int) -> list[float]:
    with scratch.folder(parent=scratch.RAM_DISK) as data_dir:
        return scratch.run_part(
            "worker_costs", data_dir=data_dir, returning=list[float],
            orders=orders, resting=resting, history=history, runs=runs,
        )  # fmt: skip
