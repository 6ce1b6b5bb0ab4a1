"""The security page: two-factor on and off, recovery codes, and the sessions one is signed in with.

Whatever weakens or changes the second factor takes the password again. Codes are shown in the answer to the request
that made them, and nowhere else.
"""

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from trading import two_factor
from trading.models import Session, User
from trading.pages.forms import PasswordForm, TwoFactorForm
from trading.pages.guards import guarded, spend
from trading.sessions import device_name, end_sessions, open_sessions

_NEW_KEY = "two_factor_key"
"""In the session: the key that is being shown, until its first code comes."""


@guarded
@login_required
@require_safe
def security(request: HttpRequest) -> HttpResponse:
    """The page."""
    user = _user(request)
    sessions = [
        {
            "row": row,
            "device": device_name(user_agent=row.user_agent),
            "current": row.session_key == request.session.session_key,
        }
        for row in open_sessions(user=user)
    ]
    context = {
        "tab": "security",
        "two_factor": two_factor.is_on(user=user),
        "codes_left": two_factor.recovery_codes_left(user=user),
        "sessions": sorted(sessions, key=lambda session: not session["current"]),
    }
    return render(request, "account/security.html", context)


@guarded
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def two_factor_on(request: HttpRequest) -> HttpResponse:
    """Show a new key, and turn two-factor on with its first code."""
    user = _user(request)
    if two_factor.is_on(user=user) or not user.has_usable_password():
        return redirect("account_security")
    key = request.session.setdefault(_NEW_KEY, two_factor.new_key())
    form = TwoFactorForm(request.POST or None, user=user)
    if request.method == "POST":
        _count(request, user)
        if form.is_valid():
            codes = two_factor.turn_on(user=user, key=key, code=form.cleaned_data["code"])
            if codes is not None:
                del request.session[_NEW_KEY]
                return _show_codes(request, codes, "Two-factor is on.")
            form.add_error("code", "This is not the code that the app shows now. Is the clock of your phone right?")
    context = {
        "form": form,
        "picture": mark_safe(two_factor.app_picture(user=user, key=key)),  # noqa: S308 - an SVG of our own making
        "secret": two_factor.app_secret(user=user, key=key),
    }
    return render(request, "account/two_factor.html", context)


@guarded
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def two_factor_off(request: HttpRequest) -> HttpResponse:
    """Turn two-factor off."""
    user = _user(request)
    form = _password_form(request, user)
    if form.is_valid():
        two_factor.turn_off(user=user)
        messages.success(request, "Two-factor is off: from now on your password alone signs you in.")
        return redirect("account_security")
    return render(request, "account/two_factor_off.html", {"form": form})


@guarded
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """New recovery codes; the old ones are worth nothing any more."""
    user = _user(request)
    if not two_factor.is_on(user=user):
        return redirect("account_security")
    form = _password_form(request, user)
    if form.is_valid():
        return _show_codes(request, two_factor.new_recovery_codes(user=user), "You have new recovery codes.")
    return render(request, "account/recovery_codes.html", {"form": form})


@guarded
@login_required
@require_POST
def end_session(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """End one session of one's own, at once."""
    ended, _ = Session.objects.filter(user=_user(request), public_id=public_id).delete()
    if not ended:
        raise Http404
    messages.success(request, "That session is signed out.")
    return redirect("account_security")


@guarded
@login_required
@require_POST
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    """End all sessions but this one."""
    ended = end_sessions(user=_user(request), but=request.session.session_key)
    messages.success(request, f"{ended} other session{' is' if ended == 1 else 's are'} signed out.")
    return redirect("account_security")


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _count(request: HttpRequest, user: User) -> None:
    spend(request=request, group="confirm", name=str(user.pk), rate=settings.CONFIRM_RATE)


def _password_form(request: HttpRequest, user: User) -> PasswordForm:
    if request.method == "POST":
        _count(request, user)
    return PasswordForm(request.POST or None, user=user)


def _show_codes(request: HttpRequest, codes: list[str], title: str) -> HttpResponse:
    return render(request, "account/recovery_codes_shown.html", {"codes": codes, "title": title})
