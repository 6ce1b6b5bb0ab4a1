"""The measurements that run inside `manage.py bench_part`, next to a database, by name."""

from collections.abc import Callable

from matching.bench import commit

PARTS: dict[str, Callable[..., object]] = {
    "commit": commit.measure,
    "worker_costs": commit.worker_costs,
    "crowd": commit.crowd,
}
