"""Whose pages these are: a signed-in person, looking at one of their accounts."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from risk.queries import Account, accounts
from trading.gateway.sessions import MAIN_ACCOUNT

Page = Callable[..., HttpResponse]


class AccountRequest(HttpRequest):
    """A request of a signed-in person; `account` is the one they look at, `accounts` are all of theirs.

    `account_query` goes behind a link that stays with an account other than the main one.
    """

    account: Account
    accounts: list[Account]
    account_query: str


def for_account(page: Page) -> Page:
    """Make `page` one of a signed-in person's account: `?account=` names it, "main" unless given.

    Another's account is 404; who has none yet is told so.
    """

    @login_required
    @wraps(page)
    def of_account(request: HttpRequest, **arguments: Any) -> HttpResponse:
        found = accounts(user_id=cast(int, request.user.pk))
        if not found:
            return render(request, "portfolio/no_account.html")
        name = request.GET.get("account", MAIN_ACCOUNT)
        account = next((each for each in found if each.name == name), None)
        if account is None:
            raise Http404
        asking = cast(AccountRequest, request)
        asking.account, asking.accounts = account, found
        asking.account_query = "" if name == MAIN_ACCOUNT else f"?account={account.name}"
        return page(asking, **arguments)

    return cast(Page, of_account)
