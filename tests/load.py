"""Load on a whole server, remembering every acknowledgement: what a crash must not lose.

`Load` places, amends and cancels with signed requests from many tasks at once and writes down each answer. After any
crash `unkept_promises` compares the answers with the database, and `retry_unanswered` sends what got no answer again
under the same client order id.
"""

import asyncio
import json
import logging
import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
import psycopg

from tests.gateway_client import Signer

ORDERS = "/api/v1/orders"
logging.getLogger("httpx").setLevel(logging.WARNING)  # not a line for each request


@dataclass
class Placed:
    """An order as asked for, and what was acknowledged of it; quantity texts as sent."""

    body: dict[str, Any]
    signer: Signer
    id: int | None = None
    amended_quantity: str | None = None
    canceled: bool = False
    unsure: bool = False


@dataclass
class Load:
    """Random order entry against `base_url` until it is told to stop. Amounts are demo-sized (BTC-USDT)."""

    base_url: str
    signers: list[Signer]
    random: random.Random
    name: str
    orders: list[Placed] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    stopping: bool = False

    async def run(self, *, tasks: int) -> None:
        """Send from `tasks` connections until `stopping` is set."""
        limits = httpx.Limits(max_connections=tasks, max_keepalive_connections=tasks)
        async with httpx.AsyncClient(base_url=self.base_url, limits=limits, timeout=10) as client:
            await asyncio.gather(*(self._trade(client) for _ in range(tasks)))

    async def _trade(self, client: httpx.AsyncClient) -> None:
        mine: list[Placed] = []
        while not self.stopping:
            open_orders = [order for order in mine[-20:] if order.id and not order.canceled and not order.unsure]
            draw = self.random.random()
            if draw < 0.2 and open_orders:
                await self._cancel(client, self.random.choice(open_orders))
            elif draw < 0.35 and open_orders:
                await self._amend(client, self.random.choice(open_orders))
            else:
                mine.append(await self._place(client))

    async def _place(self, client: httpx.AsyncClient) -> Placed:
        side = self.random.choice(["buy", "sell"])
        away = self.random.randint(-3, 40)
        body = {
            "market": "BTC-USDT",
            "side": side,
            "type": "limit",
            "price": f"{43_000 + (away if side == 'sell' else -away)}.00",
            "quantity": f"0.{self.random.randint(200, 900):05d}",
            "client_order_id": f"{self.name}-{len(self.orders)}",
        }
        order = Placed(body, self.random.choice(self.signers))
        self.orders.append(order)
        await self.place(client, order)
        return order

    async def place(self, client: httpx.AsyncClient, order: Placed) -> None:
        """Place an order (again) and note the answer."""
        answer = await self._call(client, "POST", ORDERS, order.signer, order.body)
        if answer is not None and answer.status_code in (200, 201):
            order.id = answer.json()["id"]

    async def _amend(self, client: httpx.AsyncClient, order: Placed) -> None:
        quantity = f"0.{self.random.randint(100, 900):05d}"
        order.unsure = True
        answer = await self._call(client, "PATCH", f"{ORDERS}/{order.id}", order.signer, {"quantity": quantity})
        if answer is not None:
            order.unsure = False
            if answer.status_code == 200:
                order.amended_quantity = quantity

    async def _cancel(self, client: httpx.AsyncClient, order: Placed) -> None:
        order.unsure = True
        answer = await self._call(client, "DELETE", f"{ORDERS}/{order.id}", order.signer, None)
        if answer is not None:
            order.unsure = False
            order.canceled = answer.status_code == 200

    async def _call(
        self, client: httpx.AsyncClient, method: str, path: str, signer: Signer, body: dict[str, Any] | None
    ) -> httpx.Response | None:
        """One signed request; None when nobody answered, or the answer was that the outcome is open."""
        data = b"" if body is None else json.dumps(body).encode()
        try:
            answer = await client.request(method, path, content=data, headers=signer.headers(method, path, data))
        except httpx.TransportError:
            await asyncio.sleep(0.02)
            return None
        if answer.is_error:
            code = answer.json()["error"]["code"]
            self.refusals[code] = self.refusals.get(code, 0) + 1
            assert answer.status_code < 500 or answer.status_code == 503, answer.text
            if answer.status_code == 503:
                await asyncio.sleep(0.02)
                return None if code == "outcome_unknown" else answer
        return answer


async def retry_unanswered(load: Load) -> int:
    """Send every placing that got no id again, same body and client order id; how many there were."""
    open_questions = [order for order in load.orders if order.id is None]
    async with httpx.AsyncClient(base_url=load.base_url, timeout=10) as client:
        for order in open_questions:
            await load.place(client, order)
    return len(open_questions)


def unkept_promises(load: Load, database_url: str) -> list[str]:
    """Every acknowledgement that the database does not bear out, in words."""
    with psycopg.connect(database_url) as connection:
        rows = {
            row[1]: row
            for row in connection.execute(
                "SELECT id, client_order_id, trim_scale(quantity)::text, status FROM orders_order "
                "WHERE client_order_id LIKE %s",
                [f"{load.name}-%"],
            )
        }
    broken = []
    for order in load.orders:
        if order.id is None:
            continue
        name = order.body["client_order_id"]
        row = rows.get(name)
        if row is None or row[0] != order.id:
            broken.append(f"{name}: acknowledged as {order.id}, stored as {row}")
        elif order.canceled and row[3] != "canceled":
            broken.append(f"{name}: its cancel was acknowledged, it is {row[3]}")
        elif order.amended_quantity and not order.unsure and Decimal(order.amended_quantity) != Decimal(row[2]):
            broken.append(f"{name}: amended to {order.amended_quantity}, stored as {row[2]}")
    return broken
