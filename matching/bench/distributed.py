"""The spread-out exchange: order entry, its latency and the feed; web processes, worker, Redis and PostgreSQL apart.

The loads, checks and yardsticks are those of the exchange in one process (order_entry, latency, feed); the processes
are those of matching/bench/spread.py, all on this machine.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from matching.bench import feed, latency, order_entry, report, requests, scratch, spread
from matching.bench.order_entry import ACCOUNTS, PGBENCH_CLIENTS, RESTING, Outcome
from matching.bench.report import Row
from matching.bench.requests import OpenFloor
from matching.bench.spread import Spread

CONNECTIONS = 256
REQUIRED = 2_800.0
"""Orders a second with so many connections, however many web processes share them."""

WEBS = (1, 2)
WARM_UP_SECONDS = 2
WARM_UP_CONNECTIONS = 64
RAM_DISK_MS: dict[float, float] = {50: 6, 99: 25}


def measure(*, disk: Path, seconds: int, feed_seconds: int, readers: int, pgbench_scale: int) -> Iterator[Row]:
    """The rows of order entry and of the feed, on one exchange with the data on the disk."""
    order_entry.wrk_path()
    with scratch.folder(parent=disk) as data_dir, spread.running(data_dir=data_dir, webs=max(WEBS)) as exchange:
        opened = _open_floor(data_dir)
        _orders(exchange, opened, webs=1, connections=WARM_UP_CONNECTIONS, seconds=WARM_UP_SECONDS, name="warm")
        runs = [_run(exchange, opened, webs=webs, seconds=seconds) for webs in WEBS]
        bare = order_entry.run_bare(data_dir, opened, connections=CONNECTIONS, seconds=seconds)
        scratch.run_part("pgbench_prepare", data_dir=data_dir, returning=type(None), scale=pgbench_scale)
        transactions = scratch.run_part(
            "pgbench_rate", data_dir=data_dir, returning=float, clients=PGBENCH_CLIENTS, seconds=seconds
        )
        yield from _order_rows(runs, bare, transactions)
        yield from _feed_rows(exchange, opened, seconds=feed_seconds, readers=readers)


def latency_rows(*, seconds: int, rate: int, pgbench_scale: int) -> Iterator[Row]:
    """How long an order takes at a constant rate, data on the RAM disk."""
    with (
        scratch.folder(parent=scratch.RAM_DISK) as data_dir,
        spread.running(data_dir=data_dir, webs=1) as exchange,
    ):
        scratch.run_part("pgbench_prepare", data_dir=data_dir, returning=type(None), scale=pgbench_scale)
        opened = _open_floor(data_dir)
        transactions = sorted(latency.run_pgbench(data_dir, seconds=seconds, rate=rate))
        outcome = latency.run_orders(exchange.webs[0], opened, seconds=seconds, rate=rate)
    found = sorted(outcome.latencies)
    for percent in latency.PERCENTS:
        fields = latency.fields(report.percentile(values=found, percent=percent), outcome, percent)
        yield report.bounded_row(
            **fields | {"group": "distributed"},
            what=f"{rate:,} orders/s, RAM disk, p{percent:g}",
            yardstick=f"pgbench -N -c {latency.PGBENCH_CLIENTS} -R {rate}, p{percent:g}",
            yardstick_figure=report.percentile(values=transactions, percent=percent),
            below=RAM_DISK_MS.get(percent),
        )


class _Run(NamedTuple):
    """Order entry at so many web processes."""

    webs: int
    outcome: Outcome
    note: str


def _run(exchange: Spread, opened: OpenFloor, *, webs: int, seconds: int) -> _Run:
    before = spread.processor_seconds(exchange)
    outcome, trades = _orders(
        exchange, opened, webs=webs, connections=CONNECTIONS, seconds=seconds, name=f"spread{webs}"
    )
    shares = spread.shares_text(before, spread.processor_seconds(exchange), outcome.requests)
    return _Run(webs, outcome, f"{trades:.2f} trades per order, {shares}")


def _order_rows(runs: list[_Run], bare: Outcome, transactions: float) -> Iterator[Row]:
    best = max(runs, key=lambda run: run.outcome.per_second)
    for run in runs:
        outcome = run.outcome
        fields: dict[str, Any] = {"group": "distributed", "figure": outcome.per_second, "unit": "orders/s"}
        fields["what"] = f"order entry, {run.webs} web process{'es' * (run.webs > 1)}, {CONNECTIONS} connections"
        yield report.rate_row(
            yardstick=f"pgbench -N -c {PGBENCH_CLIENTS}",
            yardstick_figure=transactions,
            at_least=REQUIRED if run is best else None,
            note=(
                f"{outcome.requests:,} orders, all 201 and in the database, round trip p50 {outcome.p50_ms:.1f} ms, "
                f"p99 {outcome.p99_ms:.1f} ms, {run.note}"
            ),
            **fields,
        )
        if run is best:
            yield report.rate_row(
                yardstick="bare ASGI endpoint", yardstick_figure=bare.per_second, at_least=None, **fields
            )


def _feed_rows(exchange: Spread, opened: OpenFloor, *, seconds: int, readers: int) -> Iterator[Row]:
    """How long a change takes to readers at all web processes, most of them elsewhere than the order."""
    path, count = exchange.data_dir / "feed.requests", seconds * feed.RATE
    requests.write_file(path=path, opened=opened, count=count, name="feed")
    before = spread.processor_seconds(exchange)
    outcome = feed.run_load([web.port for web in exchange.webs], path, readers)
    shares = spread.shares_text(before, spread.processor_seconds(exchange), count)
    placed, rejected, _ = scratch.run_part(
        "count_orders", data_dir=exchange.data_dir, returning=tuple[int, int, int], name="feed"
    )
    if rejected or placed != count:
        raise scratch.PartFailed(f"feed: {placed} placed, {rejected} rejected of {count}")
    bare = _bare_feed(exchange, path, readers)
    for percent in feed.PERCENTS:
        yield report.bounded_row(
            group="distributed",
            what=f"update to {readers:,} readers at {len(exchange.webs)} web processes, {feed.RATE}/s, p{percent:g}",
            figure=report.percentile(values=sorted(outcome.latencies), percent=percent),
            unit="ms",
            yardstick="bare ASGI fan-out through Redis",
            yardstick_figure=report.percentile(values=sorted(bare.latencies), percent=percent),
            note=f"{outcome.orders} orders, {outcome.frames:,} updates read, {shares}" if percent == 50 else "",
        )


def _orders(
    exchange: Spread, opened: OpenFloor, *, webs: int, connections: int, seconds: int, name: str
) -> tuple[Outcome, float]:
    """One run, a wrk for each of so many web processes, checked; all as one outcome, and the trades per order."""
    each, data_dir = connections // webs, exchange.data_dir
    names = [f"{name}at{number}" for number in range(webs)]
    paths = [order_entry.sign(data_dir=data_dir, opened=opened, seconds=seconds, name=name) for name in names]
    with ThreadPoolExecutor() as pool:
        running = [
            pool.submit(order_entry.run_wrk, port=web.port, connections=each, seconds=seconds, path=path)
            for web, path in zip(exchange.webs[:webs], paths, strict=True)
        ]
        outcomes = [run.result() for run in running]
    trades = [
        order_entry.check(data_dir=data_dir, outcome=outcome, connections=each, name=name)
        for outcome, name in zip(outcomes, names, strict=True)
    ]
    for path in paths:
        path.unlink()
    together = Outcome(
        requests=sum(outcome.requests for outcome in outcomes),
        seconds=max(outcome.seconds for outcome in outcomes),
        refused=0,
        failed=0,
        p50_ms=max(outcome.p50_ms for outcome in outcomes),
        p99_ms=max(outcome.p99_ms for outcome in outcomes),
    )
    return together, sum(trades) / len(trades)


def _bare_feed(exchange: Spread, path: Path, readers: int) -> feed.Outcome:
    first, second = scratch.free_port(), scratch.free_port()
    module = ("-m", "matching.bench.bare_feed")
    with (
        scratch.background(*module, first, exchange.redis_url),
        scratch.background(*module, second, exchange.redis_url),
    ):
        for port in (first, second):
            scratch.wait_until(lambda port=port: scratch.answers(port=port, path="/", status=201))  # type: ignore[misc]
        return feed.run_load([first, second], path, readers)


def _open_floor(data_dir: Path) -> OpenFloor:
    return scratch.run_part("open_floor", data_dir=data_dir, returning=OpenFloor, accounts=ACCOUNTS, resting=RESTING)
