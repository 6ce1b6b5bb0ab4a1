"""The private half of the WebSocket API against a real server: logins, an account's stream, and order entry."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
from websockets.exceptions import InvalidStatus

from tests.gateway_client import Signer
from tests.harness import ServerProcess, new_data_dir, remove_data_dir
from tests.socket_client import Message, Socket, calm_server
from tests.test_recovery import demo_signers

MARKET = "BTC-USDT"
PRIVATE = ["orders", "fills", "balances", "notifications"]
SETTLED_SECONDS = 10
RECOVERY_SECONDS = 30


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    data_dir = new_data_dir()
    try:
        with ServerProcess(data_dir=data_dir, env={"RATE_LIMITS": "off"}) as running:
            yield running
    finally:
        remove_data_dir(data_dir)


@pytest.fixture(scope="module")
def signers(server: ServerProcess) -> list[Signer]:
    return demo_signers(server)


@pytest.fixture(autouse=True)
def _clean(server: ServerProcess, signers: list[Signer]) -> Iterator[None]:
    """No test finds orders of another."""
    yield
    for signer in signers:
        with signed_in(server, signer) as socket:
            accepted(socket, "order.cancel_all")


def accepted(socket: Socket, op: str, **fields: Any) -> Message:
    """The answer of a server that may be recovering: 503 until it is ready again."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while not (answer := socket.ask(op, **fields))["ok"]:
        assert answer["status"] == 503, answer
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return answer


def signed_in(server: ServerProcess, signer: Signer, **options: Any) -> Socket:
    socket = Socket(server.base_url)
    answer = socket.login(signer, **options)
    assert answer["ok"], answer
    return socket


def limit(side: str, price: str, quantity: str, **more: Any) -> dict[str, Any]:
    return {"market": MARKET, "side": side, "type": "limit", "price": price, "quantity": quantity, **more}


def rest(server: ServerProcess, signer: Signer, target: str) -> Any:
    answer = server.get(target, headers=signer.headers("GET", target, b""))
    assert answer.status_code == 200, answer.text
    return answer.json()


def key_of(server: ServerProcess, user: str, scopes: str) -> Signer:
    made = json.loads(server.manage("create_api_key", user, "--scopes", scopes, "--json").stdout)
    return Signer(made["key"], 0, made["secret"])


class Account:
    """An account as its stream tells it, by the rules of docs/websocket.md; a hole is an error here."""

    def __init__(self) -> None:
        self.sequences: dict[str, int] = {}
        self.orders: dict[int, Message] = {}
        self.fills: list[Message] = []
        self.balances: dict[str, Message] = {}

    def take(self, message: Message) -> None:
        channel = message.get("channel")
        if channel not in PRIVATE:
            return
        last = message["last_sequence"]
        if message["type"] == "heartbeat":
            assert last == self.sequences[channel]
            return
        if message["type"] == "update":
            assert message["first_sequence"] == self.sequences[channel] + 1
            assert last > self.sequences[channel]
        self.sequences[channel] = last
        for order in message.get("orders", []):
            if order["status"] == "open":
                self.orders[order["id"]] = order
            else:
                self.orders.pop(order["id"], None)
        self.fills += message.get("fills", [])
        self.balances |= {balance["asset"]: balance for balance in message.get("balances", [])}

    def follow(self, socket: Socket, until_order: int) -> None:
        """Read until the order's end was told, and the balances after it."""
        ended = False

        def reached(message: Message) -> bool:
            nonlocal ended
            self.take(message)
            found = [order for order in message.get("orders", []) if order["id"] == until_order]
            ended = ended or (bool(found) and message["type"] == "update" and found[-1]["status"] != "open")
            return ended and self.sequences["balances"] >= self.sequences["orders"]

        socket.receive(reached)


def test_snapshot_and_events_are_a_fresh_snapshot(server, signers):
    alice, bob = signers
    account, taker = Account(), signed_in(server, bob)
    with signed_in(server, alice) as socket, taker:
        assert socket.ask("subscribe", channels=PRIVATE)["ok"]
        for place in range(30):
            socket.ask("order.place", order=limit("buy", f"{42900 + place}.00", "0.01000"))
            if place % 3 == 0:
                taker.ask("order.place", order=limit("sell", "42900.00", "0.00500", time_in_force="ioc"))
            if place % 5 == 0:
                answer = socket.ask("order.place", order=limit("buy", "100000000.00", "1"))
                assert answer["ok"] is False
        newest = socket.ask("order.place", order=limit("buy", "42800.00", "0.02000"))["result"]["id"]
        assert socket.ask("order.amend", order_id=newest, price="42801.00", quantity="0.01000")["ok"]
        assert socket.ask("order.cancel", order_id=newest)["result"]["status"] == "canceled"
        account.follow(socket, newest)
    fresh = Account()
    with signed_in(server, alice) as socket:
        assert socket.ask("subscribe", channels=PRIVATE)["ok"]
        for channel in PRIVATE:
            fresh.take(socket.message(channel, type="snapshot"))
    assert account.orders == fresh.orders
    assert account.orders
    assert account.balances == fresh.balances
    assert [fill["trade_id"] for fill in account.fills] == [fill["trade_id"] for fill in fresh.fills]
    assert account.fills == fresh.fills
    assert len(account.fills) >= 10
    listed = rest(server, alice, "/api/v1/fills?limit=100")["results"]
    assert account.fills[::-1] == listed[: len(account.fills)]
    assert rest(server, alice, "/api/v1/balances") == list(account.balances.values())


def test_nobody_hears_of_anybody_else(server, signers):
    alice, bob = signers
    with signed_in(server, alice) as mine, signed_in(server, bob) as other:
        assert other.ask("subscribe", channels=PRIVATE)["ok"]
        for channel in PRIVATE:
            other.message(channel, type="snapshot")
        order_id = mine.ask("order.place", order=limit("buy", "42000.00", "0.01000"))["result"]["id"]
        refused = other.ask("order.cancel", order_id=order_id)
        assert (refused["status"], refused["error"]["code"]) == (404, "unknown_order")
        own = other.ask("order.place", order=limit("buy", "41000.00", "0.01000"))["result"]["id"]
        told = other.message("orders")
        assert [order["id"] for order in told["orders"]] == [own]


def test_an_order_by_socket_is_an_order_by_rest(server, signers):
    alice, bob = signers
    with signed_in(server, alice) as socket, signed_in(server, bob) as maker:
        maker.ask("order.place", order=limit("sell", "43000.00", "0.01000"))
        answer = socket.ask("order.place", order=limit("buy", "43000.00", "0.01500", client_order_id="socket-1"))
        assert (answer["ok"], answer["status"]) == (True, 201)
        order = answer["result"]
        assert order["fills"][0]["liquidity"] == "taker"
        assert rest(server, alice, f"/api/v1/orders/{order['id']}") == order
        again = socket.ask("order.place", order=limit("buy", "43000.00", "0.01500", client_order_id="socket-1"))
        assert (again["status"], again["result"]["duplicate"]) == (200, True)
        other = socket.ask("order.place", order=limit("buy", "43000.00", "0.02000", client_order_id="socket-1"))
        assert (other["status"], other["error"]["code"]) == (409, "client_order_id_conflict")
        amended = socket.ask("order.amend", client_order_id="socket-1", quantity="0.01200")
        assert amended["result"]["quantity"] == "0.01200"
        canceled = socket.ask("order.cancel", client_order_id="socket-1")
        assert canceled["result"]["status"] == "canceled"
        assert socket.ask("order.cancel", client_order_id="socket-1")["error"]["code"] == "order_not_open"


def test_batches_tests_and_cancel_all(server, signers):
    with signed_in(server, signers[0]) as socket:
        orders = [limit("buy", "42000.00", "0.01000"), limit("sell", "44000.00", "0.01000"), {"market": MARKET}]
        results = socket.ask("order.place_batch", orders=orders)["result"]["results"]
        assert [list(result) for result in results] == [["order"], ["order"], ["error"]]
        preview = socket.ask("order.test", order=orders[0])
        assert preview["result"]["worst_case_cost"] == "420"
        assert socket.ask("order.cancel_all", market=MARKET, side="buy")["result"]["canceled"] == [
            results[0]["order"]["id"]
        ]
        assert socket.ask("order.cancel_all", market="NO-SUCH")["error"]["code"] == "unknown_market"
        assert socket.ask("order.cancel_all")["result"]["canceled"] == [results[1]["order"]["id"]]


@pytest.mark.parametrize(
    ("op", "fields", "code", "field"),
    [
        ("order.place", {}, "missing_field", "order"),
        ("order.place", {"order": 1}, "invalid_body", None),
        ("order.place", {"order": limit("buy", "NaN", "1")}, "invalid_decimal", "price"),
        ("order.place", {"order": limit("buy", "1", "1") | {"owner": 3}}, "unknown_field", "owner"),
        ("order.place", {"order": limit("buy", "43000.001", "1")}, "price_off_tick", "price"),
        ("order.place_batch", {"orders": []}, "invalid_field", "orders"),
        ("order.amend", {"price": "1"}, "missing_field", "order_id"),
        ("order.amend", {"order_id": 1, "client_order_id": "a", "price": "1"}, "invalid_field", "client_order_id"),
        ("order.amend", {"order_id": 1, "price": 1}, "invalid_decimal", "price"),
        ("order.cancel", {"order_id": 0}, "invalid_field", "order_id"),
        ("order.cancel", {"order_id": True}, "invalid_field", "order_id"),
        ("order.cancel", {"client_order_id": "%"}, "invalid_client_order_id", "client_order_id"),
        ("order.cancel_all", {"side": "both"}, "invalid_field", "side"),
    ],
)
def test_bad_orders_are_refused_by_name(server, signers, op, fields, code, field):
    with signed_in(server, signers[0]) as socket:
        answer = socket.ask(op, **fields)
    assert (answer["ok"], answer["error"]["code"], answer["error"].get("field")) == (False, code, field)


def test_orders_reach_the_book_in_the_order_of_their_requests(server, signers):
    with signed_in(server, signers[0]) as socket:
        for number in range(100):
            order = limit("buy", "42000.00", "0.00100", client_order_id=f"line-{number}")
            socket.connection.send(json.dumps({"op": "order.place", "id": f"line-{number}", "order": order}))
        answers: dict[str, int] = {}
        while len(answers) < 100:
            answer = socket.receive(lambda message: message.get("op") == "order.place")
            answers[answer["id"]] = answer["result"]["id"]
    ids = [answers[f"line-{number}"] for number in range(100)]
    assert ids == sorted(ids)


def test_a_login_needs_a_good_signature(server, signers):
    alice = signers[0]
    with Socket(server.base_url) as socket:
        stranger = socket.login(Signer(alice.key, 0, "not the secret"))
        assert (stranger["status"], stranger["error"]["code"]) == (401, "invalid_credentials")
        unknown = socket.login(Signer("bk_nobody", 0, "secret"))
        assert unknown["error"] == stranger["error"]
        late = socket.ask("login", api_key=alice.key, timestamp=int(time.time() * 1000) - 60_000, signature="00")
        assert late["error"]["code"] == "timestamp_out_of_window"
        assert socket.ask("login", api_key=alice.key)["error"]["code"] == "authentication_required"
        assert socket.ask("login", signature="00")["error"]["code"] == "missing_field"
        for op, fields in (("subscribe", {"channels": ["orders"]}), ("order.cancel_all", {})):
            answer = socket.ask(op, **fields)
            assert (answer["status"], answer["error"]["code"]) == (401, "authentication_required")


def test_scopes_hold_on_the_socket(server):
    with signed_in(server, key_of(server, "alice", "read")) as socket:
        assert socket.ask("subscribe", channels=["balances"])["ok"]
        assert socket.ask("order.cancel_all")["error"]["code"] == "scope_missing"
    with signed_in(server, key_of(server, "alice", "trade")) as socket:
        assert socket.ask("order.cancel_all")["ok"]
        assert socket.ask("subscribe", channels=["balances"])["error"]["code"] == "scope_missing"
    with Socket(server.base_url) as socket:
        answer = socket.login(key_of(server, "alice", "read"), cancel_on_disconnect=True)
        assert (answer["status"], answer["error"]["code"]) == (403, "scope_missing")


def test_a_revoked_key_is_logged_out(server):
    signer = key_of(server, "bob", "read,trade")
    with signed_in(server, signer) as socket, httpx.Client(base_url=server.base_url) as browser:
        assert socket.ask("subscribe", channels=["orders"])["ok"]
        token = sign_in(browser, "bob")
        keys = {key["key"]: key["id"] for key in browser.get("/api/v1/api-keys").json()}
        revoked = browser.delete(f"/api/v1/api-keys/{keys[signer.key]}", headers={"X-CSRFToken": token})
        assert revoked.status_code < 300, revoked.text
        told = socket.receive(lambda message: message.get("type") == "error")
        assert told["error"]["code"] == "logged_out"
        assert socket.ask("order.cancel_all")["error"]["code"] == "authentication_required"


def test_orders_are_canceled_when_the_connection_ends(server, signers):
    alice = signers[0]
    with signed_in(server, alice, cancel_on_disconnect=True) as socket:
        order_id = socket.ask("order.place", order=limit("buy", "42000.00", "0.01000"))["result"]["id"]
        assert rest(server, alice, f"/api/v1/orders/{order_id}")["status"] == "open"
    deadline = time.monotonic() + SETTLED_SECONDS
    while rest(server, alice, f"/api/v1/orders/{order_id}")["status"] == "open":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert rest(server, alice, f"/api/v1/orders/{order_id}")["reason"] == "user_canceled"


def test_a_stop_cancels_what_was_to_end_with_its_connection():
    with calm_server() as server:
        signer = demo_signers(server)[0]
        with signed_in(server, signer, cancel_on_disconnect=True) as socket:
            order_id = socket.ask("order.place", order=limit("buy", "42000.00", "0.01000"))["result"]["id"]
            assert server.terminate() == 0
        server.start()
        server.wait_ready()
        assert rest(server, signer, f"/api/v1/orders/{order_id}")["reason"] == "user_canceled"


def test_a_browser_logs_in_with_its_session_from_this_site_only(server):
    with httpx.Client(base_url=server.base_url) as browser:
        sign_in(browser, "alice")
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        with Socket(server.base_url, additional_headers={"Cookie": cookie}, origin=server.base_url) as socket:
            answer = socket.ask("login")
            assert answer["ok"], answer
            assert answer["result"]["scopes"] == ["read", "trade", "withdraw"]
            assert socket.ask("order.place", order=limit("buy", "42000.00", "0.01000"))["ok"]
            assert socket.ask("order.cancel_all")["ok"]
            assert socket.ask("login", account="no such")["error"]["code"] == "unknown_account"
            browser.post("/logout", headers={"X-CSRFToken": browser.cookies["csrftoken"]})
            told = socket.receive(lambda message: message.get("type") == "error")
            assert told["error"]["code"] == "logged_out"
        with Socket(server.base_url, additional_headers={"Cookie": cookie}, origin="https://evil.example") as socket:
            assert socket.ask("login")["error"]["code"] == "origin_not_allowed"
            assert socket.ask("subscribe", channels=[f"depth.{MARKET}"])["ok"]
    with Socket(server.base_url, origin=server.base_url) as socket:
        assert socket.ask("login")["error"]["code"] == "authentication_required"


def test_there_is_no_socket_elsewhere(server):
    with pytest.raises(InvalidStatus, match="403"), Socket(f"{server.base_url}/elsewhere"):
        pass


def test_a_deposit_is_told(server):
    signer = key_of(server, "alice", "read")
    with signed_in(server, signer) as socket:
        assert socket.ask("subscribe", channels=["balances"])["ok"]
        socket.message("balances", type="snapshot")
        assert server.manage("deposit", "alice", "ETH", "1.5").returncode == 0
        assert [balance["asset"] for balance in socket.message("balances")["balances"]] == ["ETH"]


def test_everything_is_told_again_after_the_database_was_away(server, signers):
    alice = signers[0]
    with signed_in(server, alice) as socket:
        assert socket.ask("subscribe", channels=["orders", f"depth.{MARKET}"])["ok"]
        socket.message(f"depth.{MARKET}", type="snapshot")
        pid = server.postgres_pid()
        assert pid is not None
        psutil.Process(pid).kill()
        answer = accepted(socket, "order.place", order=limit("buy", "42000.00", "0.03000"))
        order_id = answer["result"]["id"]
        told = socket.receive(
            lambda message: (
                message.get("channel") == "orders"
                and any(order["id"] == order_id for order in message.get("orders", []))
            )
        )
        assert told["last_sequence"] >= order_id
        level = socket.receive(
            lambda message: (
                message.get("channel") == f"depth.{MARKET}" and ["42000.00", "0.03000"] in message.get("bids", [])
            )
        )
        assert level["last_sequence"] >= order_id


def sign_in(browser: httpx.Client, user: str) -> str:
    """Sign in on the login page; the CSRF token."""
    page = browser.get("/login").text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token is not None, page
    form = {"username": user, "password": f"{user}-demo", "csrfmiddlewaretoken": token[1]}
    answer = browser.post("/login", data=form, headers={"Referer": f"{browser.base_url}/login"})
    assert answer.status_code == 302, answer.text
    return browser.cookies["csrftoken"]
