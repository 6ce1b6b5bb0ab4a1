"""What must be true of the stored money and books by themselves, whatever the journal says.

Entries sum to zero, balances are the sums of their entries, the fees account has the fees of all trades, holds are what
open orders and pending withdrawals hold, no book is crossed, no amount has a part of a unit, and candles are what their
trades make. Plain SQL over whole tables; a finding is a sentence.
"""

from typing import Any, NamedTuple

import psycopg

from marketdata import store as marketdata_store
from marketdata.candles import STORED
from matching.engine.messages import EXTERNAL_ACCOUNT_ID, FEES_ACCOUNT_ID

Connection = psycopg.Connection[Any]


class AssetSum(NamedTuple):
    """An asset's balances, in decimal text: of the users, of the fees, and of the outside world; they sum to zero."""

    symbol: str
    users: str
    fees: str
    external: str


def _candle_check(interval: str) -> str:
    """SQL for the first candle of a stored interval that is not as the trades, or the shorter candles, make it."""
    differs = ", ".join(
        f"CASE WHEN h.{name} <> w.{name} THEN '{name} ' || trim_scale(h.{name}::numeric) || ' instead of ' "
        f"|| trim_scale(w.{name}::numeric) END"
        for name in marketdata_store.CANDLE_COLUMNS
    )
    return f"""
        WITH w AS ({marketdata_store.expected_candles(interval)}),
        h AS (SELECT * FROM marketdata_candle WHERE seconds = {marketdata_store.STORED_SECONDS[interval]}),
        compared AS (
            SELECT market_id, open_time, CASE WHEN h.seconds IS NULL THEN 'is missing'
                WHEN w.trades IS NULL THEN 'is stored, but nothing was traded'
                ELSE 'has ' || nullif(concat_ws(', ', {differs}), '') END AS text
            FROM w FULL JOIN h USING (market_id, open_time))
        SELECT coalesce(m.symbol, market_id::text),
            to_char(open_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), text
        FROM compared LEFT JOIN marketdata_market m ON m.id = market_id
        WHERE text IS NOT NULL ORDER BY open_time, market_id LIMIT 1"""


CHECKS = {
    "the entries of asset {} sum to {} instead of 0": """
        SELECT a.symbol, trim_scale(sum(amount))::text FROM risk_entry e LEFT JOIN marketdata_asset a ON a.id = asset_id
        GROUP BY asset_id, a.symbol HAVING sum(amount) <> 0 ORDER BY asset_id""",
    "the balances of asset {} sum to {} instead of 0": """
        SELECT a.symbol, trim_scale(sum(available + held))::text FROM risk_balance
        JOIN marketdata_asset a ON a.id = asset_id GROUP BY a.id HAVING sum(available + held) <> 0 ORDER BY a.id""",
    "account {} has {} of asset {}, but its entries sum to {} and the last one says {}": """
        WITH e AS (SELECT account_id, asset_id, sum(amount) AS total, max(id) AS last_id FROM risk_entry
            GROUP BY account_id, asset_id)
        SELECT coalesce(b.account_id, e.account_id), trim_scale(coalesce(available + held, 0))::text,
            coalesce(b.asset_id, e.asset_id), trim_scale(coalesce(e.total, 0))::text,
            trim_scale(coalesce(l.balance, 0))::text
        FROM risk_balance b FULL JOIN e ON e.account_id = b.account_id AND e.asset_id = b.asset_id
        LEFT JOIN risk_entry l ON l.id = e.last_id
        WHERE coalesce(available + held, 0) <> coalesce(e.total, 0)
            OR coalesce(available + held, 0) <> coalesce(l.balance, 0) ORDER BY 1, 3""",
    "the fees account has {} of asset {}, but the fees on trades and the corrections are {}": f"""
        WITH traded AS (
            SELECT market_id, sum(CASE taker_side WHEN 'buy' THEN taker_fee ELSE maker_fee END) AS base_fees,
                sum(CASE taker_side WHEN 'buy' THEN maker_fee ELSE taker_fee END) AS quote_fees
            FROM marketdata_trade GROUP BY market_id),
        parts AS (
            SELECT base_id AS asset_id, base_fees AS amount FROM traded JOIN marketdata_market m ON m.id = market_id
            UNION ALL SELECT quote_id, quote_fees FROM traded JOIN marketdata_market m ON m.id = market_id
            UNION ALL SELECT asset_id, amount FROM risk_entry
                WHERE account_id = {FEES_ACCOUNT_ID} AND entry_type = 'correction'),
        due AS (SELECT asset_id, sum(amount) AS total FROM parts GROUP BY asset_id),
        had AS (SELECT asset_id, available + held AS total FROM risk_balance WHERE account_id = {FEES_ACCOUNT_ID})
        SELECT trim_scale(coalesce(had.total, 0))::text, a.symbol, trim_scale(coalesce(due.total, 0))::text
        FROM had FULL JOIN due USING (asset_id) JOIN marketdata_asset a ON a.id = asset_id
        WHERE coalesce(had.total, 0) <> coalesce(due.total, 0) ORDER BY a.id""",
    "account {} holds {} of asset {}, but its open orders and pending withdrawals hold {}": """
        WITH parts AS (
            SELECT account_id, CASE side WHEN 'buy' THEN quote_id ELSE base_id END AS asset_id, held AS amount
            FROM orders_order o JOIN marketdata_market m ON m.id = o.market_id WHERE o.status = 'open'
            UNION ALL SELECT account_id, asset_id, amount FROM risk_withdrawal WHERE status = 'pending'),
        needed AS (SELECT account_id, asset_id, sum(amount) AS total FROM parts GROUP BY account_id, asset_id)
        SELECT coalesce(b.account_id, n.account_id), trim_scale(coalesce(held, 0))::text,
            coalesce(b.asset_id, n.asset_id), trim_scale(coalesce(n.total, 0))::text
        FROM risk_balance b FULL JOIN needed n ON n.account_id = b.account_id AND n.asset_id = b.asset_id
        WHERE coalesce(held, 0) <> coalesce(n.total, 0) ORDER BY 1, 3""",
    "account {} has less than nothing of asset {}: {} available, {} held": f"""
        SELECT account_id, asset_id, trim_scale(available)::text, trim_scale(held)::text FROM risk_balance
        WHERE held < 0 OR (available < 0 AND account_id NOT IN ({EXTERNAL_ACCOUNT_ID}, {FEES_ACCOUNT_ID}))
        ORDER BY 1, 2""",
    "the book of market {} is crossed: bid {}, ask {}": """
        SELECT m.symbol, trim_scale(b.price)::text, trim_scale(a.price)::text FROM marketdata_market m,
        LATERAL (SELECT max(price) AS price FROM orders_order o
            WHERE o.market_id = m.id AND status = 'open' AND side = 'buy') b,
        LATERAL (SELECT min(price) AS price FROM orders_order o
            WHERE o.market_id = m.id AND status = 'open' AND side = 'sell') a
        WHERE b.price >= a.price ORDER BY m.id""",
    "market {} has an amount that is no whole number of units": """
        SELECT m.symbol FROM marketdata_market m
        JOIN marketdata_asset b ON b.id = base_id JOIN marketdata_asset q ON q.id = quote_id
        WHERE scale(trim_scale(lot_size)) > b.scale OR scale(trim_scale(min_quantity)) > b.scale
            OR scale(trim_scale(max_quantity)) > b.scale OR scale(trim_scale(tick_size)) > q.scale
            OR scale(trim_scale(min_notional)) > q.scale OR scale(trim_scale(max_notional)) > q.scale
            OR scale(trim_scale(reference_price)) > q.scale ORDER BY m.id""",
    "the balance of account {} in asset {} is no whole number of units": """
        SELECT account_id, asset_id FROM risk_balance JOIN marketdata_asset a ON a.id = asset_id
        WHERE scale(trim_scale(available)) > a.scale OR scale(trim_scale(held)) > a.scale ORDER BY 1, 2""",
    "the fee tier from volume {} is no whole number of units": """
        SELECT trim_scale(volume)::text FROM fees_feetier t LEFT JOIN marketdata_asset a ON a.id = valuation_asset_id
        WHERE scale(trim_scale(volume)) > coalesce(a.scale, 0) ORDER BY volume""",
    "market {} has a candle of an interval that is not stored: {} seconds": f"""
        SELECT coalesce(m.symbol, market_id::text), seconds FROM marketdata_candle
        LEFT JOIN marketdata_market m ON m.id = market_id
        WHERE seconds NOT IN ({", ".join(map(str, marketdata_store.STORED_SECONDS.values()))}) LIMIT 1""",
    **{f"the {interval} candle of market {{}} from {{}} {{}}": _candle_check(interval) for interval in STORED},
}
"""What a row of each query says. No row: all is well."""


def first_finding(connection: Connection) -> str | None:
    """The first thing that is wrong, None if nothing is."""
    for text, query in CHECKS.items():
        row = connection.execute(query).fetchone()
        if row is not None:
            return text.format(*row)
    return None


def asset_sums(connection: Connection) -> list[AssetSum]:
    """Who has how much of every asset."""
    rows = connection.execute(
        f"""SELECT a.symbol,
        trim_scale(coalesce(sum(available + held)
            FILTER (WHERE account_id NOT IN ({EXTERNAL_ACCOUNT_ID}, {FEES_ACCOUNT_ID})), 0))::text,
        trim_scale(coalesce(sum(available + held) FILTER (WHERE account_id = {FEES_ACCOUNT_ID}), 0))::text,
        trim_scale(coalesce(sum(available + held) FILTER (WHERE account_id = {EXTERNAL_ACCOUNT_ID}), 0))::text
        FROM marketdata_asset a LEFT JOIN risk_balance b ON b.asset_id = a.id GROUP BY a.id ORDER BY a.id"""
    )
    return [AssetSum(*row) for row in rows]
