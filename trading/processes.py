"""Processes that belong together: started from the Procfile, their output told apart, started again when they die.

Each is a process group of its own, so that Ctrl-C is for us alone and nothing it has started outlives it; where the
system can (Linux, `setpriv`), each ends when we do, even after `kill -9`.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from trading import environment

PROCFILE = environment.PROJECT_ROOT / "Procfile"
REVIVE_SECONDS = 1.0
END_SECONDS = 20.0
NAME_WIDTH = 8


def commands() -> dict[str, list[str]]:
    """What the Procfile says, by name; Python and its programs are those of this interpreter's environment."""
    found = {}
    for line in PROCFILE.read_text(encoding="utf-8").splitlines():
        name, separator, text = line.partition(":")
        if separator and not name.startswith("#"):
            words = shlex.split(text)
            found[name.strip()] = [sys.executable, *(words[1:] if words[0] == "python" else ["-m", *words])]
    return found


class Family:
    """The processes that `start` was called for. `say` prints a line; it is called from several threads."""

    def __init__(self, *, say: Callable[[str], None]) -> None:
        self._say = say
        self._children: list[_Child] = []

    def start(
        self,
        *,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        end_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Start a process and keep it alive. `env`: added to our own; `end_signal`: what ends it politely."""
        child = _Child(name, command, {**os.environ, **(env or {})}, end_signal, self._say)
        child.start()
        self._children.append(child)

    def stop(self) -> None:
        """End all, the last kind first: who asks before those who are asked. Who takes too long is killed.

        web.1 and web.2 are of one kind and end together.
        """
        for kind in reversed(dict.fromkeys(child.kind for child in self._children)):
            children = [child for child in self._children if child.kind == kind]
            for child in children:
                child.ask_to_end()
            for child in children:
                child.wait_for_end()

    def kill(self) -> None:
        """End all at once; `stop` is still to be called, or under way."""
        for child in self._children:
            child.kill()


class _Child(threading.Thread):
    """One process, again and again."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        end_signal: signal.Signals,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(name=f"keeper of {name}", daemon=True)
        self.kind = name.partition(".")[0]
        self._label = name
        self._command = [*_ends_with_us(), *command]
        self._env = env
        self._end_signal = end_signal
        self._say = say
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def run(self) -> None:
        """Start it, repeat what it says, wait for its end; and once more, unless that was asked for."""
        while True:
            with self._starting:
                if self._stopping.is_set():
                    return
                process = self._process = self._spawn()
            told = threading.Thread(target=self._repeat, args=(process,), daemon=True)
            told.start()
            code = process.wait()
            _kill_group(process.pid)  # whatever it has left behind holds its output and its port
            told.join()
            if self._stopping.is_set():
                return
            self._tell(f"has ended ({_reason(code)}): starting it again.")
            self._stopping.wait(REVIVE_SECONDS)

    def ask_to_end(self) -> None:
        """Politely, without waiting."""
        with self._starting:
            self._stopping.set()
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(self._end_signal)

    def wait_for_end(self) -> None:
        """Until it has ended; killed if that takes too long."""
        self.join(END_SECONDS)
        if self.is_alive():
            self._tell(f"does not end within {END_SECONDS:.0f} s: killed.")
            self.kill()
            self.join()

    def kill(self) -> None:
        """At once, with whatever it has started."""
        if self._process is not None and self._process.poll() is None:
            _kill_group(self._process.pid)

    def _spawn(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._command,
            cwd=environment.PROJECT_ROOT,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def _repeat(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                if line.strip():
                    self._tell(line.rstrip())

    def _tell(self, line: str) -> None:
        self._say(f"{self._label:<{NAME_WIDTH}} | {line}")


def wait_until(*, reached: Callable[[], bool], tell: Callable[[float], None], every: float = 10.0) -> None:
    """Look again and again; after each `every` seconds, `tell` is called with how many have passed."""
    began = told = time.monotonic()
    while not reached():
        now = time.monotonic()
        if now - told >= every:
            told = now
            tell(now - began)
        time.sleep(0.1)


def _ends_with_us() -> list[str]:
    """What before a command makes the kernel end it with the thread that started it."""
    program = shutil.which("setpriv")
    return [program, "--pdeathsig", "TERM"] if program else []


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _reason(code: int) -> str:
    return f"status {code}" if code >= 0 else signal.Signals(-code).name
