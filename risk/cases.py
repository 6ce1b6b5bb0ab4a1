"""Alerts and cases in the database: alerts of one group and conduct gather in one case, and a case has a history.

Everything done to a case leaves a line that nobody can change. Closing needs an outcome in words.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from marketdata.shapes import microseconds_of, moment_of
from risk.models import Alert, Case, CaseNote
from risk.surveillance import cases as rule
from risk.surveillance.messages import Alert as Finding
from risk.surveillance.messages import Relations

SEVERITIES = ("low", "medium", "high")


class CaseError(Exception):
    """What was asked of a case cannot be done. `code`: unknown_state, outcome_required, closed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def store_findings(*, findings: Sequence[Finding], relations: Relations) -> list[Case]:
    """Write findings down, each in the open case that it belongs to or in a new one; the cases that are new.

    For the transaction that moves the cursor of whoever found them. What was said before is not said again: a detector
    that was made anew, and has recalled less than the one before knew, may find it once more.
    """
    opened = []
    for finding in findings:
        if _was_said(finding):
            continue
        case = _case_for(finding, relations)
        if case is None:
            case = _open(finding)
            opened.append(case)
        _add(case, finding)
    return opened


def _was_said(finding: Finding) -> bool:
    """Whether the same accounts were reported for what they did up to there or later."""
    said = Alert.objects.filter(
        _market(finding),
        detector=finding.detector,
        account_ids=list(finding.account_ids),
        last_sequence__gte=finding.last_sequence,
    )
    return said.exists()


def _case_for(finding: Finding, relations: Relations) -> Case | None:
    """The open case that a finding belongs to, if there is one (the pure rule decides)."""
    since = moment_of(finding.first_at) - timedelta(microseconds=rule.QUIET_MICROSECONDS)
    near = Case.objects.select_for_update().filter(_market(finding), closed_at=None, last_at__gte=since)
    rows = {case.pk: case for case in near}
    found = rule.Cases(relations, map(_summary, rows.values())).find(finding)
    return None if found is None else rows[found.id]


def _market(finding: Finding) -> Q:
    """Rows about the same market, or about none."""
    return Q(market=None) if finding.market_id is None else Q(market_id=finding.market_id)


def _summary(case: Case) -> rule.Case:
    """A stored case as the rule sees it."""
    return rule.Case(
        id=case.pk,
        family=rule.family_of(case.detector),
        market_id=case.market_id,
        account_ids=frozenset(case.account_ids),
        first_at=microseconds_of(case.first_at),
        last_at=microseconds_of(case.last_at),
        first_sequence=0,
        last_sequence=0,
        detectors=frozenset({case.detector}),
        alerts=case.alerts_count,
    )


def _open(finding: Finding) -> Case:
    return Case.objects.create(
        detector=finding.detector,
        severity=finding.severity,
        account_ids=list(finding.account_ids),
        market_id=finding.market_id,
        first_at=moment_of(finding.first_at),
        last_at=moment_of(finding.last_at),
        opened_at=timezone.now(),
    )


def _add(case: Case, finding: Finding) -> None:
    """Add an alert to its case, which takes its accounts, its time and the higher severity."""
    alert = Alert.objects.create(
        case=case,
        detector=finding.detector,
        severity=finding.severity,
        account_ids=list(finding.account_ids),
        market_id=finding.market_id,
        first_sequence=finding.first_sequence,
        last_sequence=finding.last_sequence,
        first_at=moment_of(finding.first_at),
        last_at=moment_of(finding.last_at),
        figures=finding.figures,
        thresholds=finding.thresholds,
        text=finding.text,
        raised_at=timezone.now(),
    )
    case.alerts_count += 1
    case.account_ids = sorted({*case.account_ids, *finding.account_ids})
    case.severity = max(case.severity, finding.severity, key=SEVERITIES.index)
    case.first_at = min(case.first_at, alert.first_at)
    case.last_at = max(case.last_at, alert.last_at)
    case.save()
    CaseNote.objects.create(case=case, kind="alert", text=f"Alert {alert.pk}, {finding.detector}: {finding.text}")


# ---------------------------------------------------------------------------------------------- what operators do


def write_note(*, case_id: int, author_id: int, text: str, kind: str = "note", inbox_id: int | None = None) -> CaseNote:
    """Add a line to a case's history."""
    return CaseNote.objects.create(case_id=case_id, author_id=author_id, kind=kind, text=text, inbox_id=inbox_id)


def assign(*, case_id: int, author_id: int, assignee_id: int | None) -> Case:
    """Give a case to somebody, or to nobody; a new one is then investigated."""
    with transaction.atomic():
        case = Case.objects.select_for_update().get(pk=case_id)
        case.assignee_id = assignee_id
        if case.state == "new" and assignee_id is not None:
            case.state = "investigating"
        case.save(update_fields=["assignee", "state"])
        name = case.assignee.get_username() if case.assignee is not None else "nobody"
        write_note(case_id=case_id, author_id=author_id, kind="assigned", text=f"Assigned to {name}.")
    return case


def change_state(*, case_id: int, author_id: int, state: str, outcome: str = "") -> Case:
    """Bring a case into another state; closing it needs an outcome, and a closed one may be reopened.

    Raises CaseError.
    """
    names = dict(Case.STATES)
    if state not in names:
        raise CaseError("unknown_state", f"There is no state {state!r}.")
    if state in Case.CLOSED and not outcome.strip():
        raise CaseError("outcome_required", "Say why the case is closed.")
    with transaction.atomic():
        case = Case.objects.select_for_update().get(pk=case_id)
        before = names[case.state]
        case.state = state
        case.closed_at = timezone.now() if state in Case.CLOSED else None
        case.outcome = outcome.strip() if state in Case.CLOSED else ""
        case.save(update_fields=["state", "closed_at", "outcome"])
        text = f"{before} \u2192 {names[state]}." + (f" {outcome.strip()}" if outcome.strip() else "")
        write_note(case_id=case_id, author_id=author_id, kind="state", text=text)
    return case


def workers() -> QuerySet[Any]:
    """Operators who may work on cases."""
    by_role, by_name = Q(groups__permissions__codename="change_case"), Q(user_permissions__codename="change_case")
    may = Q(is_superuser=True) | by_role | by_name
    return get_user_model().objects.filter(may, is_active=True, is_staff=True).distinct().order_by("username")
