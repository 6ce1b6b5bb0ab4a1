"""Order entry on the real server: sockets, uvicorn, the demo's markets, a key from the command."""

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.gateway_client import ORDERS, Signer
from tests.harness import ServerProcess

ORDER = {"market": "BTC-USDT", "side": "buy", "type": "limit", "price": "40000.00", "quantity": "0.01000"}


@pytest.fixture(scope="module")
def alice(server: ServerProcess) -> Signer:
    made = server.manage("create_api_key", "alice", "--scopes", "read,trade", "--json")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    return Signer(told["key"], 0, told["secret"])


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url, timeout=10) as client:
        yield client


def signed(client: httpx.Client, signer: Signer, method: str, target: str, body: bytes = b"") -> httpx.Response:
    return client.request(method, target, content=body, headers=signer.headers(method, target, body, window=60_000))


def test_an_order_lives_from_placing_to_canceling(client: httpx.Client, alice: Signer) -> None:
    body = json.dumps(ORDER | {"client_order_id": "over/the:wire"}).encode()
    placed = signed(client, alice, "POST", ORDERS, body)
    assert placed.status_code == 201, placed.text
    order = placed.json()
    assert signed(client, alice, "GET", f"{ORDERS}/{order['id']}").json() == order
    amended = signed(client, alice, "PATCH", f"{ORDERS}/{order['id']}", b'{"quantity":"0.00900"}')
    assert (amended.status_code, amended.json()["remaining_quantity"]) == (200, "0.00900")
    canceled = signed(client, alice, "DELETE", f"{ORDERS}/by-client-id/over/the:wire")
    assert (canceled.status_code, canceled.json()["status"]) == (200, "canceled")
    assert signed(client, alice, "GET", f"{ORDERS}/by-client-id/over/the:wire").json() == canceled.json()
    assert signed(client, alice, "DELETE", ORDERS + "?market=BTC%2DUSDT&side=buy").json() == {"canceled": []}


@pytest.mark.parametrize("announced", ["Content-Length: 100000000", "Transfer-Encoding: chunked"])
def test_a_body_without_end_is_cut_off(server: ServerProcess, announced: str) -> None:
    """Answered long before the body could have been read, and the connection is closed."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(f"POST {ORDERS} HTTP/1.1\r\nHost: localhost\r\n{announced}\r\n\r\n".encode())
        if "chunked" in announced:
            for _ in range(17):
                connection.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n")
        answer = b""
        while data := connection.recv(65_536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "body_too_large"


def test_what_is_not_order_entry_is_djangos(client: httpx.Client) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get(ORDERS).status_code == 401
    assert client.put(ORDERS).headers["allow"] == "GET, HEAD, OPTIONS, DELETE, POST"
