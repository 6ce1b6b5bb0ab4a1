"""Changing a password, and setting a new one by e-mail. Either ends every other session of its user.

A reset signs nobody in: whoever has the e-mail still has to pass the login page, and its second factor.
"""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_http_methods

from trading.api.addresses import client_address_of
from trading.models import User
from trading.pages.forms import PasswordChangeForm, PasswordResetForm, SetPasswordForm
from trading.pages.guards import folded, guarded, spend
from trading.sessions import end_sessions


@guarded
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: HttpRequest) -> HttpResponse:
    """A new password; who has none yet (a trial) needs no old one."""
    user = request.user
    assert isinstance(user, User)
    form_class = PasswordChangeForm if user.has_usable_password() else SetPasswordForm
    form = form_class(user, request.POST or None)
    if request.method == "POST":
        spend(request=request, group="confirm", name=str(user.pk), rate=settings.CONFIRM_RATE)
        if form.is_valid():
            form.save()
            update_session_auth_hash(request, user)
            ended = end_sessions(user=user, but=request.session.session_key)
            others = f" {ended} other session{' was' if ended == 1 else 's were'} signed out." if ended else ""
            messages.success(request, f"Your password is changed.{others}")
            return redirect("account_security")
    return render(request, "account/password_change.html", {"form": form})


@method_decorator(guarded, name="dispatch")
class Reset(auth_views.PasswordResetView):
    """Asks for an address, and says the same whether anybody has it or not."""

    template_name = "account/password_reset.html"
    email_template_name = "email/password_reset.txt"
    subject_template_name = "email/password_reset_subject.txt"
    form_class = PasswordResetForm
    success_url = reverse_lazy("password_reset_done")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Counted by who asks, and by the address asked for."""
        address, email = client_address_of(request=request), folded(request.POST.get("email", ""))
        spend(request=request, group="reset-address", name=address, rate=settings.RESET_RATE_ADDRESS)
        spend(request=request, group="reset-email", name=email, rate=settings.RESET_RATE_EMAIL)
        return super().post(request, *args, **kwargs)


@method_decorator(guarded, name="dispatch")
class ResetDone(auth_views.PasswordResetDoneView):
    """Look into your mail."""

    template_name = "account/password_reset_done.html"


@method_decorator(guarded, name="dispatch")
class ResetConfirm(auth_views.PasswordResetConfirmView):
    """The page behind the link: a new password, and nobody is signed in with the old one any more."""

    template_name = "account/password_reset_confirm.html"
    form_class = SetPasswordForm
    success_url = reverse_lazy("login")
    user: User

    def form_valid(self, form: Any) -> HttpResponse:
        """Save, end all sessions, and on to the login page."""
        answer = super().form_valid(form)
        end_sessions(user=self.user)
        messages.success(self.request, "Your password is changed. Sign in with the new one.")
        return answer
