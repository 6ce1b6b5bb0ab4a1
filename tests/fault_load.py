"""Traders who do not give up, on a spread-out exchange: every order is sent until it is answered, then remembered.

with FaultLoad(exchange=exchange, name="redis", seed=1) as load:    # trades in a thread of its own
    load.wait_until_busy()
    at = load.moment(); exchange.redis.stop(); exchange.redis.start()
    print(load.recovery(at))
assert load.broken_promises() == []

An answer of 502, 503 or 504, or none, means: the same body under the same client order id, to another web process.
"""

import asyncio
import itertools
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx
import psycopg

from tests.distributed import DistributedExchange
from tests.gateway_client import Signer

ORDERS = "/api/v1/orders"
MARKET = "BTC-USDT"
TRADERS = 8
PACE_SECONDS = 0.01
AGAIN_SECONDS = 0.05
ANSWER_SECONDS_MAX = 5.0
WAIT_SECONDS_MAX = 90.0
BUSY_ORDERS = 40
POLL_SECONDS = 0.01
TRY_AGAIN = frozenset({502, 503, 504})
NOT_OPEN = frozenset({"order_not_open", "unknown_order"})


@dataclass
class Promise:
    """An order as it was answered. `refused`: the code of a refusal, which is an answer as well."""

    body: dict[str, Any]
    id: int | None = None
    refused: str | None = None
    duplicate: bool = False
    canceled: bool = False


@dataclass(frozen=True)
class Acknowledged:
    """When (monotonic seconds) an order was sent the last time, and when it was answered."""

    sent_at: float
    answered_at: float


class FaultLoad:
    """Limit orders that trade with one another, and cancels, on all web processes, from `__enter__` to `__exit__`."""

    def __init__(self, *, exchange: DistributedExchange, name: str, seed: int, traders: int = TRADERS) -> None:
        self.name = name
        self.promises: list[Promise] = []
        self.acknowledged: list[Acknowledged] = []
        self.failures = Counter[str]()
        self._exchange = exchange
        self._signers = [exchange.signer(user) for user in ("alice", "bob")]
        self._random = random.Random(seed)
        self._traders = traders
        self._stopping = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"load-{name}", daemon=True)

    def __enter__(self) -> "FaultLoad":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End when every order has its answer; AssertionError when one never gets any."""
        self._stopping = True
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    @staticmethod
    def moment() -> float:
        """Now, as `recovery` wants it."""
        return time.monotonic()

    def wait_until_busy(self) -> None:
        """Wait until some more orders have been acknowledged."""
        count = len(self.acknowledged) + BUSY_ORDERS
        self._wait(lambda: len(self.acknowledged) >= count, f"{BUSY_ORDERS} more acknowledged orders")

    def recovery(self, since: float) -> float:
        """Wait for an order that was sent after `since` and acknowledged; the seconds from then to the answer."""
        seen = len(self.acknowledged) - len([each for each in self.acknowledged if each.sent_at >= since])
        self._wait(lambda: any(each.sent_at >= since for each in self.acknowledged[seen:]), "order after the fault")
        return min(each.answered_at for each in self.acknowledged if each.sent_at >= since) - since

    def silence(self, since: float) -> float:
        """The longest time since then in which nobody was acknowledged anything."""
        moments = [since, *sorted(each.answered_at for each in self.acknowledged if each.answered_at >= since)]
        return max((later - earlier for earlier, later in itertools.pairwise(moments)), default=0.0)

    def broken_promises(self) -> list[str]:
        """What the database does not bear out of everything that was answered, in words; call it after the end."""
        with psycopg.connect(self._exchange.env["DATABASE_URL"]) as connection:
            rows = connection.execute(
                "SELECT client_order_id, id, status FROM orders_order WHERE client_order_id LIKE %s", [f"{self.name}-%"]
            ).fetchall()
        stored = {row[0]: (row[1], row[2]) for row in rows}
        broken = [f"{len(rows)} orders are stored for {len(self.promises)}"] if len(rows) != len(self.promises) else []
        for promise in self.promises:
            name = promise.body["client_order_id"]
            id, status = stored.get(name, (None, "missing"))
            if promise.refused is not None:
                if status != "rejected":
                    broken.append(f"{name}: refused as {promise.refused}, stored as {status}")
            elif id != promise.id:
                broken.append(f"{name}: acknowledged as {promise.id}, stored as {id}")
            elif promise.canceled and status != "canceled":
                broken.append(f"{name}: its cancel was acknowledged, it is {status}")
        ids = [promise.id for promise in self.promises if promise.id is not None]
        return broken + ["an id was given twice"] * (len(set(ids)) != len(ids))

    def summary(self) -> str:
        """What happened, for people."""
        accepted = sum(promise.id is not None for promise in self.promises)
        duplicates = sum(promise.duplicate for promise in self.promises)
        canceled = sum(promise.canceled for promise in self.promises)
        failed = ", ".join(f"{count} {name}" for name, count in sorted(self.failures.items())) or "none"
        return f"{accepted} orders, {canceled} cancels, {duplicates} answered as duplicates; sent again after: {failed}"

    # ------------------------------------------------------------------------------------------ traders

    def _wait(self, reached: Any, what: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not reached():
            assert self._thread.is_alive(), f"the load has ended: {self._error!r}"
            assert time.monotonic() < deadline, f"no {what}: {self.summary()}\n{self._exchange.logs()}"
            time.sleep(POLL_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._trade_all())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for the load
            self._error = error

    async def _trade_all(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=2 * self._traders)
        async with (
            httpx.AsyncClient(limits=limits, timeout=ANSWER_SECONDS_MAX) as client,
            asyncio.TaskGroup() as traders,
        ):
            for number in range(self._traders):
                traders.create_task(self._trade(client, number))

    async def _trade(self, client: httpx.AsyncClient, number: int) -> None:
        signer = self._signers[number % len(self._signers)]
        while not self._stopping:
            promise = await self._place(client, signer, number)
            if promise.id is not None and self._random.random() < 0.2:
                await self._cancel(client, signer, number, promise)
            await asyncio.sleep(PACE_SECONDS)

    async def _place(self, client: httpx.AsyncClient, signer: Signer, number: int) -> Promise:
        side, away = self._random.choice(["buy", "sell"]), self._random.randint(-3, 40)
        promise = Promise(
            {
                "market": MARKET,
                "side": side,
                "type": "limit",
                "price": f"{43_000 + (away if side == 'sell' else -away)}.00",
                "quantity": f"0.{self._random.randint(200, 900):05d}",
                "client_order_id": f"{self.name}-{len(self.promises)}",
            }
        )
        self.promises.append(promise)
        answer, sent_at = await self._until_answered(client, "POST", ORDERS, signer, number, promise.body)
        found = answer.json()
        if answer.is_success:
            promise.id, promise.duplicate = found["id"], found.get("duplicate", False)
            self.acknowledged.append(Acknowledged(sent_at, time.monotonic()))
        else:
            assert answer.status_code == 422, answer.text
            promise.refused = found["error"]["code"]
        return promise

    async def _cancel(self, client: httpx.AsyncClient, signer: Signer, number: int, promise: Promise) -> None:
        answer, _ = await self._until_answered(client, "DELETE", f"{ORDERS}/{promise.id}", signer, number, None)
        promise.canceled = answer.status_code == 200
        assert promise.canceled or answer.json()["error"]["code"] in NOT_OPEN, answer.text

    async def _until_answered(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        signer: Signer,
        number: int,
        body: dict[str, Any] | None,
    ) -> tuple[httpx.Response, float]:
        """Send it, again and again, to one web process after the other; the answer, and when it was asked for."""
        data = b"" if body is None else json.dumps(body).encode()
        urls, attempt = self._exchange.base_urls, 0
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            url = urls[(number + attempt) % len(urls)] + path
            attempt += 1
            sent_at = time.monotonic()
            try:
                headers = signer.headers(method, path, data, window=60_000)
                answer = await client.request(method, url, content=data, headers=headers)
            except httpx.TransportError as error:
                failure = type(error).__name__
            else:
                if answer.status_code not in TRY_AGAIN:
                    return answer, sent_at
                failure = f"{answer.status_code} {answer.json()['error']['code']}"
            self.failures[failure] += 1
            assert time.monotonic() < deadline, f"{method} {path} is never answered: {failure}"
            await asyncio.sleep(AGAIN_SECONDS)
