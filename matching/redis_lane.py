"""The order lane between processes: a Redis Stream to the worker, published replies back to the process that asked.

The worker commits its position in the stream with each batch, so whatever happens to it, to its standby or to Redis,
no command is lost once acknowledged, and none is executed twice. Nothing here has to be durable: a command that Redis
loses was not acknowledged.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from matching import redis_url
from matching.engine.messages import AnyCommand, OrderPreviewed, PlaceOrder
from matching.lanes import (
    REQUEST_ID,
    TRACE,
    CommandFailed,
    LaneError,
    LaneFull,
    OutcomeUnknown,
    Reply,
    WorkerUnavailable,
)

STREAM = f"{redis_url.TAG}:orders"
LEADER = f"{redis_url.TAG}:leader"
REPLIES = f"{redis_url.TAG}:replies:"
"""The stream of requests; the channel on which the leader is heard; the channel of a process's replies, with its id."""

HEARTBEAT_SECONDS = 0.5
SILENCE_SECONDS = 2.0
"""A leader that was not heard for so long is gone: orders are refused until there is one again."""

REPLY_SECONDS = 10.0
"""Who asked waits no longer; the worker leaves out what has been under way for longer."""

LOST_SECONDS = 1.0
"""How long replies of an earlier leader may still be on their way when a new one has begun."""

ENTRY_COMMANDS_MAX = 256
ENTRY_SECONDS = 0.003
"""A process adds entries no faster than this; what is asked meanwhile goes together. A message between processes costs
each of them more than an order in it does.
"""

AWAY_SECONDS = 0.2
BEGINNING = "0-0"

_logger = logging.getLogger(__name__)


class Sent(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """A request on its way to the worker; a preview is one command."""

    number: int
    commands: list[AnyCommand]
    preview: bool = False
    request_id: str = ""
    trace: str = ""


class Answered(msgspec.Struct, array_like=True, omit_defaults=True, gc=False):
    """What became of a request, one of the three."""

    number: int
    replies: list[Reply] | None = None
    preview: OrderPreviewed | None = None
    failed: bool = False


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """What the leader says of itself: who it is, when its session began (microseconds), and how far it has come.

    `open`: it takes orders. `depth`: entries read, but not taken. `position`: of the stream, as committed.
    `commits`: the median and the 99th percentile of its last commits in seconds, nothing before the first.
    """

    leader: str
    began_at: int
    open: bool
    sequence: int
    position: str
    depth: int
    commits: list[float]


_encode = msgspec.json.Encoder().encode
_decode_answered = msgspec.json.Decoder(list[Answered]).decode
_decode_heartbeat = msgspec.json.Decoder(Heartbeat).decode


class Place(NamedTuple):
    """A place in the stream: so many requests of an entry are done. As text "1700000000000-5/12", "" at the start."""

    milliseconds: int
    number: int
    done: int

    @classmethod
    def parse(cls, text: str) -> "Place":
        """The place that a text names."""
        entry, _, done = (text or BEGINNING).partition("/")
        milliseconds, _, number = entry.partition("-")
        return cls(int(milliseconds), int(number), int(done or 0))

    @property
    def entry(self) -> str:
        """The entry's id."""
        return f"{self.milliseconds}-{self.number}"


class _Asked:
    """A request that waits for its answer. `place`: where the stream goes on after it, once it is there."""

    __slots__ = ("deadline", "future", "place", "sent")

    def __init__(self, sent: Sent) -> None:
        self.sent = sent
        self.place: Place | None = None
        self.deadline = time.monotonic() + REPLY_SECONDS
        self.future: asyncio.Future[object] = asyncio.get_running_loop().create_future()


class RedisLane:
    """The lane's end in a web process, on its event loop: between `start` and `stop`.

    `heard`: the leader's last heartbeat.
    """

    def __init__(self, *, url: str, commands_max: int) -> None:
        self.commands_max = commands_max
        self.heard: Heartbeat | None = None
        self._url = url
        self._name = f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}"
        self._heard_at = float("-inf")
        self._connected = False
        self._numbers = 0
        self._asked: dict[int, _Asked] = {}
        self._waiting: deque[_Asked] = deque()
        self._news = asyncio.Event()
        self._lost_redis = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def depth(self) -> int:
        """Requests of this process that have not been answered."""
        return len(self._asked)

    @property
    def available(self) -> bool:
        """A leader that takes orders has just been heard."""
        return (
            self._connected
            and self.heard is not None
            and self.heard.open
            and time.monotonic() - self._heard_at < SILENCE_SECONDS
        )

    @property
    def connected(self) -> bool:
        """Redis is there."""
        return self._connected

    async def start(self) -> None:
        """Begin to listen and to send, on the running event loop."""
        self._tasks = [asyncio.create_task(work()) for work in (self._listen, self._send, self._sweep)]

    async def stop(self) -> None:
        """Wait for the answers under way, and end."""
        deadline = time.monotonic() + REPLY_SECONDS
        while self._asked and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._connected = False
        self._fail(OutcomeUnknown, list(self._asked.values()))

    async def execute(self, commands: Sequence[AnyCommand]) -> list[Reply]:
        """Carry commands to the worker and wait for their commit; one reply each, in order. Raises LaneError."""
        answer = await self._ask(list(commands), preview=False)
        assert isinstance(answer, list)
        return answer

    async def preview(self, command: PlaceOrder) -> OrderPreviewed:
        """Ask what an order would do now. Raises LaneError."""
        answer = await self._ask([command], preview=True)
        assert isinstance(answer, OrderPreviewed)
        return answer

    async def _ask(self, commands: list[AnyCommand], *, preview: bool) -> object:
        if not self.available:
            raise WorkerUnavailable
        if len(self._asked) >= self.commands_max:
            raise LaneFull
        self._numbers += 1
        asked = _Asked(Sent(self._numbers, commands, preview, REQUEST_ID.get(), TRACE.get()))
        self._asked[self._numbers] = asked
        self._waiting.append(asked)
        self._news.set()
        return await asked.future

    def _fail(self, error: type[LaneError], asked: list[_Asked]) -> None:
        for each in asked:
            self._asked.pop(each.sent.number, None)
            if not each.future.done():
                each.future.set_exception(error())

    async def _send(self) -> None:
        """Add what has been asked to the stream; what is asked while an entry is on its way goes into the next."""
        sent_at = float("-inf")
        while True:
            client = redis_url.connect_async(self._url)
            self._lost_redis.clear()
            try:
                while not self._lost_redis.is_set():  # a connection from before may only seem to be there
                    await self._news.wait()
                    if (early := sent_at + ENTRY_SECONDS - time.monotonic()) > 0:
                        await asyncio.sleep(early)
                    self._news.clear()
                    sent_at = time.monotonic()
                    while self._waiting and not self._lost_redis.is_set():
                        if entry := self._next_entry():
                            await self._add(client, entry)
            finally:
                with contextlib.suppress(*redis_url.ERRORS):
                    await client.aclose()

    def _next_entry(self) -> list[_Asked]:
        entry: list[_Asked] = []
        commands = 0
        while self._waiting and commands < ENTRY_COMMANDS_MAX:
            asked = self._waiting.popleft()
            if not asked.future.done():  # it may have been told already that Redis is away
                entry.append(asked)
                commands += len(asked.sent.commands)
        return entry

    async def _add(self, client: Any, entry: list[_Asked]) -> None:
        data = _encode([asked.sent for asked in entry])
        try:
            found = await client.xadd(STREAM, {"from": self._name, "requests": data})
        except redis_url.ERRORS:  # it may have arrived: nobody may say that it was not taken
            self._fail(OutcomeUnknown, entry)
            return
        place = Place.parse(found.decode())
        for number, asked in enumerate(entry, start=1):
            asked.place = place._replace(done=number)

    async def _listen(self) -> None:
        """Hear the leader and the answers; when Redis goes away, nobody knows what became of what is under way."""
        told = False
        while True:
            client = redis_url.connect_listener(self._url)
            try:
                async with client.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(LEADER, REPLIES + self._name)
                    self._connected, told = True, False
                    while True:
                        message = await channel.get_message(timeout=SILENCE_SECONDS)
                        if message is not None:
                            self._hear(message["channel"].decode(), message["data"])
            except redis_url.ERRORS as error:
                if not told:
                    _logger.warning("The order lane has lost Redis: %s", error)
                    told = True
            finally:
                self._connected = False
                self._lost_redis.set()
                self._news.set()
                self._fail(WorkerUnavailable, list(self._waiting))
                self._waiting.clear()
                self._fail(OutcomeUnknown, list(self._asked.values()))
                with contextlib.suppress(*redis_url.ERRORS):
                    await client.aclose()
            await asyncio.sleep(AWAY_SECONDS)

    def _hear(self, channel: str, data: bytes) -> None:
        if channel == LEADER:
            self._hear_leader(_decode_heartbeat(data))
            return
        for answered in _decode_answered(data):
            asked = self._asked.pop(answered.number, None)
            if asked is None or asked.future.done():
                continue
            if answered.failed:
                asked.future.set_exception(CommandFailed())
            else:
                asked.future.set_result(answered.preview if answered.replies is None else answered.replies)

    def _hear_leader(self, heard: Heartbeat) -> None:
        now, before = time.monotonic(), self.heard
        if before is not None and before.began_at > heard.began_at and now - self._heard_at < SILENCE_SECONDS:
            return  # it was frozen, and does not know yet that there is another
        self.heard, self._heard_at = heard, now
        if before is not None and before.began_at != heard.began_at:
            loop = asyncio.get_running_loop()
            loop.call_later(LOST_SECONDS, self._lost, Place.parse(heard.position))

    def _lost(self, position: Place) -> None:
        """What an earlier leader has committed, but did not come to tell, will be told by nobody."""
        lost = [each for each in self._asked.values() if each.place is not None and each.place <= position]
        self._fail(OutcomeUnknown, lost)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            now = time.monotonic()
            self._fail(OutcomeUnknown, [asked for asked in self._asked.values() if asked.deadline < now])
