"""Order entry and reads on a whole server: what the gateway answered is what Django reads back."""

import hashlib
import hmac
import json
import re
import socket
import time
from typing import Any

import httpx
import pytest

from tests.api import signed_in_operator
from tests.harness import ServerProcess

ORDER = {"market": "BTC-USDT", "side": "buy", "type": "limit", "price": "42000.00", "quantity": "0.01500"}


class Trader:
    """Signs with the demo key of a user, printed by the server at its start."""

    def __init__(self, server: ServerProcess, username: str) -> None:
        found = re.search(rf"API key of {username}: (\S+)  secret: (\S+)", server.log())
        assert found is not None, server.log()
        self.key, self.secret = found.groups()
        self.base_url = server.base_url

    def ask(self, method: str, target: str, body: Any = None) -> httpx.Response:
        """One request; `target` is sent, and signed, byte by byte as it is."""
        content = b"" if body is None else json.dumps(body).encode()
        timestamp = str(time.time_ns() // 1_000_000)
        signature = hmac.new(self.secret.encode(), f"{timestamp}{method}{target}".encode() + content, hashlib.sha256)
        headers = {"X-API-Key": self.key, "X-Timestamp": timestamp, "X-Signature": signature.hexdigest()}
        if content:
            headers["Content-Type"] = "application/json"
        with httpx.Client(base_url=self.base_url, timeout=30) as client:
            request = client.build_request(method, "/", content=content, headers=headers)
            request.url = request.url.copy_with(raw_path=target.encode())
            return client.send(request)


@pytest.fixture(scope="module")
def alice(server: ServerProcess) -> Trader:
    return Trader(server, "alice")


@pytest.fixture(scope="module")
def bob(server: ServerProcess) -> Trader:
    return Trader(server, "bob")


def test_an_order_is_read_back_as_it_was_answered(alice: Trader, bob: Trader):
    resting = bob.ask("POST", "/api/v1/orders", ORDER | {"side": "sell", "price": "43000.10", "client_order_id": "s/1"})
    assert resting.status_code == 201, resting.text
    taking = alice.ask("POST", "/api/v1/orders", ORDER | {"price": "43000.12", "quantity": "0.02000"})
    assert taking.status_code == 201, taking.text
    order = taking.json()
    assert (order["filled_quantity"], order["average_price"], len(order["fills"])) == ("0.01500", "43000.10", 1)
    assert alice.ask("GET", f"/api/v1/orders/{order['id']}").json() == order
    listed = alice.ask("GET", "/api/v1/orders?limit=1").json()["results"][0]
    assert listed == {name: value for name, value in order.items() if name != "fills"}
    maker = bob.ask("GET", "/api/v1/orders/by-client-id/s/1").json()
    assert (maker["status"], maker["fills"][0]["trade_id"]) == ("filled", order["fills"][0]["trade_id"])
    assert bob.ask("GET", f"/api/v1/orders/{order['id']}").status_code == 404
    canceled = alice.ask("DELETE", f"/api/v1/orders/{order['id']}").json()
    assert (canceled["status"], canceled["reason"]) == ("canceled", "user_canceled")
    assert alice.ask("GET", f"/api/v1/orders/{order['id']}").json() == canceled


def test_a_rejected_order_is_in_the_history(alice: Trader):
    refused = alice.ask("POST", "/api/v1/orders", ORDER | {"quantity": "900.00000", "price": "60000.00"})
    assert refused.status_code == 422
    newest = alice.ask("GET", "/api/v1/orders?limit=1&status=rejected").json()["results"][0]
    assert newest["reason"] == refused.json()["error"]["code"]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/api/v1/orders?market=BTC%2DUSDT&side=buy", 200),
        ("/api/v1/orders?market=BTC-USDT&", 200),
        ("/api/v1/orders/by-client-id/a%2Fb", 404),
        ("/api/v1/orders/by-client-id/%C3%A9", 404),
        ("/api/v1/%6Frders", 200),
        ("/api/v1/nothing%20here", 404),
    ],
)
def test_the_signature_is_over_the_bytes_sent(alice: Trader, target: str, status: int):
    assert alice.ask("GET", target).status_code == status


def test_depth_follows_an_order_at_once(alice: Trader):
    def bids() -> list[list[str]]:
        levels: list[list[str]] = alice.ask("GET", "/api/v1/markets/BTC-USDT/depth?levels=1000").json()["bids"]
        return levels

    order = alice.ask("POST", "/api/v1/orders", ORDER | {"price": "40123.45"}).json()
    assert ["40123.45", "0.01500"] in bids()
    alice.ask("DELETE", f"/api/v1/orders/{order['id']}")
    assert ["40123.45", "0.01500"] not in bids()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/api/v1/orders/test", 200), ("POST", "/api/v1/accounts", 415), ("DELETE", "/api/v1/orders", 422)],
)
def test_a_browsers_body_is_never_read_as_a_form(server: ServerProcess, method: str, path: str, status: int):
    """A form without its boundary is what Django's own reading of it stumbles over."""
    with signed_in_operator(base_url=server.base_url) as browser:
        headers = {"X-CSRFToken": browser.cookies["csrftoken"], "Content-Type": "multipart/form-data"}
        answer = browser.request(method, path, content=json.dumps(ORDER).encode(), headers=headers)
    assert answer.status_code == status, answer.text


CHUNK = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"


@pytest.mark.parametrize("path", ["/api/v1/deposits", "/api/v1/balances", "/admin/login/", "/nothing"])
@pytest.mark.parametrize(
    ("header", "sent"),
    [(b"Content-Length: 1000000000", b"x"), (b"Transfer-Encoding: chunked", 3 * CHUNK)],
    ids=["announced", "in chunks"],
)
def test_a_large_body_is_refused_before_it_is_read_whole(server: ServerProcess, path: str, header: bytes, sent: bytes):
    """The body never ends, the answer comes all the same."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
        connection.sendall(head + header + b"\r\n\r\n" + sent)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "body_too_large"


def test_the_answer_tells_the_limits(alice: Trader):
    answer = alice.ask("GET", "/api/v1/balances")
    assert answer.headers["x-ratelimit-limit"] == "100"
    assert int(answer.headers["x-ratelimit-reset"]) <= time.time() + 3
