"""The SQL that writes and reads the table of orders."""

from collections.abc import Iterable
from typing import Any

import psycopg

from marketdata import arrays
from marketdata.store import ASSET_UNITS, Scales, Statement, microseconds
from matching.engine.messages import OrderState, OrderUpdated, Reason

Connection = psycopg.Connection[Any]

INSERT_ORDERS = """
INSERT INTO orders_order (id, account_id, market_id, client_order_id, side, order_type, time_in_force, post_only,
    self_trade_prevention, price, quantity, quote_amount, filled_quantity, filled_notional, remaining,
    prevented_quantity, held, status, reason, maker_rate, taker_rate, priority, request_digest, created_at, updated_at)
SELECT o.*, t.now, t.now FROM unnest(%s::bigint[], %s::int[], %s::int[], %s::text[], %s::text[], %s::text[], %s::text[],
    %s::bool[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
    %s::numeric[], %s::numeric[], %s::text[], %s::text[], %s::int[], %s::int[], %s::bigint[], %s::bigint[]) AS o,
    (SELECT 'epoch'::timestamptz + %s * interval '1 microsecond' AS now) t
"""

UPDATE_ORDERS = """
UPDATE orders_order o SET price = u.price, quantity = u.quantity, filled_quantity = u.filled_quantity,
    filled_notional = u.filled_notional, remaining = u.remaining, prevented_quantity = u.prevented_quantity,
    held = u.held, status = u.status, reason = u.reason, priority = u.priority,
    updated_at = 'epoch'::timestamptz + %s * interval '1 microsecond'
FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[],
    %s::numeric[], %s::text[], %s::text[], %s::bigint[]) AS u (id, price, quantity, filled_quantity, filled_notional,
    remaining, prevented_quantity, held, status, reason, priority)
WHERE o.id = u.id
"""

AnyOrder = OrderState | OrderUpdated


def _amounts(values: Iterable[int | None], suffixes: list[str]) -> str:
    return arrays.numbers(
        [None if value is None else f"{value}{suffix}" for value, suffix in zip(values, suffixes, strict=True)]
    )


def _reasons(orders: list[Any]) -> str:
    return arrays.numbers([None if order.reason is None else order.reason.value for order in orders])


def insert_statement(orders: list[OrderState], updates: dict[int, OrderUpdated], scales: Scales, now: int) -> Statement:
    """Insert the orders placed in one batch at `now`, as they stand at its end: `updates` has what changed since."""
    suffixes = [scales.markets[order.market_id] for order in orders]
    base, quote = [pair[0] for pair in suffixes], [pair[1] for pair in suffixes]
    latest: list[Any] = [updates.get(order.id, order) for order in orders] if updates else orders
    return INSERT_ORDERS, [
        arrays.numbers([order.id for order in orders]),
        arrays.numbers([order.account_id for order in orders]),
        arrays.numbers([order.market_id for order in orders]),
        arrays.texts([order.client_order_id for order in orders]),
        arrays.words([order.side for order in orders]),
        arrays.words([order.order_type for order in orders]),
        arrays.words([order.time_in_force for order in orders]),
        arrays.flags([order.post_only for order in orders]),
        arrays.words([order.self_trade_prevention for order in orders]),
        _amounts([order.price for order in latest], quote),
        _amounts([order.quantity for order in latest], base),
        _amounts([order.quote_amount for order in orders], quote),
        *_changing_amounts(latest, base, quote),
        arrays.words([order.status for order in latest]),
        _reasons(latest),
        arrays.numbers([order.maker_rate for order in orders]),
        arrays.numbers([order.taker_rate for order in orders]),
        arrays.numbers([order.priority for order in latest]),
        arrays.numbers([order.request_digest for order in orders]),
        now,
    ]


def update_statement(updates: list[OrderUpdated], scales: Scales, now: int) -> Statement:
    """Bring orders of earlier batches up to date; at most one update each."""
    suffixes = [scales.markets[update.market_id] for update in updates]
    base, quote = [pair[0] for pair in suffixes], [pair[1] for pair in suffixes]
    return UPDATE_ORDERS, [
        now,
        arrays.numbers([update.id for update in updates]),
        _amounts([update.price for update in updates], quote),
        _amounts([update.quantity for update in updates], base),
        *_changing_amounts(updates, base, quote),
        arrays.words([update.status for update in updates]),
        _reasons(updates),
        arrays.numbers([update.priority for update in updates]),
    ]


def _changing_amounts(orders: list[Any], base: list[str], quote: list[str]) -> list[str]:
    """filled_quantity, filled_notional, remaining, prevented_quantity, held."""
    paying = [q if order.side == "buy" else b for b, q, order in zip(base, quote, orders, strict=True)]
    return [
        _amounts([order.filled_quantity for order in orders], base),
        _amounts([order.filled_notional for order in orders], quote),
        _amounts([order.remaining for order in orders], base),
        _amounts([order.prevented_quantity for order in orders], base),
        _amounts([order.held for order in orders], paying),
    ]


SELECT_STATES = f"""
SELECT o.id, account_id, market_id, client_order_id, side, order_type, time_in_force, post_only, self_trade_prevention,
    trunc(price * q.unit), trunc(quantity * b.unit), trunc(quote_amount * q.unit), trunc(filled_quantity * b.unit),
    trunc(filled_notional * q.unit), trunc(remaining * b.unit), trunc(prevented_quantity * b.unit),
    trunc(held * CASE side WHEN 'buy' THEN q.unit ELSE b.unit END), status, reason, maker_rate, taker_rate, priority,
    request_digest, {microseconds("created_at")}, {microseconds("updated_at")}
FROM orders_order o JOIN marketdata_market m ON m.id = o.market_id
    JOIN {ASSET_UNITS} b ON b.id = m.base_id JOIN {ASSET_UNITS} q ON q.id = m.quote_id
"""
"""SQL for orders as OrderState rows, amounts in units; add a WHERE."""

_REASONS: dict[str | None, Reason | None] = {None: None, **{reason.value: reason for reason in Reason}}


def state_from_row(row: tuple[Any, ...]) -> OrderState:
    """An OrderState from a row of SELECT_STATES, read on a connection that gives NUMERIC as int."""
    return OrderState(*row[:18], _REASONS[row[18]], *row[19:])


def load_open_orders(connection: Connection) -> list[OrderState]:
    """Every open order, in book order: market, bids before asks, price, place in the queue."""
    rows = connection.execute(
        SELECT_STATES + " WHERE o.status = 'open' ORDER BY o.market_id, o.side, o.price, o.priority"
    )
    return [state_from_row(row) for row in rows]


def find_client_orders(connection: Connection, keys: list[tuple[int, str]]) -> dict[tuple[int, str], tuple[int, int]]:
    """Order id and request digest of those (account id, client order id) pairs that were ever used."""
    rows = connection.execute(
        """SELECT o.account_id, o.client_order_id, o.id, o.request_digest
        FROM unnest(%s::int[], %s::text[]) AS k (account_id, client_order_id)
        JOIN orders_order o ON o.account_id = k.account_id AND o.client_order_id = k.client_order_id""",
        [arrays.numbers([key[0] for key in keys]), arrays.texts([key[1] for key in keys])],
        prepare=True,
    )
    return {(account_id, client_order_id): (order_id, digest) for account_id, client_order_id, order_id, digest in rows}
