"""The requests of the WebSocket API, from text to structs; what is wrong with one gets its name here."""

from typing import Annotated

import msgspec
from msgspec import Meta

from matching.engine.messages import Side
from trading.gateway import decode
from trading.gateway.errors import ApiError

CHANNELS_MAX = 200
SEQUENCE_MAX = 2**63 - 1

RequestId = Annotated[str, Meta(max_length=64)] | Annotated[int, Meta(ge=-SEQUENCE_MAX, le=SEQUENCE_MAX)] | None
ChannelNames = Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(min_length=1, max_length=CHANNELS_MAX)]
OrderId = Annotated[int, Meta(ge=1, le=decode.ORDER_ID_MAX)]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every request has."""

    op: str
    id: RequestId = None


class Subscribe(Request, frozen=True):
    """Begin, or begin again, to receive channels; `from_sequence`: to go on after it."""

    channels: ChannelNames
    from_sequence: Annotated[int, Meta(ge=0, le=SEQUENCE_MAX)] | None = None


class Unsubscribe(Request, frozen=True):
    """Receive channels no more."""

    channels: ChannelNames


class Login(Request, frozen=True):
    """Act for an account: by the session of the handshake or, with `api_key`, by signature."""

    api_key: Annotated[str, Meta(max_length=64)] | None = None
    timestamp: Annotated[int, Meta(ge=0, le=SEQUENCE_MAX)] | None = None
    signature: Annotated[str, Meta(max_length=128)] | None = None
    window: Annotated[int, Meta(ge=1, le=60_000)] | None = None
    account: Annotated[str, Meta(max_length=64)] | None = None
    cancel_on_disconnect: bool = False


class Ping(Request, frozen=True):
    """Is anybody there?"""


class PlaceOrder(Request, frozen=True):
    """Place or test an order: the body of POST /orders."""

    order: msgspec.Raw


class PlaceOrders(Request, frozen=True):
    """Place up to 100 orders: the body of POST /orders/batch."""

    orders: msgspec.Raw


class CancelOrder(Request, frozen=True):
    """Cancel the order with that id or client order id."""

    order_id: OrderId | None = None
    client_order_id: str | None = None


class AmendOrder(CancelOrder, frozen=True):
    """A new price, a new total quantity, or both."""

    price: str | None = None
    quantity: str | None = None


class CancelOrders(Request, frozen=True):
    """Cancel all orders, or those of a market and a side."""

    market: str | None = None
    side: Side | None = None


class _Head(msgspec.Struct, frozen=True):
    """As much of a request as an answer needs, whatever else is wrong with it."""

    op: str
    id: RequestId = None


TYPES: dict[str, type[Request]] = {
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "login": Login,
    "ping": Ping,
    "order.place": PlaceOrder,
    "order.place_batch": PlaceOrders,
    "order.test": PlaceOrder,
    "order.amend": AmendOrder,
    "order.cancel": CancelOrder,
    "order.cancel_all": CancelOrders,
}
_head_decoder = msgspec.json.Decoder(_Head)
_decoders = {op: msgspec.json.Decoder(type_) for op, type_ in TYPES.items()}


def head(text: str) -> tuple[str | None, RequestId]:
    """The op and id of a request, as far as they can be read."""
    try:
        found = _head_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None, None
    return found.op, found.id


def request(op: str | None, text: str) -> Request:
    """The whole request, whose `op` was read before; raises ApiError."""
    if op is None:
        decode.decoded(_head_decoder, text)
        raise ApiError(422, "invalid_body", "The request must be one JSON object with an op.")
    decoder = _decoders.get(op)
    if decoder is None:
        raise ApiError(404, "unknown_op", f"There is no op {op[:64]!r}.", "op")
    return decode.decoded(decoder, text)
