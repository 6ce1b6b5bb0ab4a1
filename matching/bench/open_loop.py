"""A load of so many requests a second, whatever the server does: each one's latency counts from when it was due.

`python -m matching.bench.open_loop PORT FILE RATE CONNECTIONS SKIPPED` sends the requests of a file, evenly paced, over
kept connections (one that finds none free waits, and its waiting counts) and prints the latencies as JSON, but for the
first SKIPPED. It has no event loop: their timers are too coarse (1 ms) and their work would disturb.
"""

import select
import socket
import sys
import time
from collections import deque
from pathlib import Path

import msgspec

from matching.bench.requests import END

RECEIVE_BYTES = 65_536
ANSWER_SECONDS_MAX = 30
NANOSECONDS = 1_000_000_000
NANOSECONDS_PER_MILLISECOND = 1_000_000
CREATED = b"HTTP/1.1 201"
LENGTH = b"content-length: "
BLANK = b"\r\n\r\n"


class Outcome(msgspec.Struct, frozen=True):
    """`latencies`: ms from due to answered, in order of sending. `refused`: answers that were not 201."""

    latencies: list[float]
    refused: int
    sent_late: int
    """Requests that were sent more than a millisecond after they were due."""


class _Connection:
    """One kept connection: `due` is when the request that it carries was due."""

    __slots__ = ("due", "number", "received", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0
        self.number = 0
        self.received = b""


class Loader:
    """Sends and receives in one thread."""

    def __init__(self, *, port: int, requests: list[bytes], rate: int, connections: int) -> None:
        self._requests = requests
        self._interval = NANOSECONDS // rate
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        for _ in range(connections):
            connection = _Connection(port)
            self._connections[connection.socket.fileno()] = connection
            self._poll.register(connection.socket, select.EPOLLIN)
        self._free = deque(self._connections.values())
        self._latencies = [0] * len(requests)
        self._answered = 0
        self._refused = 0
        self._sent_late = 0

    def run(self) -> Outcome:
        """Send everything and wait for every answer; AssertionError when the server does not answer them all."""
        start = time.perf_counter_ns()
        total, sent = len(self._requests), 0
        deadline = start + total * self._interval + ANSWER_SECONDS_MAX * NANOSECONDS
        waiting = [self._poll.fileno()]
        while self._answered < total:
            now = time.perf_counter_ns()
            assert now < deadline, f"{total - self._answered} requests were not answered"
            while sent < total and self._free and start + sent * self._interval <= now:
                self._send(sent, start + sent * self._interval, now)
                sent += 1
            idle = sent < total and self._free
            pause = max(start + sent * self._interval - time.perf_counter_ns(), 0) / NANOSECONDS if idle else 1
            if select.select(waiting, [], [], pause)[0]:  # to the microsecond; epoll alone waits whole milliseconds
                for descriptor, _ in self._poll.poll(0):
                    self._receive(self._connections[descriptor])
        latencies = [value / NANOSECONDS_PER_MILLISECOND for value in self._latencies]
        return Outcome(latencies, self._refused, self._sent_late)

    def _send(self, number: int, due: int, now: int) -> None:
        connection = self._free.popleft()
        connection.due, connection.number = due, number
        connection.socket.sendall(self._requests[number])
        if now - due > NANOSECONDS_PER_MILLISECOND:
            self._sent_late += 1

    def _receive(self, connection: _Connection) -> None:
        data = connection.socket.recv(RECEIVE_BYTES)
        assert data, "the server has hung up"
        if connection.received:
            data = connection.received + data
        body = data.find(BLANK) + len(BLANK)
        length = data.find(LENGTH) + len(LENGTH)
        if body < len(BLANK) or len(data) < body + int(data[length : data.index(b"\r", length)]):
            connection.received = data
            return
        connection.received = b""
        self._latencies[connection.number] = time.perf_counter_ns() - connection.due
        self._answered += 1
        self._refused += not data.startswith(CREATED)
        self._free.append(connection)


def main(port: str, file: str, rate: str, connections: str, skipped: str) -> None:
    """Run the load and print its outcome."""
    requests = Path(file).read_bytes().split(END)[:-1]
    outcome = Loader(port=int(port), requests=requests, rate=int(rate), connections=int(connections)).run()
    rest = msgspec.structs.replace(outcome, latencies=outcome.latencies[int(skipped) :])
    sys.stdout.write(msgspec.json.encode(rest).decode() + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
