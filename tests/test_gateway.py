"""Order entry over HTTP: what the endpoints answer, from the signed request to the durable order."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from matching import worker
from matching.engine.messages import Limits, OrderPlaced, OrderState, SetFeeOverride, SetLimits, SetMarketState
from orders import queries
from orders.models import Order
from risk.models import Sighting
from tests.gateway_client import ORDERS, Answer, Floor, Signer, trading_floor
from trading.gateway import sightings
from trading.gateway.app import Gateway
from trading.gateway.limits import Unlimited
from trading.gateway.recent import RecentOrders


@pytest.fixture(scope="module")
def floor(fresh_database: str) -> Iterator[Floor]:
    with trading_floor() as floor:
        yield floor


@pytest.fixture(autouse=True)
def empty_book(floor: Floor) -> Iterator[None]:
    yield
    for signer in (floor.alice, floor.bob):
        assert floor.call("DELETE", ORDERS, signer=signer).status == 200


def read(floor: Floor, signer: Signer, order_id: int) -> Any:
    """The order as Django's reads tell it."""
    return msgspec.to_builtins(queries.order(account_id=signer.account_id, order_id=order_id))


def picked(answer: Answer, *names: str) -> dict[str, Any]:
    return {name: answer.json[name] for name in names}


# ---------------------------------------------------------------------------------------------- place


def test_an_order_that_rests_is_answered_as_it_stands(floor: Floor) -> None:
    answer = floor.place(floor.alice, client_order_id="rests", post_only=True)
    assert answer.status == 201
    order = answer.json
    assert order == {
        "id": order["id"], "client_order_id": "rests", "market": "BTC-USDT", "side": "buy", "type": "limit",
        "time_in_force": "gtc", "post_only": True, "price": "100.00", "quantity": "0.5000", "quote_amount": None,
        "filled_quantity": "0.0000", "filled_notional": "0.00", "average_price": None,
        "remaining_quantity": "0.5000", "prevented_quantity": "0.0000", "status": "open", "reason": None,
        "self_trade_prevention": "cancel_taker", "created_at": order["created_at"], "updated_at": order["created_at"],
        "fills": [],
    }  # fmt: skip
    assert order == read(floor, floor.alice, order["id"])
    assert answer.headers["content-type"] == "application/json"


def test_a_buy_that_trades_tells_its_fills_with_the_fee_in_base(floor: Floor) -> None:
    floor.place(floor.bob, side="sell", price="100.00", quantity="0.2")
    floor.place(floor.bob, side="sell", price="100.01", quantity="0.1")
    answer = floor.place(floor.alice, price="101.00", quantity="0.5")
    assert picked(answer, "status", "filled_quantity", "filled_notional", "average_price", "remaining_quantity") == {
        "status": "open", "filled_quantity": "0.3000", "filled_notional": "30.001",
        "average_price": "100.00333333", "remaining_quantity": "0.2000",
    }  # fmt: skip
    first, second = answer.json["fills"]
    assert first == {
        "trade_id": second["trade_id"] - 1, "price": "100.00", "quantity": "0.2000", "fee": "0.0003",
        "fee_asset": "BTC", "liquidity": "taker", "executed_at": answer.json["created_at"],
    }  # fmt: skip
    assert second["price"] == "100.01"
    assert answer.json == read(floor, floor.alice, answer.json["id"])


def test_a_sell_that_trades_pays_its_fee_in_quote(floor: Floor) -> None:
    floor.place(floor.bob, side="buy", price="100.00", quantity="0.2")
    answer = floor.place(floor.alice, side="sell", type="market", price=None, quantity="0.1")
    assert picked(answer, "status", "type", "price", "time_in_force") == {
        "status": "filled", "type": "market", "price": None, "time_in_force": "ioc",
    }  # fmt: skip
    assert (answer.json["fills"][0]["fee"], answer.json["fills"][0]["fee_asset"]) == ("0.015", "USDT")


def test_a_market_buy_by_quote_amount_has_no_quantity(floor: Floor) -> None:
    floor.place(floor.bob, side="sell", price="100.00", quantity="5")
    answer = floor.place(floor.alice, type="market", price=None, quantity=None, quote_amount="250.005")
    assert picked(answer, "status", "quantity", "quote_amount", "filled_quantity", "filled_notional") == {
        "status": "filled", "quantity": None, "quote_amount": "250.005",
        "filled_quantity": "2.5000", "filled_notional": "250.00",
    }  # fmt: skip
    assert answer.json == read(floor, floor.alice, answer.json["id"])


def test_what_an_ioc_order_cannot_fill_is_canceled_with_the_reason(floor: Floor) -> None:
    floor.place(floor.bob, side="sell", price="100.00", quantity="0.2")
    answer = floor.place(floor.alice, time_in_force="ioc")
    assert answer.status == 201
    assert picked(answer, "status", "reason", "remaining_quantity") == {
        "status": "canceled", "reason": "immediate_or_cancel", "remaining_quantity": "0.3000",
    }  # fmt: skip


def test_the_same_body_again_is_the_first_order_as_it_stands_now(floor: Floor) -> None:
    first = floor.place(floor.alice, client_order_id="again")
    floor.place(floor.bob, side="sell", quantity="0.2")
    second = floor.place(floor.alice, client_order_id="again")
    assert second.status == 200
    assert picked(second, "id", "duplicate", "filled_quantity") == {
        "id": first.json["id"], "duplicate": True, "filled_quantity": "0.2000",
    }  # fmt: skip
    assert second.json["fills"][0]["liquidity"] == "maker"
    conflict = floor.place(floor.alice, client_order_id="again", quantity="0.4")
    assert (conflict.status, conflict.code) == (409, "client_order_id_conflict")
    assert conflict.json["error"]["field"] == "client_order_id"


def test_a_refused_order_names_its_reason_and_numbers_and_is_kept(floor: Floor) -> None:
    answer = floor.place(floor.alice, price="100.005", client_order_id="off-tick")
    assert answer.status == 422
    assert answer.json == {
        "error": {
            "code": "price_off_tick",
            "message": "The price must be a positive multiple of 0.01 USDT.",
            "field": "price",
        }
    }
    assert Order.objects.get(client_order_id="off-tick").status == "rejected"
    again = floor.place(floor.alice, price="100.005", client_order_id="off-tick")
    assert (again.status, again.json) == (422, answer.json | {"duplicate": True})


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"quantity": "0.00015"}, "quantity_off_lot", "quantity"),
        ({"quantity": "0"}, "quantity_off_lot", "quantity"),
        ({"price": "0.00"}, "price_off_tick", "price"),
        ({"quantity": "1001"}, "quantity_too_large", "quantity"),
        ({"quantity": "0.0001"}, "notional_too_small", None),
        ({"price": "99999.00", "quantity": "999"}, "notional_too_large", None),
        ({"price": None}, "price_required", "price"),
        ({"quantity": None}, "quantity_required", "quantity"),
        ({"type": "market"}, "price_not_allowed", "price"),
        ({"type": "market", "price": None, "time_in_force": "gtc"}, "time_in_force_not_allowed", "time_in_force"),
        ({"post_only": True, "time_in_force": "ioc"}, "post_only_not_allowed", "post_only"),
        ({"quote_amount": "5"}, "quote_amount_not_allowed", "quote_amount"),
        ({"side": "sell", "price": "900.00", "quantity": "1000"}, "insufficient_balance", None),
    ],
)
def test_what_the_exchange_refuses_is_422(floor: Floor, fields: dict[str, Any], code: str, field: str | None) -> None:
    poor = floor.signer(floor.exchange.open_account(f"poor-{code}-{fields.get('quantity')}"))
    answer = floor.place(poor if code == "insufficient_balance" else floor.bob, **fields)
    assert (answer.status, answer.code, answer.json["error"].get("field")) == (422, code, field)


def test_other_statuses_of_refusals(floor: Floor) -> None:
    assert (floor.place(floor.alice, market="BTC-XYZ").status, floor.place(floor.alice, market="").status) == (404, 404)
    assert floor.place(floor.alice, market="BTC-XYZ").code == "unknown_market"
    floor.exchange.execute(SetMarketState("halted", floor.market))
    try:
        halted = floor.place(floor.alice)
    finally:
        floor.exchange.execute(SetMarketState("open", floor.market))
    assert (halted.status, halted.code) == (422, "market_halted")


def test_a_new_market_is_found_at_once(floor: Floor) -> None:
    assert floor.place(floor.alice, market="ETH-USDT").code == "unknown_market"
    eth = floor.exchange.create_asset("ETH", 8)
    floor.exchange.create_market(eth, floor.usdt, tick_size=10_000, lot_size=10_000)
    time.sleep(1.1)  # an unknown market is looked for at most once a second
    assert floor.place(floor.alice, market="ETH-USDT").status == 201


def test_too_many_orders_within_a_second_is_429(floor: Floor) -> None:
    carol = floor.signer(floor.account("carol"))
    floor.exchange.execute(SetLimits(carol.account_id, Limits(orders_per_second=2)))
    answers = [floor.place(carol, price="1.00", quantity="2") for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 201, 429]
    assert (answers[2].code, answers[2].headers["retry-after"]) == ("order_rate_exceeded", "1")


# ---------------------------------------------------------------------------------------------- batch and test


def test_each_order_of_a_batch_is_accepted_or_refused_on_its_own(floor: Floor) -> None:
    good = {"market": "BTC-USDT", "side": "buy", "type": "limit", "price": "99.00", "quantity": "0.2"}
    orders: list[Any] = [
        good | {"client_order_id": "b-1"}, good | {"price": 99}, 7, good | {"price": "99.001"}, good | {"x": 1},
        good | {"market": "NO-NO"}, good | {"client_order_id": "b-1"}, good | {"side": "sell", "price": "99.00"},
    ]  # fmt: skip
    answer = floor.call("POST", ORDERS + "/batch", {"orders": orders}, signer=floor.alice)
    assert answer.status == 200
    results = answer.json["results"]
    assert [result["error"]["code"] if "error" in result else result["order"]["status"] for result in results] == [
        "open", "invalid_decimal", "invalid_body", "price_off_tick", "unknown_field", "unknown_market", "open",
        "canceled",
    ]  # fmt: skip
    assert results[6]["order"]["duplicate"] is True
    assert results[6]["order"]["id"] == results[0]["order"]["id"]
    assert all(set(result) == {"order"} or set(result) == {"error"} for result in results)


@pytest.mark.parametrize("count", [0, 101])
def test_a_batch_has_1_to_100_orders(floor: Floor, count: int) -> None:
    order = {"market": "BTC-USDT", "side": "buy", "type": "limit", "price": "99.00", "quantity": "0.2"}
    answer = floor.call("POST", ORDERS + "/batch", {"orders": [order] * count}, signer=floor.alice)
    assert (answer.status, answer.code, answer.json["error"]["field"]) == (422, "invalid_field", "orders")
    assert floor.call("DELETE", ORDERS, signer=floor.alice).json == {"canceled": []}


def test_a_batch_of_100_is_taken(floor: Floor) -> None:
    order = {"market": "BTC-USDT", "side": "buy", "type": "limit", "price": "99.00", "quantity": "0.2"}
    answer = floor.call("POST", ORDERS + "/batch", {"orders": [order] * 100}, signer=floor.alice)
    ids = [result["order"]["id"] for result in answer.json["results"]]
    assert ids == list(range(ids[0], ids[0] + 100))


def test_testing_an_order_tells_cost_and_fee_and_places_nothing(floor: Floor) -> None:
    floor.place(floor.bob, side="sell", price="100.00", quantity="0.2")
    before = Order.objects.count()
    body = {"market": "BTC-USDT", "side": "buy", "type": "limit", "price": "101.00", "quantity": "0.5"}
    answer = floor.call("POST", ORDERS + "/test", body, signer=floor.alice)
    assert answer.status == 200
    assert answer.json == {
        "market": "BTC-USDT", "worst_case_cost": "50.5", "cost_asset": "USDT", "worst_case_fee": "0.00075",
        "fee_asset": "BTC", "expected_quantity": "0.2000", "expected_notional": "20.00",
        "maker_rate": "0.001", "taker_rate": "0.0015",
    }  # fmt: skip
    refused = floor.call("POST", ORDERS + "/test", body | {"price": "101.005"}, signer=floor.alice)
    assert (refused.status, refused.code) == (422, "price_off_tick")
    assert Order.objects.count() == before


# ---------------------------------------------------------------------------------------------- amend and cancel


def test_amending_answers_the_order_as_it_is_now(floor: Floor) -> None:
    placed = floor.place(floor.alice, client_order_id="amend-1").json
    answer = floor.call("PATCH", f"{ORDERS}/{placed['id']}", {"quantity": "0.4"}, signer=floor.alice)
    assert answer.status == 200
    changed = {"quantity": "0.4000", "remaining_quantity": "0.4000", "updated_at": answer.json["updated_at"]}
    assert answer.json == placed | changed
    assert answer.json["updated_at"] > placed["updated_at"]
    floor.place(floor.bob, side="sell", price="105.00", quantity="0.1")
    crossed = floor.call(
        "PATCH", f"{ORDERS}/by-client-id/amend-1", {"price": "105.00", "quantity": "0.3"}, signer=floor.alice
    )
    assert picked(crossed, "price", "quantity", "filled_quantity", "remaining_quantity", "status") == {
        "price": "105.00", "quantity": "0.3000", "filled_quantity": "0.1000", "remaining_quantity": "0.2000",
        "status": "open",
    }  # fmt: skip
    assert [fill["liquidity"] for fill in crossed.json["fills"]] == ["taker"]


def test_an_amend_is_refused_by_name(floor: Floor) -> None:
    placed = floor.place(floor.alice).json
    path = f"{ORDERS}/{placed['id']}"

    def code(body: Any) -> tuple[int, str, Any]:
        answer = floor.call("PATCH", path, body, signer=floor.alice)
        return answer.status, answer.code, answer.json["error"].get("field")

    assert code({}) == (422, "amend_without_change", None)
    assert code({"price": "1.001"}) == (422, "price_off_tick", "price")
    assert code({"price": 1}) == (422, "invalid_decimal", "price")
    assert code({"quantity": "1e5"}) == (422, "invalid_decimal", "quantity")
    assert code({"side": "sell"}) == (422, "unknown_field", "side")
    assert code(b"{") == (400, "malformed_json", None)
    assert read(floor, floor.alice, placed["id"]) == placed


def test_canceling_answers_the_canceled_order_with_its_fills(floor: Floor) -> None:
    placed = floor.place(floor.alice, client_order_id="a.b_c:d/e-f").json
    floor.place(floor.bob, side="sell", quantity="0.1")
    answer = floor.call("DELETE", f"{ORDERS}/by-client-id/a.b_c:d/e-f", signer=floor.alice)
    assert answer.status == 200
    assert picked(answer, "id", "status", "reason", "filled_quantity", "remaining_quantity") == {
        "id": placed["id"], "status": "canceled", "reason": "user_canceled", "filled_quantity": "0.1000",
        "remaining_quantity": "0.4000",
    }  # fmt: skip
    assert [fill["liquidity"] for fill in answer.json["fills"]] == ["maker"]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_an_order_that_has_ended_cannot_be_changed(floor: Floor, method: str) -> None:
    placed = floor.place(floor.alice, client_order_id=f"ended-{method}").json
    floor.call("DELETE", f"{ORDERS}/{placed['id']}", signer=floor.alice)
    body = {"quantity": "0.1"} if method == "PATCH" else None
    for target in (f"{ORDERS}/{placed['id']}", f"{ORDERS}/by-client-id/ended-{method}"):
        answer = floor.call(method, target, body, signer=floor.alice)
        assert (answer.status, answer.code) == (409, "order_not_open")
        assert "canceled" in answer.json["error"]["message"]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_an_order_that_never_was_is_404(floor: Floor, method: str) -> None:
    body = {"quantity": "0.1"} if method == "PATCH" else None
    for name in ("999999999", "9" * 19, "9" * 400, "-1", "1.5", "abc", "%D9%A3", "by-client-id/never"):
        answer = floor.call(method, f"{ORDERS}/{name}", body, signer=floor.alice)
        assert (answer.status, answer.code) == (404, "unknown_order"), name
    answer = floor.call(method, f"{ORDERS}/by-client-id/no blanks", body, signer=floor.alice)
    assert (answer.status, answer.code) == (422, "invalid_client_order_id")


def test_cancel_all_takes_market_and_side(floor: Floor) -> None:
    buy = floor.place(floor.alice, price="90.00").json["id"]
    sell = floor.place(floor.alice, side="sell", price="110.00").json["id"]
    other = floor.place(floor.bob, price="89.00").json["id"]

    def cancel_all(query: str) -> Answer:
        return floor.call("DELETE", ORDERS + query, signer=floor.alice)

    assert cancel_all("?market=NO-NO").code == "unknown_market"
    assert cancel_all("?market=").code == "unknown_market"
    assert (cancel_all("?side=both").code, cancel_all("?side=").code) == ("invalid_field", "invalid_field")
    assert cancel_all("?sides=buy").json["error"]["field"] == "sides"
    assert cancel_all("?side=buy&side=sell").code == "invalid_field"
    assert cancel_all("?side").code == "malformed_query"
    assert cancel_all("?market=BTC-USDT&side=buy").json == {"canceled": [buy]}
    assert cancel_all("").json == {"canceled": [sell]}
    assert read(floor, floor.bob, other)["status"] == "open"


def test_another_accounts_order_is_not_there(floor: Floor) -> None:
    placed = floor.place(floor.alice, client_order_id="mine").json
    targets = (f"{ORDERS}/{placed['id']}", f"{ORDERS}/by-client-id/mine")

    def nothing_for_bob() -> None:
        for target in targets:
            for method, body in (("PATCH", {"quantity": "0.1"}), ("DELETE", None)):
                answer = floor.call(method, target, body, signer=floor.bob)
                assert (answer.status, answer.code) == (404, "unknown_order")

    nothing_for_bob()
    assert read(floor, floor.alice, placed["id"]) == placed
    assert floor.call("DELETE", targets[0], signer=floor.alice).status == 200
    nothing_for_bob()
    assert floor.place(floor.bob, price="1.00", quantity="2", client_order_id="mine").status == 201


def test_a_rebate_is_a_negative_fee(floor: Floor) -> None:
    dave = floor.signer(floor.account("dave"))
    floor.exchange.execute(SetFeeOverride(dave.account_id, None, -100, 500))
    placed = floor.place(dave, client_order_id="rebate").json
    floor.place(floor.bob, side="sell", quantity="0.5")
    again = floor.place(dave, client_order_id="rebate")
    assert (again.json["id"], again.json["fills"][0]["fee"]) == (placed["id"], "-0.00005")


def test_a_process_that_did_not_place_an_order_answers_the_same(floor: Floor) -> None:
    """The answers of this process's own orders come from memory, those of others from the database."""
    other = Gateway(lane=worker.order_lane(), limits=Unlimited())

    def lived(gateway: Gateway | None) -> list[dict[str, Any]]:
        path = f"{ORDERS}/{floor.place(floor.alice, post_only=True).json['id']}"
        steps = [("PATCH", {"quantity": "0.4"}), ("PATCH", {"price": "99.99", "quantity": "0.6"}), ("DELETE", None)]
        answers = [floor.call(method, path, body, signer=floor.alice, gateway=gateway) for method, body in steps]
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert answers[-1].json == read(floor, floor.alice, answers[-1].json["id"])
        for answer in answers:
            del answer.json["id"], answer.json["created_at"], answer.json["updated_at"]
        return [answer.json for answer in answers]

    assert lived(None) == lived(other)


def test_memory_keeps_the_latest_orders_without_fills_only(floor: Floor) -> None:
    recent = RecentOrders(orders_max=2)
    states = [placed_state(floor, floor.alice.account_id) for _ in range(3)]
    for state in states:
        recent.remember(state)
        recent.remember(msgspec.structs.replace(state, id=state.id + 1000, filled_quantity=1))
        recent.remember(msgspec.structs.replace(state, id=state.id + 2000, status="canceled"))
    alice, bob = floor.alice.account_id, floor.bob.account_id
    known = [recent.market_of(account_id=alice, order_id=state.id) for state in states]
    assert known == [None, floor.market, floor.market]
    assert recent.market_of(account_id=bob, order_id=states[2].id) is None
    assert recent.market_of(account_id=alice, order_id=states[2].id + 1000) is None
    assert recent.market_of(account_id=alice, order_id=states[2].id + 2000) is None


def placed_state(floor: Floor, account_id: int) -> OrderState:
    """An order just placed, as the exchange tells it."""
    reply = floor.exchange.place(account_id, floor.market, "buy", price=100_000_000, quantity=10_000_000)
    return next(event.order for event in reply.events if isinstance(event, OrderPlaced))


def test_from_where_programs_act_is_remembered(floor: Floor) -> None:
    sightings._seen.clear()  # of other tests, whose users had the same numbers
    assert floor.call("DELETE", ORDERS, signer=floor.alice, address="203.0.113.9").status == 200
    deadline = time.monotonic() + 30
    while not (seen := list(Sighting.objects.filter(value="203.0.113.9").values_list("user__username", "kind"))):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert seen == [("alice", "address")]
