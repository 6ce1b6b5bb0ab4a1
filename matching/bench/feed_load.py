"""Many readers of one market's depth, and an order now and then that gives them something to read.

`python -m matching.bench.feed_load PORT[,PORT] FILE MARKET READERS RATE` places the orders of a file over HTTP at the
first port, RATE a second, and prints as JSON how long after the sending of each order its update reached each reader;
readers are shared out among the ports. Every update is counted by its sequence; those of one reader at each port are
decoded and must join on to one another.
"""

import itertools
import json
import select
import socket
import sys
import time
from bisect import bisect_left, bisect_right
from pathlib import Path

import msgspec

from matching.bench.frames import RECEIVE_BYTES, Connection, masked
from matching.bench.open_loop import BLANK, CREATED, LENGTH
from matching.bench.requests import END

LAST_SECONDS_MAX = 10
NANOSECONDS_PER_MILLISECOND = 1_000_000
SNAPSHOT = b'"type":"snapshot"'
UPDATE = b'"type":"update"'
FIRST_SEQUENCE, LAST_SEQUENCE = b'"first_sequence":', b'"last_sequence":'


class Outcome(msgspec.Struct, frozen=True):
    """`latencies`: ms from the sending of an order to the reading of its update, for every order and reader."""

    latencies: list[float]
    orders: int
    frames: int


class Orders:
    """The connection over which orders are placed. `sent`: when; `ids`: of those answered, in the same order."""

    def __init__(self, *, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent: list[int] = []
        self.ids: list[int] = []
        self._buffer = b""

    def send(self, request: bytes) -> None:
        """Place an order; its answer comes to `receive`."""
        self.sent.append(time.perf_counter_ns())
        self.socket.sendall(request)

    def receive(self) -> None:
        """Read answers; AssertionError when an order was refused."""
        data = self.socket.recv(RECEIVE_BYTES)
        assert data, "the server has hung up"
        self._buffer += data
        while (head := self._buffer.find(BLANK)) >= 0:
            assert self._buffer.startswith(CREATED), self._buffer
            length = self._buffer.index(LENGTH) + len(LENGTH)
            end = head + len(BLANK) + int(self._buffer[length : self._buffer.index(b"\r", length)])
            if len(self._buffer) < end:
                return
            self.ids.append(json.loads(self._buffer[head:end])["id"])
            self._buffer = self._buffer[end:]


class Load:
    """Subscribers and orders on one epoll. `seen`: first and last sequence of every update, and when it was read."""

    def __init__(self, *, ports: list[int], market: str, readers: int) -> None:
        self.seen: list[tuple[int, int, int]] = []
        self._last: dict[int, int] = {}
        self._poll = select.epoll()
        self._connections: dict[int, Connection] = {}
        subscribe = masked(json.dumps({"op": "subscribe", "channels": [f"depth.{market}"]}).encode())
        for number in range(readers):
            connection = Connection(port=ports[number % len(ports)], number=number)
            connection.socket.sendall(subscribe)
            while not any(SNAPSHOT in frame for frame in connection.receive()):
                pass
            self._connections[connection.socket.fileno()] = connection
            self._poll.register(connection.socket, select.EPOLLIN)
        self.sampled: dict[int, list[bytes]] = {each: [] for each in itertools.islice(self._connections, len(ports))}
        self.orders = Orders(port=ports[0])
        self._poll.register(self.orders.socket, select.EPOLLIN)

    def run(self, *, requests: list[bytes], rate: int) -> Outcome:
        """Place all orders and wait until every reader knows; AssertionError when one misses something."""
        start = time.perf_counter()
        for number, request in enumerate(requests):
            self._read_until(start + number / rate)
            self.orders.send(request)
        deadline = time.perf_counter() + LAST_SECONDS_MAX
        while not self._all_know(len(requests)):
            assert time.perf_counter() < deadline, "not every reader got the last update"
            self._read_until(time.perf_counter() + 0.05)
        for frames in self.sampled.values():
            for before, after in itertools.pairwise(map(json.loads, frames)):
                joins = after["first_sequence"] == before["last_sequence"] + 1
                assert joins, "an update does not join on to the last one"
        ids, sent = self.orders.ids, self.orders.sent
        latencies = [
            (at - sent[place]) / NANOSECONDS_PER_MILLISECOND
            for first, last, at in self.seen
            for place in range(bisect_left(ids, first), bisect_right(ids, last))
        ]
        return Outcome(latencies, len(ids), len(self.seen))

    def _read_until(self, moment: float) -> None:
        while (left := moment - time.perf_counter()) > 0:
            for descriptor, _ in self._poll.poll(left):
                connection = self._connections.get(descriptor)
                if connection is None:
                    self.orders.receive()
                else:
                    self._note(descriptor, connection.receive(), time.perf_counter_ns())

    def _note(self, descriptor: int, frames: list[bytes], now: int) -> None:
        for frame in frames:
            if UPDATE in frame:
                last = self._last[descriptor] = _number(frame, LAST_SEQUENCE)
                self.seen.append((_number(frame, FIRST_SEQUENCE), last, now))
                if descriptor in self.sampled:
                    self.sampled[descriptor].append(frame)

    def _all_know(self, orders: int) -> bool:
        """Whether all orders are answered, and every reader has come as far as the last of them."""
        if len(self.orders.ids) < orders or len(self._last) < len(self._connections):
            return False
        return min(self._last.values()) >= self.orders.ids[-1]


def _number(frame: bytes, name: bytes) -> int:
    place = frame.index(name) + len(name)
    return int(frame[place : frame.index(b",", place)])


def main(ports: str, file: str, market: str, readers: str, rate: str) -> None:
    """Run the load and print its outcome."""
    requests = Path(file).read_bytes().split(END)[:-1]
    load = Load(ports=[int(port) for port in ports.split(",")], market=market, readers=int(readers))
    outcome = load.run(requests=requests, rate=int(rate))
    sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
