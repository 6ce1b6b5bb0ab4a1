"""An account's orders and fills with filters, and one order's story."""

from dataclasses import dataclass
from typing import Any, get_args

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marketdata.queries import markets
from marketdata.shapes import ID_MAX, Page, TimeText
from matching.engine.messages import OrderStatus, Reason, Side
from orders import queries
from orders.queries import FilledOrder
from trading.pages import listing
from trading.pages.filters import group
from trading.pages.for_account import AccountRequest, for_account

SIDES: tuple[str, ...] = get_args(Side)
STATUSES: tuple[str, ...] = tuple(status for status in get_args(OrderStatus) if status != "pending")
REASON_TEXTS = {reason.value: reason.text for reason in Reason}


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to an order."""

    at: TimeText
    title: str
    text: str
    kind: str


@require_safe
@for_account
def open_orders(request: AccountRequest) -> HttpResponse:
    """/orders: what rests in the books."""
    return _orders(request, "open")


@require_safe
@for_account
def history(request: AccountRequest) -> HttpResponse:
    """/orders/history: everything ever placed."""
    return _orders(request, "history")


@require_safe
@for_account
def fills(request: AccountRequest) -> HttpResponse:
    """/orders/fills"""
    known = [market.market for market in markets()]
    market = listing.symbol(request.GET, "market", known)
    between = listing.dates(request.GET)
    ids = between.ids(rows="marketdata_trade", cursor=listing.cursor(request.GET))
    found = queries.fills(account_id=request.account.id, limit=listing.PAGE_ROWS, before=ids.end, market=market)
    page = _not_below(found, ids.first, [fill.trade_id for fill in found.results])
    shown = {
        "section": "orders",
        "tab": "fills",
        "markets": known,
        "market": market,
        "dates": between,
        "filtered": bool(market or between.bounded),
        "page": page,
    }
    return render(request, "orders/fills.html", shown)


@require_safe
@for_account
def order(request: AccountRequest, order_id: int) -> HttpResponse:
    """/orders/<id>"""
    if order_id > ID_MAX:
        raise Http404
    try:
        found = queries.order(account_id=request.account.id, order_id=order_id)
    except queries.UnknownOrder:
        raise Http404 from None
    return render(request, "orders/order.html", {"section": "orders", "order": found, "steps": steps(found)})


def steps(order: FilledOrder) -> list[Step]:
    """The order's life, oldest first: placed, each fill, and how it ended if it has."""
    base, quote = order.market.split("-")
    told = [Step(order.created_at, "Placed", _wish(order, base, quote), "")]
    for fill in order.fills:
        text = f"{group(fill.quantity)} {base} at {group(fill.price)} {quote}, as {fill.liquidity}"
        told.append(
            Step(fill.executed_at, "Filled" if fill is order.fills[-1] and _done(order) else "Part", text, "good")
        )
    if order.status not in ("open", "filled", "pending"):
        kind = "bad" if order.status == "rejected" else "warn"
        told.append(Step(order.updated_at, order.status.capitalize(), REASON_TEXTS.get(order.reason or "", ""), kind))
    elif order.status == "open":
        told.append(
            Step(order.updated_at, "Open", f"{group(order.remaining_quantity)} {base} rests in the book", "info")
        )
    return told


def _done(order: FilledOrder) -> bool:
    return order.status == "filled"


def _wish(order: FilledOrder, base: str, quote: str) -> str:
    wanted = f"for {group(order.quote_amount)} {quote}" if order.quantity is None else f"{group(order.quantity)} {base}"
    at = f"at {group(order.price)} {quote}" if order.price else "at the market"
    return f"{order.side.capitalize()} {wanted} {at}"


def _orders(request: AccountRequest, tab: str) -> HttpResponse:
    known = [market.market for market in markets()]
    market = listing.symbol(request.GET, "market", known)
    side = listing.choice(request.GET, "side", SIDES)
    status = "open" if tab == "open" else listing.choice(request.GET, "status", STATUSES)
    between = listing.dates(request.GET)
    ids = between.ids(rows="orders_order", cursor=listing.cursor(request.GET))
    found = queries.orders(
        account_id=request.account.id,
        limit=listing.PAGE_ROWS,
        before=ids.end,
        market=market,
        side=side,  # type: ignore[arg-type]
        status=status,  # type: ignore[arg-type]
    )
    page = _not_below(found, ids.first, [order.id for order in found.results])
    filtered = market or side or between.bounded or (tab == "history" and status)
    shown: dict[str, Any] = {
        "section": "orders",
        "tab": tab,
        "markets": known,
        "sides": SIDES,
        "statuses": STATUSES,
        "market": market,
        "side": side,
        "status": status,
        "dates": between,
        "filtered": bool(filtered),
        "page": page,
    }
    return render(request, "orders/orders.html", shown)


def _not_below(page: Page[Any], first: int, ids: list[int]) -> Page[Any]:
    """The page without what is older than the first date, after which there is nothing more."""
    results = [row for row, id_ in zip(page.results, ids, strict=True) if id_ >= first]
    more = page.next is not None and int(page.next) > first and len(results) == len(page.results)
    return Page(results, page.next if more else None)
