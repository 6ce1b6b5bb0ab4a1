"""`manage.py status`: the exchange on one screen: the worker, the markets, the accounts, and what waits."""

import json
from argparse import ArgumentParser
from dataclasses import asdict, dataclass
from typing import Any

from django.core.management.base import BaseCommand

from marketdata.queries import MARKET_COLUMNS, market_format, rows_of
from marketdata.shapes import TimeText, optional_time_text, time_text
from matching.models import FollowerCursor
from trading import control

ENGINE = """
SELECT sequence, received_at, halted, halt_note,
    (SELECT count(*) FROM risk_account WHERE user_id IS NOT NULL),
    (SELECT count(*) FROM risk_account WHERE frozen),
    (SELECT count(*) FROM risk_withdrawal WHERE status = 'pending'),
    (SELECT count(*) FROM matching_inboxcommand WHERE done_at IS NULL),
    (SELECT min(created_at) FROM matching_inboxcommand WHERE done_at IS NULL)
FROM matching_enginestate
"""

BEST = """(SELECT price FROM orders_order WHERE market_id = m.id AND side = '{side}' AND status = 'open'
    ORDER BY price {direction} LIMIT 1)"""

MARKETS = f"""
SELECT m.state, m.note, m.reopens_at,
    (SELECT price FROM marketdata_trade WHERE market_id = m.id ORDER BY id DESC LIMIT 1),
    {BEST.format(side="buy", direction="DESC")}, {BEST.format(side="sell", direction="ASC")},
    (SELECT count(*) FROM orders_order WHERE market_id = m.id AND status = 'open'), {MARKET_COLUMNS}
FROM marketdata_market m JOIN marketdata_asset b ON b.id = m.base_id JOIN marketdata_asset q ON q.id = m.quote_id
ORDER BY m.id
"""  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """Whether a matching worker leads, by the connection that holds its lock."""

    leads: bool
    database_pid: int | None
    since: TimeText | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketStatus:
    """A market at a glance; prices as text, null where there is none."""

    market: str
    state: str
    note: str
    reopens_at: TimeText | None
    last: str | None
    best_bid: str | None
    best_ask: str | None
    open_orders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerStatus:
    """How many commands a follower of the journal is behind, and why, if it failed."""

    name: str
    behind: int
    failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything on the screen. `sequence`: the last command in the journal. Accounts without the house's two."""

    worker: WorkerStatus
    sequence: int
    last_command_at: TimeText | None
    halted: bool
    halt_note: str
    accounts: int
    accounts_frozen: int
    withdrawals_pending: int
    inbox_waiting: int
    inbox_waiting_since: TimeText | None
    markets: list[MarketStatus]
    followers: list[FollowerStatus]


class Command(BaseCommand):
    """Reads the database only, so it also tells what a server that is down has left."""

    help = "Show the worker, the journal, the markets, the accounts and what waits."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The form of the answer."""
        parser.add_argument("--json", action="store_true", help="one JSON object instead of a screen")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, print."""
        found = status()
        if options["json"]:
            self.stdout.write(json.dumps(asdict(found)))
        else:
            self.stdout.write("\n".join(_screen(found)))


def status() -> Status:
    """The exchange as the database knows it."""
    leader = control.leader()
    sequence, received_at, halted, halt_note, accounts, frozen, pending, waiting, since = rows_of(
        sql=ENGINE, arguments={}
    )[0]
    return Status(
        worker=WorkerStatus(
            leads=leader is not None,
            database_pid=leader.pid if leader else None,
            since=time_text(leader.since) if leader else None,
        ),
        sequence=sequence,
        last_command_at=time_text(received_at) if sequence else None,
        halted=halted,
        halt_note=halt_note,
        accounts=accounts,
        accounts_frozen=frozen,
        withdrawals_pending=pending,
        inbox_waiting=waiting,
        inbox_waiting_since=optional_time_text(since),
        markets=[_market(row) for row in rows_of(sql=MARKETS, arguments={})],
        followers=[
            FollowerStatus(name=row.name, behind=sequence - row.sequence, failure=row.failure)
            for row in FollowerCursor.objects.order_by("name")
        ],
    )


def _market(row: tuple[Any, ...]) -> MarketStatus:
    state, note, reopens_at, last, bid, ask, open_orders, *columns = row
    style = market_format(*columns)
    last, bid, ask = (None if price is None else style.price(price) for price in (last, bid, ask))
    return MarketStatus(
        market=style.symbol,
        state=state,
        note=note,
        reopens_at=optional_time_text(reopens_at),
        last=last,
        best_bid=bid,
        best_ask=ask,
        open_orders=open_orders,
    )


def _screen(found: Status) -> list[str]:
    worker = found.worker
    leads = f"leads since {worker.since} (database connection {worker.database_pid})" if worker.leads else "none leads"
    at = f" at {found.last_command_at}" if found.last_command_at else ""
    waiting = f", the oldest since {found.inbox_waiting_since}" if found.inbox_waiting else ""
    table: list[tuple[str, ...]] = [("market", "state", "last", "best bid", "best ask", "open orders", "note")]
    for market in found.markets:
        note = f"reopens at {market.reopens_at}" if market.reopens_at else market.note
        prices = (price or "-" for price in (market.last, market.best_bid, market.best_ask))
        table.append((market.market, market.state, *prices, f"{market.open_orders:,}", note))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        f"Worker       {leads}",
        f"Journal      {found.sequence:,} commands{', the last' + at if at else ''}",
        f"Trading      {'halted: ' + (found.halt_note or 'no reason given') if found.halted else 'open'}",
        f"Accounts     {found.accounts:,} ({found.accounts_frozen:,} frozen)",
        f"Withdrawals  {found.withdrawals_pending:,} pending",
        f"Inbox        {found.inbox_waiting:,} waiting{waiting}",
        f"Followers    {', '.join(map(_follower, found.followers)) or 'none has begun'}",
        "",
        *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table),
    ]


def _follower(found: FollowerStatus) -> str:
    behind = f"{found.behind:,} behind" if found.behind else "up to date"
    return f"{found.name.replace('_', ' ')} {behind}{f' ({found.failure})' if found.failure else ''}"
