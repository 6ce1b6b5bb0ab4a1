"""Crashes under load: what was acknowledged holds, nothing happens twice, and the journal proves it."""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from tests.gateway_client import Signer
from tests.harness import ServerProcess
from tests.load import Load, retry_unanswered, unkept_promises
from trading import embedded, environment

MakeServer = Callable[..., ServerProcess]
TASKS = 12


def demo_signers(server: ServerProcess) -> list[Signer]:
    """New keys for the demo's two traders."""
    signers = []
    for user in ("alice", "bob"):
        made = server.manage("create_api_key", user, "--scopes", "read,trade", "--json")
        assert made.returncode == 0, made.stderr
        key = json.loads(made.stdout)
        signers.append(Signer(key["key"], 0, key["secret"]))
    return signers


def assert_proved(server: ServerProcess) -> None:
    """`manage.py prove` passes."""
    proof = server.manage("prove", timeout=300)
    assert proof.returncode == 0, proof.stdout + proof.stderr


@contextlib.asynccontextmanager
async def running(load: Load) -> AsyncIterator[None]:
    """The load runs while the block does, then ends."""
    load.stopping = False
    task = asyncio.create_task(load.run(tasks=TASKS))
    try:
        yield
    finally:
        load.stopping = True
        await task


def kill_under_load(server: ServerProcess, *, kills: int, seed: int) -> None:
    """Kill the server `kills` times at random moments under load; check every promise after each."""
    chance = random.Random(seed)
    signers = demo_signers(server)
    url = embedded.database_url(data_dir=server.data_dir)
    placed = retried = 0
    for number in range(kills):
        load = Load(server.base_url, signers, chance, f"kill{number}")

        async def until_killed(load: Load = load) -> None:
            async with running(load):
                await asyncio.sleep(chance.uniform(0.3, 1.2))
                server.kill9()
                await asyncio.sleep(0.05)

        asyncio.run(until_killed())
        server.start()
        server.wait_ready()
        assert unkept_promises(load, url) == []
        retried += asyncio.run(retry_unanswered(load))
        assert unkept_promises(load, url) == []
        acknowledged = [order for order in load.orders if order.id is not None]
        assert len({order.id for order in acknowledged}) == len(acknowledged) > 0
        placed += len(acknowledged)
        assert_proved(server)
    print(f"{kills} kills, {placed} orders acknowledged, {retried} asked again")


def test_what_was_acknowledged_survives_kill_9(make_server: MakeServer) -> None:
    with make_server(env={"RATE_LIMITS": "off"}) as server:
        kill_under_load(server, kills=2, seed=1)


@pytest.mark.slow
def test_what_was_acknowledged_survives_kill_9_thirty_times(make_server: MakeServer) -> None:
    with make_server(env={"RATE_LIMITS": "off"}) as server:
        kill_under_load(server, kills=30, seed=2)


def test_trading_resumes_by_itself_when_postgresql_comes_back(make_server: MakeServer) -> None:
    with make_server(env={"RATE_LIMITS": "off"}) as server:
        load = Load(server.base_url, demo_signers(server), random.Random(3), "pg")

        async def with_a_database_crash() -> None:
            async with running(load):
                await asyncio.sleep(0.5)
                postgres = server.postgres_pid()
                assert postgres is not None
                os.kill(postgres, signal.SIGQUIT)  # at once, without a checkpoint: like a crash
                await asyncio.sleep(1)
            before = len([order for order in load.orders if order.id is not None])
            await until_ready(server)
            async with running(load):
                await asyncio.sleep(0.5)
            assert len([order for order in load.orders if order.id is not None]) > before > 0

        asyncio.run(with_a_database_crash())
        assert set(load.refusals) & {"unavailable", "outcome_unknown"}, load.refusals
        url = embedded.database_url(data_dir=server.data_dir)
        assert unkept_promises(load, url) == []
        asyncio.run(retry_unanswered(load))
        assert unkept_promises(load, url) == []
        assert_proved(server)


async def until_ready(server: ServerProcess) -> None:
    """Wait for `/readyz` without starting anything."""
    deadline = time.monotonic() + 30
    async with httpx.AsyncClient(base_url=server.base_url, timeout=5) as client:
        while (await client.get("/readyz")).status_code != 200:
            assert time.monotonic() < deadline, server.log()
            await asyncio.sleep(0.05)


def test_a_standby_process_takes_over_the_control_lane(make_server: MakeServer) -> None:
    with make_server() as server:
        standby = subprocess.Popen(
            [sys.executable, "manage.py", "matching_worker"],
            cwd=environment.PROJECT_ROOT, env=server.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert standby.stdout is not None
            assert standby.stdout.readline() == "Matching worker started.\n"
            server.kill9()
            deposited = server.manage("deposit", "alice", "BTC", "1.5")
            assert deposited.returncode == 0, deposited.stderr
            assert json.loads(server.manage("status", "--json").stdout)["exchange"]["waiting"]["inbox"] == 0
            assert standby.poll() is None
            standby.terminate()
            assert standby.wait(30) == 0
        finally:
            if standby.poll() is None:
                standby.kill()
            standby.communicate()
        server.start()
        server.wait_ready()
        assert_proved(server)
