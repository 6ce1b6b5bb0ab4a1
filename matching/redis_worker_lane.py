"""The worker's end of the order lane between processes: the stream read from the committed position on.

What was taken and not answered is not told anything: it is still in the stream, and the next session takes it.
"""

import contextlib
import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any

import msgspec
from redis.exceptions import RedisError

from matching import commit_times, redis_url
from matching.engine.messages import OrderPreviewed
from matching.lanes import Answer, CommandFailed, Preview, Request
from matching.redis_lane import (
    HEARTBEAT_SECONDS,
    LEADER,
    REPLIES,
    REPLY_SECONDS,
    STREAM,
    Answered,
    Heartbeat,
    Place,
    Sent,
)

ENTRIES_READ = 64
ENTRIES_WAITING_MAX = 256
READ_SECONDS = 0.25
AWAY_SECONDS = 0.2

_encode = msgspec.json.Encoder().encode
_decode_sent = msgspec.json.Decoder(list[Sent]).decode
_logger = logging.getLogger(__name__)


class _Read(Request):
    """A request read from the stream: who asked, and as which of its requests."""

    __slots__ = ("number", "sender")

    def __init__(self, sent: Sent, *, sender: bytes, position: str, sent_at: float) -> None:
        commands: Any = Preview(sent.commands[0]) if sent.preview else sent.commands  # type: ignore[arg-type]
        super().__init__(commands, position=position, sent_at=sent_at, request_id=sent.request_id, trace=sent.trace)
        self.sender = sender
        self.number = sent.number


class RedisWorkerLane:
    """The lane's end at the worker, from the committed position on. A session opens it and closes it.

    What was taken and not answered is not told anything: it is still in the stream, and the next session takes it.
    """

    def __init__(self, *, url: str) -> None:
        self._url = url
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._replies = redis_url.connect(url)
        self._session: _Reading | None = None

    def open(self, *, position: str, sequence: int) -> None:
        """Begin to read after `position`, and say that there is a leader."""
        self._session = _Reading(self._url, leader=self._name, position=position, sequence=sequence)

    def close(self) -> None:
        """Say that there is no leader for the moment, and forget what was read."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def wake(self) -> None:
        """Make a waiting `take` return, even with nothing."""
        if (session := self._session) is not None:
            session.queue.put(None)

    def take(self, *, limit: int, timeout: float) -> list[Request]:
        """Whatever has arrived, at most about `limit` commands; waits up to `timeout` seconds for the first."""
        assert self._session is not None, "a session takes only after it has opened the lane"
        return self._session.take(limit=limit, timeout=timeout)

    def answer(self, answers: Sequence[tuple[Request, Answer]]) -> None:
        """Publish what has been committed, to each asking process its own; nobody may be there any more."""
        by_sender: dict[bytes, list[Answered]] = {}
        position = sequence = None
        for request, result in answers:
            assert isinstance(request, _Read)
            if isinstance(result, list):
                answered = Answered(request.number, result)
                position, sequence = request.position, result[-1].sequence if result else sequence
            elif isinstance(result, OrderPreviewed):
                answered = Answered(request.number, preview=result)
            elif isinstance(result, CommandFailed):
                answered = Answered(request.number, failed=True)
            else:
                continue
            by_sender.setdefault(request.sender, []).append(answered)
        if (session := self._session) is not None and position is not None:
            session.committed(position, sequence)
        try:
            for sender, answered_all in by_sender.items():
                self._replies.publish(REPLIES + sender.decode(), _encode(answered_all))
        except redis_url.ERRORS:
            _logger.warning("Replies could not be published: their askers will find out by client order id")


class _Reading:
    """One session's reading of the stream, on a thread of its own, and its heartbeat on another."""

    def __init__(self, url: str, *, leader: str, position: str, sequence: int) -> None:
        self.queue: SimpleQueue[list[_Read] | None] = SimpleQueue()
        self._url = url
        self._place = Place.parse(position)
        self._left: deque[_Read] = deque()
        self._position = position
        self._sequence = sequence
        self._leader = leader
        self._began_at = time.time_ns() // 1_000
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._read_on, name="lane-reader", daemon=True),
            threading.Thread(target=self._be_heard, name="lane-heartbeat", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End both threads."""
        self._closing.set()
        for thread in self._threads:
            thread.join()

    def committed(self, position: str, sequence: int | None) -> None:
        """The stream was dealt with up to `position`, the journal's end is `sequence`."""
        self._position = position
        self._sequence = sequence or self._sequence

    def take(self, *, limit: int, timeout: float) -> list[Request]:
        """See RedisWorkerLane."""
        requests: list[Request] = []
        count = 0
        left = self._left
        while count < limit:
            if left:
                request = left.popleft()
                requests.append(request)
                count += 1 if isinstance(request.commands, Preview) else len(request.commands)
                continue
            try:
                found = self.queue.get(timeout=timeout) if timeout > 0 and not requests else self.queue.get_nowait()
            except Empty:
                break
            if found is not None:
                left.extend(found)
            elif not requests:
                break
        return requests

    # ------------------------------------------------------------------------------------------ reading

    def _read_on(self) -> None:
        """Read the stream from the committed position on; an empty Redis is a stream that begins anew."""
        told = False
        while not self._closing.is_set():
            client = redis_url.connect(self._url)
            try:
                self._begin(client)
                told = False
                while not self._closing.is_set():
                    if self.queue.qsize() > ENTRIES_WAITING_MAX:
                        self._closing.wait(0.001)
                        continue
                    found: Any = client.xread(
                        {STREAM: self._place.entry}, count=ENTRIES_READ, block=int(READ_SECONDS * 1000)
                    )
                    for entry, fields in found[0][1] if found else ():
                        self._take_entry(entry.decode(), fields, skipped=0)
            except redis_url.ERRORS as error:
                if not told:
                    _logger.warning("The order lane has lost Redis: %s", error)
                    told = True
                self._closing.wait(AWAY_SECONDS)
            finally:
                with contextlib.suppress(*redis_url.ERRORS):
                    client.close()

    def _begin(self, client: Any) -> None:
        """Compare clocks, make sure that new entries come after our place, and take the rest of a half-done entry."""
        seconds, microseconds = client.time()
        self._ahead = seconds + microseconds / 1_000_000 - time.time()
        place = self._place
        last = client.xrevrange(STREAM, count=1)
        if not last or Place.parse(last[0][0].decode())[:2] < place[:2]:
            try:
                client.xadd(STREAM, {"from": "", "requests": b"[]"}, id=f"{place.milliseconds}-{place.number + 1}")
            except RedisError as error:
                if "equal or smaller" not in str(error):  # it has had more since: entries that were trimmed
                    raise
        if place.done:
            for entry, fields in client.xrange(STREAM, place.entry, place.entry):
                self._take_entry(entry.decode(), fields, skipped=place.done)
            self._place = place._replace(done=0)

    def _take_entry(self, entry: str, fields: dict[bytes, bytes], *, skipped: int) -> None:
        self._place = place = Place.parse(entry)
        sent_at = place.milliseconds / 1_000 - self._ahead
        if time.time() - sent_at > REPLY_SECONDS:
            return  # nobody waits for it any more
        try:
            found = _decode_sent(fields[b"requests"])
        except (msgspec.MsgspecError, KeyError):
            _logger.exception("Entry %s of the order lane cannot be read: left out", entry)
            return
        sender = fields[b"from"]
        requests = [
            _Read(sent, sender=sender, position=f"{entry}/{number}", sent_at=sent_at)
            for number, sent in enumerate(found, start=1)
        ]
        if requests := requests[skipped:]:
            self.queue.put(requests)

    # ------------------------------------------------------------------------------------------ being heard

    def _be_heard(self) -> None:
        client = redis_url.connect(self._url)
        try:
            while True:
                closing = self._closing.is_set()
                try:
                    client.publish(LEADER, _encode(self._heartbeat(open_=not closing)))
                    client.xtrim(STREAM, minid=Place.parse(self._position).entry, approximate=True)
                except redis_url.ERRORS:
                    pass  # the reader has said so
                if closing:
                    return
                self._closing.wait(HEARTBEAT_SECONDS)
        finally:
            with contextlib.suppress(*redis_url.ERRORS):
                client.close()

    def _heartbeat(self, *, open_: bool) -> Heartbeat:
        return Heartbeat(
            leader=self._leader,
            began_at=self._began_at,
            open=open_,
            sequence=self._sequence,
            position=self._position,
            depth=self.queue.qsize(),
            commits=commit_times.percentiles(50, 99),
        )
