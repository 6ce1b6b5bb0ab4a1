"""Order entry over the socket: the handlers of HTTP order entry, fed from requests instead of paths and bodies."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

import msgspec

from trading.gateway import decode, handlers
from trading.gateway.app import Gateway
from trading.gateway.errors import ApiError
from trading.gateway.handlers import Answer, Call
from trading.gateway.keys import Principal
from trading.gateway.messages import AmendOrderBody
from trading.stream import requests
from trading.stream.requests import Request

Handler = Callable[[Gateway, Principal, str, Request], Awaitable[Answer]]

_encode = msgspec.json.Encoder().encode


def _call(
    gateway: Gateway,
    principal: Principal,
    address: str,
    *,
    body: bytes | msgspec.Raw = b"",
    query: bytes = b"",
    name: str = "",
) -> Call:
    meter = gateway.limits.meter()
    meter.request(address=address)
    return Call(principal, gateway.lane, meter, gateway.recent, bytes(body), query, name)


async def _place(gateway: Gateway, principal: Principal, address: str, request: Request) -> Answer:
    assert isinstance(request, requests.PlaceOrder)
    return await handlers.place(_call(gateway, principal, address, body=request.order))


async def _place_batch(gateway: Gateway, principal: Principal, address: str, request: Request) -> Answer:
    assert isinstance(request, requests.PlaceOrders)
    body = b'{"orders":' + bytes(request.orders) + b"}"
    return await handlers.place_batch(_call(gateway, principal, address, body=body))


async def _test(gateway: Gateway, principal: Principal, address: str, request: Request) -> Answer:
    assert isinstance(request, requests.PlaceOrder)
    return await handlers.test_place(_call(gateway, principal, address, body=request.order))


async def _amend(gateway: Gateway, principal: Principal, address: str, request: Request) -> Answer:
    assert isinstance(request, requests.AmendOrder)
    body = _encode(AmendOrderBody(request.price, request.quantity))
    if request.client_order_id is not None:
        call = _call(gateway, principal, address, body=body, name=_client_order_id(request))
        return await handlers.amend_by_client_id(call)
    return await handlers.amend(_call(gateway, principal, address, body=body, name=_order_id(request)))


async def _cancel(gateway: Gateway, principal: Principal, address: str, request: Request) -> Answer:
    assert isinstance(request, requests.CancelOrder)
    if request.client_order_id is not None:
        call = _call(gateway, principal, address, name=_client_order_id(request))
        return await handlers.cancel_by_client_id(call)
    return await handlers.cancel(_call(gateway, principal, address, name=_order_id(request)))


async def _cancel_all(gateway: Gateway, principal: Principal, address: str, request: Request) -> Answer:
    assert isinstance(request, requests.CancelOrders)
    fields = {"market": request.market, "side": request.side}
    query = urlencode({name: value for name, value in fields.items() if value is not None}).encode()
    return await handlers.cancel_all(_call(gateway, principal, address, query=query))


def _order_id(request: requests.CancelOrder) -> str:
    if request.order_id is None:
        raise ApiError(422, "missing_field", "Name the order by order_id or client_order_id.", "order_id")
    return str(request.order_id)


def _client_order_id(request: requests.CancelOrder) -> str:
    assert request.client_order_id is not None
    if request.order_id is not None:
        raise ApiError(422, "invalid_field", "Give order_id or client_order_id, not both.", "client_order_id")
    return decode.client_order_id(request.client_order_id)


HANDLERS: dict[str, Handler] = {
    "order.place": _place,
    "order.place_batch": _place_batch,
    "order.test": _test,
    "order.amend": _amend,
    "order.cancel": _cancel,
    "order.cancel_all": _cancel_all,
}
