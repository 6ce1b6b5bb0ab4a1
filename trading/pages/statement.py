"""The account's statement with all filters of its page, newest first, one statement of SQL and one for its floor."""

import msgspec

from marketdata.paging import floor_of, rows_of
from marketdata.shapes import Page, amount_text, page_of, time_text
from risk.queries import Entry, EntryType
from trading.pages.moments import Between


def entries(
    *, account_id: int, limit: int, ids: Between, asset: str | None = None, entry_type: EntryType | None = None
) -> Page[Entry]:
    """The account's lines with those ids, of that asset and type (None: of all)."""
    arguments = {
        "account_id": account_id,
        "first": ids.first,
        "end": ids.end,
        "asset": asset,
        "type": entry_type,
        "limit": limit,
    }
    conditions = ["account_id = %(account_id)s", "id >= %(first)s", "id < %(end)s"]
    filters = ["asset_id = (SELECT id FROM marketdata_asset WHERE symbol = %(asset)s)"] if asset else []
    filters += ["entry_type = %(type)s"] if entry_type else []
    floor = None
    if filters:
        floor = floor_of(
            ids=[f"SELECT id FROM risk_entry WHERE {' AND '.join(conditions)}"],  # noqa: S608
            arguments=arguments,
        )
    sql = f"""
        SELECT r.id, r.sequence, a.symbol, a.scale, r.amount, r.balance, r.entry_type, r.reference, r.posted_at
        FROM (
            SELECT * FROM risk_entry WHERE {" AND ".join([*conditions, *filters])} AND id > %(floor)s
            ORDER BY id DESC LIMIT %(limit)s + 1
        ) r JOIN marketdata_asset a ON a.id = r.asset_id ORDER BY r.id DESC
    """  # noqa: S608
    found = [
        Entry(
            id=id_,
            sequence=sequence,
            asset=symbol,
            amount=amount_text(amount, scale),
            balance=amount_text(balance, scale),
            type=msgspec.convert(type_, EntryType),
            reference=reference or None,
            posted_at=time_text(posted_at),
        )
        for id_, sequence, symbol, scale, amount, balance, type_, reference, posted_at in rows_of(
            sql=sql, arguments=arguments | {"floor": floor or 0}
        )
    ]
    return page_of(rows=found, ids=[entry.id for entry in found], limit=limit, floor=floor)
