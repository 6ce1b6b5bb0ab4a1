"""The SQL that writes and reads the tables of fees: tiers, overrides, daily volumes."""

from collections.abc import Iterable
from typing import Any

import psycopg

from fees.schedule import DEFAULT_TIERS, VOLUME_DAYS
from marketdata import arrays
from marketdata.store import ASSET_UNITS, Scales, Statement
from matching.engine.messages import FeeOverrideChanged, FeeTier, FeeTiersChanged, VolumeChanged

Connection = psycopg.Connection[Any]

UPSERT_VOLUMES = """
INSERT INTO fees_dailyvolume (account_id, day, volume)
SELECT v.account_id, v.day, v.volume FROM unnest(%s::bourse_volume_row[]) AS v
ON CONFLICT (account_id, day) DO UPDATE SET volume = excluded.volume
"""

UPSERT_OVERRIDE = """
INSERT INTO fees_feeoverride (account_id, market_id, maker_rate, taker_rate) VALUES (%s, %s, %s, %s)
ON CONFLICT (coalesce(account_id, 0), coalesce(market_id, 0))
DO UPDATE SET maker_rate = excluded.maker_rate, taker_rate = excluded.taker_rate
"""


def volumes_statement(volumes: Iterable[VolumeChanged], suffix: str) -> Statement:
    """Bring daily volumes up to date; at most one of each account and day. `suffix`: the valuation asset's scale."""
    return UPSERT_VOLUMES, [arrays.rows([f"{each.account_id},{each.day},{each.volume}{suffix}" for each in volumes])]


def tiers_statements(event: FeeTiersChanged, scales: Scales) -> list[Statement]:
    """Replace the tier table."""
    suffix = "" if event.valuation_asset_id is None else scales.assets[event.valuation_asset_id]
    statements: list[Statement] = [("DELETE FROM fees_feetier", [])]
    for tier in event.tiers:
        statements.append(
            (
                "INSERT INTO fees_feetier (volume, maker_rate, taker_rate, valuation_asset_id) VALUES (%s, %s, %s, %s)",
                [f"{tier.volume}{suffix}", tier.maker_rate, tier.taker_rate, event.valuation_asset_id],
            )
        )
    return statements


def override_statement(event: FeeOverrideChanged) -> Statement:
    """Set or remove an override."""
    if event.maker_rate is None:
        return (
            "DELETE FROM fees_feeoverride "
            "WHERE account_id IS NOT DISTINCT FROM %s AND market_id IS NOT DISTINCT FROM %s",
            [event.account_id, event.market_id],
        )
    return UPSERT_OVERRIDE, [event.account_id, event.market_id, event.maker_rate, event.taker_rate]


def load_tiers(connection: Connection) -> FeeTiersChanged:
    """The tier table, or the default one if none was ever set."""
    rows = connection.execute(
        f"""SELECT trunc(volume * coalesce(a.unit, 1)), maker_rate, taker_rate, valuation_asset_id
        FROM fees_feetier LEFT JOIN {ASSET_UNITS} a ON a.id = valuation_asset_id ORDER BY volume"""
    ).fetchall()
    if not rows:
        return FeeTiersChanged(DEFAULT_TIERS, None)
    return FeeTiersChanged(tuple(FeeTier(*row[:3]) for row in rows), rows[0][3])


def load_overrides(connection: Connection) -> list[FeeOverrideChanged]:
    """Every override, ordered by account and market."""
    rows = connection.execute(
        "SELECT account_id, market_id, maker_rate, taker_rate FROM fees_feeoverride "
        "ORDER BY coalesce(account_id, 0), coalesce(market_id, 0)"
    )
    return [FeeOverrideChanged(*row) for row in rows]


def load_volumes(connection: Connection, *, valuation_asset_id: int | None, day: int) -> list[VolumeChanged]:
    """Every account's volumes of the 30 days that end with `day`, in units of the valuation asset."""
    rows = connection.execute(
        f"""SELECT account_id, day, trunc(volume * a.unit) FROM fees_dailyvolume, {ASSET_UNITS} a
        WHERE a.id = %s AND day > %s AND volume <> 0 ORDER BY account_id, day""",
        [valuation_asset_id, day - VOLUME_DAYS],
    )
    return [VolumeChanged(*row) for row in rows]
