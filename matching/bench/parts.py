"""The measurements that run inside `manage.py bench_part`, next to a database, by name."""

from collections.abc import Callable

from matching.bench import candles, commit, pgbench, served

PARTS: dict[str, Callable[..., object]] = {
    "candles": candles.history,
    "commit": commit.measure,
    "worker_costs": commit.worker_costs,
    "crowd": commit.crowd,
    "hold_database": served.hold_database,
    "open_floor": served.open_floor,
    "count_orders": served.count_orders,
    "pgbench_prepare": pgbench.prepare,
    "pgbench_rate": pgbench.transactions_per_second,
    "pgbench_latencies": pgbench.latencies,
}
