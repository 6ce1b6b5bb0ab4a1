"""The trading floor: one page for each market, complete without an account."""

from typing import Any

import msgspec
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from fees.models import FeeOverride, FeeTier
from fees.schedule import DEFAULT_TIERS
from marketdata import queries
from marketdata.shapes import rate_text


@require_safe
def first(request: HttpRequest) -> HttpResponseRedirect:
    """/trade/: the floor of the first market. 404 while there is none."""
    found = queries.markets()
    if not found:
        raise Http404("There is no market yet.")
    return redirect("trade", market=found[0].market)


@require_safe
@ensure_csrf_cookie
def trade(request: HttpRequest, market: str) -> HttpResponse:
    """/trade/BTC-USDT: that market's floor. 404 for a market that does not exist."""
    try:
        description = queries.market(symbol=market)
    except queries.UnknownMarket as error:
        raise Http404("There is no such market.") from error
    return render(request, "trade.html", {"market": description, "parameters": _parameters(description)})


def _parameters(market: queries.MarketDescription) -> dict[str, Any]:
    """What the page's modules must know of the market: its description, decimals, and rates without an account."""
    override = FeeOverride.objects.filter(account_id=None, market__symbol=market.market).first()
    rates = override or FeeTier.objects.order_by("volume").first() or DEFAULT_TIERS[0]
    return {
        **msgspec.to_builtins(market),
        "price_decimals": len(market.tick_size.partition(".")[2]),
        "quantity_decimals": len(market.lot_size.partition(".")[2]),
        "maker_rate": rate_text(rates.maker_rate),
        "taker_rate": rate_text(rates.taker_rate),
    }
