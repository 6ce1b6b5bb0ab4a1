"""What only a demo instance offers: a funded trial account with one click, and test funds. Elsewhere: 404."""

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from trading import people
from trading.api.addresses import client_address_of
from trading.models import User
from trading.pages.accounts import give_test_funds, signed_in
from trading.pages.guards import guarded, next_page, spend


@guarded
@require_POST
def start(request: HttpRequest) -> HttpResponse:
    """Make a trial user, fund it, sign it in, and go trading; somebody who is signed in just goes."""
    _demo_only()
    if request.user.is_authenticated:
        return redirect(next_page(request))
    spend(request=request, group="trial", name=client_address_of(request=request), rate=settings.TRIAL_RATE)
    user = people.start_trial()
    messages.success(
        request,
        f"Welcome, {user.username}: you have 100,000 USDT, 2 BTC and 20 ETH to play with. Set a password to keep them.",
    )
    return signed_in(request=request, user=user, to=next_page(request))


@guarded
@require_POST
def funds(request: HttpRequest) -> HttpResponse:
    """Test funds for a signed-in user."""
    _demo_only()
    if not isinstance(request.user, User):
        return redirect("login")
    give_test_funds(request=request, user=request.user)
    return redirect(next_page(request))


def _demo_only() -> None:
    if not settings.DEMO:
        raise Http404
