"""The order lane through a real Redis: what is asked is done once and answered, whatever happens to either end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from matching import redis_url
from matching.engine.messages import AnyCommand, OpenAccount, OrderDuplicated, OrderPlaced, PlaceOrder
from matching.lanes import CommandFailed, LaneFull, OutcomeUnknown, Reply, WorkerUnavailable
from matching.models import EngineState, JournalEntry
from matching.redis_lane import STREAM, Place, RedisLane
from matching.redis_worker_lane import RedisWorkerLane
from matching.worker import Worker
from tests.builders import running_exchange
from tests.redis_server import RedisServer
from tests.test_worker import UNIT, Floor

NOBODY = 999_999_999
WAIT_SECONDS_MAX = 20


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def floor(fresh_database: str) -> Floor:
    """A market and two funded accounts, and nobody who leads."""
    with running_exchange() as exchange:
        return Floor(exchange)


@pytest.fixture
def worker(floor: Floor, redis: RedisServer) -> Iterator[Worker]:
    """A worker that takes orders from Redis, leading."""
    worker = Worker(lane=RedisWorkerLane(url=redis.url))
    worker.start()
    try:
        wait_for(lambda: worker.status().books_loaded)
        yield worker
    finally:
        worker.stop()
        connections.close_all()


def wait_for(reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not reached():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@contextlib.asynccontextmanager
async def web_end(redis: RedisServer, *, commands_max: int = 1_000, available: bool = True) -> AsyncIterator[RedisLane]:
    """A web process's end of the lane, which has heard the leader if it is to be `available`."""
    lane = RedisLane(url=redis.url, commands_max=commands_max)
    await lane.start()
    try:
        await until(lambda: lane.available == available and lane.connected)
        yield lane
    finally:
        await lane.stop()


async def until(reached: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not reached():
            await asyncio.sleep(0.01)


def bid(floor: Floor, price: int = 90, **fields: Any) -> PlaceOrder:
    return PlaceOrder(floor.alice, floor.market, "buy", price=price * UNIT, quantity=UNIT, **fields)


async def outcome(lane: RedisLane, *commands: AnyCommand) -> list[Reply] | Exception:
    """The replies, or what was raised."""
    try:
        return await lane.execute(commands)
    except (WorkerUnavailable, OutcomeUnknown, CommandFailed, LaneFull) as error:
        return error


def placed_ids() -> list[int]:
    """The journal's orders, in order."""
    return list(JournalEntry.objects.filter(kind="place_order").order_by("sequence").values_list("sequence", flat=True))


def test_many_ask_at_once_and_each_gets_its_own_answer(worker: Worker, floor: Floor, redis: RedisServer) -> None:
    async def run() -> None:
        async with web_end(redis) as one, web_end(redis) as other:
            asked = [(one, other)[number % 2].execute([bid(floor, 50 + number)]) for number in range(60)]
            for number, (reply,) in enumerate(await asyncio.gather(*asked)):
                placed = reply.events[0]
                assert isinstance(placed, OrderPlaced)
                assert placed.order.price == (50 + number) * UNIT
                assert placed.order.id == reply.sequence
            shown = await one.preview(bid(floor, 10))
            assert shown.reason is None

    before = placed_ids()
    asyncio.run(run())
    assert len(placed_ids()) == len(before) + 60


def test_nobody_takes_orders_without_a_leader(floor: Floor, redis: RedisServer) -> None:
    async def run() -> None:
        async with web_end(redis, available=False) as lane:
            assert isinstance(await outcome(lane, bid(floor)), WorkerUnavailable)

    asyncio.run(run())


def test_a_full_lane_refuses_at_once(worker: Worker, floor: Floor, redis: RedisServer) -> None:
    async def run() -> None:
        async with web_end(redis, commands_max=1) as lane:
            found = await asyncio.gather(*(outcome(lane, bid(floor, 40 + number)) for number in range(3)))
            assert [type(each) for each in found] == [list, LaneFull, LaneFull]

    asyncio.run(run())


def test_poison_is_left_out_and_its_neighbours_in_the_same_entry_are_done_once(
    worker: Worker, floor: Floor, redis: RedisServer
) -> None:
    async def run() -> None:
        async with web_end(redis) as lane:
            commands = (bid(floor, 30), OpenAccount(NOBODY), bid(floor, 31), bid(floor, 32))
            first, poison, *others = await asyncio.gather(*(outcome(lane, command) for command in commands))
            assert isinstance(poison, CommandFailed)
            assert [type(each) for each in (first, *others)] == [list] * 3

    before = placed_ids()
    asyncio.run(run())
    assert len(placed_ids()) == len(before) + 3
    assert EngineState.objects.get().lane_position.endswith("/4")


def test_what_was_read_and_not_committed_is_done_by_the_next_leader(floor: Floor, redis: RedisServer) -> None:
    """The stream is the only place where these orders are: the leader that was heard never came to take them."""

    async def run() -> list[Reply]:
        async with web_end(redis, available=False) as lane:
            heard = RedisWorkerLane(url=redis.url)
            heard.open(position=position, sequence=0)
            await until(lambda: lane.available)
            asked = [asyncio.create_task(lane.execute([bid(floor, 20 + number)])) for number in range(5)]
            await until(lambda: heard._session is not None and heard._session.queue.qsize())
            heard.close()
            successor = Worker(lane=RedisWorkerLane(url=redis.url))
            successor.start()
            try:
                return [reply for replies in await asyncio.gather(*asked) for reply in replies]
            finally:
                await asyncio.to_thread(successor.stop)

    before, position = placed_ids(), EngineState.objects.get().lane_position
    replies = asyncio.run(run())
    assert [reply.sequence for reply in replies] == placed_ids()[len(before) :]


def test_what_an_earlier_leader_committed_and_did_not_tell_is_known_to_be_open_soon(
    floor: Floor, redis: RedisServer
) -> None:
    """Of three requests of one entry two were committed: these are told so long before the third is given up."""

    async def run() -> None:
        async with web_end(redis, available=False) as lane:
            first, second = RedisWorkerLane(url=redis.url), RedisWorkerLane(url=redis.url)
            first.open(position=position, sequence=0)
            await until(lambda: lane.available)
            asked = [asyncio.create_task(outcome(lane, bid(floor, 20 + number))) for number in range(3)]
            taken = await asyncio.to_thread(first.take, limit=3, timeout=WAIT_SECONDS_MAX)
            first.close()
            second.open(position=taken[1].position, sequence=0)
            found = await asyncio.gather(*asked[:2])
            assert [type(each) for each in found] == [OutcomeUnknown] * 2
            (left,) = await asyncio.to_thread(second.take, limit=3, timeout=WAIT_SECONDS_MAX)
            second.answer([(left, [Reply(1, 0, [])])])
            assert await asked[2] == [Reply(1, 0, [])]
            second.close()

    position = EngineState.objects.get().lane_position
    asyncio.run(run())


def test_what_has_waited_too_long_is_not_done(floor: Floor, redis: RedisServer) -> None:
    async def ask() -> None:
        async with web_end(redis, available=False) as lane:
            heard = RedisWorkerLane(url=redis.url)
            heard.open(position="", sequence=0)
            await until(lambda: lane.available)
            asked = asyncio.create_task(outcome(lane, bid(floor)))
            await until(lambda: heard._session is not None and heard._session.queue.qsize())
            heard.close()
            assert isinstance(await asked, OutcomeUnknown)

    asyncio.run(ask())
    before = placed_ids()
    late = Worker(lane=RedisWorkerLane(url=redis.url))
    late.start()
    try:
        wait_for(lambda: late.status().books_loaded)
        again = asyncio.run(ask_one(redis, bid(floor, 12)))
    finally:
        late.stop()
    assert placed_ids() == [*before, again.sequence]


async def ask_one(redis: RedisServer, command: AnyCommand) -> Reply:
    async with web_end(redis) as lane:
        (reply,) = await lane.execute([command])
        return reply


def test_an_empty_redis_is_where_the_lane_goes_on(worker: Worker, floor: Floor, redis: RedisServer) -> None:
    async def run() -> None:
        async with web_end(redis) as lane:
            first = (await lane.execute([bid(floor, 60, client_order_id="one")]))[0].events[0]
            assert isinstance(first, OrderPlaced)
            await asyncio.to_thread(redis.stop)
            await until(lambda: not lane.available)
            assert isinstance(await outcome(lane, bid(floor, 61)), WorkerUnavailable)
            await asyncio.to_thread(redis.start)
            await until(lambda: lane.available)
            again, new = await asyncio.gather(
                lane.execute([bid(floor, 60, client_order_id="one")]), lane.execute([bid(floor, 62)])
            )
            assert again[0].events == [OrderDuplicated(first.order.id)]
            assert isinstance(new[0].events[0], OrderPlaced)

    before = placed_ids()
    asyncio.run(run())
    assert len(placed_ids()) == len(before) + 3


def test_a_redis_whose_clock_is_behind_goes_on_after_the_committed_position(floor: Floor, redis: RedisServer) -> None:
    """An empty Redis would give its entries ids before those that were dealt with: nobody would ever read them."""
    ahead = f"{(time.time_ns() // 10**6) + 3_600_000}-0/1"
    EngineState.objects.update(lane_position=ahead)
    worker = Worker(lane=RedisWorkerLane(url=redis.url))
    worker.start()
    try:
        wait_for(lambda: worker.status().books_loaded)
        with contextlib.closing(redis_url.connect(redis.url)) as client:
            wait_for(lambda: last_entry(client)[:2] > Place.parse(ahead)[:2])
        reply = asyncio.run(ask_one(redis, bid(floor, 15)))
    finally:
        worker.stop()
        redis.stop()
        redis.start()
        EngineState.objects.update(lane_position="")
    assert isinstance(reply.events[0], OrderPlaced)


def last_entry(client: Any) -> Place:
    """The newest entry of the stream."""
    found = client.xrevrange(STREAM, count=1)
    return Place.parse(found[0][0].decode() if found else "")
