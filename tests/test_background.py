"""Celery's worker and beat as the server's child, with files and with Redis between them: killed, they come again."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psutil
import psycopg
import pytest

from tests.harness import ServerProcess, new_data_dir, remove_data_dir
from tests.redis_server import redis_server
from trading import embedded
from trading.consumers import CONSUMERS

SECONDS_MAX = 90


@pytest.fixture(params=["files", "redis"])
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """A server with its Celery, the broker being files or a real Redis."""
    data_dir = new_data_dir()
    with ExitStack() as stack:
        stack.callback(remove_data_dir, data_dir)
        env = {"BACKGROUND": "on"}
        if request.param == "redis":
            env["REDIS_URL"] = stack.enter_context(redis_server())
        yield stack.enter_context(ServerProcess(data_dir=data_dir, env=env))


def query(server: ServerProcess, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(embedded.database_url(data_dir=server.data_dir)) as connection:
        return connection.execute(sql.encode()).fetchall()


def wait_until_followed(server: ServerProcess) -> None:
    """Wait until every consumer has dealt with the whole journal."""
    deadline = time.monotonic() + SECONDS_MAX
    sql = """SELECT count(*) FILTER (WHERE c.sequence = e.sequence), string_agg(c::text, ', '), e.sequence
        FROM matching_enginestate e LEFT JOIN matching_followercursor c ON true GROUP BY e.sequence"""
    while (found := query(server, sql)[0])[0] != len(CONSUMERS):
        assert time.monotonic() < deadline, f"{found}\n{server.log()}"
        time.sleep(0.2)


def background_of(server: ServerProcess, *, but: int | None = None) -> psutil.Process:
    """The process of Celery's worker, once there is one; `but`: not the one with that id."""
    assert server.process is not None
    parent = psutil.Process(server.process.pid)
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        for child in parent.children():
            if child.pid != but and "background" in child.cmdline():
                return child
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.1)


def test_the_journal_is_followed_also_after_the_worker_was_killed(server: ServerProcess) -> None:
    wait_until_followed(server)
    killed = background_of(server)
    killed.kill()
    assert server.manage("deposit", "alice", "BTC", "1").returncode == 0
    again = background_of(server, but=killed.pid)
    wait_until_followed(server)
    assert query(server, "SELECT count(*) FROM matching_followercursor WHERE failure <> ''") == [(0,)]
    if server.env["REDIS_URL"]:
        server.kill9()
    else:
        assert server.terminate() == 0
    again.wait(SECONDS_MAX)  # it ends with the server, in whatever way that ends
