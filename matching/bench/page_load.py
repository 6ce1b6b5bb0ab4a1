"""A busy market for whoever watches: so many trades a second between two traders, and levels that come and go.

`python -m matching.bench.page_load PORT SECONDS KEY SECRET KEY SECRET`: the first trader rests orders on both sides,
the second takes one at a time.
"""

import asyncio
import contextlib
import hmac
import json
import random
import sys
import time
from collections import deque

from websockets.asyncio.client import ClientConnection, connect

from matching.bench.frames import PATH

MARKET = "BTC-USDT"
TRADES_PER_SECOND = 100
MIDDLE = 43_000
SPREAD = 200
LEVELS = 200
"""Orders that rest beside those that are taken; one is replaced for every trade."""


async def _login(socket: ClientConnection, key: str, secret: str) -> None:
    timestamp = time.time_ns() // 1_000_000
    signature = hmac.digest(secret.encode(), f"{timestamp}GET{PATH}".encode(), "sha256").hex()
    await socket.send(json.dumps({"op": "login", "api_key": key, "timestamp": timestamp, "signature": signature}))
    answer = json.loads(await socket.recv())
    assert answer["ok"], answer


async def _drop_answers(socket: ClientConnection) -> None:
    async for _ in socket:
        pass


def _order(side: str, price: float, quantity: float, **more: str) -> dict[str, str]:
    return {
        "market": MARKET, "side": side, "type": "limit", "price": f"{price:.2f}", "quantity": f"{quantity:.5f}", **more,
    }  # fmt: skip


async def _trade(maker: ClientConnection, taker: ClientConnection, seconds: float) -> None:
    chance = random.Random(1)  # noqa: S311 - prices to look at
    resting: deque[str] = deque()
    middle = float(MIDDLE)
    began = time.monotonic()
    for number in range(int(seconds * TRADES_PER_SECOND)):
        await asyncio.sleep(max(0.0, began + number / TRADES_PER_SECOND - time.monotonic()))
        middle += chance.gauss(0, 1)
        side, other = ("buy", "sell") if chance.random() < 0.5 else ("sell", "buy")
        sign, quantity = (1 if side == "buy" else -1), chance.uniform(0.001, 0.05)
        name = f"page-{began:.0f}-{number}"
        beside = _order(side, middle - sign * chance.uniform(2, SPREAD), chance.uniform(0.01, 2), client_order_id=name)
        resting.append(name)
        await maker.send(json.dumps({"op": "order.place", "order": beside}))
        await maker.send(json.dumps({"op": "order.place", "order": _order(side, middle, quantity)}))
        if len(resting) > LEVELS:
            await maker.send(json.dumps({"op": "order.cancel", "client_order_id": resting.popleft()}))
        take = _order(other, middle - sign * 1, quantity, time_in_force="ioc")
        await taker.send(json.dumps({"op": "order.place", "order": take}))


async def main(port: int, seconds: float, keys: list[str]) -> None:
    """Trade for so long, then cancel what rests."""
    url = f"ws://127.0.0.1:{port}{PATH}"
    async with connect(url, compression=None) as maker, connect(url, compression=None) as taker:
        await _login(maker, *keys[:2])
        await _login(taker, *keys[2:])
        readers = [asyncio.create_task(_drop_answers(socket)) for socket in (maker, taker)]
        with contextlib.suppress(asyncio.CancelledError):
            await _trade(maker, taker, seconds)
        await maker.send(json.dumps({"op": "order.cancel_all"}))
        for reader in readers:
            reader.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:7]))
