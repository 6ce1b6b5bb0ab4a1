"""The bodies of order entry, in and out: the single definition, from which the OpenAPI schema is generated too.

Amounts are decimal strings and times ISO 8601 text in UTC with microseconds; `marketdata.scale` and `encode` turn them
into what the exchange counts with, and back.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from matching.engine.messages import OrderStatus, OrderType, SelfTradePrevention, Side, TimeInForce

BATCH_ORDERS_MAX = 100
DECIMAL_PATTERN = r"^[0-9]{1,20}(\.[0-9]{1,18})?$"
CLIENT_ORDER_ID_PATTERN = r"^[A-Za-z0-9._:/-]{1,64}$"


def _decimal(description: str, example: str) -> Meta:
    """What the schema says of a decimal; the check itself is `scale.units_from_text`, with a better message."""
    return Meta(description=description, extra_json_schema={"pattern": DECIMAL_PATTERN, "examples": [example]})


def _documented(description: str, **extra: object) -> Meta:
    return Meta(description=description, extra_json_schema=extra or None)


Price = Annotated[str, _decimal("Quote units per whole base, a multiple of the market's tick_size.", "43000.00")]
Quantity = Annotated[str, _decimal("Of the base asset, a multiple of the market's lot_size.", "0.01500")]
QuoteAmount = Annotated[str, _decimal("What a market buy may spend, in the quote asset.", "250.00")]
ClientOrderId = Annotated[
    str,
    _documented(
        "Your own name for the order: placing the same body again under it returns the first order.",
        pattern=CLIENT_ORDER_ID_PATTERN,
        examples=["my-1"],
    ),
]
Symbol = Annotated[str, _documented("BASE-QUOTE.", examples=["BTC-USDT"])]
Time = Annotated[
    str,
    _documented("ISO 8601, UTC, microseconds.", format="date-time", examples=["2026-01-31T12:00:00.000000Z"]),
]
Amount = Annotated[str, _documented("An exact decimal.", examples=["645.00"])]

# ---------------------------------------------------------------------------------------------- in


class PlaceOrderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to place. A limit order needs price and quantity, a market order quantity or (buys) quote_amount.

    `time_in_force` is gtc for limit and ioc for market orders unless given.
    """

    market: Symbol
    side: Side
    type: OrderType
    time_in_force: TimeInForce | None = None
    post_only: bool = False
    price: Price | None = None
    quantity: Quantity | None = None
    quote_amount: QuoteAmount | None = None
    client_order_id: ClientOrderId | None = None
    self_trade_prevention: SelfTradePrevention = "cancel_taker"


class BatchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Orders to place, each accepted or refused on its own; each is decoded on its own as a PlaceOrderBody."""

    orders: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=BATCH_ORDERS_MAX)]


class AmendOrderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new price, a new total quantity (what is filled included), or both."""

    price: Price | None = None
    quantity: Quantity | None = None


# ---------------------------------------------------------------------------------------------- out


class FillAnswer(msgspec.Struct, frozen=True, gc=False):
    """One order's half of a trade. A negative fee is a rebate."""

    trade_id: int
    price: Amount
    quantity: Amount
    fee: Amount
    fee_asset: str
    liquidity: Annotated[str, _documented("maker or taker.", enum=["maker", "taker"])]
    executed_at: Time


class OrderAnswer(msgspec.Struct, frozen=True, gc=False):
    """An order as it stands. Partly filled is `filled_quantity` above zero while the status is open."""

    id: int
    client_order_id: str | None
    market: Symbol
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    price: Amount | None
    quantity: Amount | None
    quote_amount: Amount | None
    filled_quantity: Amount
    filled_notional: Annotated[str, _documented("The sum of price times quantity over the fills.")]
    average_price: Annotated[str, _documented("Null when nothing is filled.")] | None
    remaining_quantity: Annotated[str, _documented("What rests, or was left when the order ended.")]
    prevented_quantity: Annotated[str, _documented("What self-trade prevention kept from trading.")]
    status: OrderStatus
    reason: Annotated[str, _documented("Why it was canceled or rejected: one of the refusal codes.")] | None
    self_trade_prevention: SelfTradePrevention
    created_at: Time
    updated_at: Time
    fills: list[FillAnswer]
    duplicate: Annotated[bool, _documented("Present and true: this client_order_id was placed before.")] | UnsetType = (
        UNSET
    )


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stable code, a text for people, and the field at fault if it is one."""

    code: str
    message: str
    field: str | None = None


class ErrorAnswer(msgspec.Struct, frozen=True):
    """Every answer of status 400 and above."""

    error: ErrorBody
    duplicate: (
        Annotated[bool, _documented("Present and true: this client_order_id was rejected before.")] | UnsetType
    ) = UNSET


class BatchResult(msgspec.Struct, frozen=True):
    """What became of one order of a batch: `order` or `error`."""

    order: OrderAnswer | UnsetType = UNSET
    error: ErrorBody | UnsetType = UNSET
    duplicate: Annotated[bool, _documented("Beside `error`: this client_order_id was rejected before.")] | UnsetType = (
        UNSET
    )


class BatchAnswer(msgspec.Struct, frozen=True):
    """What became of each order of a batch, in the order of the batch."""

    results: list[BatchResult]


class CanceledAnswer(msgspec.Struct, frozen=True):
    """The ids of the orders that a cancel-all canceled, oldest first."""

    canceled: list[int]


class TestAnswer(msgspec.Struct, frozen=True):
    """What placing the order would do now. Nothing was placed."""

    market: Symbol
    worst_case_cost: Annotated[str, _documented("What would be held.", examples=["645.00"])]
    cost_asset: str
    worst_case_fee: Annotated[str, _documented("On everything the order could receive.", examples=["0.0000225"])]
    fee_asset: str
    expected_quantity: Annotated[str, _documented("What would trade at once.", examples=["0.01500"])]
    expected_notional: Amount
    maker_rate: Annotated[str, _documented("A fraction: 0.001 is 0.1 %.", examples=["0.001"])]
    taker_rate: Annotated[str, _documented("A fraction: 0.0015 is 0.15 %.", examples=["0.0015"])]
