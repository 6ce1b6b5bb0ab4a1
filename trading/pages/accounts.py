"""Signing up, signing in and out.

Whoever has two-factor is nobody after the password: the session then holds a note of who may come in with a code within
HALF_LOGIN_SECONDS, and no user, so that nothing which asks for the user sees one.
"""

import time

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth import login as django_login
from django.contrib.auth import logout as django_logout
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_http_methods, require_POST

from trading import people, two_factor
from trading.api.addresses import client_address_of
from trading.models import User
from trading.notify.security import tell_login
from trading.pages.appearance import with_appearance_of
from trading.pages.forms import CodeForm, DemoSignUpForm, LoginForm, RecoveryCodeForm, SignUpForm
from trading.pages.guards import folded, guarded, next_page, spend, wait_in_words

HALF_LOGIN_SECONDS = 300

_HALF_LOGIN = "half_login"
"""In the session of somebody who gave the right password and owes a code: user, password hash, until (Unix s), next."""


@guarded
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    """A new user with an open account, signed in at once; in the demo with test funds unless unticked."""
    if request.user.is_authenticated:
        return redirect(next_page(request))
    form_class = DemoSignUpForm if settings.DEMO else SignUpForm
    form = form_class(request.POST or None)
    if request.method == "POST":
        spend(request=request, group="sign-up", name=client_address_of(request=request), rate=settings.SIGN_UP_RATE)
        if form.is_valid():
            given = form.cleaned_data
            try:
                user = people.sign_up(username=given["username"], email=given["email"], password=given["password"])
            except people.UsernameTaken:
                form.name_is_taken()
            else:
                if given.get("funds"):
                    give_test_funds(request=request, user=user)
                return signed_in(request=request, user=user, to=next_page(request))
    return _page(request, "account/sign_up.html", form=form)


@guarded
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    """The password; then in, or on to the code."""
    if request.user.is_authenticated:
        return redirect(next_page(request))
    if request.method != "POST":
        return _page(request, "account/login.html", form=LoginForm(request))
    username = folded(request.POST.get("username", ""))
    spend(
        request=request,
        group="login-address",
        name=client_address_of(request=request),
        rate=settings.LOGIN_RATE_ADDRESS,
    )
    spend(request=request, group="login-username", name=username, rate=settings.LOGIN_RATE_USERNAME)
    form = LoginForm(request, data=request.POST)
    if not form.is_valid():
        return _page(request, "account/login.html", form=form)
    user = form.get_user()
    assert isinstance(user, User)
    if two_factor.is_on(user=user):
        return _half_signed_in(request, user)
    return signed_in(request=request, user=user, to=next_page(request))


@guarded
@require_http_methods(["GET", "HEAD", "POST"])
def login_code(request: HttpRequest) -> HttpResponse:
    """The second step: a code of the app, or a recovery code."""
    if request.user.is_authenticated:
        return redirect(next_page(request))
    user = _half_login_user(request)
    if user is None:
        messages.info(
            request, "Sign in with your password first. After that, the code has to come within five minutes."
        )
        return redirect("login")
    by_app = "recovery" not in request.GET
    form = (CodeForm if by_app else RecoveryCodeForm)(request.POST or None)
    if request.method == "POST":
        spend(request=request, group="login-code", name=str(user.pk), rate=settings.CODE_RATE)
        if form.is_valid():
            checked = two_factor.check(user=user, code=form.cleaned_data["code"])
            if checked.right:
                return _code_was_right(request, user, checked.recovery_codes_left)
            form.add_error("code", _what_is_wrong(checked.wait_seconds))
    return _page(request, "account/login_code.html", form=form, by_app=by_app)


@guarded
@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """Out; the session is gone from the database too."""
    django_logout(request)
    return redirect(settings.LOGOUT_REDIRECT_URL)


@guarded
@require_http_methods(["GET", "HEAD", "POST"])
def admin_login(request: HttpRequest) -> HttpResponse:
    """In place of the admin's own login page: operators come in as everybody does, with their second factor."""
    to = next_page(request) if REDIRECT_FIELD_NAME in request.GET else reverse("admin:index")
    if not request.user.is_authenticated:
        return redirect_to_login(to)
    if not request.user.is_staff:
        return render(request, "account/operators_only.html", status=403)
    return redirect(to)


def signed_in(*, request: HttpRequest, user: User, to: str) -> HttpResponse:
    """Sign `user` in, in a new session, and go to the page `to` in the user's own colours."""
    first = user.last_login is None
    request.session.flush()
    with transaction.atomic():
        django_login(request, user)
        agent = request.headers.get("User-Agent", "")
        tell_login(user=user, address=client_address_of(request=request), user_agent=agent, first=first)
    return with_appearance_of(user=user, response=redirect(to))


def give_test_funds(*, request: HttpRequest, user: User) -> None:
    """Credit test funds, and say on the next page what became of it."""
    try:
        people.credit_test_funds(user=user, now=timezone.now())
    except people.FundsUsedUp:
        messages.warning(request, "You have had all the test funds of today. Come back tomorrow.")
    except people.ExchangeAway:
        messages.warning(request, "The exchange is busy: your test funds may come a little later.")
    else:
        messages.success(request, "100,000 USDT, 2 BTC and 20 ETH of test money are in your account.")


def _page(request: HttpRequest, template: str, **context: object) -> HttpResponse:
    """The template, told where to go after it: only a place that `next_page` trusts."""
    asked = REDIRECT_FIELD_NAME in request.GET or REDIRECT_FIELD_NAME in request.POST
    return render(request, template, context | {"next": next_page(request) if asked else ""})


def _half_signed_in(request: HttpRequest, user: User) -> HttpResponse:
    to = next_page(request)
    request.session.flush()
    request.session[_HALF_LOGIN] = {
        "user": user.pk,
        "password": user.get_session_auth_hash(),
        "until": time.time() + HALF_LOGIN_SECONDS,
        "next": to,
    }
    request.session.set_expiry(HALF_LOGIN_SECONDS)
    return redirect("login_code")


def _half_login_user(request: HttpRequest) -> User | None:
    """Who gave the right password in this session a moment ago, with that password still being theirs."""
    note = request.session.get(_HALF_LOGIN)
    if note is None:
        return None
    user = User.objects.filter(pk=note["user"], is_active=True).first()
    if (
        user is None
        or time.time() >= note["until"]
        or not constant_time_compare(note["password"], user.get_session_auth_hash())
    ):
        request.session.flush()
        return None
    return user


def _code_was_right(request: HttpRequest, user: User, recovery_codes_left: int | None) -> HttpResponse:
    to = request.session[_HALF_LOGIN]["next"]
    answer = signed_in(request=request, user=user, to=to)
    if recovery_codes_left is not None:
        messages.warning(
            request,
            f"You used a recovery code; {recovery_codes_left} are left. If your app is lost, set up a new one: "
            "Account, Security.",
        )
    return answer


def _what_is_wrong(wait_seconds: int) -> str:
    if wait_seconds:
        return f"Too many wrong codes. Wait {wait_in_words(seconds=wait_seconds)}, then enter a new one."
    return "This code is wrong, or was used already. Wait for the next one."
