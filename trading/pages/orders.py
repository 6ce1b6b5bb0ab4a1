"""An account's orders and fills with filters, and one order."""

from typing import Any, get_args

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marketdata.queries import markets
from marketdata.shapes import ID_MAX, Page
from matching.engine.messages import OrderStatus, Side
from orders import queries
from trading.pages import listing
from trading.pages.for_account import AccountRequest, for_account
from trading.pages.story import steps

SIDES: tuple[str, ...] = get_args(Side)
STATUSES: tuple[str, ...] = tuple(status for status in get_args(OrderStatus) if status != "pending")


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
