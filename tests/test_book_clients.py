"""The reference clients, both, at a server that does as it is told: what they take, ask for, and survive."""

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from docs.clients import book
from tests.socket_client import CLIENTS, State, following, until

CHANNEL = "depth.BTC-USDT"
SUBSCRIBE: dict[str, Any] = {"op": "subscribe", "channels": [CHANNEL]}
BID, ASK = ["100.00", "0.50000"], ["101.00", "0.25000"]
EMPTY_BOOK: State = (7, [], [])

both_clients = pytest.mark.parametrize("kind", CLIENTS)


def snapshot(last: int, bids: Any, asks: Any, text: str) -> dict[str, Any]:
    """The checksum is of `text`, which the document gives to the byte."""
    content = {"bids": bids, "asks": asks, "checksum": zlib.crc32(text.encode())}
    return {"channel": CHANNEL, "type": "snapshot", "last_sequence": last, **content}


def update(first: int, last: int, bids: Any, asks: Any, text: str) -> dict[str, Any]:
    return snapshot(last, bids, asks, text) | {"type": "update", "first_sequence": first}


def heartbeat(last: int) -> dict[str, Any]:
    return {"channel": CHANNEL, "type": "heartbeat", "last_sequence": last}


class Peer:
    """The server's end of one connection; `number` counts the connections from 0."""

    def __init__(self, number: int, connection: ServerConnection) -> None:
        self.number = number
        self._connection = connection

    async def send(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            await self._connection.send(json.dumps(message))

    async def request(self) -> dict[str, Any]:
        """The next request of the client."""
        found: dict[str, Any] = json.loads(await self._connection.recv())
        return found

    async def wait_closed(self) -> None:
        await self._connection.wait_closed()


def states_of(kind: str, play: Callable[[Peer], Awaitable[None]], *, count: int, silence: float = 10) -> list[State]:
    """The first `count` states of a client's book at a server that plays `play` with every connection."""
    peers: list[Peer] = []
    failures: list[AssertionError] = []

    async def handle(connection: ServerConnection) -> None:
        peers.append(Peer(len(peers), connection))
        try:
            await play(peers[-1])
        except AssertionError as failure:
            failures.append(failure)

    async def run() -> list[State]:
        async with serve(handle, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            async with following(kind, url, "BTC-USDT", silence=silence) as client:
                await until(lambda: len(client.states) >= count or client.ended or bool(failures))
                for failure in failures:
                    raise failure
                return client.states[:count]

    return asyncio.run(run())


@both_clients
def test_a_book_is_rebuilt_from_a_snapshot_and_updates(kind: str):
    async def play(peer: Peer) -> None:
        assert await peer.request() == SUBSCRIBE
        await peer.send(
            {"op": "subscribe", "ok": True, "result": {"channels": [CHANNEL]}},
            snapshot(7, [["9.50", "2.00000"], BID], [ASK], "100.00:0.50000|9.50:2.00000#101.00:0.25000"),
            heartbeat(7),
            update(8, 9, [["100.00", "0"]], [["100.50", "3.00000"]], "9.50:2.00000#100.50:3.00000|101.00:0.25000"),
            update(10, 12, [["9.50", "1.50000"]], [], "9.50:1.50000#100.50:3.00000|101.00:0.25000"),
        )
        await peer.wait_closed()

    assert states_of(kind, play, count=3) == [
        (7, [BID, ["9.50", "2.00000"]], [ASK]),
        (9, [["9.50", "2.00000"]], [["100.50", "3.00000"], ASK]),
        (12, [["9.50", "1.50000"]], [["100.50", "3.00000"], ASK]),
    ]


@both_clients
def test_what_is_old_is_ignored_and_what_overlaps_is_applied(kind: str):
    async def play(peer: Peer) -> None:
        await peer.request()
        await peer.send(
            snapshot(7, [], [], "#"),
            update(8, 9, [BID], [], "100.00:0.50000#"),
            update(8, 9, [["100.00", "0.90000"]], [], "100.00:0.90000#"),
            update(6, 7, [["100.00", "0"]], [], "#"),
            heartbeat(8),
            update(9, 11, [], [ASK], "100.00:0.50000#101.00:0.25000"),
        )
        await peer.wait_closed()

    assert states_of(kind, play, count=3) == [EMPTY_BOOK, (9, [BID], []), (11, [BID], [ASK])]


@both_clients
def test_a_gap_is_asked_for_once_and_filled(kind: str):
    async def play(peer: Peer) -> None:
        await peer.request()
        await peer.send(
            snapshot(7, [], [], "#"), update(9, 9, [BID], [], "100.00:0.50000#"), update(10, 10, [], [], "#")
        )
        assert await peer.request() == SUBSCRIBE | {"from_sequence": 7}
        with pytest.raises(TimeoutError):  # the second gap showed the same loss
            await asyncio.wait_for(peer.request(), 0.5)
        await peer.send(update(8, 10, [BID], [ASK], "100.00:0.50000#101.00:0.25000"))
        await peer.wait_closed()

    assert states_of(kind, play, count=2) == [EMPTY_BOOK, (10, [BID], [ASK])]


@both_clients
def test_a_heartbeat_ahead_of_the_book_shows_that_something_was_missed(kind: str):
    async def play(peer: Peer) -> None:
        await peer.request()
        await peer.send(snapshot(7, [], [], "#"), heartbeat(7), heartbeat(8))
        assert await peer.request() == SUBSCRIBE | {"from_sequence": 7}
        await peer.send(update(8, 8, [BID], [], "100.00:0.50000#"))
        await peer.wait_closed()

    assert states_of(kind, play, count=2) == [EMPTY_BOOK, (8, [BID], [])]


@both_clients
def test_a_book_with_a_wrong_checksum_is_thrown_away(kind: str):
    async def play(peer: Peer) -> None:
        await peer.request()
        await peer.send(snapshot(7, [], [], "#"), update(8, 8, [BID], [], "100.00:0.60000#"))
        assert await peer.request() == SUBSCRIBE
        await peer.send(update(9, 9, [], [ASK], "#101.00:0.25000"), snapshot(9, [], [ASK], "#101.00:0.25000"))
        await peer.wait_closed()

    assert states_of(kind, play, count=2) == [EMPTY_BOOK, (9, [], [ASK])]


@both_clients
def test_the_checksum_is_of_the_ten_best_levels_of_each_side(kind: str):
    bids = [[f"{price}.00", "1.00000"] for price in range(50, 38, -1)]
    asks = [[f"{price}.00", "2.00000"] for price in range(95, 107)]  # 100.00 comes after 99.00
    best_bids = "|".join(f"{price}:{quantity}" for price, quantity in bids[:10])
    best_asks = "|".join(f"{price}:{quantity}" for price, quantity in asks[:10])

    async def play(peer: Peer) -> None:
        await peer.request()
        await peer.send(snapshot(7, bids, asks, f"{best_bids}#{best_asks}"))
        await peer.wait_closed()

    assert states_of(kind, play, count=1) == [(7, bids, asks)]


@both_clients
def test_prices_are_compared_as_numbers_whatever_their_decimals(kind: str):
    async def play(peer: Peer) -> None:
        await peer.request()
        await peer.send(
            snapshot(7, [["100.005", "1.0"], ["100.00", "1.0"]], [], "100.005:1.0|100.00:1.0#"),
            update(8, 8, [["100.0", "2.0"], ["99.9", "1.0"]], [], "100.005:1.0|100.0:2.0|99.9:1.0#"),
        )
        await peer.wait_closed()

    assert states_of(kind, play, count=2)[1] == (8, [["100.005", "1.0"], ["100.0", "2.0"], ["99.9", "1.0"]], [])


@both_clients
@pytest.mark.parametrize("end", ["silence", "cut", "server_shutdown"])
def test_a_client_connects_again_and_goes_on_where_it_was(kind: str, end: str):
    async def play(peer: Peer) -> None:
        asked = await peer.request()
        if peer.number == 0:
            await peer.send(snapshot(7, [], [], "#"))
            if end == "server_shutdown":
                await peer.send({"type": "server_shutdown", "reconnect_after_ms": 100})
            if end != "cut":
                await peer.wait_closed()
        else:
            assert asked == SUBSCRIBE | {"from_sequence": 7}
            await peer.send(update(8, 8, [BID], [], "100.00:0.50000#"))
            await peer.wait_closed()

    assert states_of(kind, play, count=2, silence=0.5) == [EMPTY_BOOK, (8, [BID], [])]


@both_clients
def test_a_lost_snapshot_is_asked_for_again(kind: str):
    async def play(peer: Peer) -> None:
        assert await peer.request() == SUBSCRIBE
        asked = asyncio.create_task(peer.request())
        while not asked.done():
            await peer.send(heartbeat(7))
            await asyncio.sleep(0.1)
        assert await asked == SUBSCRIBE
        await peer.send(snapshot(7, [], [], "#"))
        await peer.wait_closed()

    assert states_of(kind, play, count=1) == [EMPTY_BOOK]


@both_clients
def test_a_refusal_ends_the_client_and_a_limit_does_not(kind: str):
    refusals = iter([(429, "rate_limited"), (404, "unknown_channel")])

    async def play(peer: Peer) -> None:
        await peer.request()
        status, code = next(refusals)
        error = {"code": code, "message": "There is no such channel."}
        await peer.send({"op": "subscribe", "ok": False, "status": status, "error": error})
        await peer.wait_closed()

    with pytest.raises(book.Refused, match="There is no such channel"):
        states_of(kind, play, count=1, silence=0.2)
    assert next(refusals, None) is None
