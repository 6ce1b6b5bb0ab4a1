"""From the order lane to the disk: the real worker with many requests in flight, against the bare SQL floor.

The floor writes the same rows by the same statements in the same batches, with no exchange: the run's journal gives the
batches again, an exchange of its own their events and `store.encode` the statements, all before the clock starts; then
the worker's `Pipeline` alone writes them into a fresh database. The worker applies a batch while another thread commits
the one before, so its ratio is not simply what the exchange costs on top.
"""

import asyncio
import contextlib
import gc
import itertools
import time
from collections.abc import Iterator, Sequence

import msgspec
import uvloop
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections

from marketdata.store import EPOCH, Scales, Statement, microseconds
from matching import store
from matching.bench import flow, report
from matching.bench.report import Row
from matching.engine.messages import AnyCommand, AnyEvent, OrderPlaced, PlaceOrder
from matching.exchange import Exchange
from matching.lanes import InProcessLane, WorkerUnavailable
from matching.pipeline import Pipeline
from matching.worker import Worker

ACCOUNTS = 20
IN_FLIGHT = 512
"""Clients that each wait for their order's commit before they place the next."""

SETUP_COMMANDS = 200
SETUP_REQUESTS = 8
START_SECONDS_MAX = 60
ORDERS_PER_SECOND = 8_000
FLOOR_RATIO = 0.5
FLOOR_DATABASE = "bourse_bench_floor"
COUNTS = """
SELECT (SELECT count(*) FROM orders_order), (SELECT count(*) FROM marketdata_trade), (SELECT count(*) FROM risk_entry),
    (SELECT trunc(sum(held) * 1000000) FROM risk_balance)
"""
HISTORY_ORDERS = f"""
INSERT INTO orders_order (id, account_id, market_id, client_order_id, side, order_type, time_in_force, post_only,
    self_trade_prevention, price, quantity, quote_amount, filled_quantity, filled_notional, remaining,
    prevented_quantity, held, status, reason, maker_rate, taker_rate, priority, request_digest, created_at, updated_at)
SELECT n, 3 + n %% %s, 1, 'history-' || n, 'buy', 'limit', 'gtc', false, 'cancel_taker', 43000, 1, NULL, 1, 43000, 0,
    0, 0, 'filled', NULL, 1000, 1500, n, n, {EPOCH} - interval '1 day', {EPOCH} - interval '1 day'
FROM generate_series(1, %s) n
"""  # noqa: S608 - our own constants
HISTORY_JOURNAL = f"""
INSERT INTO matching_journalentry (sequence, received_at, kind, account_id, market_id, payload)
SELECT n, {EPOCH} - interval '1 day', 'place_order', 3 + n %% %s, 1, '{{"kind":"place_order"}}'
FROM generate_series(1, %s) n
"""  # noqa: S608 - our own constants
HISTORY_ENGINE = f"UPDATE matching_enginestate SET sequence = %s, received_at = {EPOCH}"  # noqa: S608

_decode_command = msgspec.json.Decoder(AnyCommand).decode


class Load:
    """A running worker of this process, and the event loop that loads it."""

    def __init__(self, lane: InProcessLane, runner: asyncio.Runner) -> None:
        self.lane = lane
        self.runner = runner

    def execute(self, commands: Sequence[AnyCommand]) -> list[list[AnyEvent]]:
        """Carry commands in large requests; each one's events."""
        return self.runner.run(self._execute(commands))

    def seconds(self, orders: list[PlaceOrder]) -> float:
        """How long it takes until every order is durable and answered; AssertionError when one was refused.

        The garbage collector stays as the worker has set it up, with whatever has come since then to look at.
        """
        gc.collect()
        began = time.perf_counter()
        self.runner.run(self._place_all(orders))
        return time.perf_counter() - began

    async def _execute(self, commands: Sequence[AnyCommand]) -> list[list[AnyEvent]]:
        answers: list[list[AnyEvent]] = []
        size = SETUP_COMMANDS * SETUP_REQUESTS
        for start in range(0, len(commands), size):
            part = commands[start : start + size]
            requests = [part[first : first + SETUP_COMMANDS] for first in range(0, len(part), SETUP_COMMANDS)]
            for replies in await asyncio.gather(*map(self.lane.execute, requests)):
                answers += [reply.events for reply in replies]
        return answers

    async def _place_all(self, orders: list[PlaceOrder]) -> None:
        waiting = iter(orders)
        execute = self.lane.execute

        async def client() -> None:
            for order in waiting:
                (reply,) = await execute((order,))
                assert any(type(event) is OrderPlaced for event in reply.events), reply

        await asyncio.gather(*(client() for _ in range(IN_FLIGHT)))

    async def wait_open(self) -> None:
        """Wait until the worker takes commands."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                await self.lane.execute(())
                return
            except WorkerUnavailable:
                assert time.monotonic() < deadline, "the worker does not get ready"
                await asyncio.sleep(0.01)


@contextlib.contextmanager
def running_worker() -> Iterator[Load]:
    """A worker on the default database, ready; stopped at the end."""
    lane = InProcessLane(commands_max=settings.LANE_COMMANDS_MAX)
    worker = Worker(lane=lane)
    worker.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            load = Load(lane, runner)
            runner.run(load.wait_open())
            yield load
    finally:
        worker.stop()


def prepare_database(*, users: int) -> list[int]:
    """Migrate, and make users; their ids."""
    call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
    return make_users(users)


def make_users(count: int) -> list[int]:
    """Users who cannot sign in; their ids."""
    model = get_user_model()
    users = [model(username=f"bench{number}", password="!") for number in range(count)]  # noqa: S106 - no password
    return [user.pk for user in model.objects.bulk_create(users)]


def measure(*, orders: int, resting: int) -> list[Row]:
    """Worker and floor on the same PostgreSQL, one after the other. Runs as a part, on a scratch database."""
    user_ids = prepare_database(users=ACCOUNTS)
    _copy_database(source=settings.DATABASES["default"]["NAME"], target=FLOOR_DATABASE)
    with running_worker() as load:
        floor = flow.build(execute=load.execute, user_ids=user_ids)
        load.execute(flow.commands(floor, flow.resting_orders(floor, count=resting)))
        batch = flow.commands(floor, flow.trading_orders(floor, count=orders, name="commit"))
        seconds = load.seconds(batch)
    with store.connect() as connection:
        batches = recorded_batches(connection)
        written = connection.execute(COUNTS).fetchone()
    timed_batches = _last_commands(batches, orders)
    settings.DATABASES["default"]["NAME"] = FLOOR_DATABASE
    with store.connect() as connection:
        pipeline = Pipeline(connection)
        _write_all(pipeline, batches[: len(batches) - len(timed_batches)])
        floor_seconds = report.timed(lambda: _write_all(pipeline, timed_batches))
    with store.connect() as connection:
        assert connection.execute(COUNTS).fetchone() == written, "the floor wrote other rows than the worker"
    return [
        report.rate_row(
            group="commit",
            what=f"worker to PostgreSQL commit, {IN_FLIGHT} in flight",
            figure=orders / seconds,
            unit="orders/s",
            yardstick="SQL floor, same rows and statements",
            yardstick_figure=orders / floor_seconds,
            at_least=ORDERS_PER_SECOND,
            ratio_at_least=FLOOR_RATIO,
            note=f"{len(timed_batches)} batches, {orders / len(timed_batches):.0f} orders each on average",
        )
    ]


def recorded_batches(connection: store.Connection) -> list[tuple[int, list[Statement]]]:
    """Every batch of the journal, as its number of commands and the statements that wrote it."""
    rows = connection.execute(
        f"SELECT {microseconds('received_at')}, payload FROM matching_journalentry ORDER BY sequence"  # noqa: S608
    )
    exchange, scales = Exchange(), Scales()
    batches: list[tuple[int, list[Statement]]] = []
    for now, taken in itertools.groupby(rows, key=lambda row: row[0]):
        batch = store.Batch(exchange.state.sequence + 1, now)
        for _, payload in taken:
            command = _decode_command(payload)
            batch.add(command, exchange.apply(command, now))
        batches.append((len(batch.commands), store.encode(batch, exchange.state, scales)))
    return batches


def worker_costs(*, orders: int, resting: int, history: int, runs: int) -> list[float]:
    """Microseconds per order through the whole worker, run by run, with so large a book and history. A part."""
    user_ids = prepare_database(users=ACCOUNTS)
    if history:
        _write_history(history)
    with running_worker() as load:
        floor = flow.build(execute=load.execute, user_ids=user_ids)
        load.execute(flow.commands(floor, flow.resting_orders(floor, count=resting)))
        costs = []
        for run in range(1 + runs):
            batch = flow.commands(floor, flow.trading_orders(floor, count=orders, name=f"run{run}"))
            costs.append(load.seconds(batch) / orders * 1e6)
    return costs[1:]  # the first one warms up


def crowd(*, accounts: int, resting: int) -> int:
    """Leave a database with so many accounts and open orders behind; the number of open orders. A part."""
    user_ids = prepare_database(users=accounts)
    with running_worker() as load:
        floor = flow.build(execute=load.execute, user_ids=user_ids)
        load.execute(flow.commands(floor, flow.resting_orders(floor, count=resting)))
    with store.connect() as connection:
        row = connection.execute("SELECT count(*) FROM orders_order WHERE status = 'open'").fetchone()
        assert row is not None
        return int(row[0])


def _write_history(count: int) -> None:
    """Ended orders with client order ids, and their journal rows, as if the exchange had had them yesterday."""
    now = time.time_ns() // 1000
    with store.connect() as connection:
        connection.execute(HISTORY_ORDERS, [ACCOUNTS, now, now, count])
        connection.execute(HISTORY_JOURNAL, [now, ACCOUNTS, count])
        connection.execute(HISTORY_ENGINE, [count, now])
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _write_all(pipeline: Pipeline, batches: list[tuple[int, list[Statement]]]) -> None:
    for _, statements in batches:
        pipeline.run(statements)


def _last_commands(batches: list[tuple[int, list[Statement]]], commands: int) -> list[tuple[int, list[Statement]]]:
    """The batches that took the last `commands` commands: the load begins with a batch of its own."""
    count = 0
    for place in range(len(batches) - 1, -1, -1):
        count += batches[place][0]
        if count == commands:
            return batches[place:]
    raise AssertionError("the load shares a batch with what came before")


def _copy_database(*, source: str, target: str) -> None:
    """Nobody may be connected to the source."""
    connections.close_all()
    settings.DATABASES["default"]["NAME"] = "postgres"
    try:
        with store.connect() as connection:
            connection.execute(f'CREATE DATABASE "{target}" TEMPLATE "{source}"')
    finally:
        settings.DATABASES["default"]["NAME"] = source
