"""What a connection still has to be sent, bounded whatever its reader does.

As long as the reader keeps up, a message is written at once. When the connection takes no more, answers wait in a
queue, and messages of channels that can be merged only leave a mark: what was missed is told in one message as soon
as there is room.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol

WAITING_BYTES_MAX = 1024 * 1024
BLOCKED_SECONDS_MAX = 10.0

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Mergeable(Protocol):
    """A channel that can tell in one message everything that happened after a sequence."""

    def missed(self, since: int) -> str:
        """The message; "" when there is nothing to tell."""


class Outbox:
    """The sending half of one connection.

    `room`: set while it takes more; None: the server does not say. `full` is called when more waits than is allowed.
    """

    def __init__(self, *, send: Send, room: asyncio.Event | None, full: Callable[[], object]) -> None:
        self._send = send
        self._room = room
        self._full = full
        self._closed = False
        self._waiting: deque[str] = deque()
        self._waiting_bytes = 0
        self._missed: dict[Mergeable, int] = {}
        self._writer: asyncio.Task[None] | None = None
        self._blocked_since = 0.0

    def push(self, text: str) -> None:
        """Send a message that must not be merged or lost."""
        if self._closed or self._write_now(text):
            return
        self._waiting.append(text)
        self._waiting_bytes += len(text)
        self._start_writer()
        if self._waiting_bytes > WAITING_BYTES_MAX:
            self._full()

    def push_mergeable(self, text: str, channel: Mergeable, since: int) -> None:
        """Send a channel's message; `since`: the channel's last sequence before it. Merged when there is no room."""
        if self._closed or self._write_now(text):
            return
        self._missed.setdefault(channel, since)
        self._start_writer()

    def forget(self, channel: Mergeable) -> None:
        """The connection no longer wants to know what it missed of a channel."""
        self._missed.pop(channel, None)

    def is_too_slow(self, now: float) -> bool:
        """Whether the reader has not taken a message for too long; `now`: the event loop's time."""
        return self._writer is not None and now - self._blocked_since > BLOCKED_SECONDS_MAX

    async def emptied(self) -> None:
        """Wait until everything was sent."""
        if self._writer is not None:
            await asyncio.wait([self._writer])

    def close(self) -> None:
        """Drop what was not sent, and whatever comes."""
        self._closed = True
        if self._writer is not None:
            self._writer.cancel()
        self._waiting.clear()
        self._missed.clear()

    def _write_now(self, text: str) -> bool:
        """Run the server's send here if it has nothing to wait for: without a task it costs a third."""
        if self._writer is not None or self._room is None or not self._room.is_set():
            return False
        sending: Coroutine[Any, Any, None] = self._send({"type": "websocket.send", "text": text})  # type: ignore[assignment]
        try:
            sending.send(None)
        except (StopIteration, OSError):  # sent; or the client has gone, and the consumer is about to hear of it
            return True
        raise AssertionError("a connection that could take more has made its sender wait")

    def _start_writer(self) -> None:
        if self._writer is None:
            self._blocked_since = asyncio.get_running_loop().time()
            self._writer = asyncio.create_task(self._write())

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting or self._missed:
                if self._waiting:
                    text = self._waiting.popleft()
                    self._waiting_bytes -= len(text)
                    await self._send({"type": "websocket.send", "text": text})
                else:
                    if self._room is not None:
                        await self._room.wait()
                    if not self._missed:
                        continue
                    channel, since = next(iter(self._missed.items()))
                    del self._missed[channel]
                    if text := channel.missed(since):
                        await self._send({"type": "websocket.send", "text": text})
                self._blocked_since = loop.time()
        except OSError:
            self._waiting.clear()
            self._missed.clear()
        finally:
            self._writer = None
