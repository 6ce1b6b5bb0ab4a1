"""The SQL that keeps the fee books: sums are added to what is there, changes of rates are appended.

Everything goes through Django's default connection, in the transaction of whoever calls. Amounts are units, and the
scales of assets say where their points are.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection

from fees.books import VALUE_DECIMALS, ExceptionChange, MarketScales, Tally, TierChange
from marketdata.scale import numeric_suffix
from marketdata.shapes import moment_of

ADD_FEES = """
INSERT INTO fees_feeday AS d (day, market_id, role, asset_id, tier, rate, fees, value, notional, trades)
SELECT * FROM unnest(%s::date[], %s::int[], %s::text[], %s::int[], %s::smallint[], %s::int[], %s::text[]::numeric[],
    %s::text[]::numeric[], %s::text[]::numeric[], %s::bigint[])
ON CONFLICT (day, market_id, role, asset_id, coalesce(tier, -1), rate) DO UPDATE SET fees = d.fees + excluded.fees,
    value = d.value + excluded.value, notional = d.notional + excluded.notional, trades = d.trades + excluded.trades
"""

ADD_ACCOUNTS = """
INSERT INTO fees_accountday AS d (account_id, day, market_id, maker_notional, taker_notional, base_fees, quote_fees,
    value, trades)
SELECT * FROM unnest(%s::int[], %s::date[], %s::int[], %s::text[]::numeric[], %s::text[]::numeric[],
    %s::text[]::numeric[], %s::text[]::numeric[], %s::text[]::numeric[], %s::bigint[])
ON CONFLICT (account_id, day, market_id) DO UPDATE SET maker_notional = d.maker_notional + excluded.maker_notional,
    taker_notional = d.taker_notional + excluded.taker_notional, base_fees = d.base_fees + excluded.base_fees,
    quote_fees = d.quote_fees + excluded.quote_fees, value = d.value + excluded.value,
    trades = d.trades + excluded.trades
"""

ADD_LEDGER = """
INSERT INTO fees_ledgerday AS d (day, account_class, asset_id, entry_type, debits, credits, entries)
SELECT * FROM unnest(%s::date[], %s::text[], %s::int[], %s::text[], %s::text[]::numeric[], %s::text[]::numeric[],
    %s::bigint[])
ON CONFLICT (day, account_class, asset_id, entry_type) DO UPDATE SET debits = d.debits + excluded.debits,
    credits = d.credits + excluded.credits, entries = d.entries + excluded.entries
"""

ADD_TIER_CHANGES = """
INSERT INTO fees_ratechange (account_id, tier, maker_rate, taker_rate, volume, reason, sequence, since)
SELECT * FROM unnest(%s::int[], %s::smallint[], %s::int[], %s::int[], %s::text[]::numeric[], %s::text[], %s::bigint[],
    %s::timestamptz[])
"""

ADD_EXCEPTIONS = """
INSERT INTO fees_ratechange (account_id, market_id, maker_rate, taker_rate, reason, sequence, since)
SELECT * FROM unnest(%s::int[], %s::int[], %s::int[], %s::int[], %s::text[], %s::bigint[], %s::timestamptz[])
"""

LAST_TIERS = """
SELECT DISTINCT ON (account_id) account_id, tier, maker_rate, taker_rate FROM fees_ratechange
WHERE tier IS NOT NULL ORDER BY account_id, sequence DESC, id DESC
"""


def day_of(number: int) -> date:
    """The UTC day so many days after 1970."""
    return datetime.fromtimestamp(0, UTC).date() + timedelta(days=number)


def add_tally(*, tally: Tally, assets: Mapping[int, int], markets: Mapping[int, MarketScales]) -> None:
    """Add what was counted. `assets`: asset id -> scale."""
    _add(
        ADD_FEES,
        [
            (
                day_of(key.day),
                key.market_id,
                key.role,
                key.asset_id,
                key.tier,
                key.rate,
                _amount(sums.fees, assets[key.asset_id]),
                _amount(sums.value, VALUE_DECIMALS),
                _amount(sums.notional, markets[key.market_id].quote_scale),
                sums.trades,
            )
            for key, sums in tally.fees.items()
        ],
    )
    account_rows = []
    for account, traded in tally.accounts.items():
        scales = markets[account.market_id]
        account_rows.append(
            (
                account.account_id,
                day_of(account.day),
                account.market_id,
                _amount(traded.maker_notional, scales.quote_scale),
                _amount(traded.taker_notional, scales.quote_scale),
                _amount(traded.base_fees, scales.base_scale),
                _amount(traded.quote_fees, scales.quote_scale),
                _amount(traded.value, VALUE_DECIMALS),
                traded.trades,
            )
        )
    _add(ADD_ACCOUNTS, account_rows)
    _add(
        ADD_LEDGER,
        [
            (
                day_of(entry.day),
                entry.account_class,
                entry.asset_id,
                entry.entry_type,
                _amount(posted.debits, assets[entry.asset_id]),
                _amount(posted.credits, assets[entry.asset_id]),
                posted.entries,
            )
            for entry, posted in tally.ledger.items()
        ],
    )


def add_tier_changes(*, changes: Sequence[TierChange], assets: Mapping[int, int]) -> None:
    """Append to the accounts' rate histories. `assets`: asset id -> scale."""
    _add(
        ADD_TIER_CHANGES,
        [
            (
                change.account_id,
                change.tier,
                change.maker_rate,
                change.taker_rate,
                _amount(change.volume, 0 if change.valuation_asset_id is None else assets[change.valuation_asset_id]),
                change.reason,
                change.sequence,
                moment_of(change.since),
            )
            for change in changes
        ],
    )


def add_exceptions(*, changes: Sequence[ExceptionChange]) -> None:
    """Append overrides and their ends to the rate history."""
    _add(ADD_EXCEPTIONS, [(*change[:6], moment_of(change.since)) for change in changes])


def last_tiers() -> dict[int, tuple[int, int, int]]:
    """Account -> tier, maker_rate and taker_rate, as the history has them last."""
    with connection.cursor() as cursor:
        cursor.execute(LAST_TIERS)
        return {row[0]: tuple(row[1:]) for row in cursor.fetchall()}


def _amount(units: int, scale: int) -> str:
    return f"{units}{numeric_suffix(scale)}"


def _add(sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """One statement for all rows, an array a column."""
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(sql, [list(column) for column in zip(*rows, strict=True)])
