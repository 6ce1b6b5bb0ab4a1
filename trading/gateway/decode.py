"""From the bytes of a request to commands in units: everything that is wrong with a body gets its name here.

msgspec checks shape and types, `marketdata.scale` the numbers. What a price or quantity must be on its market is the
exchange's business, not this module's.
"""

import re
from typing import NoReturn, TypeVar
from urllib.parse import parse_qsl

import msgspec

from marketdata.scale import AmountError, units_from_text
from matching.engine.messages import AmendOrder, PlaceOrder, Side
from trading.gateway.directory import MarketEntry
from trading.gateway.errors import ApiError, wrong_amount
from trading.gateway.messages import CLIENT_ORDER_ID_PATTERN, AmendOrderBody, BatchBody, PlaceOrderBody

T = TypeVar("T")

ORDER_ID_MAX = 2**63 - 1
QUERY_FIELDS_MAX = 10
DECIMAL_FIELDS = frozenset({"price", "quantity", "quote_amount"})
SIDES: dict[str, Side] = {"buy": "buy", "sell": "sell"}

_place_decoder = msgspec.json.Decoder(PlaceOrderBody)
_batch_decoder = msgspec.json.Decoder(BatchBody)
_amend_decoder = msgspec.json.Decoder(AmendOrderBody)
_is_client_order_id = re.compile(CLIENT_ORDER_ID_PATTERN.strip("^$"), re.ASCII).fullmatch

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`(?: - at `\$.*`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_PATH = re.compile(r" - at `\$\.?(\w+).*`$")
_NAME_LENGTH_MAX = 64


def place_body(data: bytes | msgspec.Raw) -> PlaceOrderBody:
    """One order to place; raises ApiError."""
    return decoded(_place_decoder, data)


def batch_body(data: bytes) -> BatchBody:
    """A batch of orders, still to be decoded one by one; raises ApiError."""
    return decoded(_batch_decoder, data)


def amend_body(data: bytes) -> AmendOrderBody:
    """An amendment; raises ApiError."""
    return decoded(_amend_decoder, data)


def place_command(*, body: PlaceOrderBody, market: MarketEntry, account_id: int) -> PlaceOrder:
    """The command that places this order; raises ApiError for texts that are no amounts or client order ids."""
    client_order_id = body.client_order_id
    if client_order_id is not None and not _is_client_order_id(client_order_id):
        raise invalid_client_order_id()
    order_type = body.type
    return PlaceOrder(
        account_id,
        market.id,
        body.side,
        order_type,
        None if body.price is None else _units(body.price, market.quote_scale, "price"),
        None if body.quantity is None else _units(body.quantity, market.base_scale, "quantity"),
        None if body.quote_amount is None else _units(body.quote_amount, market.quote_scale, "quote_amount"),
        body.time_in_force or ("gtc" if order_type == "limit" else "ioc"),
        body.post_only,
        body.self_trade_prevention,
        client_order_id,
    )


def amend_command(*, body: AmendOrderBody, market: MarketEntry, account_id: int, order_id: int) -> AmendOrder:
    """The command that makes this amendment; raises ApiError for texts that are no amounts."""
    return AmendOrder(
        account_id,
        order_id,
        price=None if body.price is None else _units(body.price, market.quote_scale, "price"),
        quantity=None if body.quantity is None else _units(body.quantity, market.base_scale, "quantity"),
    )


def order_id(text: str) -> int:
    """An order id from a path; what cannot be one is ApiError 404 `unknown_order`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19) or int(text) > ORDER_ID_MAX:
        raise unknown_order()
    return int(text)


def client_order_id(text: str) -> str:
    """A client order id from a path; raises ApiError 422."""
    if not _is_client_order_id(text):
        raise invalid_client_order_id()
    return text


def query_fields(query: bytes, allowed: frozenset[str]) -> dict[str, str]:
    """The fields of a query string, each allowed one at most once; raises ApiError 422."""
    if not query:
        return {}
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict",
            max_num_fields=QUERY_FIELDS_MAX,
        )  # fmt: skip
    except ValueError as error:
        raise ApiError(400, "malformed_query", "The query string is malformed.") from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name not in allowed:
            shown = _shortened(name)
            raise ApiError(422, "unknown_parameter", f"There is no query parameter {shown!r} here.", shown)
        if name in fields:
            raise ApiError(422, "invalid_field", f"Give {name} once.", name)
        fields[name] = value
    return fields


def side_field(text: str | None) -> Side | None:
    """A side from a query, None when it was not given; raises ApiError 422."""
    if text is None:
        return None
    if text not in SIDES:
        raise ApiError(422, "invalid_field", "side is buy or sell.", "side")
    return SIDES[text]


def unknown_order() -> ApiError:
    """There is no such order, or it is somebody else's."""
    return ApiError(404, "unknown_order", "There is no order of this account with that id.")


def invalid_client_order_id() -> ApiError:
    """Text that is no client order id."""
    return ApiError(
        422, "invalid_client_order_id", "Use 1 to 64 letters, digits and . _ : / - characters.", "client_order_id"
    )


def _units(text: str, scale: int, field: str) -> int:
    try:
        return units_from_text(text, scale)
    except AmountError as error:
        raise wrong_amount(error, field) from None


def decoded(decoder: msgspec.json.Decoder[T], data: bytes | str | msgspec.Raw) -> T:
    """What the decoder makes of JSON; raises ApiError with the name of what is wrong."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        _refuse(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ApiError(400, "malformed_json", "The body is not well-formed JSON.") from None


def _refuse(text: str) -> NoReturn:
    """Name what msgspec found; its texts are part of its documented behaviour and held by our tests."""
    if match := _UNKNOWN.fullmatch(text):
        field = _shortened(match.group(1))
        raise ApiError(422, "unknown_field", f"There is no field {field!r} here.", field)
    if match := _MISSING.match(text):
        raise ApiError(422, "missing_field", f"The field {match.group(1)} is required.", match.group(1))
    path = _PATH.search(text)
    if path is None:
        raise ApiError(422, "invalid_body", "The body must be one JSON object.")
    field = path.group(1)
    if field in DECIMAL_FIELDS:
        raise ApiError(422, "invalid_decimal", 'Decimals are JSON strings, such as "101.25".', field)
    if field == "client_order_id":
        raise invalid_client_order_id()
    raise ApiError(422, "invalid_field", f"{text[: path.start()].replace('`', '')}.", field)


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH_MAX else name[:_NAME_LENGTH_MAX] + "..."
