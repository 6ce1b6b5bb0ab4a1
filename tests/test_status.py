"""`manage.py status`: what it knows, that it fits one screen whatever there is, and that it works with parts away."""

import contextlib
import fcntl
import io
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings
from rich.console import Console

from matching import vitals, worker
from matching.engine.messages import SetMarketState
from tests.builders import RunningExchange, running_exchange
from tests.databases import default_database
from tests.harness import clean_env, free_port
from tests.redis_server import redis_server
from trading import environment
from trading.status import shapes
from trading.status.gathering import Gathering
from trading.status.screen import screen

WAIT_SECONDS_MAX = 60.0
SIZES = [(80, 24), (100, 30), (140, 45), (200, 60)]
AT = "2026-01-02T03:04:05.000000Z"


@pytest.fixture(scope="module")
def exchange(fresh_database: str) -> Iterator[RunningExchange]:
    with running_exchange() as running:
        btc, usdt = running.create_asset("BTC", 8), running.create_asset("USDT", 6)
        market = running.create_market(btc, usdt, tick_size=10_000, lot_size=10_000)
        alice = running.open_account("alice", {btc: 10 * 10**8, usdt: 10**12})
        bob = running.open_account("bob", {btc: 10 * 10**8, usdt: 10**12})
        running.place(alice, market, "sell", price=43_000_000_000, quantity=10**8)
        running.place(alice, market, "sell", price=42_100_000_000, quantity=10**8)
        running.place(bob, market, "buy", price=42_100_000_000, quantity=10**7)
        running.place(bob, market, "buy", price=42_000_000_000, quantity=10**8)
        yield running


def ask() -> shapes.Status:
    gathering = Gathering()
    try:
        return gathering.status()
    finally:
        gathering.close()


def shown(status: shapes.Status, *, width: int = 80, height: int | None = 24) -> list[str]:
    """The screen's lines without colours."""
    text = io.StringIO()
    console = Console(file=text, width=width, height=height or 1_000, color_system=None, force_terminal=True)
    console.print(screen(status, width=width, height=height))
    return text.getvalue().splitlines()


# ---------------------------------------------------------------------------------------------- what it knows


def test_the_exchange_is_told_as_it_is(exchange: RunningExchange) -> None:
    status = ask()
    assert status.exchange is not None
    found = status.exchange
    assert (found.state, found.sequence) == ("open", worker.status().sequence)
    (leader,) = found.workers
    assert leader.state == "leads"
    (market,) = found.markets
    assert (market.market, market.state, market.open_orders) == ("BTC-USDT", "open", 3)
    assert (market.last, market.best_bid, market.best_ask) == ("42100.00", "42000.00", "42100.00")
    assert (market.spread, market.spread_bp, market.volume) == ("100.00", 23.8, "0.1000")
    assert (found.orders.minute, found.trades.minute) == (round(4 / 60, 2), round(1 / 60, 2))
    assert (found.waiting.inbox, found.waiting.deliveries_dead, found.proof) == (0, 0, None)
    assert found.alerts == {"high": 0, "medium": 0, "low": 0}
    assert status.postgres is not None
    assert status.postgres.size > 1_000_000
    assert status.disk is not None
    assert status.redis is None
    assert status.problems == {}


def test_it_is_json_too(exchange: RunningExchange) -> None:
    out = io.StringIO()
    call_command("status", "--json", stdout=out)
    assert msgspec.json.decode(out.getvalue(), type=shapes.Status).exchange is not None
    assert json.loads(out.getvalue())["exchange"]["workers"][0]["state"] == "leads"


def test_without_a_terminal_it_is_plain_text(exchange: RunningExchange) -> None:
    out = io.StringIO()
    call_command("status", stdout=out)
    lines = out.getvalue().splitlines()
    assert lines[0].startswith(" BOURSE  OPEN ")
    assert any(
        line.split()[:8] == ["BTC-USDT", "●", "open", "42,100.00", "42,000.00", "42,100.00", "23.8", "bp"]
        for line in lines
    )
    assert "\x1b" not in out.getvalue()
    with pytest.raises(CommandError, match="terminal"):
        call_command("status", "--watch", stdout=out)


def test_a_halt_and_its_reason_are_on_the_first_line(exchange: RunningExchange) -> None:
    exchange.execute(SetMarketState("halted", None, "fire in the [engine] room"))
    assert " HALTED  fire in the [engine] room " in shown(ask(), width=140, height=45)[0]
    exchange.execute(SetMarketState("open"))
    assert " OPEN " in shown(ask())[0]


def test_counts_and_rates_look_at_so_much_and_no_more(
    exchange: RunningExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trading.status.database.RATE_ROWS_MAX", 2)
    status = ask()
    assert status.exchange is not None
    rate = status.exchange.orders
    assert 1.0 <= rate.seconds <= 60.0
    assert rate.minute == pytest.approx(2 / rate.seconds, abs=0.1)


# ---------------------------------------------------------------------------------------------- it fits


def crowded(*, markets: int = 60, processes: int = 30) -> shapes.Status:
    """A screen with too much of everything, names as long as they get."""
    place = "market-maker.internal.example.com"
    return shapes.Status(
        at=AT,
        exchange=shapes.Exchange(
            state="open",
            halt_note="",
            sequence=9_876_543_210,
            last_command_at=AT,
            workers=[
                shapes.Worker(state="standby" if number else "leads", host=place, database_pid=number, since=AT)
                for number in range(processes)
            ],
            markets=[
                shapes.Market(
                    market=f"ASSET{number}-USDT", state="cancel_only", note="a long note " * 9, reopens_at=None,
                    last="123456.78", best_bid="123456.77", best_ask="123456.79", spread="0.02", spread_bp=0.1,
                    volume="123456789.12", base=f"ASSET{number}", open_orders=number,
                )
                for number in range(markets)
            ],
            orders=shapes.Rate(now=12_345, minute=12_345.67, seconds=1.7),
            trades=shapes.Rate(now=12_345, minute=12_345.67, seconds=1.7),
            followers=[
                shapes.Follower(name="surveillance", behind=123_456_789, seconds=98_765.4, failed=number == 1)
                for number in range(3)
            ],
            waiting=shapes.Waiting(
                inbox=10_000, inbox_seconds=1e5, deliveries=10_000, deliveries_dead=10_000,
                deliveries_late_seconds=1e5, withdrawals=10_000,
            ),
            alerts={"high": 12_345, "medium": 12_345, "low": 12_345},
            proof=shapes.Proof(proved=False, at=AT, commands=0, finding="command 17 differs " * 20),
        ),
        commits=[12_345.67, 23_456.78],
        lane_depth=123_456,
        processes=[
            shapes.Process(
                role="web" if number % 2 else "matching_worker", host=place, pid=4_000_000 + number, since=AT,
                silent_seconds=float(number), worker=None if number % 2 else "leads" if not number else "standby",
                sequence=9_876_543_210, sockets=100_000 if number % 2 else None, lane_depth=1,
            )
            for number in range(processes)
        ],
        celery=shapes.Celery(queue=1_000_000, task_seconds=12_345.6, tick_seconds=12_345.6),
        postgres=shapes.Postgres(
            version="18.6", size=10**14, connections=9_999, connections_max=10_000, milliseconds=2_999.9,
            replicas=[shapes.Replica(name=place, state="streaming", lag_seconds=12_345.6)] * 2,
        ),
        redis=shapes.Redis(
            version="8.0.0", kind="sentinel", memory=10**12, clients=10_000, stream=10**6, milliseconds=999.9
        ),
        disk=shapes.Disk(path="/srv/data", free=10**9, size=10**13),
        problems={"replica": "the connection was refused " * 10, "broker": "away"},
    )  # fmt: skip


def empty() -> shapes.Status:
    """What is left when everything is away."""
    return shapes.Status(
        at=AT, exchange=None, commits=None, lane_depth=None, processes=[],
        celery=shapes.Celery(queue=None, task_seconds=None, tick_seconds=None),
        postgres=None, redis=None, disk=None, problems={"PostgreSQL": "away", "Redis": "away"},
    )  # fmt: skip


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_fits_one_screen_whatever_there_is(width: int, height: int) -> None:
    for status in (crowded(), crowded(markets=3, processes=2), crowded(markets=0), empty()):
        lines = shown(status, width=width, height=height)
        assert len(lines) <= height
        assert max(map(len, lines)) <= width
        assert ("12k high" in lines[0]) == (status.exchange is not None)


def test_what_does_not_fit_is_counted() -> None:
    lines = "\n".join(shown(crowded(), width=140, height=45))
    left_out = 60 - lines.count("cancel only")
    assert f"and {left_out} more" in lines
    assert "ASSET59-USDT" in lines, "the busiest market is there"
    assert "ASSET0-USDT" not in lines
    everything = "\n".join(shown(crowded(), width=120, height=None))
    assert everything.count("cancel only") == 60


def test_what_is_wrong_is_said() -> None:
    lines = "\n".join(shown(crowded(markets=1, processes=8), width=200, height=60))
    for text in ("FAILED", "NOT PROVED", "replica: the connection was refused", "10,000 dead", "silent for"):
        assert text in lines
    lost = shown(empty())
    assert " UNKNOWN " in lost[0]
    assert any(line.startswith("PostgreSQL  ● away") for line in lost)
    assert any(line.startswith("Redis       ● away: orders are refused") for line in lost)


# ---------------------------------------------------------------------------------------------- parts away


def test_without_a_leader_everything_else_is_told(migrated_database: str, exchange: RunningExchange) -> None:
    worker.stop()
    try:
        status = ask()
    finally:
        worker.start()
    assert status.exchange is not None
    assert (status.exchange.state, status.exchange.workers) == ("leaderless", [])
    lines = shown(status)
    assert " NO LEADER " in lines[0]
    assert any(line.startswith("Leader      ● none: orders are refused") for line in lines)


def test_without_redis_everything_else_is_told(exchange: RunningExchange, settings: Settings) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    status = ask()
    assert status.exchange is not None
    assert status.redis is None
    assert "refused" in status.problems["Redis"]
    assert any("away: orders are refused" in line for line in shown(status))


def test_with_redis_it_is_told_how_it_is(exchange: RunningExchange, settings: Settings) -> None:
    with redis_server() as url:
        settings.REDIS_URL = url
        status = ask()
    assert status.redis is not None
    assert (status.redis.kind, status.redis.stream) == ("server", 0)
    assert status.redis.memory > 100_000


def test_without_the_database_everything_else_is_told(exchange: RunningExchange) -> None:
    with default_database(name="there_is_no_such_database"):
        status = ask()
    assert status.exchange is None
    assert "there_is_no_such_database" in status.problems["PostgreSQL"]
    assert status.disk is not None


# ---------------------------------------------------------------------------------------------- processes

TELLS = """if True:
    import os, sys, time, signal, django
    os.environ["DJANGO_SETTINGS_MODULE"] = "trading.settings"
    django.setup()
    from matching import vitals
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    vitals.tell(role="web", facts=lambda: {"sockets": 7})
    time.sleep(600)
"""


@contextlib.contextmanager
def telling(**env: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that says how it is."""
    whole = clean_env() | {"PYTHONPATH": str(environment.PROJECT_ROOT)} | env
    process = subprocess.Popen([sys.executable, "-c", TELLS], env=whole)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(wanted: Any) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def heard() -> list[tuple[str, int, int | None]]:
    return [(each.role, each.pid, each.sockets) for each in vitals.read(now=time.time())]


def heard_until_it_ends(process: "subprocess.Popen[bytes]") -> None:
    wait_for(lambda: heard() == [("web", process.pid, 7)])
    process.send_signal(signal.SIGTERM)
    process.wait(WAIT_SECONDS_MAX)
    assert heard() == [], "who ends says so"


def test_processes_of_one_machine_are_heard_through_files(tmp_path: Path, settings: Settings) -> None:
    settings.DATA_DIR = tmp_path
    with telling(DATA_DIR=str(tmp_path)) as process:
        heard_until_it_ends(process)


def test_processes_of_many_machines_are_heard_through_redis(settings: Settings) -> None:
    with redis_server() as url:
        settings.REDIS_URL = url
        with telling(REDIS_URL=url) as process:
            heard_until_it_ends(process)


def test_who_is_killed_is_silent_for_a_while_and_then_gone(tmp_path: Path, settings: Settings) -> None:
    settings.DATA_DIR = tmp_path
    folder = tmp_path / "vitals"
    folder.mkdir()
    now = time.time()
    for pid, age in ((1, 0.0), (2, 10.0), (3, 60.0)):
        said = vitals.Vitals(role="web", host="here", pid=pid, started_at=0, at=now - age, sockets=0)
        (folder / f"{pid}.json").write_bytes(msgspec.json.encode(said))
    (folder / "4.json").write_text("half of")
    found = vitals.read(now=now)
    assert [(each.pid, now - each.at > vitals.SILENT_SECONDS) for each in found] == [(1, False), (2, True)]


# ---------------------------------------------------------------------------------------------- watching


def test_watching_refreshes_until_it_is_interrupted(
    exchange: RunningExchange, fresh_database: str, postgres_url: str
) -> None:
    """In a real terminal of 80 x 24."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    url = postgres_url.replace("/bourse?", f"/{fresh_database}?") if "?" in postgres_url else postgres_url
    env = clean_env() | {"DATABASE_URL": url, "TERM": "xterm-256color"}
    # What a shell runs in its background ignores Ctrl-C, and so do its children: we may be one of those.
    command = ["env", "--default-signal=INT", sys.executable, "manage.py", "status", "--watch"]
    process = subprocess.Popen(command, cwd=environment.PROJECT_ROOT, env=env, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    try:
        while seen.count(b" BOURSE ") < 2:
            seen += os.read(master, 65_536)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # the end of a terminal that nobody has open
            while more := os.read(master, 65_536):
                seen += more
        assert process.wait(WAIT_SECONDS_MAX) == 0
    finally:
        process.kill()
        os.close(master)
    assert b"BTC-USDT" in seen
    assert seen.endswith(b"\x1b[?25h\x1b[?1049l"), "the cursor is back, and the screen as it was"
