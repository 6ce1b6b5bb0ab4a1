"""What each endpoint of order entry does: decode, ask the exchange once, answer.

A handler gets a `Call` whose sender is known and returns a status and a struct; everything else is an ApiError.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from matching.engine.messages import (
    AmendOrder,
    AnyEvent,
    CancelOrder,
    CancelOrders,
    CommandRefused,
    OrderDuplicated,
    OrderPlaced,
    OrderRejected,
    OrdersCanceled,
    OrderUpdated,
    PlaceOrder,
    Reason,
    TradeExecuted,
)
from matching.lanes import OrderLane, Reply
from trading.gateway import decode, stored
from trading.gateway.database import READERS
from trading.gateway.directory import DIRECTORY, MarketEntry
from trading.gateway.encode import fill_answer, order_answer, test_answer
from trading.gateway.errors import ApiError, refusal, unread
from trading.gateway.keys import Principal
from trading.gateway.limits import Meter
from trading.gateway.messages import (
    BatchAnswer,
    BatchResult,
    CanceledAnswer,
    ErrorAnswer,
    FillAnswer,
    OrderAnswer,
)
from trading.gateway.recent import RecentOrders

NO_QUERY: frozenset[str] = frozenset()
CANCEL_QUERY = frozenset({"market", "side"})

_REASONS = {reason.value: reason for reason in Reason}

Answer = tuple[int, msgspec.Struct]


@dataclass(slots=True)
class Call:
    """One request whose sender is known. `name` is what the path names: an order id or a client order id."""

    principal: Principal
    lane: OrderLane
    meter: Meter
    recent: RecentOrders
    body: bytes
    query: bytes
    name: str

    async def spend(self, orders: int) -> None:
        """Count orders against the caller's limits. Raises ApiError 429."""
        await self.meter.orders(principal=self.principal, count=orders)


# ---------------------------------------------------------------------------------------------- place


async def place(call: Call) -> Answer:
    """POST /orders."""
    await call.spend(1)
    command, market = await _place_command(call, call.body)
    (reply,) = await call.lane.execute((command,))
    for event in reply.events:
        if type(event) is OrderPlaced:
            return 201, _placed_answer(call, event, reply.events, market)
    return await _not_placed(call, reply.events, market)


async def place_batch(call: Call) -> Answer:
    """POST /orders/batch: those that can be decoded go to the exchange together."""
    if call.query:
        decode.query_fields(call.query, NO_QUERY)
    batch = decode.batch_body(call.body)
    await call.spend(len(batch.orders))
    results: list[BatchResult] = []
    placed: list[tuple[int, MarketEntry]] = []
    commands: list[PlaceOrder] = []
    for place_in_batch, data in enumerate(batch.orders):
        try:
            command, market = await _place_command(call, data)
        except ApiError as error:
            if error.status >= 500:
                raise
            results.append(BatchResult(error=error.body()))
            continue
        results.append(BatchResult())
        commands.append(command)
        placed.append((place_in_batch, market))
    replies = await call.lane.execute(commands) if commands else []
    for (place_in_batch, market), reply in zip(placed, replies, strict=True):
        results[place_in_batch] = await _batch_result(call, reply, market)
    return 200, BatchAnswer(results)


async def test_place(call: Call) -> Answer:
    """POST /orders/test: every check, nothing placed."""
    await call.spend(1)
    command, market = await _place_command(call, call.body)
    preview = await call.lane.preview(command)
    if preview.reason is not None:
        raise refusal(preview.reason, market)
    return 200, test_answer(preview=preview, side=command.side, market=market)


async def _place_command(call: Call, data: bytes | msgspec.Raw) -> tuple[PlaceOrder, MarketEntry]:
    if call.query:
        decode.query_fields(call.query, NO_QUERY)
    body = decode.place_body(data)
    market = await DIRECTORY.by_symbol(body.market)
    if market is None:
        raise refusal(Reason.UNKNOWN_MARKET)
    return decode.place_command(body=body, market=market, account_id=call.principal.account_id), market


async def _batch_result(call: Call, reply: Reply, market: MarketEntry) -> BatchResult:
    for event in reply.events:
        if type(event) is OrderPlaced:
            return BatchResult(order=_placed_answer(call, event, reply.events, market))
    try:
        _, answer = await _not_placed(call, reply.events, market)
    except ApiError as error:
        return BatchResult(error=error.body())
    if isinstance(answer, OrderAnswer):
        return BatchResult(order=answer)
    assert isinstance(answer, ErrorAnswer)
    return BatchResult(error=answer.error, duplicate=answer.duplicate)


def _placed_answer(call: Call, event: OrderPlaced, events: list[AnyEvent], market: MarketEntry) -> OrderAnswer:
    call.recent.remember(event.order)
    fills: list[FillAnswer] = []
    if event.order.filled_quantity:
        fills = [fill_answer(trade=other, market=market) for other in events if type(other) is TradeExecuted]
    return order_answer(order=event.order, market=market, fills=fills)


async def _not_placed(call: Call, events: list[AnyEvent], market: MarketEntry) -> Answer:
    """The first order again if this was a duplicate; raises the refusal otherwise."""
    event = events[0]
    if isinstance(event, OrderDuplicated):
        return await READERS.run(_duplicate, call.principal.account_id, event.order_id, market)
    if isinstance(event, OrderRejected):
        assert event.order.reason is not None
        raise refusal(event.order.reason, market)
    assert isinstance(event, CommandRefused)
    raise refusal(event.reason, market)


def _duplicate(account_id: int, order_id: int, market: MarketEntry) -> Answer:
    first = stored.answer(account_id=account_id, order_id=order_id)
    if first.status != "rejected":
        return 200, msgspec.structs.replace(first, duplicate=True)
    assert first.reason is not None
    error = refusal(_REASONS[first.reason], market)
    return error.status, ErrorAnswer(error.body(), duplicate=True)


# ---------------------------------------------------------------------------------------------- amend and cancel


async def amend(call: Call) -> Answer:
    """PATCH /orders/{id}."""
    return await _amend(call, order_id=decode.order_id(call.name))


async def amend_by_client_id(call: Call) -> Answer:
    """PATCH /orders/by-client-id/{id}."""
    return await _amend(call, client_order_id=decode.client_order_id(call.name))


async def cancel(call: Call) -> Answer:
    """DELETE /orders/{id}."""
    return await _cancel(call, order_id=decode.order_id(call.name))


async def cancel_by_client_id(call: Call) -> Answer:
    """DELETE /orders/by-client-id/{id}."""
    return await _cancel(call, client_order_id=decode.client_order_id(call.name))


async def cancel_all(call: Call) -> Answer:
    """DELETE /orders?market=&side=."""
    await call.spend(1)
    _refuse_body(call)
    fields = decode.query_fields(call.query, CANCEL_QUERY)
    market_id = None
    if (symbol := fields.get("market")) is not None:
        market = await DIRECTORY.by_symbol(symbol)
        if market is None:
            raise refusal(Reason.UNKNOWN_MARKET)
        market_id = market.id
    command = CancelOrders(call.principal.account_id, market_id, decode.side_field(fields.get("side")))
    (reply,) = await call.lane.execute((command,))
    event = reply.events[0]
    if isinstance(event, CommandRefused):
        raise refusal(event.reason)
    assert isinstance(event, OrdersCanceled)
    return 200, CanceledAnswer(list(event.order_ids))


async def _amend(call: Call, **name: Any) -> Answer:
    await call.spend(1)
    decode.query_fields(call.query, NO_QUERY)
    body = decode.amend_body(call.body)
    account_id, order_id = call.principal.account_id, name.get("order_id")
    market_id = call.recent.market_of(account_id=account_id, order_id=order_id)
    if market_id is None:
        found = await READERS.run(stored.find, account_id=account_id, **name)
        if found is None:
            raise decode.unknown_order()
        order_id, market_id = found.id, found.market_id
    assert order_id is not None
    market = await DIRECTORY.by_id(market_id)
    command = decode.amend_command(body=body, market=market, account_id=account_id, order_id=order_id)
    return await _changed(call, command, market, {"order_id": order_id})


async def _cancel(call: Call, **name: Any) -> Answer:
    await call.spend(1)
    decode.query_fields(call.query, NO_QUERY)
    _refuse_body(call)
    return await _changed(call, CancelOrder(call.principal.account_id, **name), None, name)


async def _changed(
    call: Call, command: AmendOrder | CancelOrder, market: MarketEntry | None, name: dict[str, Any]
) -> Answer:
    """Carry a command about one order and tell the order as it is after it."""
    account_id = call.principal.account_id
    (reply,) = await call.lane.execute((command,))
    first = reply.events[0]
    if isinstance(first, CommandRefused):
        if first.reason is not Reason.UNKNOWN_ORDER:
            raise refusal(first.reason, market)
        found = await READERS.run(stored.find, account_id=account_id, **name)
        raise decode.unknown_order() if found is None or found.status == "open" else stored.not_open(found=found)
    # The order's own update is the last one: those of the makers it met come before.
    update = next(event for event in reversed(reply.events) if isinstance(event, OrderUpdated))
    order = call.recent.after(update)
    if order is not None:
        return 200, order_answer(order=order, market=await DIRECTORY.by_id(order.market_id), fills=[])
    try:
        return 200, await READERS.run(stored.answer, account_id=account_id, order_id=update.id)
    except ApiError:
        raise unread() from None


def _refuse_body(call: Call) -> None:
    if call.body:
        raise ApiError(422, "body_not_allowed", "This request takes no body.")
