"""What larger installations put beside PostgreSQL, for tests: a streaming replica, and pgbouncer before the server."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg

from tests.debian import path_of
from tests.harness import free_port, new_data_dir, remove_data_dir
from trading import embedded

SECONDS_MAX = 60


class Replica:
    """A copy of an embedded server that follows it; read-only."""

    def __init__(self, *, primary_url: str) -> None:
        self.data_dir = new_data_dir()
        self._primary_url = primary_url
        self._cluster = embedded.Cluster(data_dir=self.data_dir)

    @property
    def url(self) -> str:
        """Its database `bourse`, whether it runs or not."""
        return embedded.database_url(data_dir=self.data_dir)

    def start(self) -> None:
        """Follow the primary, the first time as a copy of it; returns when it can be read."""
        if not self._cluster.pgdata.exists():
            self._copy()
        self._cluster.start()

    def stop(self) -> None:
        """End it; its files stay."""
        self._cluster.close()

    def pause(self) -> None:
        """Show nothing new until `resume`."""
        self._execute("SELECT pg_wal_replay_pause()")
        deadline = time.monotonic() + SECONDS_MAX
        while self._execute("SELECT pg_get_wal_replay_pause_state()") != "paused":
            assert time.monotonic() < deadline, "the replica does not pause"
            time.sleep(0.02)

    def resume(self) -> None:
        """Go on."""
        self._execute("SELECT pg_wal_replay_resume()")

    def remove(self) -> None:
        """Stop it and remove its files."""
        self.stop()
        remove_data_dir(self.data_dir)

    def _copy(self) -> None:
        pgdata = self._cluster.pgdata
        owner = embedded._Owner.of(pgdata)
        owner.let_reach(pgdata)
        pgdata.mkdir(mode=0o700)
        owner.adopt(pgdata)
        program = str(embedded._binary("pg_basebackup"))
        command = [program, "--pgdata", str(pgdata), "--dbname", self._primary_url, "--write-recovery-conf"]
        subprocess.run([*command, "--checkpoint", "fast"], check=True, cwd="/", timeout=SECONDS_MAX, **owner.options)

    def _execute(self, statement: str) -> Any:
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return row[0]


class Pgbouncer:
    """A pooler before an embedded server: one address gives connections away after each transaction, one keeps them.

    `roles`: the PostgreSQL users that may come.
    """

    def __init__(self, *, primary_url: str, roles: Iterable[str]) -> None:
        self.port = free_port()
        self._primary = psycopg.conninfo.conninfo_to_dict(primary_url)
        self._roles = list(roles)
        self._folder = Path(tempfile.mkdtemp(prefix="bourse-pgbouncer-"))
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, mode: str, *, role: str = embedded.SUPERUSER) -> str:
        """The URL of the address with pool mode `transaction` or `session`."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{mode}?{urlencode({'sslmode': 'disable'})}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        executable = path_of("pgbouncer")
        assert executable is not None, "The tests need pgbouncer; `make test` says how to get it."
        where = f"host={self._primary['host']} port={self._primary['port']} dbname={self._primary['dbname']}"
        users, config = self._folder / "users.txt", self._folder / "pgbouncer.ini"
        users.write_text("".join(f'"{role}" ""\n' for role in self._roles))
        config.write_text(
            f"[databases]\ntransaction = {where} pool_mode=transaction\nsession = {where} pool_mode=session\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\nmax_client_conn = 400\ndefault_pool_size = 10\n"
        )
        command: list[str] = [str(executable), str(config)]
        owner = embedded._Owner.of(self._folder)
        for path in (self._folder, users, config):
            owner.adopt(path)
        if os.geteuid() == 0:  # it refuses root, and the server's socket is its owner's alone
            command[1:1] = ["-u", embedded.SYSTEM_USER]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            assert self._process.poll() is None, "pgbouncer has ended"
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "pgbouncer does not start"
                time.sleep(0.05)

    def stop(self) -> None:
        """End it and remove its files."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(SECONDS_MAX)
        shutil.rmtree(self._folder)
