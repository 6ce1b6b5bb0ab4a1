"""Whether the fee books are what the trades, the entries and the orders make them, up to where the books have come.

Plain SQL over whole tables in one snapshot of the database; a finding is a sentence.
"""

from typing import NamedTuple

from matching import store as matching_store
from matching.engine.messages import EXTERNAL_ACCOUNT_ID, FEES_ACCOUNT_ID
from trading.books.store import RATES_OF_ORDER, TIER_OF_ORDER

SIDES = f"""
SELECT (s.executed_at AT TIME ZONE 'UTC')::date AS day, s.market_id, s.role,
    CASE WHEN s.receives_base THEN m.base_id ELSE m.quote_id END AS asset_id, t.tier,
    CASE s.role WHEN 'maker' THEN o.maker_rate ELSE o.taker_rate END AS rate, s.account_id, s.receives_base, s.fee,
    CASE WHEN s.receives_base THEN trunc(s.fee * s.price, 18) ELSE s.fee END AS value, s.notional
FROM (
    SELECT executed_at, sequence, market_id, 'maker' AS role, taker_side = 'sell' AS receives_base,
        maker_account_id AS account_id, maker_order_id AS order_id, maker_fee AS fee, price, notional
    FROM marketdata_trade WHERE sequence <= %(cursor)s
    UNION ALL
    SELECT executed_at, sequence, market_id, 'taker', taker_side = 'buy', taker_account_id, taker_order_id, taker_fee,
        price, notional
    FROM marketdata_trade WHERE sequence <= %(cursor)s) s
JOIN marketdata_market m ON m.id = s.market_id JOIN orders_order o ON o.id = s.order_id {TIER_OF_ORDER}
"""

FEES = f"""
WITH expected AS (
    SELECT day, market_id, role, asset_id, coalesce(tier, -1) AS tier, rate, sum(fee) AS fees, sum(value) AS value,
        sum(notional) AS notional, count(*) AS trades
    FROM ({SIDES}) sides GROUP BY 1, 2, 3, 4, 5, 6),
stored AS (
    SELECT day, market_id, role, asset_id, coalesce(tier, -1) AS tier, rate, fees, value, notional, trades
    FROM fees_feeday)
SELECT day::text, market_id, role, asset_id, nullif(tier, -1), rate,
    coalesce(trim_scale(s.fees)::text || ' of ' || s.trades, 'nothing'),
    coalesce(trim_scale(e.fees)::text || ' of ' || e.trades, 'nothing')
FROM stored s FULL JOIN expected e USING (day, market_id, role, asset_id, tier, rate)
WHERE (s.fees, s.value, s.notional, s.trades) IS DISTINCT FROM (e.fees, e.value, e.notional, e.trades)
ORDER BY 1, 2, 3, 4, 5, 6 LIMIT 1
"""

ACCOUNTS = f"""
WITH expected AS (
    SELECT account_id, day, market_id, coalesce(sum(notional) FILTER (WHERE role = 'maker'), 0) AS maker_notional,
        coalesce(sum(notional) FILTER (WHERE role = 'taker'), 0) AS taker_notional,
        coalesce(sum(fee) FILTER (WHERE receives_base), 0) AS base_fees,
        coalesce(sum(fee) FILTER (WHERE NOT receives_base), 0) AS quote_fees, sum(value) AS value, count(*) AS trades
    FROM ({SIDES}) sides GROUP BY 1, 2, 3)
SELECT account_id, day::text, market_id FROM fees_accountday s FULL JOIN expected e USING (account_id, day, market_id)
WHERE (s.maker_notional, s.taker_notional, s.base_fees, s.quote_fees, s.value, s.trades)
    IS DISTINCT FROM (e.maker_notional, e.taker_notional, e.base_fees, e.quote_fees, e.value, e.trades)
ORDER BY 2, 1, 3 LIMIT 1
"""

LEDGER = f"""
WITH expected AS (
    SELECT (posted_at AT TIME ZONE 'UTC')::date AS day, CASE account_id WHEN {EXTERNAL_ACCOUNT_ID} THEN 'external'
        WHEN {FEES_ACCOUNT_ID} THEN 'fees' ELSE 'users' END AS account_class, asset_id, entry_type,
        coalesce(-sum(amount) FILTER (WHERE amount < 0), 0) AS debits,
        coalesce(sum(amount) FILTER (WHERE amount > 0), 0) AS credits, count(*) AS entries
    FROM risk_entry WHERE sequence <= %(cursor)s GROUP BY 1, 2, 3, 4)
SELECT day::text, account_class, asset_id, entry_type,
    coalesce(trim_scale(s.debits)::text || ' / ' || trim_scale(s.credits)::text || ' of ' || s.entries, 'nothing'),
    coalesce(trim_scale(e.debits)::text || ' / ' || trim_scale(e.credits)::text || ' of ' || e.entries, 'nothing')
FROM fees_ledgerday s FULL JOIN expected e USING (day, account_class, asset_id, entry_type)
WHERE (s.debits, s.credits, s.entries) IS DISTINCT FROM (e.debits, e.credits, e.entries) ORDER BY 1, 2, 3, 4 LIMIT 1
"""

RATES = f"""
SELECT o.id, o.account_id, o.maker_rate, o.taker_rate, coalesce(r.rates[1]::text, 'none'),
    coalesce(r.rates[2]::text, 'none')
FROM orders_order o, LATERAL (SELECT {RATES_OF_ORDER} AS rates) r
WHERE o.id <= %(cursor)s AND o.status <> 'rejected' AND r.rates IS DISTINCT FROM ARRAY[o.maker_rate, o.taker_rate]
ORDER BY o.id LIMIT 1
"""

CHECKS = {
    "the fees of {}, market {}, {}, asset {}, tier {}, rate {} are {} trades in the books, {} by the trades": FEES,
    "what account {} traded on {} on market {} is not what the trades say": ACCOUNTS,
    "the ledger of {}, {}, asset {}, {} is {} entries in the books, {} by the entries": LEDGER,
    "order {} of account {} was placed at {}/{} millionths, but the rate history says {}/{}": RATES,
}
"""What a row of each query says. No row: all is well."""


class Checked(NamedTuple):
    """Up to which command the books have come, of how many, and the first thing that is wrong."""

    cursor: int
    journal_end: int
    finding: str | None


def check_books() -> Checked:
    """Compare the books with what they were made from, in one snapshot; a running follower does not mind."""
    with matching_store.connect() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = connection.execute(
            """SELECT coalesce((SELECT sequence FROM matching_followercursor WHERE name = 'fee_books'), 0), sequence
            FROM matching_enginestate"""
        ).fetchone()
        assert row is not None
        cursor, end = row
        for text, query in CHECKS.items():
            found = connection.execute(query, {"cursor": cursor}).fetchone()
            if found is not None:
                return Checked(cursor, end, text.format(*found))
        return Checked(cursor, end, None)
