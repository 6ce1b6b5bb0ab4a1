"""Withdrawals that wait for an operator's word, and the requests that wait for a second operator's."""

import time

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from marketdata.admin import ReadOnlyAdmin, recent
from matching import inbox
from risk.models import Withdrawal
from trading import control
from trading.desk import acts
from trading.desk.forms import DeskForm
from trading.desk.money_forms import ApproveWithdrawalForm, RefuseWithdrawalForm
from trading.desk.people_admin import ReasonActionForm, reason_given
from trading.models import OperatorRequest

ANSWER_SECONDS_MAX = 10.0


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
    list_filter = (recent("status", "pending", "paid", "refused"),)
    list_select_related = ("asset",)
    exact_numbers = ("id", "account_id")
    actions = ("approve", "refuse")
    action_form = ReasonActionForm

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Those who may change withdrawals."""
        return bool(request.user.has_perm("risk.change_withdrawal"))

    @admin.action(description="Approve: pay out", permissions=["decide"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Withdrawal]) -> None:
        """Debit the held amounts to the outside world; above a limit, ask for another operator's approval."""
        self._decide(request, queryset, ApproveWithdrawalForm, "approved")

    @admin.action(description="Refuse: give back", permissions=["decide"])
    def refuse(self, request: HttpRequest, queryset: QuerySet[Withdrawal]) -> None:
        """Release the held amounts to their accounts."""
        self._decide(request, queryset, RefuseWithdrawalForm, "refused")

    def _decide(
        self, request: HttpRequest, queryset: QuerySet[Withdrawal], form_class: type[DeskForm], word: str
    ) -> None:
        """File all, then tell of each what became of it."""
        reason = reason_given(request=request)
        if not reason:
            return
        filed: dict[Withdrawal, int] = {}
        for row in queryset.select_related("asset"):
            try:
                act = form_class(target=row).make_act({"reason": reason})
                done = acts.perform(request=request, act=act, reason=reason)
            except (acts.NotNow, control.BadRequest) as error:
                self.message_user(request, f"Withdrawal {row.pk} was not {word}: {error}", messages.ERROR)
                continue
            if isinstance(done, OperatorRequest):
                text = f"Withdrawal {row.pk} waits for another operator's approval (request {done.pk})."
                self.message_user(request, text, messages.WARNING)
            else:
                filed[row] = done
        self._tell(request, filed, word)

    def _tell(self, request: HttpRequest, filed: dict[Withdrawal, int], word: str) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        for row, inbox_id in filed.items():
            try:
                inbox.wait_for(inbox_id=inbox_id, timeout=max(0.0, deadline - time.monotonic()))
            except (inbox.Refused, inbox.CommandFailed) as error:
                self.message_user(request, f"Withdrawal {row.pk} was not {word}: {error}", messages.ERROR)
            except inbox.NoAnswer as unanswered:
                self.message_user(request, f"Withdrawal {row.pk}: {unanswered}", messages.WARNING)
            else:
                self.log_change(request, row, word)
                self.message_user(request, f"Withdrawal {row.pk} is {word}.", messages.SUCCESS)


class OperatorRequestAdmin(ReadOnlyAdmin):
    """What one operator has asked for, and what another has decided."""

    list_display = ("id", "text", "asked_by", "asked_at", "status", "decided_by", "decided_at")
    list_filter = (recent("status", "waiting", "approved", "refused", "withdrawn"),)
    list_select_related = ("asked_by", "decided_by")
    exact_names = ("subject", "asked_by__username")
    exact_numbers = ("id",)
    exclude = ("payload", "before")


admin.site.register(Withdrawal, WithdrawalAdmin)
admin.site.register(OperatorRequest, OperatorRequestAdmin)
