"""Surveillance at the desk: a case and what is done about it, an alert's replayed book, the detectors' settings."""

import time
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from matching.models import InboxCommand
from notifications import record
from risk import cases, relations
from risk.models import Account, Alert, Case, DetectorSetting
from risk.surveillance.surveillance import DETECTORS
from trading.desk import acts, audit
from trading.models import OperatorRequest
from trading.watch import evidence
from trading.watch.forms import MEASURES, AssignForm, DetectorsForm, MeasureForm, NoteForm, StateForm

NOTES_SHOWN = 500
ALERTS_SHOWN = 200


def _require(request: HttpRequest, permission: str) -> None:
    if not audit.operator_of(request).has_perm(permission):
        raise PermissionDenied


def _case_url(case_id: int) -> str:
    return reverse("admin:risk_case_change", args=[case_id])


# ---------------------------------------------------------------------------------------------- a case


@require_safe
def case_page(request: HttpRequest, case_id: int) -> HttpResponse:
    """A case: who, what, the alerts with their numbers, its history, and what can be done."""
    _require(request, "risk.view_case")
    case = get_object_or_404(Case.objects.select_related("market", "assignee"), pk=case_id)
    return _shown(request, case, {})


@require_POST
def case_act(request: HttpRequest, case_id: int, name: str) -> HttpResponse:
    """Do one of the case's forms: note, assign, state or measure."""
    _require(request, "risk.change_case")
    case = get_object_or_404(Case, pk=case_id)
    form = _form(name, case, request.POST)
    if not form.is_valid():
        return _shown(request, case, {name: form}, status=400)
    author_id = audit.operator_of(request).pk
    if name == "measure":
        return _take_measure(request, case, form)
    with transaction.atomic():
        before = {"state": case.state, "assignee": case.assignee_id}
        if name == "note":
            cases.write_note(case_id=case_id, author_id=author_id, text=form.cleaned_data["text"])
        elif name == "assign":
            assignee = form.cleaned_data["assignee"]
            case = cases.assign(case_id=case_id, author_id=author_id, assignee_id=assignee.pk if assignee else None)
        else:
            case = cases.change_state(case_id=case_id, author_id=author_id, **form.cleaned_data)
        audit.record(
            request=request,
            action=f"case: {name}",
            subject=f"case {case_id}",
            text=form.cleaned_data.get("text", ""),
            before=before,
            after={"state": case.state, "assignee": case.assignee_id},
            reason=form.cleaned_data.get("outcome", ""),
        )
    return redirect(_case_url(case_id))


def _take_measure(request: HttpRequest, case: Case, form: MeasureForm) -> HttpResponse:
    """Warn the owner, or file a control command with the case as its reason; the history says which."""
    author_id = audit.operator_of(request).pk
    account_id, measure, reason = (form.cleaned_data[name] for name in ("account_id", "measure", "reason"))
    command = form.command()
    text = f"{MEASURES[measure].partition(':')[0]} (account {account_id}): {reason}"
    with transaction.atomic():
        if command is None:
            note = cases.write_note(case_id=case.pk, author_id=author_id, kind="warn", text=text)
            _warn(account_id, reason, note.pk)
            subject = f"account {account_id}"
            audit.record(request=request, action="warn", subject=subject, text=f"Case {case.pk}", reason=reason)
            return redirect(_case_url(case.pk))
        kind = "freeze" if measure in ("freeze", "unfreeze") else "throttle"
        act = acts.Act(kind=kind, command=command, subject=f"account {account_id}", text=f"{text} (case {case.pk})")
        try:
            done = acts.perform(request=request, act=act, reason=f"Case {case.pk}: {reason}")
        except acts.NotNow as error:
            messages.error(request, str(error))
            return redirect(_case_url(case.pk))
        inbox_id = None if isinstance(done, OperatorRequest) else done
        text += " Waits for a second operator." if inbox_id is None else ""
        cases.write_note(case_id=case.pk, author_id=author_id, kind=measure, text=text, inbox_id=inbox_id)
        if case.state in ("new", "investigating", "waiting"):
            cases.change_state(case_id=case.pk, author_id=author_id, state="escalated")
    return redirect(_case_url(case.pk))


def _warn(account_id: int, reason: str, note_id: int) -> None:
    """Tell the account's owner."""
    user_id = Account.objects.values_list("user_id", flat=True).get(pk=account_id)
    if user_id is not None:
        record(
            user_id=user_id,
            account_id=account_id,
            kind="conduct_warning",
            key=f"note {note_id}",
            figures={"reason": reason},
            at=time.time_ns() // 1_000,
        )


def _form(name: str, case: Case, data: Any = None) -> Any:
    """One of the case's forms, filled in with how things stand."""
    if name == "note":
        return NoteForm(data)
    if name == "assign":
        return AssignForm(data, initial={"assignee": case.assignee_id})
    if name == "state":
        return StateForm(data, initial={"state": case.state, "outcome": case.outcome})
    return MeasureForm(data, case=case)


def _shown(request: HttpRequest, case: Case, bound: dict[str, Any], status: int = 200) -> HttpResponse:
    """The case's page, with the forms that were filled in wrongly as they were."""
    owners = {account.pk: account for account in Account.objects.filter(pk__in=case.account_ids).select_related("user")}
    known = relations.load()
    ties = [
        {"one": one, "other": other, "evidence": ", ".join(tie.evidence for tie in ties)}
        for one in case.account_ids
        for other in case.account_ids
        if one < other and (ties := known.between(one, other))
    ]
    notes = list(case.notes.select_related("author").order_by("-id")[:NOTES_SHOWN])
    commands = InboxCommand.objects.in_bulk([note.inbox_id for note in notes if note.inbox_id is not None])
    context = {
        **admin.site.each_context(request),
        "title": f"Case {case.pk}",
        "case": case,
        "accounts": [owners[account_id] for account_id in case.account_ids if account_id in owners],
        "ties": ties,
        "alerts": list(case.alerts.select_related("market").order_by("-id")[:ALERTS_SHOWN]),
        "notes": [(note, commands.get(note.inbox_id or 0)) for note in notes],
        "may_change": audit.operator_of(request).has_perm("risk.change_case"),
        "forms": {name: bound.get(name) or _form(name, case) for name in ("note", "assign", "state", "measure")},
    }
    return render(request, "admin/watch/case.html", context, status=status)


# ---------------------------------------------------------------------------------------------- an alert


@require_safe
def alert_page(request: HttpRequest, alert_id: int) -> HttpResponse:
    """An alert: its numbers beside the thresholds, and the book as it was, to be stepped through."""
    _require(request, "risk.view_alert")
    alert = get_object_or_404(Alert.objects.select_related("market", "case"), pk=alert_id)
    context = {
        **admin.site.each_context(request),
        "title": f"Alert {alert.pk}",
        "alert": alert,
        "figures": _readable(alert.figures),
        "thresholds": _readable(alert.thresholds),
    }
    return render(request, "admin/watch/alert.html", context)


def _readable(numbers: dict[str, float]) -> list[tuple[str, str]]:
    """Names in words, numbers with as many digits as one looks at."""
    return [(name.replace("_", " "), f"{value:,.6g}") for name, value in sorted(numbers.items())]


@require_safe
def alert_evidence(request: HttpRequest, alert_id: int) -> HttpResponse:
    """The replayed book as JSON; the first time this takes as long as the replay."""
    _require(request, "risk.view_alert")
    alert = get_object_or_404(Alert, pk=alert_id)
    body = evidence.encoded(evidence.evidence_of(alert=alert))
    return HttpResponse(body, content_type="application/json")


# ---------------------------------------------------------------------------------------------- the detectors


@require_http_methods(["GET", "HEAD", "POST"])
def detectors_page(request: HttpRequest) -> HttpResponse:
    """The thresholds and windows of all detectors, to be read and, by those who may, to be set."""
    _require(request, "risk.view_detectorsetting")
    rows = DetectorSetting.objects.all()
    stored = {(row.detector, row.parameter): row.value for row in rows}
    initial = {f"{detector}.{parameter}": value for (detector, parameter), value in stored.items()}
    if request.method == "POST":
        _require(request, "risk.change_detectorsetting")
        form = DetectorsForm(request.POST, initial=initial)
        if form.is_valid():
            _set(request, form, stored)
            messages.success(request, "Set. Surveillance begins anew with these values, within seconds.")
            return redirect("admin:risk_detectorsetting_changelist")
    else:
        form = DetectorsForm(initial=initial)
    context = {
        **admin.site.each_context(request),
        "title": "Detectors",
        "form": form,
        "detectors": [
            (name.replace("_", " "), [(form[f"{name}.{one.name}"], one) for one in kind.PARAMETERS])
            for name, kind in DETECTORS.items()
        ],
        "may_change": audit.operator_of(request).has_perm("risk.change_detectorsetting"),
    }
    return render(request, "admin/watch/detectors.html", context, status=400 if form.errors else 200)


def _set(request: HttpRequest, form: DetectorsForm, stored: dict[tuple[str, str], float]) -> None:
    """Make the table what the form says, and write down what changed."""
    values = form.values()
    changed = {key for key in {*values, *stored} if values.get(key) != stored.get(key)}
    with transaction.atomic():
        for detector, parameter in sorted(changed):
            if (detector, parameter) in values:
                DetectorSetting.objects.update_or_create(
                    detector=detector, parameter=parameter, defaults={"value": values[detector, parameter]}
                )
            else:
                DetectorSetting.objects.filter(detector=detector, parameter=parameter).delete()
        if changed:
            audit.record(
                request=request,
                action="detectors",
                subject="detectors",
                before={".".join(key): stored.get(key) for key in sorted(changed)},
                after={".".join(key): values.get(key) for key in sorted(changed)},
                reason=form.cleaned_data["reason"],
            )
