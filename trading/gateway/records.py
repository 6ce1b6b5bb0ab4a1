"""A record of each request to order entry (LOG_ORDERS=on): who asked, which orders, where in the journal, how long.

What there is to tell is seen where it passes, on the way into the lane and back; without LOG_ORDERS nothing looks.
"""

import logging
import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from matching.engine.messages import (
    AnyCommand,
    AnyEvent,
    OrderDuplicated,
    OrderPlaced,
    OrderPreviewed,
    OrderRejected,
    OrdersCanceled,
    OrderUpdated,
    PlaceOrder,
)
from matching.lanes import OrderLane, Reply
from trading.gateway.messages import ErrorAnswer

NAMES_MAX = 100
"""Orders that one record names: a batch has no more, and who cancels everything is told by the journal."""

_logger = logging.getLogger("trading.orders")
_current: ContextVar["OrderRecord | None"] = ContextVar("order_record", default=None)


class OrderRecord:
    """What becomes of one request; begun by the task that answers it."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._fields: dict[str, Any] = {}
        _current.set(self)

    def asked(self, commands: Sequence[AnyCommand]) -> None:
        """These commands go into the lane."""
        self._fields["account"] = getattr(commands[0], "account_id", None)
        self._name("client_order_id", [getattr(command, "client_order_id", None) for command in commands])
        self._name("order_id", [getattr(command, "order_id", None) for command in commands])

    def answered(self, replies: Sequence[Reply]) -> None:
        """The lane has answered."""
        self._fields["sequence"] = replies[-1].sequence
        self._name("order_id", [order_id for reply in replies for order_id in _order_ids(reply.events)])

    def tell(self, *, request: str, status: int, answer: object) -> None:
        """Log it: the method and path or the op, and what was answered."""
        refused = {"code": answer.error.code} if isinstance(answer, ErrorAnswer) else {}
        duration = round((time.perf_counter() - self._began) * 1_000, 3)
        _logger.info(
            "%s", request, extra={"fields": {**self._fields, "status": status, **refused, "duration_ms": duration}}
        )

    def _name(self, field: str, found: Sequence[Any]) -> None:
        names = [name for name in found if name is not None]
        if names:
            self._fields[field] = names[0] if len(names) == 1 else names[:NAMES_MAX]


class RecordedLane:
    """A lane that tells the record of the request at hand what passes."""

    def __init__(self, lane: OrderLane) -> None:
        self._lane = lane
        self.commands_max = lane.commands_max

    @property
    def depth(self) -> int:
        """The lane's own."""
        return self._lane.depth

    async def execute(self, commands: Sequence[AnyCommand]) -> list[Reply]:
        """As the lane's."""
        record = _current.get()
        if record is not None:
            record.asked(commands)
        replies = await self._lane.execute(commands)
        if record is not None:
            record.answered(replies)
        return replies

    async def preview(self, command: PlaceOrder) -> OrderPreviewed:
        """As the lane's."""
        if (record := _current.get()) is not None:
            record.asked((command,))
        return await self._lane.preview(command)


def _order_ids(events: Sequence[AnyEvent]) -> Sequence[int]:
    """The orders that a command was about; updates of those that its order met come before its own."""
    for event in events:
        match event:
            case OrderPlaced() | OrderRejected():
                return (event.order.id,)
            case OrderDuplicated():
                return (event.order_id,)
            case OrdersCanceled():
                return event.order_ids
    return next(((event.id,) for event in reversed(events) if isinstance(event, OrderUpdated)), ())
