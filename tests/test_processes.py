"""Processes that belong together, as `make run-distributed` keeps them: alive, told apart, and never left behind."""

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from django.core.management.base import CommandError

from matching import redis_url
from tests.distributed import Process
from tests.harness import clean_env, new_data_dir, remove_data_dir
from trading import environment, own_services, processes

SECONDS_MAX = 120.0
SLEEPER = [sys.executable, "-c", "import time; print('here I am', flush=True); time.sleep(1000)"]
WITH_GRANDCHILD = [
    sys.executable,
    "-c",
    "import subprocess, time; print(subprocess.Popen(['sleep', '1000']).pid, flush=True); time.sleep(1000)",
]
PARENT = """
import time
from trading.processes import Family
family = Family(say=lambda line: print(line, flush=True))
family.start(name="child", command=["sh", "-c", "echo $$; exec sleep 1000"])
time.sleep(1000)
"""


class Told:
    """What a family says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    def times(self, pattern: str) -> int:
        return sum(re.fullmatch(pattern, line) is not None for line in self.lines)

    def pids(self) -> list[int]:
        return [int(line.rpartition(" ")[2]) for line in self.lines if line.rpartition(" ")[2].isdigit()]


def until(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not reached():
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.02)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def family(told: Told) -> Iterator[processes.Family]:
    made = processes.Family(say=told)
    yield made
    made.kill()
    made.stop()


def children(name: str) -> list[psutil.Process]:
    """Processes of ours, at any depth, whose command line has `name` in it."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if name in " ".join(child.cmdline()):
                found.append(child)
    return found


def test_a_process_that_dies_is_started_again_and_says_so(family: processes.Family, told: Told) -> None:
    family.start(name="sleeper", command=SLEEPER)
    until(lambda: told.times(r"sleeper  \| here I am") == 1, "first start")
    (first,) = children("here I am")
    first.kill()
    until(lambda: told.times(r"sleeper  \| here I am") == 2, "second start")
    assert told.times(r"sleeper  \| has ended \(SIGKILL\): starting it again\.") == 1
    (second,) = children("here I am")
    assert second.pid != first.pid
    family.stop()
    assert children("here I am") == []


def test_nothing_that_a_process_has_started_outlives_it(family: processes.Family, told: Told) -> None:
    family.start(name="parent", command=WITH_GRANDCHILD)
    until(lambda: len(told.pids()) == 1, "grandchild")
    (parent,) = children("Popen")
    parent.kill()
    until(lambda: not psutil.pid_exists(told.pids()[0]), "end of the grandchild")
    until(lambda: len(told.pids()) == 2, "another grandchild")
    family.stop()
    until(lambda: not any(psutil.pid_exists(pid) for pid in told.pids()), "end of all grandchildren")


def test_a_family_ends_the_last_kind_first(family: processes.Family, told: Told) -> None:
    slow = "trap 'echo bye; exit 0' TERM; echo here; while :; do sleep 0.05; done"
    for name in ("first", "second.1", "second.2"):
        family.start(name=name, command=["sh", "-c", slow])
    until(lambda: told.times(r".*\| here") == 3, "all")
    family.stop()
    goodbyes = [line.partition(" ")[0] for line in told.lines if line.endswith("| bye")]
    assert sorted(goodbyes[:2]) == ["second.1", "second.2"]
    assert goodbyes[2:] == ["first"]


def test_even_after_kill_9_of_the_supervisor_nobody_is_left() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, cwd=environment.PROJECT_ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline().rpartition(" ")[2]))
        parent.kill()
        parent.wait()
        psutil.wait_procs([child], timeout=SECONDS_MAX)
        assert not child.is_running()


def test_a_redis_of_our_own_has_a_short_socket_and_comes_back_empty(family: processes.Family, tmp_path: Path) -> None:
    data_dir = tmp_path / ("a folder with a long name " * 5)
    data_dir.mkdir()
    url, command = own_services.prepare_redis(data_dir=data_dir)
    family.start(name="redis", command=command)
    client = redis_url.connect(url)

    def answers() -> bool:
        with contextlib.suppress(*redis_url.ERRORS):
            return bool(client.ping())
        return False

    until(answers, "Redis")
    client.set("kept", "no")
    (server,) = children("redis-server")
    server.kill()
    until(lambda: answers() and client.get("kept") is None, "another Redis, empty")
    family.stop()
    assert not answers()
    client.close()
    for file in Path(redis_url.parse(url).path).parent.iterdir():
        file.unlink()
    Path(redis_url.parse(url).path).parent.rmdir()


def test_without_redis_server_it_is_said_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match=r"redis-server is not installed .*apt install redis-server"):
        own_services.prepare_redis(data_dir=tmp_path)


# ------------------------------------------------------------------------------------------ make run-distributed


@pytest.fixture
def spread_out() -> Iterator[Process]:
    """`manage.py run_distributed` on a folder and ports of its own; not started."""
    data_dir = new_data_dir()
    env = clean_env() | {"DATA_DIR": str(data_dir), "PORT": str(free_ports(3)), "DEMO_FLOW": "off"}
    command = [sys.executable, "manage.py", "run_distributed"]
    process = Process(name="run", command=command, env=env, log_path=data_dir / "run.log")
    yield process
    process.ask_to_end()
    process.wait_for_end()
    remove_data_dir(data_dir)


def free_ports(count: int) -> int:
    """The first of `count` free ports in a row, below those that the kernel gives to connections."""
    in_use = {connection.laddr.port for connection in psutil.net_connections("tcp") if connection.laddr}
    return next(first for first in range(20_000, 30_000, count) if not in_use & set(range(first, first + count)))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_distributed_starts_everything_and_leaves_nothing_behind(
    spread_out: Process, number: signal.Signals
) -> None:
    base_url = f"http://127.0.0.1:{spread_out.env['PORT']}"
    spread_out.start()
    spread_out.wait_for_log("Bourse is ready\n")
    assert "API key of alice: " in spread_out.log()
    assert httpx.get(base_url + "/readyz").json()["checks"]["redis"] == "ok"
    relatives = psutil.Process(spread_out.pid).children(recursive=True)
    lines = [" ".join(each.cmdline()) for each in relatives]
    for part, count in (
        ("manage.py web", 2),
        ("matching_worker", 2),
        ("trading worker", 1),
        ("trading beat", 1),
        ("redis-server", 1),
    ):
        assert sum(part in line for line in lines) == count, (part, lines)

    assert spread_out.process is not None
    spread_out.process.send_signal(number)

    assert spread_out.process.wait(SECONDS_MAX) == 0, spread_out.log()
    _, alive = psutil.wait_procs(relatives, timeout=5)
    assert alive == []
    assert spread_out.log().endswith("Bourse has stopped.\n")

    spread_out.start()  # and finds everything as it was
    keys = re.findall(r"API key of alice: \S+", spread_out.log())
    spread_out.wait_for_log("Bourse is ready\n", times=2)
    assert set(re.findall(r"API key of alice: \S+", spread_out.log())) == set(keys)
    assert spread_out.terminate() == 0


@pytest.mark.slow
def test_kill_9_of_run_distributed_ends_everything_but_the_database_which_the_next_start_joins(
    spread_out: Process,
) -> None:
    spread_out.start()
    spread_out.wait_for_log("Bourse is ready\n")
    relatives = psutil.Process(spread_out.pid).children(recursive=True)
    others = [each for each in relatives if each.name() != "postgres"]
    spread_out.kill9()
    _, alive = psutil.wait_procs(others, timeout=SECONDS_MAX)
    assert alive == []
    spread_out.start()
    spread_out.wait_for_log("Bourse is ready\n", times=2)
    assert spread_out.terminate() == 0
    _, alive = psutil.wait_procs(relatives, timeout=5)
    assert alive == []
