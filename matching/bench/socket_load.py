"""Orders over a few WebSockets, each with so many requests under way at any time.

`python -m matching.bench.socket_load PORT FILE WINDOW SECONDS` sends the frames of a file (`write_file`), one list a
socket of which the first logs in, for so long, and prints as JSON how many were answered. Every answer is looked at.
"""

import select
import sys
import time
from pathlib import Path

import msgspec

from matching.bench.frames import Connection

OK = b'"ok":true'
POLL_SECONDS = 1
DRAIN_SECONDS_MAX = 30


class Outcome(msgspec.Struct, frozen=True):
    """`answered`: orders; `seconds`: until the last answer. `refused`: answers that were not ok, the first of them."""

    answered: int
    seconds: float
    refused: int
    first_refusal: str

    @property
    def per_second(self) -> float:
        """Answered orders a second."""
        return self.answered / self.seconds


class _Sender:
    """One socket: the orders that it still has to send, and how many are under way."""

    __slots__ = ("connection", "frames", "sent", "under_way")

    def __init__(self, *, port: int, number: int, frames: list[bytes]) -> None:
        self.connection = Connection(port=port, number=number)
        self.frames = frames
        self.sent = self.under_way = 0

    def send(self, count: int) -> None:
        """Send so many more, in one write."""
        part = self.frames[self.sent : self.sent + count]
        self.sent += len(part)
        self.under_way += len(part)
        self.connection.socket.sendall(b"".join(part))


def run(*, port: int, frames: list[list[bytes]], window: int, seconds: float) -> Outcome:
    """Log in, then send and count; AssertionError when something is never answered, or the file is too short."""
    senders = [_Sender(port=port, number=number, frames=each) for number, each in enumerate(frames)]
    poll = select.epoll()
    for sender in senders:
        sender.send(1)
        (answer,) = sender.connection.receive()
        assert OK in answer, answer
        sender.under_way = 0
        poll.register(sender.connection.socket, select.EPOLLIN)
    by_descriptor = {sender.connection.socket.fileno(): sender for sender in senders}
    refusals: list[bytes] = []
    answered, start = 0, time.perf_counter()
    stop = last = start + seconds
    for sender in senders:
        sender.send(window)
    while any(sender.under_way for sender in senders):
        assert last - stop < DRAIN_SECONDS_MAX, "not everything was answered"
        for descriptor, _ in poll.poll(POLL_SECONDS):
            sender = by_descriptor[descriptor]
            answers = sender.connection.receive()
            refusals += [answer for answer in answers if OK not in answer]
            sender.under_way -= len(answers)
            answered += len(answers)
            if time.perf_counter() < stop:
                sender.send(len(answers))
                assert sender.under_way, "there were not enough orders in the file"
        last = time.perf_counter()
    return Outcome(answered, last - start, len(refusals), (refusals or [b""])[0].decode())


def write_file(*, path: Path, frames: list[list[bytes]]) -> None:
    """Write the frames of every socket, for `run` in another process."""
    path.write_bytes(msgspec.msgpack.encode(frames))


def main(port: str, file: str, window: str, seconds: str) -> None:
    """Run the load and print its outcome."""
    frames = msgspec.msgpack.decode(Path(file).read_bytes(), type=list[list[bytes]])
    outcome = run(port=int(port), frames=frames, window=int(window), seconds=float(seconds))
    sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
