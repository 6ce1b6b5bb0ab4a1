"""What operators do: users, API keys, and withdrawals that wait for their word.

Money is never edited here: a decision is filed as a control command, and the page shows what became of it.
"""

import time
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django_otp.plugins.otp_static.admin import StaticDevice
from django_otp.plugins.otp_totp.admin import TOTPDevice
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from marketdata.admin import BoundedPaginator, ReadOnlyAdmin
from matching import inbox
from matching.engine.messages import AnyCommand, ApproveWithdrawal, OpenAccount, RefuseWithdrawal
from risk.models import Withdrawal
from trading import two_factor
from trading.models import ApiKey, User

admin.site.unregister([TOTPDevice, StaticDevice])  # their pages would show people's secrets
admin.site.unregister(Group)  # for our own page of it

ANSWER_SECONDS_MAX = 10.0


@admin.register(User)
class PersonAdmin(UserAdmin, ModelAdmin):
    """Users. A new one gets an account to trade with; who has lost phone and recovery codes can be let in again."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_fullwidth = True
    list_filter_sheet = True
    search_fields = ("username__istartswith", "email__istartswith")

    actions = ("turn_off_two_factor",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save, and file the opening of a new user's account in the same transaction."""
        super().save_model(request, obj, form, change)
        if not change:
            inbox.file_command(command=OpenAccount(obj.pk), actor=f"admin {request.user.pk}")

    @admin.action(description="Turn off two-factor", permissions=["change"])
    def turn_off_two_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """From now on their passwords alone sign them in; make sure that it is them who ask."""
        for user in queryset:
            if two_factor.is_on(user=user):
                two_factor.turn_off(user=user)
                self.log_change(request, user, "two-factor turned off")
                self.message_user(request, f"Two-factor of {user} is off.", messages.SUCCESS)


@admin.register(Group)
class RoleAdmin(GroupAdmin, ModelAdmin):
    """Roles: what their members may see and file."""


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """API keys, without their secrets; they can be revoked."""

    list_display = ("id", "key", "user", "account_id", "label", "scopes", "created_at", "expires_at", "revoked_at")
    list_select_related = ("user",)
    exclude = ("secret_encrypted", "public_key")
    exact_names = ("key", "user__username")
    actions = ("revoke",)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Those who may change API keys."""
        return bool(request.user.has_perm("trading.change_apikey"))

    @admin.action(description="Revoke", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """From now on they sign nothing."""
        for key in queryset.filter(revoked_at=None):
            key.revoked_at = timezone.now()
            key.save(update_fields=["revoked_at"])
            self.log_change(request, key, "revoked")
            self.message_user(request, f"{key} is revoked.", messages.SUCCESS)


@admin.register(Withdrawal)
class WithdrawalAdmin(ReadOnlyAdmin):
    """Withdrawals; select those that wait and approve or refuse them."""

    list_display = (
        "id",
        "account_id",
        "asset",
        "amount",
        "destination",
        "status",
        "note",
        "requested_at",
        "updated_at",
    )
    list_filter = ("status",)
    list_select_related = ("asset",)
    exact_numbers = ("id", "account_id")
    actions = ("approve", "refuse")

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Those who may change withdrawals."""
        return bool(request.user.has_perm("risk.change_withdrawal"))

    @admin.action(description="Approve: pay out", permissions=["decide"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Withdrawal]) -> None:
        """Debit the held amounts to the outside world."""
        self._decide(request, {row: ApproveWithdrawal(row.id) for row in queryset}, "approved")

    @admin.action(description="Refuse: give back", permissions=["decide"])
    def refuse(self, request: HttpRequest, queryset: QuerySet[Withdrawal]) -> None:
        """Release the held amounts to their accounts."""
        self._decide(request, {row: RefuseWithdrawal(row.id) for row in queryset}, "refused")

    def _decide(self, request: HttpRequest, commands: dict[Withdrawal, AnyCommand], word: str) -> None:
        """File all, then tell of each what became of it."""
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        filed = inbox.file_commands(commands=list(commands.values()), actor=f"admin {request.user.pk}")
        for row, inbox_id in zip(commands, filed, strict=True):
            try:
                inbox.wait_for(inbox_id=inbox_id, timeout=max(0.0, deadline - time.monotonic()))
            except inbox.Refused as refused:
                self.message_user(request, f"Withdrawal {row.id} was not {word}: {refused}", messages.ERROR)
            except inbox.CommandFailed as failed:
                self.message_user(request, f"Withdrawal {row.id} was not {word}: {failed}", messages.ERROR)
            except inbox.NoAnswer as unanswered:
                self.message_user(request, f"Withdrawal {row.id}: {unanswered}", messages.WARNING)
            else:
                self.log_change(request, row, word)
                self.message_user(request, f"Withdrawal {row.id} is {word}.", messages.SUCCESS)
