"""A whole spread-out exchange for tests: PostgreSQL, Redis, web processes, matching workers, each to be killed alone.

with DistributedExchange(data_dir=new_data_dir(), webs=2, workers=2) as exchange:   # starts, waits, stops
    httpx.get(f"{exchange.base_urls[1]}/readyz")
    exchange.signer("alice")                                # the demo's key, to sign requests with
    exchange.workers[0].kill9(); exchange.workers[0].start()
    exchange.redis.stop(); exchange.redis.start()           # it comes back empty
    exchange.restart_postgres()
    exchange.manage("prove")
"""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import httpx
import psutil
import psycopg
from psycopg import sql

from matching.worker import LEADER_LOCK
from tests.gateway_client import Signer
from tests.harness import clean_env, free_port
from tests.redis_server import RedisServer
from trading import embedded, environment

POLL_SECONDS = 0.05
READY_SECONDS_MAX = 120.0
END_SECONDS_MAX = 60.0
LEADING_ROLE = """
    SELECT usename FROM pg_stat_activity JOIN pg_locks USING (pid)
    WHERE locktype = 'advisory' AND granted AND classid = %s AND objid = %s
"""
PREPARE = "from django.core.management import call_command as c; c('migrate', verbosity=0); c('seed')"


class Process:
    """One process of the exchange. Its output goes to `log_path`, start after start."""

    def __init__(self, *, name: str, command: Sequence[str], env: Mapping[str, str], log_path: Path) -> None:
        self.name = name
        self.command = list(command)
        self.env = dict(env)
        self.log_path = log_path
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return at once."""
        assert not self.alive, f"{self.name} runs already"
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=environment.PROJECT_ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def alive(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    def kill9(self) -> None:
        """SIGKILL, and wait for the end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def sigstop(self) -> None:
        """Freeze it, as a machine that hangs."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def sigcont(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def terminate(self, timeout: float = END_SECONDS_MAX) -> int:
        """SIGTERM, wait for the end, return the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout)

    def restart(self) -> None:
        """End it politely and start it again."""
        self.terminate()
        self.start()

    def log(self) -> str:
        """All that it has printed so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_for_log(self, text: str, *, times: int = 1, timeout: float = READY_SECONDS_MAX) -> None:
        """Wait until it has printed `text`; AssertionError with the log when it ends or takes over `timeout` s."""
        deadline = time.monotonic() + timeout
        while self.log().count(text) < times:
            assert self.alive, f"{self.name} has ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"{self.name} did not say {text!r} within {timeout} s:\n{self.log()}"
            time.sleep(POLL_SECONDS)

    def ask_to_end(self) -> None:
        """SIGTERM if it lives, frozen or not, without waiting."""
        if self.process is not None and self.alive:
            self.sigcont()
            self.process.terminate()

    def wait_for_end(self) -> None:
        """Wait until it has ended, and kill it if that takes too long."""
        if self.process is None:
            return
        try:
            self.process.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill9()


class DistributedExchange:
    """All processes of an exchange with a database, a Redis and ports of its own, the demo seeded, nothing limited.

    `webs`, `workers`: how many of each (the first worker to come leads, the others stand by). `celery`: with a worker
    and a beat. `env` adds variables for all processes; RATE_LIMITS and DEMO_FLOW are off and
    DRAIN_SECONDS is 1 unless it says otherwise.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        webs: int = 2,
        workers: int = 1,
        celery: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.redis = RedisServer()
        self.postgres = embedded.Cluster(data_dir=data_dir)
        own = {
            "DATA_DIR": str(data_dir),
            "DATABASE_URL": embedded.database_url(data_dir=data_dir),
            "REDIS_URL": self.redis.url,
            "RATE_LIMITS": "off",
            "DEMO_FLOW": "off",
            "DRAIN_SECONDS": "1",
            "PUBLIC_URL": "http://127.0.0.1",
        }
        self.env = clean_env() | own | dict(env or {})
        ports = [free_port() for _ in range(webs)]
        self.base_urls = [f"http://127.0.0.1:{port}" for port in ports]
        manage = [sys.executable, "manage.py"]
        self.webs = [
            self._process(f"web-{number}", [*manage, "web"], {"PORT": str(port)})
            for number, port in enumerate(ports, start=1)
        ]
        self.workers = [
            self._process(name, [*manage, "matching_worker"], {"DATABASE_URL": self._database_url_of(name)})
            for name in (f"worker-{number}" for number in range(1, workers + 1))
        ]
        of_celery = [sys.executable, "-m", "celery", "-A", "trading"]
        self.celery = [self._process(f"celery-{name}", [*of_celery, name]) for name in ("worker", "beat") if celery]
        self.processes = [*self.workers, *self.webs, *self.celery]
        self.seed_output = ""

    def start(self, *, wait: bool = True) -> None:
        """PostgreSQL, Redis, migrations and the demo, then all processes; returns when all web processes are ready.

        `wait` False: returns as soon as all are started. A second start finds the data of the first.
        """
        self.postgres.start()
        self._make_roles()
        self.redis.start()
        made = self._run([sys.executable, "manage.py", "shell", "--no-imports", "-c", PREPARE], timeout=180)
        assert made.returncode == 0, made.stdout + made.stderr
        self.seed_output = made.stdout
        for process in self.processes:
            process.start()
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout: float = READY_SECONDS_MAX) -> None:
        """Wait until /readyz of every running web process answers 200; AssertionError with all logs otherwise."""
        for web, base_url in zip(self.webs, self.base_urls, strict=True):
            if web.alive:
                self.wait_for_200(base_url + "/readyz", timeout)

    def wait_for_200(self, url: str, timeout: float = READY_SECONDS_MAX) -> None:
        """Ask until the answer is 200; AssertionError with all logs after `timeout` s."""

        def ok() -> bool:
            try:
                return httpx.get(url, timeout=5).status_code == 200
            except httpx.TransportError:
                return False  # it does not listen yet

        self.wait_until(ok, timeout=timeout, what=f"200 from {url}")

    def wait_until(self, reached: Callable[[], bool], *, what: str, timeout: float = READY_SECONDS_MAX) -> None:
        """Look again and again; AssertionError that says `what` is missing, with all logs, after `timeout` s."""
        deadline = time.monotonic() + timeout
        while not reached():
            assert time.monotonic() < deadline, f"no {what} within {timeout} s:\n{self.logs()}"
            time.sleep(POLL_SECONDS)

    def leader(self) -> Process:
        """The matching worker that leads at this moment, as PostgreSQL knows it; waits until one does."""
        found: list[Process] = []

        def look() -> bool:
            with psycopg.connect(self.env["DATABASE_URL"]) as connection:
                row = connection.execute(LEADING_ROLE, [LEADER_LOCK >> 32, LEADER_LOCK & 0xFFFFFFFF]).fetchone()
            found[:] = [worker for worker in self.workers if row is not None and worker.name == row[0]]
            return bool(found)

        self.wait_until(look, what="leader among the matching workers")
        return found[0]

    def signer(self, username: str) -> Signer:
        """The demo key of alice or bob, with every scope."""
        found = re.search(rf"API key of {username}: (\S+)  secret: (\S+)", self.seed_output)
        assert found is not None, self.seed_output
        return Signer(found[1], 0, found[2])

    def manage(self, *args: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a management command with the same environment; never raises on a non-zero exit status."""
        return self._run([sys.executable, "manage.py", *args], timeout=timeout)

    def restart_postgres(self, *, crash: bool = False) -> None:
        """End PostgreSQL (`crash`: without any goodbye) and start it again; returns when it takes connections."""
        self.stop_postgres(crash=crash)
        self.postgres.start()

    def stop_postgres(self, *, crash: bool = False) -> None:
        """End PostgreSQL; `self.postgres.start()` brings it back."""
        pid = self.postgres.pid()
        if pid is not None:
            server = psutil.Process(pid)
            server.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
            server.wait(END_SECONDS_MAX)

    def logs(self) -> str:
        """What every process has printed, one after the other."""
        return "\n".join(f"---- {process.name}\n{process.log()}" for process in self.processes)

    def close(self) -> None:
        """End everything, the database and Redis last. To be called in every case; twice is no harm."""
        for process in self.processes:  # all at once: each takes a moment to drain
            process.ask_to_end()
        for process in self.processes:
            process.wait_for_end()
        self.redis.stop()
        self.postgres.close()

    def remove(self) -> None:
        """Remove the data folder; everything must have ended."""
        shutil.rmtree(self.data_dir)

    def __enter__(self) -> "DistributedExchange":
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _make_roles(self) -> None:
        """Each worker is a PostgreSQL user of its own, so that the leader's lock has a name."""
        with psycopg.connect(self.env["DATABASE_URL"], autocommit=True) as connection:
            known = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            for worker in self.workers:
                if worker.name not in known:
                    connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN").format(sql.Identifier(worker.name)))

    def _database_url_of(self, role: str) -> str:
        return self.env["DATABASE_URL"].replace(f"//{embedded.SUPERUSER}@", f"//{role}@")

    def _process(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> Process:
        log_path = self.data_dir / f"{name}.log"
        return Process(name=name, command=command, env=self.env | dict(env or {}), log_path=log_path)

    def _run(self, command: Sequence[str], *, timeout: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=environment.PROJECT_ROOT, env=self.env, capture_output=True, text=True, timeout=timeout
        )
