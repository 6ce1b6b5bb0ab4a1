"""Clients of the REST API for tests: signed by an API key, signed in with a browser's session, or nobody.

A scene is a small exchange with a history: two accounts, one market, one trade, resting orders.
"""

import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
from django.test import Client

from risk.models import Account
from tests.builders import RunningExchange
from trading.api_keys import issue_api_key
from trading.models import User

BASE = "/api/v1"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, JSON body (None: empty), headers in lower case."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def code(self) -> str:
        """The error's code."""
        return str(self.body["error"]["code"])

    @property
    def field(self) -> str | None:
        """The error's field."""
        field: str | None = self.body["error"].get("field")
        return field


class ApiClient:
    """Sends requests below /api/v1 to Django in this process. Subclasses say who asks."""

    def __init__(self) -> None:
        self.client = Client(raise_request_exception=False)

    def headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
        """What identifies the caller."""
        return {}

    def request(
        self,
        method: str,
        path: str,
        *,
        json_body: Any = None,
        raw: bytes | None = None,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
        **parameters: Any,
    ) -> Answer:
        """One request; `path` is below /api/v1, `parameters` its query."""
        target = BASE + path + ("?" + urlencode(parameters, doseq=True) if parameters else "")
        body = b"" if json_body is None else json.dumps(json_body).encode()
        body = body if raw is None else raw
        sent = self.headers(method, target, body) | (headers or {})
        response = self.client.generic(method, target, body, content_type=content_type, headers=sent)
        return Answer(
            response.status_code,
            json.loads(response.content) if response.content else None,
            {name.lower(): value for name, value in response.headers.items()},
        )

    def get(self, path: str, **parameters: Any) -> Answer:
        """GET."""
        return self.request("GET", path, **parameters)

    def post(self, path: str, body: Any, **options: Any) -> Answer:
        """POST of a JSON body."""
        return self.request("POST", path, json_body=body, **options)

    def delete(self, path: str, **parameters: Any) -> Answer:
        """DELETE."""
        return self.request("DELETE", path, **parameters)

    def everything(self, path: str, **parameters: Any) -> list[Any]:
        """All results of a list, page after page."""
        results: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            answer = self.get(path, **parameters, **cursor)
            assert answer.status == 200, answer
            results += answer.body["results"]
            if answer.body["next"] is None:
                return results
            cursor = {"cursor": answer.body["next"]}


class SignedClient(ApiClient):
    """Signs with a new HMAC key of the account."""

    def __init__(self, account_id: int, *scopes: str, **options: Any) -> None:
        super().__init__()
        made, secret = issue_api_key(
            account=Account.objects.get(id=account_id), scopes=scopes or ("read", "trade", "withdraw"), **options
        )
        assert secret is not None
        self.key, self.secret = made.key, secret
        self.late_ms = 0

    def headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
        """The three headers; `late_ms` sets the clock back."""
        timestamp = str(time.time_ns() // 1_000_000 - self.late_ms)
        text = timestamp.encode() + method.encode() + target.encode() + body
        signature = hmac.new(self.secret.encode(), text, hashlib.sha256).hexdigest()
        return {"X-API-Key": self.key, "X-Timestamp": timestamp, "X-Signature": signature}


class BrowserClient(ApiClient):
    """A signed-in user; the CSRF token is sent unless `csrf` is False."""

    def __init__(self, username: str, *, account: str | None = None, csrf: bool = True) -> None:
        super().__init__()
        self.client = Client(raise_request_exception=False, enforce_csrf_checks=True)
        self.client.force_login(User.objects.get(username=username))
        self.account = account
        self.csrf = csrf
        self.token = "a" * 32
        self.client.cookies["csrftoken"] = self.token

    def headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
        """The CSRF token and the account's name."""
        named = {"X-Account": self.account} if self.account else {}
        return named | ({"X-CSRFToken": self.token} if self.csrf else {})


@contextlib.contextmanager
def signed_in_operator(*, base_url: str) -> Iterator[httpx.Client]:
    """A browser at a whole server in which the demo's operator has signed in."""
    with httpx.Client(base_url=base_url, timeout=30) as browser:
        browser.get("/login")
        fields = {"username": "admin", "password": "admin-demo", "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        assert browser.post("/login?next=/admin/", data=fields).status_code == 302
        yield browser


@dataclass(frozen=True)
class Scene:
    """BTC-USDT (tick 0.01, lot 0.0001), alice and bob with funds, and what happened, oldest first.

    Alice rests sells of 0.5 at 100, 0.5 at 101 (client order id "far/one") and 0.25 at 101; bob's buy of 0.2 at 100
    takes from the first; bob rests a buy of 1 at 99; bob's rejected order wants more than he has.
    """

    exchange: RunningExchange
    btc: int
    usdt: int
    market: int
    alice: int
    bob: int
    alice_orders: list[int]
    bob_orders: list[int]


def make_scene(exchange: RunningExchange) -> Scene:
    """Play the scene on an empty exchange."""
    btc, usdt = exchange.create_asset("BTC", 8), exchange.create_asset("USDT", 6)
    market = exchange.create_market(btc, usdt, tick_size=10_000, lot_size=10_000)
    alice = exchange.open_account("alice", {btc: 10 * 10**8, usdt: 10_000 * 10**6})
    bob = exchange.open_account("bob", {usdt: 10_000 * 10**6})
    tick, lot = 10**6, 10**8
    alice_orders = [
        exchange.place(alice, market, "sell", price=100 * tick, quantity=lot // 2).sequence,
        exchange.place(alice, market, "sell", price=101 * tick, quantity=lot // 2, client_order_id="far/one").sequence,
        exchange.place(alice, market, "sell", price=101 * tick, quantity=lot // 4).sequence,
    ]
    bob_orders = [
        exchange.place(bob, market, "buy", price=100 * tick, quantity=lot // 5).sequence,
        exchange.place(bob, market, "buy", price=99 * tick, quantity=lot).sequence,
        exchange.place(bob, market, "buy", price=99 * tick, quantity=1_000 * lot).sequence,
    ]
    return Scene(exchange, btc, usdt, market, alice, bob, alice_orders, bob_orders)
