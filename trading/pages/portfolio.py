"""What an account has, is worth, and how it came to that: balances, transfers, statement."""

from typing import Any, get_args

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django_ratelimit.decorators import ratelimit

from marketdata.paging import PageAsked
from marketdata.queries import assets
from risk import queries
from risk.queries import EntryType
from trading.pages import listing, statement, valuation
from trading.pages.filters import amount
from trading.pages.for_account import AccountRequest, for_account
from trading.pages.transfers import DepositForm, TransferForm, WithdrawalForm

RECENT_MAX = 20
ENTRY_TYPES: tuple[str, ...] = get_args(EntryType)

changes_limited = ratelimit(
    group="page-change", key="user", rate=lambda *_: settings.API_RATE_CHANGES, method="POST", block=True
)


@require_safe
@for_account
def portfolio(request: AccountRequest) -> HttpResponse:
    """/portfolio"""
    found = valuation.portfolio(account_id=request.account.id, now=timezone.now())
    return render(request, "portfolio/portfolio.html", {"section": "portfolio", "tab": "balances", "portfolio": found})


@require_safe
@for_account
def transfers(request: AccountRequest) -> HttpResponse:
    """/portfolio/transfers: the two forms, and what was moved lately."""
    asked = {"asset": request.GET.get("asset", "")}
    return _transfers(request, DepositForm(initial=asked), WithdrawalForm(initial=asked))


@require_POST
@changes_limited
@for_account
def deposit(request: AccountRequest) -> HttpResponse:
    """/portfolio/deposit: only the demo lets people credit themselves."""
    form = DepositForm(request.POST)
    if not settings.DEMO:
        form.add_error(None, "Only the demo lets users credit themselves.")
    elif _send(request, form, "credited to your account"):
        return _back(request)
    return _transfers(request, form, WithdrawalForm())


@require_POST
@changes_limited
@for_account
def withdraw(request: AccountRequest) -> HttpResponse:
    """/portfolio/withdraw"""
    form = WithdrawalForm(request.POST)
    done = "held until an operator decides" if settings.WITHDRAWAL_APPROVAL else "paid out"
    if _send(request, form, done):
        return _back(request)
    return _transfers(request, DepositForm(), form)


@require_safe
@for_account
def entries(request: AccountRequest) -> HttpResponse:
    """/portfolio/statement"""
    known = tuple(asset.asset for asset in assets())
    asset, days = listing.choice(request.GET, "asset", known), listing.dates(request.GET)
    entry_type: Any = listing.choice(request.GET, "type", ENTRY_TYPES)
    asked = PageAsked(limit=listing.PAGE_ROWS, before=listing.cursor(request.GET), **days.bounds)
    page = statement.entries(account_id=request.account.id, asked=asked, asset=asset, entry_type=entry_type)
    parameters = {"asset": asset, **days.parameters}
    shown = {
        "tab": "statement",
        "assets": known,
        "types": ENTRY_TYPES,
        "asset": asset,
        "type": entry_type,
        "dates": days,
        "filtered": bool(asset or entry_type or days.bounded),
        "export": None if request.account_query else listing.export_link("/api/v1/entries/export", parameters),
        "page": page,
    }
    return render(request, "portfolio/statement.html", {"section": "portfolio", **shown})


def _send(request: AccountRequest, form: TransferForm, done: str) -> bool:
    if not form.send(account_id=request.account.id, user_id=int(request.user.pk)):  # type: ignore[arg-type]
        return False
    fields = form.cleaned_data
    messages.success(request, f"{amount(fields['amount'].replace(',', ''))} {fields['asset']}: {done}.")
    return True


def _back(request: HttpRequest) -> HttpResponse:
    """So that a reload does not send the form again."""
    query = request.GET.urlencode()
    return redirect(reverse("transfers") + (f"?{query}" if query else ""))


def _transfers(request: AccountRequest, deposit_form: TransferForm, withdrawal_form: TransferForm) -> HttpResponse:
    account_id = request.account.id
    shown: dict[str, Any] = {
        "section": "portfolio",
        "tab": "transfers",
        "balances": queries.balances(account_id=account_id),
        "deposit_form": deposit_form,
        "withdrawal_form": withdrawal_form,
        "deposits": queries.deposits(account_id=account_id, limit=RECENT_MAX).results,
        "withdrawals": queries.withdrawals(account_id=account_id, limit=RECENT_MAX).results,
        "approval": settings.WITHDRAWAL_APPROVAL,
    }
    failed = deposit_form.errors or withdrawal_form.errors
    return render(request, "portfolio/transfers.html", shown, status=422 if failed else 200)
