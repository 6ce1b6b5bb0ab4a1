"""The OpenAPI 3.1 description of order entry, made from the structs that decode and encode it.

`gateway_schema` gives paths and component schemas; `/api/schema/` merges them with those of Django's views.
"""

from typing import Any

import msgspec

from matching.engine.messages import Reason
from trading.gateway.app import PATH
from trading.gateway.errors import STATUS_OF_REASON, internal_error, refusal
from trading.gateway.messages import (
    CLIENT_ORDER_ID_PATTERN,
    AmendOrderBody,
    BatchAnswer,
    BatchBody,
    CanceledAnswer,
    ErrorAnswer,
    ErrorBody,
    OrderAnswer,
    PlaceOrderBody,
    TestAnswer,
)

TAG = "order entry"
STRUCTS = (PlaceOrderBody, BatchBody, AmendOrderBody, OrderAnswer, BatchAnswer, CanceledAnswer, TestAnswer, ErrorAnswer)
SECURITY: list[dict[str, list[str]]] = [{"apiKey": [], "apiTimestamp": [], "apiSignature": []}, {"session": []}]

Codes = dict[int, dict[str, str]]

_MEANINGS = {
    400: "The request is malformed.",
    401: "The sender is not known, or the signature does not fit.",
    403: "The sender may not do this.",
    404: "It does not exist, or is not yours.",
    405: "The path does not take this method; `Allow` says which it takes.",
    409: "It contradicts what has happened before.",
    413: "The body is larger than 64 KiB.",
    422: "A field is wrong, or the exchange refused; nothing changed but the history of a rejected order.",
    429: "Too many orders or requests; `Retry-After` says when to go on.",
    500: "A fault of ours. It is logged.",
    503: "Not possible at the moment; `Retry-After` says when to try again.",
}
_COMMON: Codes = {
    400: {"malformed_query": "The query string is malformed.", "invalid_host": "Unknown Host header."},
    401: {
        "authentication_required": "Sign in, or sign the request with an API key.",
        "invalid_credentials": "The API key is unknown or the signature does not fit the request.",
        "timestamp_out_of_window": "X-Timestamp is too far from the server's clock.",
        "invalid_window": "X-Window must be milliseconds from 1 to 60000.",
        "key_revoked": "This API key was revoked.",
        "key_expired": "This API key has expired.",
    },
    403: {
        "scope_missing": "This API key does not have the scope trade.",
        "ip_not_allowed": "This API key may not be used from this address.",
        "csrf_failed": "The CSRF check failed.",
    },
    404: {"unknown_account": Reason.UNKNOWN_ACCOUNT.text},
    405: {"method_not_allowed": "This path takes another method."},
    413: {"body_too_large": "A body has at most 65536 bytes."},
    422: {"unknown_parameter": "There is no such query parameter here."},
    429: {"rate_limited": "More than 500 per 1 s for this API key. Wait 1 s."},
    500: {"internal_error": internal_error().message},
    503: {
        "overloaded": "Too many orders are waiting; nothing happened.",
        "unavailable": "The exchange takes no orders at the moment; nothing happened.",
        "outcome_unknown": "The command may or may not have happened. Ask for the order by its client_order_id.",
    },
}
_BODY: Codes = {
    400: {"malformed_json": "The body is not well-formed JSON."},
    422: {
        "invalid_body": "The body must be one JSON object.",
        "unknown_field": "There is no such field here.",
        "missing_field": "The field is required.",
        "invalid_field": "The field has the wrong type or value.",
        "invalid_decimal": 'Decimals are JSON strings, such as "101.25".',
        "too_many_decimals": "At most 6 decimals are possible here.",
    },
}
_NO_BODY: Codes = {422: {"body_not_allowed": "This request takes no body."}}
_ONE_ORDER: Codes = {
    404: {"unknown_order": "There is no order of this account with that id."},
    409: {"order_not_open": "Order 7 is filled: it can no longer be changed."},
}
_CLIENT_ID: Codes = {422: {"invalid_client_order_id": "Use 1 to 64 letters, digits and . _ : / - characters."}}
_ON_PLACING = (
    *(Reason.UNKNOWN_MARKET, Reason.ACCOUNT_FROZEN, Reason.HOUSE_ACCOUNT, Reason.EXCHANGE_HALTED),
    *(Reason.MARKET_HALTED, Reason.MARKET_CANCEL_ONLY, Reason.MARKET_POST_ONLY, Reason.PRICE_REQUIRED),
    *(Reason.PRICE_NOT_ALLOWED, Reason.QUANTITY_REQUIRED, Reason.QUOTE_AMOUNT_NOT_ALLOWED),
    *(Reason.POST_ONLY_NOT_ALLOWED, Reason.TIME_IN_FORCE_NOT_ALLOWED, Reason.PRICE_OFF_TICK, Reason.QUANTITY_OFF_LOT),
    *(Reason.QUANTITY_TOO_SMALL, Reason.QUANTITY_TOO_LARGE, Reason.NOTIONAL_TOO_SMALL, Reason.NOTIONAL_TOO_LARGE),
    *(Reason.PRICE_OUTSIDE_BAND, Reason.POST_ONLY_WOULD_TRADE, Reason.CLIENT_ORDER_ID_CONFLICT),
    *(Reason.INSUFFICIENT_BALANCE, Reason.TOO_MANY_OPEN_ORDERS, Reason.POSITION_LIMIT, Reason.ORDER_RATE_EXCEEDED),
)
_ON_AMENDING = (
    *(Reason.ACCOUNT_FROZEN, Reason.EXCHANGE_HALTED, Reason.MARKET_HALTED, Reason.MARKET_CANCEL_ONLY),
    *(Reason.MARKET_POST_ONLY, Reason.AMEND_WITHOUT_CHANGE, Reason.QUANTITY_BELOW_FILLED, Reason.PRICE_OFF_TICK),
    *(Reason.QUANTITY_OFF_LOT, Reason.QUANTITY_TOO_SMALL, Reason.QUANTITY_TOO_LARGE, Reason.NOTIONAL_TOO_SMALL),
    *(Reason.NOTIONAL_TOO_LARGE, Reason.PRICE_OUTSIDE_BAND, Reason.POST_ONLY_WOULD_TRADE),
    *(Reason.INSUFFICIENT_BALANCE, Reason.POSITION_LIMIT, Reason.ORDER_RATE_EXCEEDED),
)

_ORDER_EXAMPLE = {
    "market": "BTC-USDT", "side": "buy", "type": "limit", "time_in_force": "gtc", "post_only": False,
    "price": "43000.00", "quantity": "0.01500", "client_order_id": "my-1", "self_trade_prevention": "cancel_taker",
}  # fmt: skip
_PLACED_EXAMPLE = {
    "id": 1001, "client_order_id": "my-1", "market": "BTC-USDT", "side": "buy", "type": "limit",
    "time_in_force": "gtc", "post_only": False, "price": "43000.00", "quantity": "0.01500", "quote_amount": None,
    "filled_quantity": "0.01500", "filled_notional": "644.85", "average_price": "42990.00",
    "remaining_quantity": "0.00000", "prevented_quantity": "0.00000", "status": "filled", "reason": None,
    "self_trade_prevention": "cancel_taker", "created_at": "2026-01-31T12:00:00.000000Z",
    "updated_at": "2026-01-31T12:00:00.000000Z",
    "fills": [
        {
            "trade_id": 57, "price": "42990.00", "quantity": "0.01500", "fee": "0.0000225", "fee_asset": "BTC",
            "liquidity": "taker", "executed_at": "2026-01-31T12:00:00.000000Z",
        }
    ],
}  # fmt: skip
_CANCELED_EXAMPLE = _PLACED_EXAMPLE | {
    "filled_quantity": "0.00000", "filled_notional": "0.00", "average_price": None, "remaining_quantity": "0.01500",
    "status": "canceled", "reason": "user_canceled", "fills": [],
}  # fmt: skip
_AMENDED_EXAMPLE = _CANCELED_EXAMPLE | {"status": "open", "reason": None, "price": "42980.00"}
_TEST_EXAMPLE = {
    "market": "BTC-USDT", "worst_case_cost": "645", "cost_asset": "USDT", "worst_case_fee": "0.0000225",
    "fee_asset": "BTC", "expected_quantity": "0.01500", "expected_notional": "644.85", "maker_rate": "0.001",
    "taker_rate": "0.0015",
}  # fmt: skip


def gateway_schema() -> dict[str, Any]:
    """Paths and components of order entry."""
    placing = _together(_COMMON, _BODY, _CLIENT_ID, _of_reasons(_ON_PLACING))
    in_batch = _together(_COMMON, _BODY)
    amending = _together(_COMMON, _BODY, _ONE_ORDER, _of_reasons(_ON_AMENDING))
    canceling = _together(_COMMON, _NO_BODY, _ONE_ORDER)
    everything = _together(
        _COMMON, _NO_BODY, _of_reasons((Reason.UNKNOWN_MARKET,)), {422: {"invalid_field": "side is buy or sell."}}
    )
    return {
        "paths": {
            PATH: {
                "post": _operation(
                    "place_order",
                    "Place an order",
                    {
                        200: ("This client_order_id was placed before: the first order as it stands now.", OrderAnswer,
                              _PLACED_EXAMPLE | {"duplicate": True}),
                        201: ("The order after matching, durable.", OrderAnswer, _PLACED_EXAMPLE),
                    },
                    placing,
                    body=(PlaceOrderBody, _ORDER_EXAMPLE),
                ),
                "delete": _operation(
                    "cancel_all_orders",
                    "Cancel all open orders, or those of a market and side",
                    {200: ("The ids of the orders canceled.", CanceledAnswer, {"canceled": [1001, 1002]})},
                    everything,
                    parameters=[
                        _parameter("market", "query", {"type": "string", "examples": ["BTC-USDT"]}),
                        _parameter("side", "query", {"enum": ["buy", "sell"]}),
                    ],
                ),
            },
            PATH + "/batch": {
                "post": _operation(
                    "place_orders",
                    "Place up to 100 orders, each accepted or refused on its own",
                    {200: ("What became of each, in the same order.", BatchAnswer, _batch_example())},
                    in_batch,
                    body=(BatchBody, {"orders": [_ORDER_EXAMPLE]}),
                )
            },
            PATH + "/test": {
                "post": _operation(
                    "test_order",
                    "Run every check and tell the cost, without placing",
                    {200: ("What placing it would do now.", TestAnswer, _TEST_EXAMPLE)},
                    placing,
                    body=(PlaceOrderBody, _ORDER_EXAMPLE),
                )
            },
            PATH + "/{order_id}": _one_order("order", "id", amending, canceling, _parameter(
                "order_id", "path", {"type": "integer", "minimum": 1, "maximum": 2**63 - 1})),
            PATH + "/by-client-id/{client_order_id}": _one_order(
                "order_by_client_id",
                "client order id",
                _together(amending, _CLIENT_ID),
                _together(canceling, _CLIENT_ID),
                _parameter("client_order_id", "path", {"type": "string", "pattern": CLIENT_ORDER_ID_PATTERN}),
            ),
        },
        "components": {"schemas": _schemas()},
    }  # fmt: skip


def _one_order(
    name: str, named_by: str, amending: Codes, canceling: Codes, parameter: dict[str, Any]
) -> dict[str, Any]:
    return {
        "patch": _operation(
            f"amend_{name}",
            f"Amend an open order by its {named_by}: a smaller quantity alone keeps its place in the queue",
            {200: ("The order as it is now.", OrderAnswer, _AMENDED_EXAMPLE)},
            amending,
            body=(AmendOrderBody, {"price": "42980.00"}),
            parameters=[parameter],
        ),
        "delete": _operation(
            f"cancel_{name}",
            f"Cancel an open order by its {named_by}",
            {200: ("The canceled order.", OrderAnswer, _CANCELED_EXAMPLE)},
            canceling,
            parameters=[parameter],
        ),
    }


def _operation(
    name: str,
    summary: str,
    successes: dict[int, tuple[str, type, Any]],
    errors: Codes,
    *,
    body: tuple[type, Any] | None = None,
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    responses: dict[str, Any] = {
        str(status): {"description": text, "headers": _headers(status), "content": _content(struct, {"order": example})}
        for status, (text, struct, example) in successes.items()
    }
    for status, codes in sorted(errors.items()):
        examples = {code: {"error": {"code": code, "message": message}} for code, message in sorted(codes.items())}
        responses[str(status)] = {
            "description": _MEANINGS[status], "headers": _headers(status), "content": _content(ErrorAnswer, examples)
        }  # fmt: skip
    operation = {
        "operationId": name,
        "summary": summary,
        "tags": [TAG],
        "security": SECURITY,
        "parameters": parameters or [],
        "responses": responses,
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": _content(body[0], {"body": body[1]})}
    return operation


def _content(struct: type, examples: dict[str, Any]) -> dict[str, Any]:
    return {
        "application/json": {
            "schema": {"$ref": f"#/components/schemas/{struct.__name__}"},
            "examples": {name: {"value": value} for name, value in examples.items()},
        }
    }


def _headers(status: int) -> dict[str, Any]:
    names = {
        "X-RateLimit-Limit": "Of the limit that is nearest to its end; none of these with RATE_LIMITS=off.",
        "X-RateLimit-Remaining": "What is left of it.",
        "X-RateLimit-Reset": "When it begins anew, Unix seconds.",
    }
    if status in (429, 503):
        names["Retry-After"] = "Seconds."
    if status == 405:
        names["Allow"] = "The methods this path takes."
    return {
        name: {"description": text, "schema": {"type": "string" if name == "Allow" else "integer"}}
        for name, text in names.items()
    }


def _parameter(name: str, place: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _together(*parts: Codes) -> Codes:
    statuses = {status for part in parts for status in part}
    return {
        status: {code: text for part in parts for code, text in part.get(status, {}).items()} for status in statuses
    }


def _of_reasons(reasons: tuple[Reason, ...]) -> Codes:
    codes: Codes = {}
    for reason in reasons:
        codes.setdefault(STATUS_OF_REASON.get(reason, 422), {})[reason.value] = refusal(reason).message
    return codes


def _batch_example() -> dict[str, Any]:
    error = msgspec.to_builtins(ErrorBody("insufficient_balance", Reason.INSUFFICIENT_BALANCE.text))
    return {"results": [{"order": _PLACED_EXAMPLE}, {"error": error}]}


def _schemas() -> dict[str, Any]:
    """The structs as JSON Schema; a batch's orders, decoded one by one, are described here."""
    _, schemas = msgspec.json.schema_components(STRUCTS, ref_template="#/components/schemas/{name}")
    schemas["BatchBody"]["properties"]["orders"]["items"] = {"$ref": "#/components/schemas/PlaceOrderBody"}
    return schemas
