"""An account's orders and fills, read in one SQL statement each.

Every function takes the account it is asked for: what belongs to another account is not found. The statements limit
first, on an index, and join afterwards, and with filters they look at SCAN_MAX rows at most (one statement more), so a
page costs the same however long the history is.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from marketdata.paging import PageAsked, Paging, rows_of
from marketdata.queries import (
    MARKET_COLUMNS,
    MarketFormat,
    market_format,
    market_join,
    require_market,
)
from marketdata.scale import units_from_numeric
from marketdata.shapes import DecimalText, Page, TimeText, time_text
from matching.engine.messages import OrderStatus, OrderType, SelfTradePrevention, Side, TimeInForce
from orders.average import average_price_text

ORDER_FILLS_MAX = 1_000
"""At most this many fills come with one order; the others by `fills(order_id=...)`."""

Liquidity = Literal["maker", "taker"]


class UnknownOrder(LookupError):
    """The account has no such order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFill:
    """One trade's half that belongs to an order. A negative fee is a rebate."""

    trade_id: int
    price: DecimalText
    quantity: DecimalText
    fee: DecimalText
    fee_asset: str
    liquidity: Liquidity
    executed_at: TimeText


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One trade's half that belongs to the account. A negative fee is a rebate."""

    trade_id: int
    order_id: int
    market: str
    side: Side
    price: DecimalText
    quantity: DecimalText
    notional: DecimalText
    fee: DecimalText
    fee_asset: str
    liquidity: Liquidity
    executed_at: TimeText


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedOrder:
    """An order as it stands; its fills are told by `/orders/{id}` and `/fills`."""

    id: int
    client_order_id: str | None
    market: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    price: DecimalText | None
    quantity: DecimalText | None
    quote_amount: DecimalText | None
    filled_quantity: DecimalText
    filled_notional: DecimalText
    average_price: DecimalText | None
    remaining_quantity: DecimalText
    prevented_quantity: DecimalText
    status: OrderStatus
    reason: str | None
    self_trade_prevention: SelfTradePrevention
    created_at: TimeText
    updated_at: TimeText


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledOrder(ListedOrder):
    """An order as it stands, with its fills, oldest first (at most 1,000; all of them by `/fills?order_id=`)."""

    fills: list[OrderFill]


def orders(
    *,
    account_id: int,
    limit: int,
    before: int | None = None,
    after: int | None = None,
    start: int | None = None,
    end: int | None = None,
    market: str | None = None,
    side: Side | None = None,
    status: OrderStatus | None = None,
) -> Page[ListedOrder]:
    """The account's orders; the page is as in PageAsked, times those of placing. Raises UnknownMarket."""
    asked = PageAsked(limit=limit, before=before, after=after, start=start, end=end)
    paging = Paging[ListedOrder](table="orders_order", time="created_at", asked=asked)
    arguments = {"account_id": account_id, "market": market, "side": side, "status": status}
    conditions = ["account_id = %(account_id)s", *paging.conditions]
    conditions += ["status = 'open'"] if status == "open" else []  # in words, for the sake of the partial index
    filters = [f"market_id = {_MARKET_ID}"] if market else []
    filters += ["side = %(side)s"] if side else []
    filters += ["status = %(status)s"] if status not in (None, "open") else []
    if filters:
        ids = f"SELECT id FROM orders_order WHERE {' AND '.join(conditions)}"  # noqa: S608
        conditions += [*filters, *paging.stop(ids=[ids], arguments=arguments)]
    sql = f"""
        SELECT {_ORDER_COLUMNS}, {MARKET_COLUMNS}
        FROM (
            SELECT * FROM orders_order WHERE {" AND ".join(conditions)} {paging.order} LIMIT %(limit)s + 1
        ) o {market_join(of="o")} {paging.order_of("o")}
    """  # noqa: S608
    rows = rows_of(sql=sql, arguments=paging.arguments | arguments)
    found = [ListedOrder(**_order_fields(row)) for row in rows]
    if not found and market:
        require_market(symbol=market)
    return paging.page(rows=found, ids=[order.id for order in found])


def order(*, account_id: int, order_id: int | None = None, client_order_id: str | None = None) -> FilledOrder:
    """One order, by its id or by the owner's client order id, with its fills. Raises UnknownOrder."""
    assert (order_id is None) != (client_order_id is None)
    condition = "id = %(order_id)s" if client_order_id is None else "client_order_id = %(client_order_id)s"
    sql = f"""
        SELECT {_ORDER_COLUMNS}, {MARKET_COLUMNS}, t.id, t.price, t.quantity, t.taker_order_id = o.id,
            CASE WHEN t.taker_order_id = o.id THEN t.taker_fee ELSE t.maker_fee END, t.executed_at
        FROM (SELECT * FROM orders_order WHERE account_id = %(account_id)s AND {condition}) o {market_join(of="o")}
        LEFT JOIN marketdata_trade t ON t.maker_order_id = o.id OR t.taker_order_id = o.id
        ORDER BY t.id LIMIT %(fills)s
    """  # noqa: S608
    arguments = {
        "account_id": account_id,
        "order_id": order_id,
        "client_order_id": client_order_id,
        "fills": ORDER_FILLS_MAX,
    }
    rows = rows_of(sql=sql, arguments=arguments)
    if not rows:
        raise UnknownOrder(order_id or client_order_id)
    fields = _order_fields(rows[0][:_FILL_AT])
    style = market_format(*rows[0][_MARKET_AT:_FILL_AT])
    fills = [_order_fill(row[_FILL_AT:], fields["side"], style) for row in rows if row[_FILL_AT] is not None]
    return FilledOrder(**fields, fills=fills)


def fills(
    *,
    account_id: int,
    limit: int,
    before: int | None = None,
    after: int | None = None,
    start: int | None = None,
    end: int | None = None,
    market: str | None = None,
    order_id: int | None = None,
) -> Page[Fill]:
    """The account's halves of trades; the page, by the ids of the trades, is as in PageAsked. Raises UnknownMarket.

    No trade has the same account on both sides (self-trade prevention), so a trade id is a place in this list.
    """
    asked = PageAsked(limit=limit, before=before, after=after, start=start, end=end)
    paging = Paging[Fill](table="marketdata_trade", time="executed_at", asked=asked)
    arguments = {"account_id": account_id, "market": market, "order_id": order_id}
    conditions = paging.conditions
    if market and not order_id:
        terms = " AND ".join(conditions)
        halves = [
            f"SELECT id FROM marketdata_trade WHERE {role}_account_id = %(account_id)s AND {terms}"  # noqa: S608
            for role in ("maker", "taker")
        ]
        conditions = conditions + paging.stop(ids=halves, arguments=arguments)
    conditions = conditions + ([f"market_id = {_MARKET_ID}"] if market else [])
    sql = f"""
        SELECT t.id, t.order_id, t.side, t.price, t.quantity, t.notional, t.fee, t.liquidity, t.executed_at,
            {MARKET_COLUMNS}
        FROM (
            {_halves("maker", conditions, order_id, paging.order)}
            UNION ALL {_halves("taker", conditions, order_id, paging.order)}
            {paging.order} LIMIT %(limit)s + 1
        ) t {market_join(of="t")} {paging.order_of("t")}
    """  # noqa: S608
    rows = rows_of(sql=sql, arguments=paging.arguments | arguments)
    found = [_fill(row) for row in rows]
    if not found and market:
        require_market(symbol=market)
    return paging.page(rows=found, ids=[fill.trade_id for fill in found])


_MARKET_ID = "(SELECT id FROM marketdata_market WHERE symbol = %(market)s)"

_ORDER_COLUMNS = """o.id, o.client_order_id, o.side, o.order_type, o.time_in_force, o.post_only,
    o.self_trade_prevention, o.price, o.quantity, o.quote_amount, o.filled_quantity, o.filled_notional,
    o.remaining, o.prevented_quantity, o.status, o.reason, o.created_at, o.updated_at"""

_MARKET_AT = 18
"""Where the market's columns begin in a row of _ORDER_COLUMNS and MARKET_COLUMNS."""

_FILL_AT = 25
"""Where a fill's columns begin after those."""


def _halves(role: Liquidity, conditions: list[str], order_id: int | None, order: str) -> str:
    """SQL for the trades in which the account was maker or taker, those of one order if `order_id` is given."""
    terms = [f"{role}_account_id = %(account_id)s", *conditions]
    terms += [f"{role}_order_id = %(order_id)s"] if order_id else []
    side = "taker_side" if role == "taker" else "CASE taker_side WHEN 'buy' THEN 'sell' ELSE 'buy' END"
    return f"""(
        SELECT id, market_id, {role}_order_id AS order_id, {side} AS side, price, quantity, notional,
            {role}_fee AS fee, '{role}' AS liquidity, executed_at
        FROM marketdata_trade WHERE {" AND ".join(terms)} {order} LIMIT %(limit)s + 1
    )"""  # noqa: S608


def _order_fields(row: tuple[Any, ...]) -> dict[str, Any]:
    style = market_format(*row[_MARKET_AT:])
    price, quantity, quote_amount, filled_quantity, filled_notional, remaining, prevented_quantity = row[7:14]
    return {
        "id": row[0],
        "client_order_id": row[1],
        "market": style.symbol,
        "side": row[2],
        "type": row[3],
        "time_in_force": row[4],
        "post_only": row[5],
        "price": None if price is None else style.price(price),
        "quantity": None if quantity is None else style.quantity(quantity),
        "quote_amount": None if quote_amount is None else style.notional(quote_amount),
        "filled_quantity": style.quantity(filled_quantity),
        "filled_notional": style.notional(filled_notional),
        "average_price": _average_price(filled_notional, filled_quantity, style),
        "remaining_quantity": style.quantity(remaining),
        "prevented_quantity": style.quantity(prevented_quantity),
        "status": row[14],
        "reason": row[15],
        "self_trade_prevention": row[6],
        "created_at": time_text(row[16]),
        "updated_at": time_text(row[17]),
    }


def _average_price(notional: Decimal, quantity: Decimal, style: MarketFormat) -> str | None:
    """Notional by quantity; None for no quantity."""
    return average_price_text(
        notional=units_from_numeric(format(notional, "f"), style.quote_scale),
        quantity=units_from_numeric(format(quantity, "f"), style.base_scale),
        base_scale=style.base_scale,
        quote_scale=style.quote_scale,
        price_decimals=style.price_decimals,
    )


def _fee(fee: Decimal, side: Side, style: MarketFormat) -> tuple[str, str]:
    """(fee, fee_asset): buyers receive, and pay fees in, the base asset, sellers the quote asset."""
    from_base = side == "buy"
    text = style.base_amount(fee) if from_base else style.quote_amount(fee)
    return text, style.base if from_base else style.quote


def _order_fill(row: tuple[Any, ...], side: Side, style: MarketFormat) -> OrderFill:
    trade_id, price, quantity, is_taker, fee, executed_at = row
    fee_text, fee_asset = _fee(fee, side, style)
    return OrderFill(
        trade_id=trade_id,
        price=style.price(price),
        quantity=style.quantity(quantity),
        fee=fee_text,
        fee_asset=fee_asset,
        liquidity="taker" if is_taker else "maker",
        executed_at=time_text(executed_at),
    )


def _fill(row: tuple[Any, ...]) -> Fill:
    trade_id, order_id, side, price, quantity, notional, fee, liquidity, executed_at, *columns = row
    style = market_format(*columns)
    fee_text, fee_asset = _fee(fee, side, style)
    return Fill(
        trade_id=trade_id,
        order_id=order_id,
        market=style.symbol,
        side=side,
        price=style.price(price),
        quantity=style.quantity(quantity),
        notional=style.notional(notional),
        fee=fee_text,
        fee_asset=fee_asset,
        liquidity=liquidity,
        executed_at=time_text(executed_at),
    )
