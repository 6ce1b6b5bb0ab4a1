"""Users, roles and API keys: what is edited in place, every change of it in the audit log with before and after."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.forms import ActionForm, AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from marketdata.admin import BoundedPaginator, ReadOnlyAdmin
from matching import inbox
from matching.engine.messages import OpenAccount
from trading import two_factor
from trading.desk import audit
from trading.models import ApiKey, User


class ReasonActionForm(ActionForm):
    """An action on selected rows, and why."""

    reason = forms.CharField(
        label="",
        required=False,
        max_length=500,
        widget=forms.TextInput({"placeholder": "Reason", "aria-label": "Reason", "class": "desk-action-reason"}),
    )


def reason_given(*, request: HttpRequest) -> str:
    """Why, as typed beside the action; empty (and the operator is told) when it was forgotten."""
    reason = " ".join(request.POST.get("reason", "").split())[:500]
    if not reason:
        messages.error(request, "Nothing was done: say why, beside the action.")
    return reason


class RequiredReason(forms.ModelForm):
    """A form of a row that asks why."""

    reason = forms.CharField(
        required=True, max_length=500, widget=UnfoldAdminTextInputWidget(), help_text="Kept in the audit log."
    )


class UserForm(RequiredReason, UserChangeForm):
    """A user, and why he is changed."""


class AuditedAdmin(ModelAdmin):
    """Rows that are edited in place; every change goes into the audit log in its own transaction."""

    paginator = BoundedPaginator
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_fullwidth = True
    list_filter_sheet = True
    action_form = ReasonActionForm

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """All but deleting many at once."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Note how the row is before it is changed."""
        row = self.get_object(request, object_id) if object_id and request.method == "POST" else None
        self._remember(request, row)
        answer: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
        return answer

    def _remember(self, request: HttpRequest, row: Model | None) -> None:
        request.desk_before = audit.snapshot(row) if row is not None else {}  # type: ignore[attr-defined]

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """In both logs."""
        self._record(request, "added", obj, None, audit.snapshot(obj))
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """In both logs, with what changed."""
        was = getattr(request, "desk_before", None)
        if was is None:  # Django's page for a new password comes here without a form of the row
            self._record(request, "changed", obj, None, None, "New password set.")
        else:
            row = type(obj)._default_manager.get(pk=obj.pk)
            before, after = audit.differences(was, audit.snapshot(row))
            self._record(request, "changed", obj, before, after, message if isinstance(message, str) else "")
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Sequence[Model]) -> Any:
        """In both logs, with all that was there."""
        for row in queryset:
            self._record(request, "deleted", row, audit.snapshot(row), None)
        return super().log_deletions(request, queryset)

    def _record(self, request: HttpRequest, did: str, row: Model, before: Any, after: Any, text: str = "") -> None:
        audit.record(
            request=request,
            action=f"{row._meta.model_name} {did}",
            subject=f"{row._meta.verbose_name} {row}",
            text=text,
            before=before,
            after=after,
            reason=" ".join(request.POST.get("reason", "").split()),
        )


class PersonAdmin(UserAdmin, AuditedAdmin):  # type: ignore[misc]
    """Users. A new one gets an account to trade with; who has lost phone and recovery codes can be let in again."""

    form = UserForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_active", "is_staff", "date_joined", "last_login")
    list_filter = ("is_staff", "is_active", "groups")
    search_fields = ("username__istartswith", "email__istartswith")
    actions = ("turn_off_two_factor",)
    readonly_fields = ("last_login", "date_joined")

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Django's, and why the user is changed; who may only look is asked for nothing."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not self.has_change_permission(request, obj):
            return fieldsets
        return (*fieldsets, ("Reason", {"fields": ("reason",)}))

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Nobody but a superuser makes superusers or gives permissions past the roles."""
        fields = super().get_readonly_fields(request, obj)
        if request.user.is_superuser:
            return fields
        return (*fields, "is_superuser", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Nor does anybody else change one."""
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return bool(super().has_change_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save, and file the opening of a new user's account in the same transaction."""
        super().save_model(request, obj, form, change)
        if not change:
            inbox.file_command(command=OpenAccount(obj.pk), actor=f"admin {request.user.pk}")

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Django's page, its line in the audit log in the same transaction."""
        with transaction.atomic():
            return super().user_change_password(request, id, form_url)

    @admin.action(description="Turn off two-factor", permissions=["change"])
    def turn_off_two_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """From now on their passwords alone sign them in; make sure that it is them who ask."""
        if not reason_given(request=request):
            return
        for user in queryset:
            if two_factor.is_on(user=user) and self.has_change_permission(request, user):
                with transaction.atomic():
                    two_factor.turn_off(user=user)
                    self._remember(request, user)
                    self.log_change(request, user, "two-factor turned off")
                self.message_user(request, f"Two-factor of {user} is off.", messages.SUCCESS)


class RoleForm(RequiredReason):
    """A role, and why it is changed."""


class RoleAdmin(GroupAdmin, AuditedAdmin):  # type: ignore[misc]
    """Roles: what their members may see and file. The four that Bourse made are put right by every migration."""

    form = RoleForm


class ApiKeyAdmin(ReadOnlyAdmin):
    """API keys, without their secrets; they can be revoked."""

    list_display = ("id", "key", "user", "account_id", "label", "scopes", "created_at", "expires_at", "revoked_at")
    list_select_related = ("user",)
    exclude = ("secret_encrypted", "public_key")
    exact_names = ("key", "user__username")
    actions = ("revoke",)
    action_form = ReasonActionForm

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Those who may change API keys."""
        return bool(request.user.has_perm("trading.change_apikey"))

    @admin.action(description="Revoke", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """From now on they sign nothing."""
        reason = reason_given(request=request)
        if not reason:
            return
        for key in queryset.filter(revoked_at=None):
            with transaction.atomic():
                key.revoked_at = timezone.now()
                key.save(update_fields=["revoked_at"])
                audit.record(
                    request=request,
                    action="key revoked",
                    subject=f"API key {key.key}",
                    before={"revoked_at": None},
                    after={"revoked_at": key.revoked_at.isoformat()},
                    reason=reason,
                )
                self.log_change(request, key, "revoked")
            self.message_user(request, f"{key} is revoked.", messages.SUCCESS)


admin.site.unregister(Group)  # for our own page of it
admin.site.register(User, PersonAdmin)
admin.site.register(Group, RoleAdmin)
admin.site.register(ApiKey, ApiKeyAdmin)
