"""A random journal in the database: commands of every kind through a real worker whose clock makes days pass."""

import asyncio
import time
from random import Random

import msgspec

from matching.engine import messages
from matching.lanes import InProcessLane
from matching.worker import Worker
from tests.pure.builders import START
from tests.pure.exchange_commands import Commands, setup
from trading.models import User

OWNERS = 5
TABLE_CHANGES = 150
"""Commands from one tier table to the next."""

READY_SECONDS_MAX = 10


class Clock:
    """A clock that somebody sets. Microseconds since 1970."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def write_journal(*, seed: int, commands: int) -> int:
    """Write so many random commands after the set-up, days of them, and return the time at which they end."""
    User.objects.bulk_create(User(username=f"owner {id}") for id in range(1, OWNERS + 1))
    clock = Clock(START)
    lane = InProcessLane(commands_max=1_000)
    worker = Worker(lane=lane, clock=clock)
    worker.start()
    try:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not worker.status().books_loaded:
            assert time.monotonic() < deadline, "the worker does not get ready"
            time.sleep(0.005)
        asyncio.run(_send(lane, clock, Random(seed), commands))
    finally:
        worker.stop()
    return clock.now


async def _send(lane: InProcessLane, clock: Clock, random: Random, commands: int) -> None:
    for command in setup(random):
        await lane.execute([command])
    stream = Commands(random)
    for number in range(commands):
        clock.now += stream.wait() + random.choice((0, 0, 0, 3_600_000_000, 50_000_000_000))
        command = _table(random) if number % TABLE_CHANGES == 0 else stream.next(rules=False)
        if _can_be_stored(command):
            (reply,) = await lane.execute([command])
            stream.learn(command, reply.events)


def _table(random: Random) -> messages.SetFeeTiers:
    """Three tiers within reach; volumes in units of USDT."""
    volumes = sorted(random.sample(range(1, 40), 2))
    rates = [(random.choice((-5_000, 0, 500)), random.choice((7_000, 9_000, 15_000))) for _ in range(3)]
    rows = zip((0, *volumes), rates, strict=True)
    return messages.SetFeeTiers(tuple(messages.FeeTier(volume * 1_000, *pair) for volume, pair in rows), 2)


def _can_be_stored(command: messages.AnyCommand) -> bool:
    """Whether the command is text that the journal takes."""
    try:
        text = msgspec.json.encode(command)
    except UnicodeEncodeError:
        return False
    return b"\\u0000" not in text
