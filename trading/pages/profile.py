"""The account page: who one is, the e-mail address, and how pages look."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from trading import people
from trading.models import User
from trading.pages.appearance import appearance_in, with_appearance_of
from trading.pages.forms import AppearanceForm, EmailForm
from trading.pages.guards import guarded, spend


@guarded
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """The page; a POST is a new e-mail address."""
    user = request.user
    assert isinstance(user, User)
    form = EmailForm(request.POST or None, user=user)
    if request.method == "POST":
        spend(request=request, group="confirm", name=str(user.pk), rate=settings.CONFIRM_RATE)
        if form.is_valid():
            user.email = form.cleaned_data["email"]
            user.save(update_fields=["email"])
            messages.success(request, "Your e-mail address is changed.")
            return redirect("account")
    return _account_page(request, user, form, _appearance_form(request, user))


@guarded
@login_required
@require_POST
def appearance(request: HttpRequest) -> HttpResponse:
    """Keep theme and palette, for this browser and for the next one to sign in."""
    user = request.user
    assert isinstance(user, User)
    form = AppearanceForm(request.POST)
    if not form.is_valid():
        return _account_page(request, user, EmailForm(user=user), form)
    user.theme, user.palette = form.cleaned_data["theme"], form.cleaned_data["palette"]
    user.save(update_fields=["theme", "palette"])
    messages.success(request, "Saved.")
    return with_appearance_of(user=user, response=redirect("account"))


def _appearance_form(request: HttpRequest, user: User) -> AppearanceForm:
    return AppearanceForm(initial=appearance_in(request=request, user=user))


def _account_page(request: HttpRequest, user: User, email: EmailForm, appearance_form: AppearanceForm) -> HttpResponse:
    context = {
        "tab": "profile",
        "email_form": email,
        "appearance_form": appearance_form,
        "accounts": user.accounts.order_by("id"),
        "fundings_per_day": people.TEST_FUNDS_PER_DAY_MAX,
    }
    return render(request, "account/account.html", context)
