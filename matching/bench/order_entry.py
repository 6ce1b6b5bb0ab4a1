"""Order entry over HTTP: signed orders from `wrk` into a real `manage.py up`, with 64 and with 256 connections.

Every request is signed beforehand, with a client order id of its own; after each run the database must have each
answered one as an order that was not rejected, or the run does not count. Yardsticks of the same run: the same requests
into a bare ASGI endpoint on the same server software, and `pgbench -N -c 16` on the server's own PostgreSQL.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from matching.bench import report, requests, scratch
from matching.bench.report import Missing, Row
from matching.bench.requests import OpenFloor

SCRIPT = Path(__file__).with_name("order_entry.lua")
ACCOUNTS = 4
RESTING = 2_000
REQUIRED: dict[int, tuple[float | None, float | None]] = {64: (2_400, None), 256: (3_200, 1.6)}
"""By connections: orders a second, and how many times pgbench's transactions a second."""

REQUESTS_PER_SECOND_MAX = 10_000
"""So many are signed; a faster server would run out of them before the end."""

BARE_REQUESTS = 5_000
WARM_UP_SECONDS = 2
PGBENCH_CLIENTS = 16
WRK_SPARE_SECONDS = 30


class Outcome(msgspec.Struct, frozen=True):
    """What wrk saw. `refused`: answers with a status of 400 and above; `failed`: no answer."""

    requests: int
    seconds: float
    refused: int
    failed: int
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Answered requests a second."""
        return self.requests / self.seconds


def measure(*, disk: Path, seconds: int, connections: list[int], pgbench_scale: int) -> Iterator[Row]:
    """The rows of order entry; server, bare endpoint and pgbench run one after the other."""
    wrk_path()
    with scratch.folder(parent=disk) as data_dir, scratch.Server(data_dir=data_dir) as server:
        scratch.run_part("pgbench_prepare", data_dir=data_dir, returning=type(None), scale=pgbench_scale)
        opened = scratch.run_part(
            "open_floor", data_dir=data_dir, returning=OpenFloor, accounts=ACCOUNTS, resting=RESTING
        )
        run_orders(server, opened, connections=connections[0], seconds=WARM_UP_SECONDS, name="warm")
        for count in connections:
            outcome, trades = run_orders(server, opened, connections=count, seconds=seconds, name=f"http{count}")
            bare = run_bare(data_dir, opened, connections=count, seconds=seconds)
            transactions = scratch.run_part(
                "pgbench_rate", data_dir=data_dir, returning=float, clients=PGBENCH_CLIENTS, seconds=seconds
            )
            at_least, ratio_at_least = REQUIRED.get(count, (None, None))
            fields: dict[str, Any] = {"group": "http", "figure": outcome.per_second, "unit": "orders/s"}
            yield report.rate_row(
                what=f"order entry, {count} connections",
                yardstick=f"pgbench -N -c {PGBENCH_CLIENTS}",
                yardstick_figure=transactions,
                at_least=at_least,
                ratio_at_least=ratio_at_least,
                note=(
                    f"{outcome.requests:,} orders, all 201 and in the database, {trades:.2f} trades per order, "
                    f"round trip p50 {outcome.p50_ms:.1f} ms, p99 {outcome.p99_ms:.1f} ms"
                ),
                **fields,
            )
            yield report.rate_row(
                what=f"order entry, {count} connections",
                yardstick="bare ASGI endpoint",
                yardstick_figure=bare.per_second,
                at_least=None,
                **fields,
            )


def run_orders(
    server: scratch.Server, opened: OpenFloor, *, connections: int, seconds: int, name: str
) -> tuple[Outcome, float]:
    """One run against the server, checked, and its trades per order."""
    path = sign(data_dir=server.data_dir, opened=opened, seconds=seconds, name=name)
    outcome = run_wrk(port=server.port, connections=connections, seconds=seconds, path=path)
    path.unlink()
    return outcome, check(data_dir=server.data_dir, outcome=outcome, connections=connections, name=name)


def sign(*, data_dir: Path, opened: OpenFloor, seconds: int, name: str) -> Path:
    """The file of signed orders for a run of so many seconds."""
    path = data_dir / f"{name}.requests"
    requests.write_file(path=path, opened=opened, count=seconds * REQUESTS_PER_SECOND_MAX, name=name)
    return path


def check(*, data_dir: Path, outcome: Outcome, connections: int, name: str) -> float:
    """Trades per order of a run; PartFailed unless the database has every answered order, and none rejected."""
    placed, rejected, trades = scratch.run_part(
        "count_orders", data_dir=data_dir, returning=tuple[int, int, int], name=name
    )
    # Those under way when wrk stopped are placed as well, but not answered in time.
    sound = rejected == 0 and outcome.requests <= placed <= outcome.requests + connections
    if outcome.refused or outcome.failed or not sound:
        raise scratch.PartFailed(f"{name}: {outcome}, in the database {placed} orders, {rejected} of them rejected")
    return trades / placed


def run_bare(folder: Path, opened: OpenFloor, *, connections: int, seconds: int) -> Outcome:
    """The same load on an endpoint with nothing behind it."""
    port, path = scratch.free_port(), folder / "bare.requests"
    requests.write_file(path=path, opened=opened, count=BARE_REQUESTS, name="bare")
    with scratch.background("-m", "matching.bench.bare", port):
        scratch.wait_until(lambda: scratch.answers(port=port, path="/", status=201))
        outcome = run_wrk(port=port, connections=connections, seconds=seconds, path=path, again=True)
    path.unlink()
    return outcome


def run_wrk(*, port: int, connections: int, seconds: int, path: Path, again: bool = False) -> Outcome:
    """Send the requests of a file for so long, from one thread of wrk; each once, or `again` and again."""
    command = [
        wrk_path(), "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "10s", "-s", str(SCRIPT),
        f"http://127.0.0.1:{port}{requests.PATH}", "--", str(path), *["repeat"] * again,
    ]  # fmt: skip
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds + WRK_SPARE_SECONDS)
    if result.returncode != 0:
        raise scratch.PartFailed(f"wrk failed: {result.stderr.strip() or result.stdout.strip()}")
    return msgspec.json.decode(result.stdout.strip().splitlines()[-1], type=Outcome)


def wrk_path() -> str:
    """Where wrk is; raises Missing."""
    found = shutil.which("wrk")
    if found is None:
        raise Missing("wrk is not installed: apt install wrk")
    return found
