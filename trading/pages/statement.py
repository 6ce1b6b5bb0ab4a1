"""The account's statement by type of entry too, newest first: one statement of SQL, and one that bounds its scan."""

import msgspec

from marketdata.paging import PageAsked, Paging, rows_of
from marketdata.shapes import Page, amount_text, time_text
from risk.queries import Entry, EntryType


def entries(*, account_id: int, asked: PageAsked, asset: str | None, entry_type: EntryType | None) -> Page[Entry]:
    """The account's lines of that asset and type (None: of all)."""
    paging = Paging[Entry](table="risk_entry", time="posted_at", asked=asked)
    arguments = {"account_id": account_id, "asset": asset, "type": entry_type}
    conditions = ["account_id = %(account_id)s", *paging.conditions]
    filters = ["asset_id = (SELECT id FROM marketdata_asset WHERE symbol = %(asset)s)"] if asset else []
    filters += ["entry_type = %(type)s"] if entry_type else []
    if filters:
        ids = f"SELECT id FROM risk_entry WHERE {' AND '.join(conditions)}"  # noqa: S608
        conditions += [*filters, *paging.stop(ids=[ids], arguments=arguments)]
    sql = f"""
        SELECT r.id, r.sequence, a.symbol, a.scale, r.amount, r.balance, r.entry_type, r.reference, r.posted_at
        FROM (
            SELECT * FROM risk_entry WHERE {" AND ".join(conditions)} {paging.order} LIMIT %(limit)s + 1
        ) r JOIN marketdata_asset a ON a.id = r.asset_id {paging.order_of("r")}
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
            sql=sql, arguments=paging.arguments | arguments
        )
    ]
    return paging.page(rows=found, ids=[entry.id for entry in found])
