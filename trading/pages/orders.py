"""An account's orders and fills with filters, and one order."""

from typing import Any, get_args

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from marketdata.queries import markets
from marketdata.shapes import ID_MAX
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
    known = tuple(market.market for market in markets())
    market, days = listing.choice(request.GET, "market", known), listing.dates(request.GET)
    page = queries.fills(
        account_id=request.account.id,
        limit=listing.PAGE_ROWS,
        before=listing.cursor(request.GET),
        market=market,
        **days.bounds,
    )
    shown = {
        "tab": "fills",
        "markets": known,
        "market": market,
        "dates": days,
        "filtered": bool(market or days.bounded),
        "export": _export(request, "fills", {"market": market, **days.parameters}),
        "page": page,
    }
    return render(request, "orders/fills.html", {"section": "orders", **shown})


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
    known = tuple(market.market for market in markets())
    chosen: dict[str, Any] = {
        "market": listing.choice(request.GET, "market", known),
        "side": listing.choice(request.GET, "side", SIDES),
        "status": "open" if tab == "open" else listing.choice(request.GET, "status", STATUSES),
    }
    days = listing.dates(request.GET)
    page = queries.orders(
        account_id=request.account.id,
        limit=listing.PAGE_ROWS,
        before=listing.cursor(request.GET),
        **chosen,
        **days.bounds,
    )
    filtered = chosen["market"] or chosen["side"] or days.bounded or (tab == "history" and chosen["status"])
    shown = {
        "tab": tab,
        "markets": known,
        "sides": SIDES,
        "statuses": STATUSES,
        "dates": days,
        "filtered": bool(filtered),
        "export": _export(request, "orders", {**chosen, **days.parameters}),
        "page": page,
    }
    return render(request, "orders/orders.html", {"section": "orders", **chosen, **shown})


def _export(request: AccountRequest, what: str, parameters: dict[str, Any]) -> str | None:
    """Where the same list is a CSV file: for the main account, as a link cannot name another."""
    return None if request.account_query else listing.export_link(f"/api/v1/{what}/export", parameters)
