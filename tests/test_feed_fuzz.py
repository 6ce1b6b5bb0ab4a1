"""The WebSocket API against whatever may come: every request gets one answer with a name, and nobody else notices.

The frames are drawn by Hypothesis, from any text to requests that are almost right. A second connection follows the
market all the while and must miss nothing.
"""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosedError

from tests.harness import ServerProcess
from tests.socket_client import Message, Socket, calm_server

OPS = (
    "subscribe", "unsubscribe", "login", "ping", "order.place", "order.place_batch", "order.test", "order.amend",
    "order.cancel", "order.cancel_all",
)  # fmt: skip
CHANNELS = ("depth.BTC-USDT", "trades.BTC-USDT", "ticker.ETH-USDT", "candles.ETH-BTC.1m", "announcements", "orders")
FIELDS = (
    "channels", "from_sequence", "api_key", "timestamp", "signature", "window", "account", "cancel_on_disconnect",
    "order", "orders", "order_id", "client_order_id", "price", "quantity", "market", "side",
)  # fmt: skip
FRAME_BYTES_MAX = 65_536
SUBSCRIPTIONS_MAX = 200
MALFORMED_MAX = 100
REQUESTS_PER_SECOND = 50
ADDRESS_CONNECTIONS_MAX = 100
INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")

MORE_MARKETS = """
from marketdata.models import Asset, Market
from matching import inbox
from matching.engine.messages import CreateAsset, CreateMarket, MarketParameters
quote = Asset.objects.get(symbol="USDT").id
parameters = MarketParameters(
    tick_size=10**6, lot_size=10**4, min_quantity=10**4, max_quantity=10**12, min_notional=0, max_notional=10**18
)
for number in range(8):
    made = inbox.execute(command=CreateAsset(f"FUZZ{number}", "Fuzz", 8), actor="test", timeout=30).events[0]
    inbox.execute(command=CreateMarket(made.asset_id, quote, parameters), actor="test", timeout=30)
"""


@pytest.fixture(scope="module")
def quiet_server() -> Iterator[ServerProcess]:
    with calm_server() as server:
        yield server


@pytest.fixture
def socket(quiet_server: ServerProcess) -> Iterator[Socket]:
    with Socket(quiet_server.base_url) as connected:
        yield connected


def answer_to(socket: Socket, frame: str | bytes) -> Message:
    """The answer to one frame; a ping after it shows that there is no second one."""
    socket.connection.send(frame)
    answer = socket.receive(lambda message: "ok" in message)
    assert socket.ask("ping")["ok"] is True
    return answer


def assert_well_formed(answer: Message) -> None:
    """An answer is a result, or a named error of the caller's."""
    if answer["ok"]:
        assert "result" in answer
    else:
        assert 400 <= answer["status"] < 500, answer
        assert answer["error"].keys() <= {"code", "message", "field"}
        assert answer["error"]["code"].replace("_", "a").isalnum()
        assert answer["error"]["message"]


# ---------------------------------------------------------------------------------------------- what may come

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5), max_leaves=10
)
likely = st.sampled_from(
    [list(CHANNELS), [CHANNELS[0]], ["depth.NOTHING"], [], "BTC-USDT", "buy", "100.00", 0, -1, 1, 2**63, 10**30, "", {}]
)
requests = st.fixed_dictionaries(
    {"op": st.sampled_from(OPS)},
    optional={"id": st.integers() | st.text(max_size=70)} | dict.fromkeys(FIELDS, likely | values),
)
frames = st.one_of(
    requests.map(json.dumps),
    st.dictionaries(st.sampled_from(("op", "id", *FIELDS)) | st.text(), likely | values).map(json.dumps),
    values.map(json.dumps),
    st.text(),
    requests.map(lambda request: json.dumps(request)[:-3]),
    st.integers(1, 20_000).map(lambda depth: '{"op":"ping","id":' + "[" * depth + "]" * depth + "}"),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(frames, min_size=1, max_size=8))
def test_every_frame_gets_one_answer_with_a_name(quiet_server: ServerProcess, sent: list[str]):
    with Socket(quiet_server.base_url) as socket:
        for frame in sent:
            assert_well_formed(answer_to(socket, frame))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=requests)
def test_an_answer_has_the_id_and_op_of_its_request(quiet_server: ServerProcess, request: dict[str, Any]):
    with Socket(quiet_server.base_url) as socket:
        answer = answer_to(socket, json.dumps(request))
        id = request.get("id")
        if (isinstance(id, int) and abs(id) < 2**63) or (isinstance(id, str) and len(id) <= 64):
            assert (answer["id"], answer["op"]) == (id, request["op"])


def test_others_are_undisturbed(quiet_server: ServerProcess):
    with Socket(quiet_server.base_url) as other:
        assert other.ask("subscribe", channels=["depth.BTC-USDT"])["ok"]
        mine = other.message("depth.BTC-USDT", type="snapshot")["last_sequence"]
        for frame in ("{", "[]", "0" * FRAME_BYTES_MAX, '{"op":"subscribe","channels":["depth.NOTHING"]}') * 5:
            with Socket(quiet_server.base_url) as rude:
                assert_well_formed(answer_to(rude, frame))
        heartbeat = other.message("depth.BTC-USDT", type="heartbeat")
        assert heartbeat["last_sequence"] == mine


# ---------------------------------------------------------------------------------------------- by name


@pytest.mark.parametrize(
    ("frame", "status", "code", "field"),
    [
        ("", 400, "malformed_json", None),
        ("{", 400, "malformed_json", None),
        ("[]", 422, "invalid_body", None),
        ("{}", 422, "missing_field", "op"),
        ('{"op":7}', 422, "invalid_field", "op"),
        ('{"op":"dance"}', 404, "unknown_op", "op"),
        ('{"op":"ping","tempo":1}', 422, "unknown_field", "tempo"),
        ('{"op":"ping","id":1.5}', 422, "invalid_field", "id"),
        ('{"op":"ping","id":' + "9" * 30 + "}", 422, "invalid_field", "id"),
        ('{"op":"ping","id":"' + "x" * 65 + '"}', 422, "invalid_field", "id"),
        ('{"op":"subscribe"}', 422, "missing_field", "channels"),
        ('{"op":"subscribe","channels":"depth.BTC-USDT"}', 422, "invalid_field", "channels"),
        ('{"op":"subscribe","channels":[]}', 422, "invalid_field", "channels"),
        ('{"op":"subscribe","channels":["depth.NOTHING"]}', 404, "unknown_channel", "channels"),
        ('{"op":"subscribe","channels":["depth.BTC-USDT","depth"]}', 404, "unknown_channel", "channels"),
        ('{"op":"subscribe","channels":["candles.BTC-USDT.2m"]}', 404, "unknown_channel", "channels"),
        ('{"op":"subscribe","channels":["depth.BTC-USDT"],"from_sequence":-1}', 422, "invalid_field", "from_sequence"),
        ('{"op":"subscribe","channels":["x"],"from_sequence":' + "9" * 20 + "}", 422, "invalid_field", "from_sequence"),
        ('{"op":"subscribe","channels":["orders"]}', 401, "authentication_required", None),
        ('{"op":"login"}', 403, "origin_not_allowed", None),
        ('{"op":"login","api_key":"bk_nobody","timestamp":1,"signature":"00"}', 401, "timestamp_out_of_window", None),
        ('{"op":"order.cancel_all"}', 401, "authentication_required", None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(socket: Socket, frame: str, status: int, code: str, field: str | None):
    answer = answer_to(socket, frame)
    error = answer["error"]
    assert (answer["ok"], answer["status"], error["code"], error.get("field")) == (False, status, code, field)


def test_a_refused_subscription_subscribes_to_nothing(socket: Socket):
    assert not socket.ask("subscribe", channels=["depth.BTC-USDT", "depth.NOTHING"])["ok"]
    assert socket.ask("subscribe", channels=["ticker.BTC-USDT"])["ok"]
    heartbeat = socket.receive(lambda message: message.get("type") == "heartbeat")
    assert heartbeat["channel"] == "ticker.BTC-USDT"


def test_subscribing_again_begins_afresh_and_unsubscribing_ends_it(socket: Socket):
    for _ in range(3):
        assert socket.ask("subscribe", channels=["depth.BTC-USDT"])["ok"]
        socket.message("depth.BTC-USDT", type="snapshot")
    assert socket.ask("unsubscribe", channels=["depth.BTC-USDT"])["ok"]
    assert socket.ask("subscribe", channels=["ticker.BTC-USDT"])["ok"]
    heartbeats = [socket.receive(lambda message: message.get("type") == "heartbeat") for _ in range(2)]
    assert {heartbeat["channel"] for heartbeat in heartbeats} == {"ticker.BTC-USDT"}


def test_what_is_not_subscribed_can_be_unsubscribed(socket: Socket):
    assert socket.ask("unsubscribe", channels=["depth.BTC-USDT", "depth.NOTHING"])["ok"]


def test_a_connection_has_at_most_200_subscriptions(quiet_server: ServerProcess):
    made = quiet_server.manage("shell", "-c", MORE_MARKETS)
    assert made.returncode == 0, made.stderr
    symbols = ["BTC-USDT", "ETH-USDT", "ETH-BTC", *(f"FUZZ{number}-USDT" for number in range(8))]
    names = [f"candles.{symbol}.{interval}" for symbol in symbols for interval in INTERVALS]
    names += [f"{kind}.{symbol}" for symbol in symbols for kind in ("depth", "trades", "ticker")]
    too_many = names[: SUBSCRIPTIONS_MAX + 1]
    with Socket(quiet_server.base_url) as socket:
        assert socket.ask("subscribe", channels=too_many)["error"]["field"] == "channels"
        assert socket.ask("subscribe", channels=too_many[:150])["ok"]
        refused = socket.ask("subscribe", channels=too_many[150:])
        assert (refused["ok"], refused["error"]["code"]) == (False, "too_many_subscriptions")
        assert socket.ask("subscribe", channels=too_many[150:-1])["ok"]
        assert socket.ask("subscribe", channels=too_many[:1])["ok"]  # it has this one already
        assert not socket.ask("subscribe", channels=too_many[-1:])["ok"]
        assert socket.ask("unsubscribe", channels=too_many[:1])["ok"]
        assert socket.ask("subscribe", channels=too_many[-1:])["ok"]


# ---------------------------------------------------------------------------------------------- the end of it


def test_a_frame_of_64_kib_is_taken_and_a_longer_one_closes(socket: Socket):
    request = json.dumps({"op": "ping", "id": 1})
    assert answer_to(socket, request.ljust(FRAME_BYTES_MAX))["ok"]
    with pytest.raises(ConnectionClosedError) as closed:
        answer_to(socket, request.ljust(FRAME_BYTES_MAX + 1))
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_a_binary_frame_is_refused(socket: Socket):
    answer = answer_to(socket, b'{"op":"ping"}')
    assert (answer["ok"], answer["error"]["code"]) == (False, "invalid_body")


def test_more_than_100_malformed_requests_close(socket: Socket):
    for _ in range(MALFORMED_MAX):
        assert not answer_to(socket, "{")["ok"]
    with pytest.raises(ConnectionClosedError) as closed:
        answer_to(socket, "{")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def test_more_than_50_requests_a_second_are_refused(server: ServerProcess):
    with Socket(server.base_url) as socket:
        answers = [socket.ask("ping") for _ in range(REQUESTS_PER_SECOND * 3)]
    refused = [answer for answer in answers if not answer["ok"]]
    assert len(answers) > len(refused) > 0
    assert {(answer["status"], answer["error"]["code"]) for answer in refused} == {(429, "rate_limited")}


def test_an_address_has_at_most_100_connections(server: ServerProcess):
    with contextlib.ExitStack() as stack:
        for _ in range(ADDRESS_CONNECTIONS_MAX):
            assert stack.enter_context(Socket(server.base_url)).ask("ping")["ok"]
        one_more = stack.enter_context(Socket(server.base_url))
        with pytest.raises(ConnectionClosedError) as closed:
            one_more.ask("ping")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4029


def test_the_server_has_lived_through_it(quiet_server: ServerProcess):
    assert quiet_server.process is not None
    assert quiet_server.process.poll() is None
    assert "Traceback" not in quiet_server.log()
