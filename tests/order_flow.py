"""Random order flow over HTTP, from a seed: two demo traders place, take, amend and cancel; and the books it makes.

`true_books` knows nothing of the feed: it replays the journal in a fresh exchange, command by command.
"""

import asyncio
import json
import random
from collections.abc import Collection
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import psycopg

from docs.clients.book import Levels
from marketdata.store import microseconds
from matching.engine.book import Book
from matching.engine.messages import AnyCommand
from matching.exchange import Exchange
from tests.gateway_client import Signer

ORDERS = "/api/v1/orders"
MARKET = "BTC-USDT"
MIDDLE = 43_000
PRICE_DECIMALS, QUANTITY_DECIMALS = 2, 5
NAME = "random-flow"
"""What all client order ids begin with."""


class OrderFlow:
    """Sends requests from one connection for each signer; `counts` has the answers by status."""

    def __init__(self, *, base_url: str, signers: list[Signer], seed: int) -> None:
        self.counts: dict[int, int] = {}
        self._base_url = base_url
        self._signers = signers
        self._seed = seed

    async def run(self, *, requests: int, pause_max: float) -> int:
        """Send so many requests per signer, with pauses of up to `pause_max` s; then one that changes the book.

        Returns the sequence of that last command.
        """
        async with httpx.AsyncClient(base_url=self._base_url, timeout=30) as client:
            await asyncio.gather(
                *(self._trade(client, number, requests, pause_max) for number in range(len(self._signers)))
            )
            body = _limit_order("buy", MIDDLE - 500, "0.12345") | {"client_order_id": f"{NAME}-{self._seed}-last"}
            answer = await self._send(client, self._signers[0], "POST", ORDERS, body)
            assert answer.status_code == 201, answer.text
            return int(answer.json()["id"])

    async def _trade(self, client: httpx.AsyncClient, number: int, requests: int, pause_max: float) -> None:
        chance = random.Random(f"{self._seed}-{number}")
        signer, open_orders = self._signers[number], list[int]()
        for count in range(requests):
            draw = chance.random()
            if open_orders and draw < 0.25:
                order_id = open_orders.pop(chance.randrange(len(open_orders)))
                await self._send(client, signer, "DELETE", f"{ORDERS}/{order_id}")
            elif open_orders and draw < 0.4:
                change = chance.choice(
                    [{"quantity": _quantity(chance)}, {"price": _price(chance.choice(SIDES), chance)}]
                )
                await self._send(client, signer, "PATCH", f"{ORDERS}/{chance.choice(open_orders)}", change)
            else:
                body = _random_order(chance) | {"client_order_id": f"{NAME}-{self._seed}-{number}-{count}"}
                answer = await self._send(client, signer, "POST", ORDERS, body)
                if answer.status_code == 201 and answer.json()["status"] == "open":
                    open_orders.append(answer.json()["id"])
            if chance.random() < 0.3:
                await asyncio.sleep(chance.uniform(0, pause_max))

    async def _send(
        self, client: httpx.AsyncClient, signer: Signer, method: str, target: str, body: Any = None
    ) -> httpx.Response:
        content = b"" if body is None else json.dumps(body).encode()
        headers = signer.headers(method, target, content, window=60_000) | {"Content-Type": "application/json"}
        answer = await client.request(method, target, content=content, headers=headers)
        self.counts[answer.status_code] = self.counts.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, answer.text
        return answer


SIDES = ("buy", "sell")


def _random_order(chance: random.Random) -> dict[str, Any]:
    side = chance.choice(SIDES)
    if chance.random() < 0.15:
        return {"market": MARKET, "side": side, "type": "market", "quantity": _quantity(chance)}
    order = _limit_order(side, _price(side, chance), _quantity(chance))
    kind = chance.random()
    if kind < 0.1:
        order["time_in_force"] = chance.choice(["ioc", "fok"])
    elif kind < 0.2:
        order["post_only"] = True
    return order


def _limit_order(side: str, price: Any, quantity: str) -> dict[str, Any]:
    return {"market": MARKET, "side": side, "type": "limit", "price": str(price), "quantity": quantity}


def _price(side: str, chance: random.Random) -> str:
    """Mostly on its own side of the middle, at few enough prices that levels have several orders."""
    away = Decimal(chance.randint(-4, 40)) / 4
    return f"{MIDDLE + (away if side == 'sell' else -away):.2f}"


def _quantity(chance: random.Random) -> str:
    return f"0.{chance.randint(50, 5_000):05d}"


def true_books(*, database_url: str, market: str, sequences: Collection[int]) -> dict[int, tuple[Levels, Levels]]:
    """The whole book of a market right after each of these commands of the journal."""
    wanted, exchange = set(sequences), Exchange()
    decode = msgspec.json.Decoder(AnyCommand).decode
    found: dict[int, tuple[Levels, Levels]] = {}
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            f"SELECT sequence, {microseconds('received_at')}, payload FROM matching_journalentry ORDER BY sequence"
        )
        for sequence, received_at, payload in rows:
            exchange.apply(decode(payload), received_at)
            assert exchange.state.sequence == sequence
            if sequence in wanted:
                traded = next(each for each in exchange.state.markets.values() if each.symbol == market)
                scales = traded.base.scale, traded.quote.scale
                found[sequence] = _texts(traded.book, "buy", *scales), _texts(traded.book, "sell", *scales)
    return found


def _texts(book: Book, side: Any, base_scale: int, quote_scale: int) -> Levels:
    return [
        [
            f"{Decimal(price).scaleb(-quote_scale):.{PRICE_DECIMALS}f}",
            f"{Decimal(quantity).scaleb(-base_scale):.{QUANTITY_DECIMALS}f}",
        ]
        for price, quantity in book.depth(side, 10**9)
    ]
