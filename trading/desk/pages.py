"""The desk's own pages: a form for every act, the decision about a request, and what became of a filed command."""

from typing import Any, NamedTuple

import msgspec
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from marketdata.models import Market
from matching.engine.messages import AnyEvent, CommandRefused, OrderRejected
from matching.models import InboxCommand
from risk.models import Account, Withdrawal
from trading.desk import acts, audit, fee_forms, market_forms, money_forms
from trading.desk.forms import DeskForm
from trading.models import OperatorRequest

_decode_events = msgspec.json.Decoder(list[AnyEvent]).decode


class FormPage(NamedTuple):
    """A form, and the model of what it is about (None: about nothing that is there)."""

    form: type[DeskForm]
    model: type[models.Model] | None = None


FORMS: dict[str, FormPage] = {
    "create-asset": FormPage(market_forms.AssetForm),
    "create-market": FormPage(market_forms.MarketForm),
    "exchange-state": FormPage(market_forms.MarketStateForm),
    "market-state": FormPage(market_forms.MarketStateForm, Market),
    "market-parameters": FormPage(market_forms.MarketParametersForm, Market),
    "freeze": FormPage(money_forms.FreezeForm, Account),
    "correct": FormPage(money_forms.CorrectionForm, Account),
    "limits": FormPage(money_forms.LimitsForm, Account),
    "default-limits": FormPage(money_forms.LimitsForm),
    "approve-withdrawal": FormPage(money_forms.ApproveWithdrawalForm, Withdrawal),
    "refuse-withdrawal": FormPage(money_forms.RefuseWithdrawalForm, Withdrawal),
    "fee-tiers": FormPage(fee_forms.FeeTiersForm),
    "fee-override": FormPage(fee_forms.FeeOverrideForm),
}


@require_http_methods(["GET", "HEAD", "POST"])
def form_page(request: HttpRequest, name: str, target_id: int | None = None) -> HttpResponse:
    """Show the form; when it is right, do its act, and go where one sees what becomes of it."""
    page = FORMS.get(name)
    if page is None or (page.model is None) != (target_id is None):
        raise Http404
    if not acts.may(user=audit.operator_of(request), kind=page.form.kind):
        raise PermissionDenied
    target = get_object_or_404(page.model, pk=target_id) if page.model else None
    options = {"target": target} if page.model else {}
    if request.method != "POST":
        return _shown(request, page, page.form(**options))
    form = page.form(request.POST, **options)
    if not form.is_valid():
        return _shown(request, page, form)
    try:
        done = acts.perform(request=request, act=form.act, reason=form.cleaned_data["reason"])
    except acts.NotNow as error:
        form.add_error(None, str(error))
        return _shown(request, page, form)
    if isinstance(done, OperatorRequest):
        messages.info(request, "Asked for. It will be done when another operator approves it.")
        return redirect("admin:trading_operatorrequest_change", done.pk)
    return redirect("admin:matching_inboxcommand_change", done)


@require_POST
def decide(request: HttpRequest, request_id: int) -> HttpResponse:
    """Approve a request (then one sees what becomes of its command), refuse it, or take one's own back."""
    note = " ".join(request.POST.get("note", "").split())[: audit.TEXT_LENGTH_MAX]
    back = redirect("admin:trading_operatorrequest_change", request_id)
    if not note:
        messages.error(request, "Nothing was decided: say why.")
        return back
    try:
        if request.POST.get("decision") == "approve":
            inbox_id = acts.approve(request=request, request_id=request_id, note=note)
            return redirect("admin:matching_inboxcommand_change", inbox_id)
        acts.refuse(request=request, request_id=request_id, note=note)
    except OperatorRequest.DoesNotExist as error:
        raise Http404 from error
    except acts.NotNow as error:
        messages.error(request, str(error))
    return back


@never_cache
@require_safe
def command_state(request: HttpRequest, inbox_id: int) -> JsonResponse:
    """What has become of a filed command, for its page to ask until it is done."""
    if not request.user.has_perm("matching.view_inboxcommand"):
        raise PermissionDenied
    return JsonResponse(state_of(command=get_object_or_404(InboxCommand, pk=inbox_id)))


def state_of(*, command: InboxCommand) -> dict[str, Any]:
    """`state` queued, applied, refused or failed; `text` in words; `sequence` in the journal."""
    if command.done_at is None:
        return {"state": "queued", "sequence": None, "text": "Queued: the matching worker has not taken it yet."}
    if command.sequence is None:
        return {"state": "failed", "sequence": None, "text": "Put aside after a fault of ours; it changed nothing."}
    for event in _decode_events(command.result or "[]"):
        reason = event.reason if isinstance(event, CommandRefused) else None
        if isinstance(event, OrderRejected):
            reason = event.order.reason
        if reason is not None:
            detail = event.detail if isinstance(event, CommandRefused) else ""
            text = f"Refused at sequence {command.sequence}: {detail or reason.text}"
            return {"state": "refused", "sequence": command.sequence, "text": text}
    return {"state": "applied", "sequence": command.sequence, "text": f"Applied at sequence {command.sequence}."}


def _shown(request: HttpRequest, page: FormPage, form: DeskForm) -> HttpResponse:
    """The form in the desk's frame; a form with mistakes is no success."""
    kind = acts.KINDS[page.form.kind]
    if isinstance(form.target, models.Model):
        meta = form.target._meta
        cancel = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[form.target.pk])
    else:
        app, _, codename = kind.permission.partition(".")
        cancel = reverse(f"admin:{app}_{codename.partition('_')[2]}_changelist")
    context = {
        **admin.site.each_context(request),
        "title": form.title,
        "form": form,
        "kind": kind,
        "two": kind.rule is not None and acts.rule_holds(kind=page.form.kind),
        "cancel": cancel,
    }
    return render(request, "admin/desk/form.html", context, status=400 if form.errors else 200)
