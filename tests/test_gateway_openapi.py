"""The OpenAPI description of order entry: complete, consistent, and true of real answers."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from matching.engine.messages import Reason
from tests.gateway_client import LIMIT_BUY, ORDERS, Answer, Floor, trading_floor
from trading.gateway import app
from trading.gateway.openapi import gateway_schema

SCHEMA = gateway_schema()


@pytest.fixture(scope="module")
def floor(fresh_database: str) -> Iterator[Floor]:
    with trading_floor() as floor:
        yield floor


def operations() -> list[Any]:
    return [
        pytest.param(operation, id=f"{method} {path}")
        for path, methods in SCHEMA["paths"].items()
        for method, operation in methods.items()
    ]


def valid(value: Any, content: Any) -> None:
    """The value fits the schema of this content, references resolved."""
    schema = content["application/json"]["schema"] | {"components": SCHEMA["components"]}
    Draft202012Validator(schema).validate(value)


def test_every_route_is_described() -> None:
    described = {(path, method.upper()) for path, methods in SCHEMA["paths"].items() for method in methods}
    assert described == {
        (path, method)
        for path, routes in (
            (ORDERS, app.COLLECTION),
            (ORDERS + "/batch", app.BATCH),
            (ORDERS + "/test", app.TEST),
            (ORDERS + "/{order_id}", app.ORDER),
            (ORDERS + "/by-client-id/{client_order_id}", app.ORDER_BY_CLIENT_ID),
        )
        for method in routes
    }


@pytest.mark.parametrize("operation", operations())
def test_every_example_fits_its_schema(operation: Any) -> None:
    for part in (*operation["responses"].values(), *([operation["requestBody"]] if "requestBody" in operation else ())):
        assert part["content"]["application/json"]["examples"]
        for example in part["content"]["application/json"]["examples"].values():
            valid(example["value"], part["content"])
    assert {"400", "401", "403", "404", "405", "413", "422", "429", "500", "503"} <= set(operation["responses"])


def test_placing_describes_every_reason_that_can_refuse_an_order() -> None:
    responses = SCHEMA["paths"][ORDERS]["post"]["responses"]
    told = {code for response in responses.values() for code in response["content"]["application/json"]["examples"]}
    for reason in (Reason.PRICE_OFF_TICK, Reason.CLIENT_ORDER_ID_CONFLICT, Reason.INSUFFICIENT_BALANCE):
        assert reason.value in told
    assert "order_rate_exceeded" in responses["429"]["content"]["application/json"]["examples"]


def test_real_answers_fit_the_description(floor: Floor) -> None:
    def checked(answer: Answer, method: str, path: str) -> Answer:
        response = SCHEMA["paths"][path][method]["responses"][str(answer.status)]
        valid(answer.json, response["content"])
        if answer.status >= 400:
            assert answer.code in response["content"]["application/json"]["examples"]
        return answer

    def post(body: Any, path: str = ORDERS) -> Answer:
        return checked(floor.call("POST", path, body, signer=floor.alice), "post", path)

    floor.place(floor.bob, side="sell", quantity="0.2")
    placed = post(LIMIT_BUY | {"client_order_id": "fits"})
    statuses = [placed.status, post(LIMIT_BUY | {"client_order_id": "fits"}).status, post(b"{").status]
    statuses += [post(LIMIT_BUY | change).status for change in ({"price": 1}, {"market": "X"}, {"price": "0.001"})]
    statuses.append(post(LIMIT_BUY | {"client_order_id": "fits", "price": "1.00"}).status)
    assert statuses == [201, 200, 400, 422, 404, 422, 409]
    assert post({"orders": [LIMIT_BUY, {}]}, ORDERS + "/batch").status == 200
    assert post(LIMIT_BUY, ORDERS + "/test").status == 200
    by_id, by_name = ORDERS + "/{order_id}", ORDERS + "/by-client-id/{client_order_id}"
    for method, body, path, target in (
        ("PATCH", {"quantity": "0.4"}, by_id, f"/{placed.json['id']}"),
        ("DELETE", None, by_name, "/by-client-id/fits"),
        ("DELETE", None, by_id, f"/{placed.json['id']}"),
        ("PATCH", {"quantity": "0.4"}, by_name, "/by-client-id/nothing"),
        ("DELETE", None, ORDERS, "?side=buy"),
    ):
        checked(floor.call(method, ORDERS + target, body, signer=floor.alice), method.lower(), path)
