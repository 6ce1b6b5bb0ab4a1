"""Follows the order book of a market over Bourse's WebSocket API (../websocket.md). Needs the package `websockets`.

python book.py ws://127.0.0.1:8000/api/v1/ws BTC-USDT     prints the top of the book with each change
async for sequence, bids, asks in follow(url, market):    [["43000.00", "0.01500"], ...], best first
"""

import asyncio
import json
import random
import sys
import zlib
from collections.abc import AsyncGenerator
from decimal import Decimal
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

SILENCE = 12.0  # seconds; a channel says something every 5, so longer means that the connection is dead
ASK_AGAIN = 1.0  # seconds without a sign of the subscription we asked for
BACK_OFF, BACK_OFF_MAX = 0.5, 30.0  # seconds before the first and the later attempts to connect again

Levels = list[list[str]]


class Refused(Exception):
    """The server refuses the subscription, and would again."""


class Book:
    """What is known of a channel `depth.MARKET`. `sequence` is the last one applied; -1: nothing is known."""

    def __init__(self) -> None:
        self.sequence = -1
        self.bids: dict[Decimal, list[str]] = {}
        self.asks: dict[Decimal, list[str]] = {}

    def levels(self) -> tuple[Levels, Levels]:
        """Bids and asks, best first."""
        bids = [self.bids[price] for price in sorted(self.bids, reverse=True)]
        return bids, [self.asks[price] for price in sorted(self.asks)]

    def take(self, message: dict[str, Any]) -> str:
        """Take a message of the channel: it is "applied", or "old", or shows that something was "missed"."""
        kind, last = message["type"], message["last_sequence"]
        if kind == "snapshot":
            self.bids, self.asks = {}, {}
        elif last <= self.sequence:
            return "old"
        elif kind == "heartbeat" or message["first_sequence"] > self.sequence + 1:
            return "missed"
        for side, changes in ((self.bids, message["bids"]), (self.asks, message["asks"])):
            for level in changes:
                price, quantity = map(Decimal, level)
                if quantity:
                    side[price] = level
                else:
                    side.pop(price, None)
        text = "#".join("|".join(map(":".join, side[:10])) for side in self.levels())
        self.sequence = last if zlib.crc32(text.encode()) == message["checksum"] else -1
        return "missed" if self.sequence < 0 else "applied"


async def follow(
    url: str, market: str, *, silence: float = SILENCE
) -> AsyncGenerator[tuple[int, Levels, Levels], None]:
    """The whole book after each change, as (sequence, bids, asks), over as many connections as it takes."""
    channel, book, failures, clock = f"depth.{market}", Book(), 0, asyncio.get_running_loop().time
    while True:
        pause = random.uniform(0.5, 1) * min(BACK_OFF * 2**failures, BACK_OFF_MAX)  # noqa: S311 - no secret
        failures += 1
        try:
            async with connect(url, max_size=None, close_timeout=1) as socket:
                asked = -ASK_AGAIN
                found = "missed"  # as long as we have not subscribed
                while True:
                    if found == "missed" and clock() - asked >= ASK_AGAIN:
                        resume = {"from_sequence": book.sequence} if book.sequence >= 0 else {}
                        await socket.send(json.dumps({"op": "subscribe", "channels": [channel], **resume}))
                        asked = clock()
                    message = json.loads(await asyncio.wait_for(socket.recv(), silence))
                    found = book.take(message) if message.get("channel") == channel else "other"
                    if found == "applied":
                        failures, asked = 0, -ASK_AGAIN
                        yield book.sequence, *book.levels()
                    elif message.get("ok") is False and message["status"] < 500 and message["status"] != 429:
                        raise Refused(message["error"]["message"])
                    elif message.get("type") == "server_shutdown":
                        pause = message["reconnect_after_ms"] / 1000
                        break
        except (OSError, TimeoutError, WebSocketException):
            pass  # not there, gone, or silent for too long
        await asyncio.sleep(pause)


async def main(url: str, market: str) -> None:
    """Print the top of the book."""
    async for sequence, bids, asks in follow(url, market):
        bid, ask = (" x ".join(side[0]) if side else "nobody" for side in (bids, asks))
        print(f"{sequence}  bid {bid}  ask {ask}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
