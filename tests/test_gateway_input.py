"""Bad input to order entry: a 4xx with a named code, nothing changed, no stack trace, whatever it is."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from matching import worker
from matching.lanes import InProcessLane
from tests.gateway_client import LIMIT_BUY, ORDERS, Floor, asgi_call, trading_floor
from trading.gateway.app import Gateway, takes
from trading.gateway.limits import Unlimited

KIB = 1024


@pytest.fixture(scope="module")
def floor(fresh_database: str) -> Iterator[Floor]:
    with trading_floor() as floor:
        yield floor


def journal_length() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM matching_journalentry")
        return int(cursor.fetchone()[0])


# ---------------------------------------------------------------------------------------------- bodies


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b"", 400, "malformed_json", None),
        (b"{", 400, "malformed_json", None),
        (b'{"market":NaN}', 400, "malformed_json", None),
        (b'{"market":"\xff"}', 400, "malformed_json", None),
        (b'{"market":"\\ud800"}', 400, "malformed_json", None),
        (json.dumps(LIMIT_BUY).encode() + b"{}", 400, "malformed_json", None),
        (b"\xef\xbb\xbf{}", 400, "malformed_json", None),
        (b"[" * 60_000, 422, "invalid_body", None),
        (b"null", 422, "invalid_body", None),
        (b"[]", 422, "invalid_body", None),
        (b'"text"', 422, "invalid_body", None),
        (b"{}", 422, "missing_field", "market"),
        (b'{"market":"BTC-USDT","side":"buy"}', 422, "missing_field", "type"),
        (b'{"market":1}', 422, "invalid_field", "market"),
        (b'{"side":"BUY"}', 422, "invalid_field", "side"),
        (b'{"type":"stop"}', 422, "invalid_field", "type"),
        (b'{"time_in_force":"gtd"}', 422, "invalid_field", "time_in_force"),
        (b'{"post_only":"true"}', 422, "invalid_field", "post_only"),
        (b'{"self_trade_prevention":"none"}', 422, "invalid_field", "self_trade_prevention"),
        (b'{"account_id":3}', 422, "unknown_field", "account_id"),
        (b'{"a`b - at `$.price`":1}', 422, "unknown_field", "a`b - at `$.price`"),
        (b'{"price":100.5}', 422, "invalid_decimal", "price"),
        (b'{"quantity":1}', 422, "invalid_decimal", "quantity"),
        (b'{"quote_amount":["1"]}', 422, "invalid_decimal", "quote_amount"),
        (b'{"client_order_id":7}', 422, "invalid_client_order_id", "client_order_id"),
    ],
)
def test_bodies_that_are_no_order(floor: Floor, body: bytes, status: int, code: str, field: str | None) -> None:
    answer = floor.call("POST", ORDERS, body, signer=floor.alice)
    assert (answer.status, answer.code, answer.json["error"].get("field")) == (status, code, field)


def test_a_batch_nested_too_deep_is_no_json(floor: Floor) -> None:
    answer = floor.call("POST", ORDERS + "/batch", b'{"orders":[' + b"[" * 60_000, signer=floor.alice)
    assert (answer.status, answer.code) == (400, "malformed_json")


@pytest.mark.parametrize("name", ["price", "quantity", "quote_amount"])
@pytest.mark.parametrize(
    "text",
    [
        "", " 1", "1 ", "1\n", "-1", "+1", "1e5", "1E5", "NaN", "nan", "Infinity", "-0", ".5", "5.", "1,000", "1_000",
        "0x10", "\u0663", "\u00bd", "1.\u0663", "9" * 21, "1." + "0" * 19, "1" * 10_000, "1.2.3", "\0", "null",
    ],
)  # fmt: skip
def test_texts_that_are_no_decimal(floor: Floor, name: str, text: str) -> None:
    answer = floor.place(floor.alice, **{name: text})
    assert (answer.status, answer.code, answer.json["error"]["field"]) == (422, "invalid_decimal", name)


def test_decimals_beyond_the_scale_are_refused_but_zeros_are_not(floor: Floor) -> None:
    for name, text in (("price", "100.0000001"), ("quantity", "0.500000001"), ("quote_amount", "1.0000001")):
        answer = floor.place(floor.alice, **{name: text})
        assert (answer.status, answer.code, answer.json["error"]["field"]) == (422, "too_many_decimals", name)
    answer = floor.place(floor.alice, price="00100.000000000", quantity="0.50000000000000")
    assert (answer.status, answer.json["price"], answer.json["quantity"]) == (201, "100.00", "0.5000")


@pytest.mark.parametrize("text", ["", "x" * 65, "a b", "\u00e4", "a\n", "a\0", "a,b", "'"])
def test_texts_that_are_no_client_order_id(floor: Floor, text: str) -> None:
    answer = floor.place(floor.alice, client_order_id=text)
    assert (answer.status, answer.code) == (422, "invalid_client_order_id")


def test_what_was_refused_at_the_edge_never_reached_the_journal(floor: Floor) -> None:
    before = journal_length()
    for fields in ({"price": "1e5"}, {"x": 1}, {"client_order_id": ""}, {"market": "NO-NO"}, {"quantity": 1}):
        assert floor.place(floor.alice, **fields).status >= 400
    assert journal_length() == before


def test_unknown_query_parameters_are_named(floor: Floor) -> None:
    placed = floor.place(floor.alice).json["id"]
    for method, target, body in (
        ("POST", ORDERS, LIMIT_BUY),
        ("POST", ORDERS + "/batch", {"orders": [LIMIT_BUY]}),
        ("POST", ORDERS + "/test", LIMIT_BUY),
        ("PATCH", f"{ORDERS}/{placed}", {"quantity": "0.1"}),
        ("DELETE", f"{ORDERS}/{placed}", None),
        ("DELETE", ORDERS, None),
    ):
        answer = floor.call(method, target + "?force=yes", body, signer=floor.alice)
        assert (answer.status, answer.code, answer.json["error"]["field"]) == (422, "unknown_parameter", "force")
        for query in ("?a", "?%ff=1", "?a=1;b", "?=", "?&&"):
            assert 400 <= floor.call(method, target + query, body, signer=floor.alice).status < 500
    assert floor.call("DELETE", f"{ORDERS}/{placed}", signer=floor.alice).status == 200


def test_cancels_take_no_body(floor: Floor) -> None:
    for target in (ORDERS, ORDERS + "/7", ORDERS + "/by-client-id/x"):
        answer = floor.call("DELETE", target, {"market": "BTC-USDT"}, signer=floor.alice)
        assert (answer.status, answer.code) == (422, "body_not_allowed")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NUMBERS = st.sampled_from(["1", "0.5", "100.00", "0", "1e5", "NaN", "-1", "9" * 20, "0." + "0" * 17 + "1", "\u0663"])
ORDER_LIKE = st.fixed_dictionaries(
    {},
    optional={
        "market": st.sampled_from(["BTC-USDT", "NO-NO"]) | ANYTHING,
        "side": st.sampled_from(["buy", "sell"]) | ANYTHING,
        "type": st.sampled_from(["limit", "market"]) | ANYTHING,
        "time_in_force": st.sampled_from(["gtc", "ioc", "fok", None]) | ANYTHING,
        "post_only": st.booleans() | ANYTHING,
        "price": NUMBERS | ANYTHING,
        "quantity": NUMBERS | ANYTHING,
        "quote_amount": NUMBERS | ANYTHING,
        "client_order_id": st.sampled_from(["a", "b", ""]) | ANYTHING,
        "self_trade_prevention": st.sampled_from(["decrement", "cancel_both"]) | ANYTHING,
        "extra": ANYTHING,
    },
)
BODIES = st.one_of(
    ANYTHING.map(json.dumps).map(str.encode),
    ORDER_LIKE.map(json.dumps).map(str.encode),
    st.lists(ORDER_LIKE | ANYTHING, max_size=4).map(lambda orders: json.dumps({"orders": orders}).encode()),
    st.binary(max_size=100),
)
ENDPOINTS = st.sampled_from(
    [("POST", ""), ("POST", "/batch"), ("POST", "/test"), ("PATCH", "/1"), ("PATCH", "/by-client-id/a"), ("DELETE", "")]
)


@hypothesis_settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(endpoint=ENDPOINTS, body=BODIES)
def test_no_body_whatsoever_makes_a_fault(floor: Floor, endpoint: tuple[str, str], body: bytes) -> None:
    before = journal_length()
    answer = floor.call(endpoint[0], ORDERS + endpoint[1], body, signer=floor.alice)
    assert answer.status < 500, answer
    if answer.status >= 400:
        assert set(answer.json) <= {"error", "duplicate"}
        assert set(answer.json["error"]) <= {"code", "message", "field"}
        assert "Traceback" not in json.dumps(answer.json)
    if answer.status in (400, 413) or endpoint[1] == "/test":
        assert journal_length() == before


# ---------------------------------------------------------------------------------------------- sizes and paths


def padded_order(size: int) -> bytes:
    body = json.dumps(LIMIT_BUY).encode()
    return body + b" " * (size - len(body))


def test_a_body_of_64_kib_is_read_and_one_byte_more_is_not(floor: Floor) -> None:
    assert floor.call("POST", ORDERS, padded_order(64 * KIB), signer=floor.alice).status == 201
    answer = floor.call("POST", ORDERS, padded_order(64 * KIB + 1), signer=floor.alice)
    assert (answer.status, answer.code, answer.headers["connection"]) == (413, "body_too_large", "close")


def test_an_announced_size_is_refused_before_anything_is_read(floor: Floor) -> None:
    for announced in (str(64 * KIB + 1), "9" * 30, "-1", "x"):
        answer = floor.send("POST", ORDERS, [], headers={"Content-Length": announced})  # reading would fail the test
        assert (answer.status, answer.code) == (413, "body_too_large")


def test_a_body_in_chunks_is_refused_as_soon_as_it_is_too_large(floor: Floor) -> None:
    chunk = b" " * (16 * KIB)
    answer = floor.send("POST", ORDERS, [chunk] * 4 + [b" ", NotImplemented], headers={})
    assert (answer.status, answer.code) == (413, "body_too_large")


def test_a_body_in_chunks_is_put_together(floor: Floor) -> None:
    body = json.dumps(LIMIT_BUY).encode()
    chunks = [body[:7], b"", body[7:50], body[50:]]
    headers = floor.alice.headers("POST", ORDERS, body)
    assert floor.send("POST", ORDERS, chunks, headers=headers).status == 201


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "", "GET, HEAD, OPTIONS, DELETE, POST"),
        ("PATCH", "", "GET, HEAD, OPTIONS, DELETE, POST"),
        ("DELETE", "/batch", "POST"),
        ("PATCH", "/test", "POST"),
        ("POST", "/7", "GET, HEAD, OPTIONS, DELETE, PATCH"),
        ("POST", "/by-client-id/x", "GET, HEAD, OPTIONS, DELETE, PATCH"),
        ("BREW", "", "GET, HEAD, OPTIONS, DELETE, POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(floor: Floor, method: str, path: str, allow: str) -> None:
    answer = floor.call(method, ORDERS + path, signer=floor.alice)
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method_not_allowed", allow)


@pytest.mark.parametrize("path", ["/", "/7/", "/7/fills", "/batch/", "//", "/by-client-id/"])
def test_paths_that_are_none(floor: Floor, path: str) -> None:
    answer = floor.call("POST", ORDERS + path, signer=floor.alice)
    assert (answer.status, answer.code) in ((404, "not_found"), (405, "method_not_allowed"))


def test_order_entry_takes_its_own_requests_only() -> None:
    def taken(method: str, path: str, kind: str = "http") -> bool:
        return takes({"type": kind, "method": method, "path": path})

    assert all(taken(method, path) for method in ("POST", "PATCH", "DELETE", "PUT") for path in (ORDERS, ORDERS + "/7"))
    assert not any(taken(method, ORDERS) for method in ("GET", "HEAD", "OPTIONS"))
    assert not any(taken("POST", path) for path in ("/", "/api/v1/orders2", "/api/v1/order", "/x/api/v1/orders"))
    assert not takes({"type": "websocket", "path": ORDERS})


# ---------------------------------------------------------------------------------------------- when we cannot


def test_what_the_lane_cannot_carry_is_503(floor: Floor) -> None:
    def answer_of(lane: InProcessLane) -> tuple[int, str, str]:
        gateway = Gateway(lane=lane, limits=Unlimited())
        answer = floor.call("POST", ORDERS, LIMIT_BUY, signer=floor.alice, gateway=gateway)
        return answer.status, answer.code, answer.headers["retry-after"]

    lane = InProcessLane(commands_max=0)
    assert answer_of(lane) == (503, "unavailable", "1")
    lane.open(position="", sequence=0)
    assert answer_of(lane) == (503, "overloaded", "1")


def test_a_fault_of_ours_is_logged_and_not_told(floor: Floor, caplog: pytest.LogCaptureFixture) -> None:
    gateway = Gateway(lane=None, limits=Unlimited())  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR, "trading.gateway.app"):
        answer = floor.call("POST", ORDERS, LIMIT_BUY, signer=floor.alice, gateway=gateway)
    assert (answer.status, answer.code) == (500, "internal_error")
    assert "NoneType" not in json.dumps(answer.json)
    assert "NoneType" in caplog.text


def test_a_client_that_hangs_up_gets_no_answer(floor: Floor) -> None:
    async def call() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: object) -> None:
            raise AssertionError("there is nobody to answer")

        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": ORDERS, "headers": [], "client": None}
        await Gateway(lane=worker.order_lane(), limits=Unlimited())(scope, receive, send)

    floor.runner.run(call())


def test_the_whole_application_routes_order_entry_to_the_gateway(floor: Floor) -> None:
    from trading.asgi import application

    body = json.dumps(LIMIT_BUY).encode()
    headers = floor.alice.headers("POST", ORDERS, body) | {"Content-Length": str(len(body)), "Host": "localhost"}
    answer = floor.runner.run(asgi_call(application, "POST", ORDERS, [body], headers))
    assert answer.status == 201
    assert "x-ratelimit-remaining" in answer.headers
