"""The SQL that writes and reads the table of orders."""

from collections.abc import Iterable
from typing import Any

import psycopg

from marketdata import arrays
from marketdata.store import ASSET_UNITS, EPOCH, Scales, Statement, microseconds
from matching.engine.messages import OrderState, OrderUpdated, Reason

Connection = psycopg.Connection[Any]

INSERT_ORDERS = f"""
INSERT INTO orders_order (id, account_id, market_id, client_order_id, side, order_type, time_in_force, post_only,
    self_trade_prevention, price, quantity, quote_amount, filled_quantity, filled_notional, remaining,
    prevented_quantity, held, status, reason, maker_rate, taker_rate, priority, request_digest, created_at, updated_at)
SELECT o.id, o.account_id, o.market_id, o.client_order_id, o.side, o.order_type, o.time_in_force, o.post_only,
    o.self_trade_prevention, o.price, o.quantity, o.quote_amount, o.filled_quantity, o.filled_notional, o.remaining,
    o.prevented_quantity, o.held, o.status, o.reason, o.maker_rate, o.taker_rate, o.priority, o.request_digest,
    t.now, t.now
FROM unnest(%s::bourse_order_row[]) AS o, (SELECT {EPOCH} AS now) t
"""

UPDATE_ORDERS = f"""
UPDATE orders_order o SET price = u.price, quantity = u.quantity, filled_quantity = u.filled_quantity,
    filled_notional = u.filled_notional, remaining = u.remaining, prevented_quantity = u.prevented_quantity,
    held = u.held, status = u.status, reason = u.reason, priority = u.priority, updated_at = {EPOCH}
FROM unnest(%s::bourse_order_update_row[]) AS u WHERE o.id = u.id
"""


def insert_statement(orders: list[OrderState], updates: dict[int, OrderUpdated], scales: Scales, now: int) -> Statement:
    """Insert the orders placed in one batch at `now`, as they stand at its end: `updates` has what changed since."""
    literals = [_order_row(order, updates.get(order.id, order), *scales.markets[order.market_id]) for order in orders]
    return INSERT_ORDERS, [arrays.rows(literals), now]


def update_statement(updates: Iterable[OrderUpdated], scales: Scales, now: int) -> Statement:
    """Bring orders of earlier batches up to date; at most one update each."""
    literals = [f"{each.id},{_changing_fields(each, *scales.markets[each.market_id])}" for each in updates]
    return UPDATE_ORDERS, [now, arrays.rows(literals)]


def _order_row(order: OrderState, latest: OrderState | OrderUpdated, base: str, quote: str) -> str:
    """The fields of bourse_order_row."""
    return (
        f"{order.id},{order.account_id},{order.market_id},{arrays.field(order.client_order_id)},{order.side},"
        f"{order.order_type},{order.time_in_force},{order.post_only},{order.self_trade_prevention},"
        f"{'' if order.quote_amount is None else f'{order.quote_amount}{quote}'},{order.maker_rate},{order.taker_rate},"
        f"{order.request_digest},{_changing_fields(latest, base, quote)}"
    )


def _changing_fields(order: OrderState | OrderUpdated, base: str, quote: str) -> str:
    """The fields that an order's life changes, in the order of both row types."""
    return (
        f"{'' if order.price is None else f'{order.price}{quote}'},"
        f"{'' if order.quantity is None else f'{order.quantity}{base}'},"
        f"{order.filled_quantity}{base},{order.filled_notional}{quote},{order.remaining}{base},"
        f"{order.prevented_quantity}{base},{order.held}{quote if order.side == 'buy' else base},{order.status},"
        f"{'' if order.reason is None else order.reason.value},{order.priority}"
    )


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
    return OrderState(*[*row[:18], _REASONS[row[18]], *row[19:]])


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


def client_order_digests(connection: Connection, *, after: int, until: int) -> bytes:
    """The MD5s, 16 bytes each, of "account id:client order id" of the orders with `after` < id <= `until`."""
    row = connection.execute(
        """SELECT string_agg(decode(md5(account_id || ':' || client_order_id), 'hex'), '') FROM orders_order
        WHERE id > %s AND id <= %s AND client_order_id IS NOT NULL""",
        [after, until],
        prepare=True,
        binary=True,
    ).fetchone()
    return row[0] if row is not None and row[0] is not None else b""
