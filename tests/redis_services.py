"""Redis as larger installations have it, for tests: a server and its replica behind a Sentinel, and a Cluster."""

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import redis

from tests.debian import path_of
from tests.harness import free_port
from tests.redis_server import RedisServer

SERVICE = "bourse"
SECONDS_MAX = 30
SLOTS = 16_384


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until `condition` holds; what Redis raises meanwhile counts as no."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        with contextlib.suppress(redis.RedisError, OSError):
            if condition():
                return
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class Guarded:
    """Two servers, the second following the first, and one Sentinel that makes it the leader when the first is gone."""

    def __init__(self) -> None:
        self.leader, self.replica = RedisServer(), RedisServer()
        self.replica.options = ("--replicaof", "127.0.0.1", str(self.leader.port), "--repl-diskless-sync-delay", "0")
        self.port = free_port()
        self.url = f"redis+sentinel://127.0.0.1:{self.port}/{SERVICE}/0"
        self._folder = tempfile.TemporaryDirectory(prefix="bourse-sentinel-")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start all three and wait until the Sentinel knows the replica."""
        self.leader.start()
        self.replica.start()
        file = Path(self._folder.name, "sentinel.conf")
        file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self._folder.name}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.leader.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 1000\nsentinel failover-timeout {SERVICE} 5000\n"
        )
        executable = path_of("redis-server")
        assert executable is not None
        self._process = subprocess.Popen([executable, file, "--sentinel"], stdout=subprocess.DEVNULL)
        sentinel = redis.Redis(port=self.port)
        until(lambda: len(sentinel.sentinel_slaves(SERVICE)) == 1, "the Sentinel does not find the replica")
        until(lambda: redis.Redis(port=self.replica.port).info("replication")["master_link_status"] == "up", "no link")

    def stop(self) -> None:
        """End all of them."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(SECONDS_MAX)
        self.replica.stop()
        self.leader.stop()
        self._folder.cleanup()


@contextlib.contextmanager
def guarded_redis() -> Iterator[Guarded]:
    """A running Sentinel with its two servers."""
    guarded = Guarded()
    try:
        guarded.start()
        yield guarded
    finally:
        guarded.stop()


@contextlib.contextmanager
def redis_cluster(*, nodes: int) -> Iterator[list[RedisServer]]:
    """The nodes of a running Cluster; each has an equal share of the slots."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
    servers = [RedisServer(options=(*options, "--cluster-port", str(free_port()))) for _ in range(nodes)]
    try:
        for server in servers:
            server.start()
        clients = [redis.Redis(port=server.port) for server in servers]
        for number, client in enumerate(clients):
            first, last = number * SLOTS // nodes, (number + 1) * SLOTS // nodes - 1
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for server in servers[1:]:
            bus = server.options[server.options.index("--cluster-port") + 1]
            clients[0].execute_command("CLUSTER MEET", "127.0.0.1", server.port, bus)
        for client in clients:
            until(lambda client=client: _knows(client, nodes), "the Cluster does not come together")  # type: ignore[misc]
        yield servers
    finally:
        for server in servers:
            server.stop()


def cluster_url(servers: list[RedisServer]) -> str:
    """The REDIS_URL of a Cluster."""
    return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)


def _knows(client: redis.Redis, nodes: int) -> bool:
    info = client.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == nodes
