"""SQL over the tables of several apps that the fee books need: the terms of orders, and who filed an override."""

from collections.abc import Iterable

from django.db import connection

from fees.books import OrderTerms

TIER_OF_ORDER = """
LEFT JOIN LATERAL (
    SELECT tier, maker_rate, taker_rate FROM fees_ratechange c
    WHERE c.account_id = o.account_id AND c.tier IS NOT NULL AND c.sequence <= o.id
    ORDER BY c.sequence DESC, c.id DESC LIMIT 1) t ON t.maker_rate = o.maker_rate AND t.taker_rate = o.taker_rate
"""
"""SQL that joins `t`, the tier of the account's history whose rates the order `o` was placed with, if it was one's."""

TERMS = f"SELECT o.id, o.maker_rate, o.taker_rate, t.tier FROM orders_order o {TIER_OF_ORDER} WHERE o.id = ANY(%s)"


def _exception(target: str) -> str:
    """SQL for what an override of a target said last when the order `o` was placed: rates as an array, NULL: none."""
    return f"""(SELECT CASE WHEN maker_rate IS NOT NULL THEN ARRAY[maker_rate, taker_rate] END FROM fees_ratechange c
        WHERE c.tier IS NULL AND {target} AND c.sequence <= o.id ORDER BY c.sequence DESC, c.id DESC LIMIT 1)"""


RATES_OF_ORDER = f"""
coalesce(
    {_exception("c.account_id = o.account_id AND c.market_id = o.market_id")},
    {_exception("c.account_id = o.account_id AND c.market_id IS NULL")},
    {_exception("c.account_id IS NULL AND c.market_id = o.market_id")},
    (SELECT ARRAY[maker_rate, taker_rate] FROM fees_ratechange c
        WHERE c.account_id = o.account_id AND c.tier IS NOT NULL AND c.sequence <= o.id
        ORDER BY c.sequence DESC, c.id DESC LIMIT 1))
"""
"""SQL for the rates that the history gives the order `o`: the narrowest rule wins, as in fees/schedule.py."""

PROMOTED = """
SELECT i.sequence FROM fees_promotionstep p
JOIN matching_inboxcommand i ON i.id IN (p.start_inbox_id, p.end_inbox_id) WHERE i.sequence = ANY(%s)
"""


def terms_of_orders(order_ids: Iterable[int]) -> dict[int, OrderTerms]:
    """The rates that orders were placed with, which never change, and their tiers by the rate history."""
    with connection.cursor() as cursor:
        cursor.execute(TERMS, [list(order_ids)])
        return {row[0]: OrderTerms(*row[1:]) for row in cursor.fetchall()}


def promoted(sequences: list[int]) -> set[int]:
    """Those of the commands that promotions have filed."""
    with connection.cursor() as cursor:
        cursor.execute(PROMOTED, [sequences])
        return {row[0] for row in cursor.fetchall()}
