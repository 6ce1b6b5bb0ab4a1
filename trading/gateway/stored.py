"""Orders read back from the database, for answers that a reply alone does not tell. For threads."""

import msgspec

from orders import queries
from orders.models import Order
from trading.gateway.errors import ApiError
from trading.gateway.messages import OrderAnswer


class Found(msgspec.Struct, frozen=True):
    """Where an order of the account is."""

    id: int
    market_id: int
    status: str


def find(*, account_id: int, order_id: int | None = None, client_order_id: str | None = None) -> Found | None:
    """The account's order by id or client order id as last committed; None when it has none such."""
    name = {"id": order_id} if client_order_id is None else {"client_order_id": client_order_id}
    row = Order.objects.filter(account_id=account_id, **name).values_list("id", "market_id", "status").first()
    return None if row is None else Found(*row)


def not_open(*, found: Found) -> ApiError:
    """The order has ended: it can be neither amended nor canceled."""
    return ApiError(409, "order_not_open", f"Order {found.id} is {found.status}: it can no longer be changed.")


def answer(*, account_id: int, order_id: int) -> OrderAnswer:
    """The account's order, which must exist, as it stands now with its fills."""
    return msgspec.convert(queries.order(account_id=account_id, order_id=order_id), OrderAnswer, from_attributes=True)
