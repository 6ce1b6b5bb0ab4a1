"""A whole server in a process of its own, for tests that want the real thing: kill it, stop it, ask it.

with ServerProcess(data_dir=new_data_dir()) as server:      # starts, waits for `Bourse is ready`, stops
    httpx.get(f"{server.base_url}/readyz")
    server.manage("status")                                 # a management command on the same data
    server.kill9(); server.start(); server.wait_ready()     # a crash and the recovery
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import httpx
import psutil

from trading import embedded, environment

POLL_SECONDS = 0.02


class ServerProcess:
    """`manage.py up` on a data folder and port of its own, with none of the caller's Bourse variables.

    `env` adds variables, for instance `{"RATE_LIMITS": "off"}`; DEMO_FLOW and BACKGROUND are off unless it says
    otherwise. The output goes to `log_path`, start after start.
    """

    def __init__(self, *, data_dir: Path, port: int | None = None, env: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.log_path = data_dir / "server.log"
        own = {"DATA_DIR": str(data_dir), "PORT": str(self.port), "DEMO_FLOW": "off", "BACKGROUND": "off"}
        self.env = clean_env() | own | dict(env or {})
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and return at once."""
        assert self.process is None or self.process.poll() is not None, "it runs already"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=environment.PROJECT_ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_alive(self, timeout: float = 90) -> None:
        """Wait until `/healthz` answers 200; AssertionError with the log when it ends or takes over `timeout` s."""
        self._wait_for_200("/healthz", timeout)

    def wait_ready(self, timeout: float = 90) -> None:
        """Wait until `/readyz` answers 200; AssertionError with the log when it ends or takes over `timeout` s."""
        self._wait_for_200("/readyz", timeout)

    def kill9(self) -> None:
        """SIGKILL to the server alone; its PostgreSQL lives on, as after a real crash of the process."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self, timeout: float = 30) -> int:
        """SIGTERM, wait for the end, return the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """The answer to a GET of `path`; redirects are not followed."""
        return httpx.get(self.base_url + path, headers=dict(headers or {}), timeout=30)

    def manage(self, *args: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a management command with the same environment; never raises on a non-zero exit status."""
        command = [sys.executable, "manage.py", *args]
        return subprocess.run(
            command, cwd=environment.PROJECT_ROOT, env=self.env, capture_output=True, text=True, timeout=timeout
        )

    def postgres_pid(self) -> int | None:
        """The process id of this data folder's PostgreSQL, None when none runs."""
        return embedded.Cluster(data_dir=self.data_dir).pid()

    def log(self) -> str:
        """All that the server has printed so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def close(self) -> None:
        """End the server and a PostgreSQL that a kill left behind. To be called in every case; twice is no harm."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill9()
        if (pid := self.postgres_pid()) is not None:
            orphan = psutil.Process(pid)
            orphan.send_signal(signal.SIGINT)
            orphan.wait(60)

    def __enter__(self) -> "ServerProcess":
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _wait_for_200(self, path: str, timeout: float) -> None:
        assert self.process is not None
        deadline = time.monotonic() + timeout
        while True:
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}:\n{self.log()}"
            try:
                if httpx.get(self.base_url + path, timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            assert time.monotonic() < deadline, f"no 200 from {path} within {timeout} s:\n{self.log()}"
            time.sleep(POLL_SECONDS)


def new_data_dir() -> Path:
    """An empty folder for one server; the caller removes it with `remove_data_dir`."""
    return Path(tempfile.mkdtemp(prefix="bourse-test-"))


def remove_data_dir(data_dir: Path) -> None:
    """Remove what `new_data_dir` made; its server must have ended."""
    shutil.rmtree(data_dir)


def free_port() -> int:
    """A port of the loopback interface that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_env() -> dict[str, str]:
    """This process's environment with every variable that Bourse reads set to its default (so `.env` has no say)."""
    return {**os.environ, **dict.fromkeys(environment.variables_read(), "")}
