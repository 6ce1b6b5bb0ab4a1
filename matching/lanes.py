"""The order lane inside one process: from the web's event loop to the worker's thread and back.

Nothing here is durable: a reply comes only after the commit that made it so. The lane is bounded; what does not fit is
refused at once. The worker takes whatever has arrived, so a busy exchange makes large batches and a quiet one answers
without waiting.
"""

import asyncio
from collections.abc import Sequence
from queue import Empty, SimpleQueue

import msgspec

from matching.engine.messages import AnyCommand, AnyEvent, OrderPreviewed, PlaceOrder


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
    """Some commands of one caller, answered together; or one preview."""

    __slots__ = ("commands", "future", "loop")

    def __init__(
        self,
        commands: Sequence[AnyCommand] | Preview,
        loop: asyncio.AbstractEventLoop,
        future: "asyncio.Future[object]",
    ) -> None:
        self.commands = commands
        self.loop = loop
        self.future = future


Answer = list[Reply] | OrderPreviewed | LaneError


class InProcessLane:
    """A bounded queue of requests. `execute` and `preview` belong to event loops, `take` and `answer` to the worker."""

    def __init__(self, *, commands_max: int) -> None:
        self.commands_max = commands_max
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
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
        loop = asyncio.get_running_loop()
        request = Request(commands, loop, loop.create_future())
        self._queue.put(request)
        return await request.future

    def open(self) -> None:
        """The worker has loaded the books: let commands in."""
        self._open = True

    def close(self) -> None:
        """The worker stops or starts over: refuse new commands, and answer those that wait as not taken."""
        self._open = False
        waiting = self.take(limit=self.commands_max + 1, timeout=0)
        answer([(request, WorkerUnavailable()) for request in waiting])

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


def answer(answers: Sequence[tuple[Request, Answer]]) -> None:
    """Give every request its answer, with one call into each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Request, Answer]]] = {}
    for pair in answers:
        by_loop.setdefault(pair[0].loop, []).append(pair)
    for loop, pairs in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, pairs)


def _resolve(pairs: list[tuple[Request, Answer]]) -> None:
    for request, result in pairs:
        if request.future.done():
            continue
        if isinstance(result, LaneError):
            request.future.set_exception(result)
        else:
            request.future.set_result(result)
