"""The order lane: from the web's event loop to the worker's thread and back. Here inside one process.

Nothing here is durable: a reply comes only after the commit that made it so. The lane is bounded; what does not fit is
refused at once. The worker takes whatever has arrived, so a busy exchange makes large batches and a quiet one answers
without waiting. `matching/redis_lane.py` is the same between processes.
"""

import asyncio
import time
from collections.abc import Sequence
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from typing import Protocol

import msgspec

from matching.engine.messages import AnyCommand, AnyEvent, OrderPreviewed, PlaceOrder

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""The name under which the request at hand is logged, carried along to the worker."""

TRACE: ContextVar[str] = ContextVar("trace", default="")
"""The traceparent of the request at hand, carried along to the worker."""


class LaneError(Exception):
    """The lane could not carry a command. Nothing is known to have happened unless the subclass says otherwise."""


class LaneFull(LaneError):
    """Too many commands are waiting; this one was not taken. Try again a little later."""


class WorkerUnavailable(LaneError):
    """No worker is taking commands now; this one was not taken."""


class OutcomeUnknown(LaneError):
    """The commit failed while this command was in it: it may or may not have happened. Ask by client order id."""


class CommandFailed(LaneError):
    """A fault of ours kept this command from being executed. It changed nothing."""


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What became of one command, durable: its place in the journal, its time (microseconds) and its events."""

    sequence: int
    received_at: int
    events: list[AnyEvent]


class Preview(msgspec.Struct, frozen=True, gc=False):
    """A question to the worker: what would this order do now? Answered from memory, not journaled."""

    command: PlaceOrder


class Request:
    """Some commands of one caller, answered together; or one preview.

    `position`: where the lane goes on after it, "" in a lane that forgets. `sent_at`: seconds since 1970.
    """

    __slots__ = ("commands", "position", "request_id", "sent_at", "trace")

    def __init__(
        self, commands: Sequence[AnyCommand] | Preview, *, position: str, sent_at: float, request_id: str, trace: str
    ) -> None:
        self.commands = commands
        self.position = position
        self.sent_at = sent_at
        self.request_id = request_id
        self.trace = trace


BATCH: ContextVar[Sequence[Request]] = ContextVar("batch", default=())
"""The requests in the batch that the worker's thread is busy with: who logs names them."""

Answer = list[Reply] | OrderPreviewed | LaneError


class OrderLane(Protocol):
    """The end of a lane where commands go in, on an event loop."""

    commands_max: int

    @property
    def depth(self) -> int:
        """What waits for its answer or to be taken, as far as this process knows."""

    async def execute(self, commands: Sequence[AnyCommand]) -> list[Reply]:
        """Carry commands to the worker and wait for their commit; one reply each, in order. Raises LaneError."""

    async def preview(self, command: PlaceOrder) -> OrderPreviewed:
        """Ask what an order would do now. Raises LaneError."""


class WorkerLane(Protocol):
    """The end of a lane where the worker takes commands and answers, on its threads."""

    def open(self, *, position: str, sequence: int) -> None:
        """The books are loaded, at the journal's `sequence`: let commands in, those after `position` first."""

    def close(self) -> None:
        """The worker stops or starts over: whatever was not answered was not taken."""

    def wake(self) -> None:
        """Make a waiting `take` return, even with nothing."""

    def take(self, *, limit: int, timeout: float) -> list[Request]:
        """Whatever has arrived, at most about `limit` commands; waits up to `timeout` seconds for the first."""

    def answer(self, answers: Sequence[tuple[Request, Answer]]) -> None:
        """Give every request its answer. An error but CommandFailed leaves it to the lane to bring it again."""


class _Waiting(Request):
    """A request of this process, with who waits for it."""

    __slots__ = ("future", "loop")

    def __init__(self, commands: Sequence[AnyCommand] | Preview) -> None:
        super().__init__(commands, position="", sent_at=time.time(), request_id=REQUEST_ID.get(), trace=TRACE.get())
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[object] = self.loop.create_future()


class InProcessLane:
    """Both ends of a lane: a bounded queue of requests. It forgets what it could not answer, and says so."""

    def __init__(self, *, commands_max: int) -> None:
        self.commands_max = commands_max
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._open = False

    @property
    def depth(self) -> int:
        """Requests that wait to be taken."""
        return self._queue.qsize()

    async def execute(self, commands: Sequence[AnyCommand]) -> list[Reply]:
        """Carry commands to the worker and wait for their commit; one reply each, in order. Raises LaneError."""
        answer = await self._ask(commands)
        assert isinstance(answer, list)
        return answer

    async def preview(self, command: PlaceOrder) -> OrderPreviewed:
        """Ask what an order would do now. Raises LaneError."""
        answer = await self._ask(Preview(command))
        assert isinstance(answer, OrderPreviewed)
        return answer

    async def _ask(self, commands: Sequence[AnyCommand] | Preview) -> object:
        if not self._open:
            raise WorkerUnavailable
        if self._queue.qsize() >= self.commands_max:
            raise LaneFull
        request = _Waiting(commands)
        self._queue.put(request)
        return await request.future

    def open(self, *, position: str, sequence: int) -> None:
        """The worker has loaded the books: let commands in."""
        self._open = True

    def close(self) -> None:
        """The worker stops or starts over: refuse new commands, and answer those that wait as not taken."""
        self._open = False
        waiting = self.take(limit=self.commands_max + 1, timeout=0)
        self.answer([(request, WorkerUnavailable()) for request in waiting])

    def wake(self) -> None:
        """Make a waiting `take` return, even with nothing."""
        self._queue.put(None)

    def take(self, *, limit: int, timeout: float) -> list[Request]:
        """Whatever has arrived, at most about `limit` commands; waits up to `timeout` seconds for the first."""
        requests: list[Request] = []
        count = 0
        get = self._queue.get_nowait
        try:
            request = self._queue.get(timeout=timeout) if timeout > 0 else get()
            while True:
                if request is not None:
                    requests.append(request)
                    count += 1 if isinstance(request.commands, Preview) else len(request.commands)
                    if count >= limit:
                        break
                elif timeout > 0 and not requests:
                    break
                request = get()
        except Empty:
            pass
        return requests

    def answer(self, answers: Sequence[tuple[Request, Answer]]) -> None:
        """Give every request its answer, with one call into each event loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiting, Answer]]] = {}
        for request, result in answers:
            assert isinstance(request, _Waiting)
            by_loop.setdefault(request.loop, []).append((request, result))
        for loop, pairs in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, pairs)


def _resolve(pairs: list[tuple[_Waiting, Answer]]) -> None:
    for request, result in pairs:
        if request.future.done():
            continue
        if isinstance(result, LaneError):
            request.future.set_exception(result)
        else:
            request.future.set_result(result)
