"""Order entry for tests: the real ASGI gateway called in this process, the real worker behind it, requests signed.

with trading_floor() as floor:                              # needs the fixture `fresh_database`
    answer = floor.call("POST", "/api/v1/orders", {"market": "BTC-USDT", ...}, signer=floor.alice)
    assert answer.status == 201 and answer.json["status"] == "open"
"""

import asyncio
import base64
import contextlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from matching import worker
from risk.models import Account
from tests.builders import RunningExchange, running_exchange
from trading.api_keys import issue_api_key
from trading.gateway.app import Gateway
from trading.gateway.database import READERS
from trading.gateway.directory import DIRECTORY
from trading.gateway.keys import CACHE
from trading.gateway.limits import Unlimited

ORDERS = "/api/v1/orders"
LIMIT_BUY: dict[str, Any] = {
    "market": "BTC-USDT",
    "side": "buy",
    "type": "limit",
    "price": "100.00",
    "quantity": "0.5",
}

Application = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Answer:
    """What came back; header names in small letters."""

    status: int
    headers: dict[str, str]
    json: Any

    @property
    def code(self) -> str:
        """The error's code."""
        return str(self.json["error"]["code"])


@dataclass(frozen=True)
class Signer:
    """A key and how it signs; `secret` for HMAC, `private_key` for Ed25519."""

    key: str
    account_id: int
    secret: str | None = None
    private_key: Ed25519PrivateKey | None = None

    def headers(
        self, method: str, target: str, body: bytes, *, timestamp: int | None = None, window: int | None = None
    ) -> dict[str, str]:
        """The headers that sign this request; `timestamp` in ms, now unless given."""
        moment = str(time.time_ns() // 1_000_000 if timestamp is None else timestamp)
        text = (moment + method + target).encode() + body
        if self.private_key is not None:
            signature = base64.b64encode(self.private_key.sign(text)).decode()
        else:
            assert self.secret is not None
            signature = hmac.new(self.secret.encode(), text, "sha256").hexdigest()
        headers = {"X-API-Key": self.key, "X-Timestamp": moment, "X-Signature": signature}
        return headers if window is None else headers | {"X-Window": str(window)}


class Floor:
    """A running exchange with market BTC-USDT (tick 0.01, lot 0.0001) and funded users alice and bob."""

    def __init__(self, exchange: RunningExchange, runner: asyncio.Runner) -> None:
        self.exchange = exchange
        self.runner = runner
        self.gateway: Application = Gateway(lane=worker.order_lane(), limits=Unlimited())
        self.btc, self.usdt = exchange.create_asset("BTC", 8), exchange.create_asset("USDT", 6)
        self.market = exchange.create_market(
            self.btc, self.usdt, tick_size=10_000, lot_size=10_000, min_quantity=10_000, max_quantity=1_000 * 10**8,
            min_notional=1_000_000, max_notional=1_000_000 * 10**6,
        )  # fmt: skip
        self.alice = self.signer(self.account("alice"))
        self.bob = self.signer(self.account("bob"))

    def account(self, username: str, name: str = "main") -> int:
        """A new funded account's id."""
        funds = {self.btc: 1_000 * 10**8, self.usdt: 10_000_000 * 10**6}
        return self.exchange.open_account(username, funds, name=name)

    def signer(self, account_id: int, **options: Any) -> Signer:
        """A new HMAC key of the account; scopes read and trade unless `options` for issue_api_key say otherwise."""
        options = {"scopes": ["read", "trade"]} | options
        api_key, secret = issue_api_key(account=Account.objects.get(id=account_id), **options)
        return Signer(api_key.key, account_id, secret)

    def call(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        signer: Signer | None = None,
        headers: Mapping[str, str] | None = None,
        gateway: Application | None = None,
        address: str = "127.0.0.1",
    ) -> Answer:
        """One request. `body`: bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Host": "localhost", "Content-Length": str(len(data))}
        if signer is not None:
            sent |= signer.headers(method, target, data, window=60_000)  # test machines stall
        return self.send(method, target, [data], headers=sent | dict(headers or {}), gateway=gateway, address=address)

    def send(
        self,
        method: str,
        target: str,
        chunks: Sequence[bytes],
        *,
        headers: Mapping[str, str],
        gateway: Application | None = None,
        address: str = "127.0.0.1",
    ) -> Answer:
        """One request whose body comes in chunks, with exactly these headers."""
        return self.runner.run(asgi_call(gateway or self.gateway, method, target, chunks, headers, address))

    def place(self, signer: Signer, **fields: Any) -> Answer:
        """POST /orders: a limit buy of 0.5 at 100.00 unless `fields` say otherwise (None leaves a field out)."""
        body = {name: value for name, value in (LIMIT_BUY | fields).items() if value is not None}
        return self.call("POST", ORDERS, body, signer=signer)


async def asgi_call(
    application: Application,
    method: str,
    target: str,
    chunks: Sequence[bytes],
    headers: Mapping[str, str],
    address: str = "127.0.0.1",
) -> Answer:
    """Call an ASGI application with one request; AssertionError when it asks for more body than there is to answer."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": path, "root_path": "",
        "raw_path": path.encode(), "query_string": query.encode(), "client": (address, 1234),
        "server": ("localhost", 80),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
    }  # fmt: skip
    waiting = list(chunks)
    messages: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        if messages:  # the answer is out: what comes now is only dropped
            return {"type": "http.disconnect"}
        assert waiting, "the application reads on after the end of the body"
        data = waiting.pop(0)
        return {"type": "http.request", "body": data, "more_body": bool(waiting)}

    async def send(message: Mapping[str, Any]) -> None:
        messages.append(message)

    await application(scope, receive, send)
    start, *bodies = messages
    data = b"".join(message["body"] for message in bodies)
    told = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], told, json.loads(data) if data else None)


@contextlib.contextmanager
def trading_floor() -> Iterator[Floor]:
    """A floor on the current database; afterwards nothing in memory remembers it."""
    try:
        with running_exchange() as exchange, asyncio.Runner() as runner:
            yield Floor(exchange, runner)
    finally:
        READERS.close()
        DIRECTORY.forget()
        CACHE.clear()
