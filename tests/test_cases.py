"""Alerts in the database: one case for one group and conduct, whose history nobody can change."""

import pytest
from django.contrib.auth.models import Permission
from django.db import IntegrityError, transaction

from risk import cases
from risk.models import Alert, Case, CaseNote, DetectorSetting
from risk.surveillance.messages import Alert as Finding
from risk.surveillance.messages import Relation, Relations, Severity
from trading.models import User
from trading.watch.consumer import settings_of_detectors

MINUTE = 60_000_000
NOON = 1_780_000_000_000_000


pytestmark = pytest.mark.django_db


def finding(
    *accounts: int,
    detector: str = "spoofing",
    severity: Severity = "medium",
    at: int = NOON,
    market_id: int | None = 1,
) -> Finding:
    """An alert's content about `accounts`, a minute long from `at` on."""
    return Finding(
        detector=detector,
        severity=severity,
        account_ids=tuple(sorted(accounts)),
        market_id=market_id,
        first_sequence=at,
        last_sequence=at + 1,
        first_at=at,
        last_at=at + MINUTE,
        figures={"ratio": 3.5},
        thresholds={"ratio": 3.0},
        text="It looks like it.",
    )


def store(*findings: Finding, ties: tuple[Relation, ...] = ()) -> list[Case]:
    with transaction.atomic():
        return cases.store_findings(findings=findings, relations=Relations(ties))


def operator(username: str = "olga") -> User:
    user = User.objects.create(username=username, is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="change_case"))
    return user


def test_alerts_of_one_group_and_kind_gather_in_one_case() -> None:
    (case,) = store(finding(3, 4))
    assert store(finding(4, 5, at=NOON + 5 * MINUTE, severity="high")) == []
    case.refresh_from_db()
    assert (case.account_ids, case.severity, case.alerts_count) == ([3, 4, 5], "high", 2)
    assert [note.kind for note in case.notes.order_by("id")] == ["alert", "alert"]


@pytest.mark.parametrize(
    "other",
    [
        finding(7, at=NOON + MINUTE),
        finding(3, at=NOON + MINUTE, detector="front_running"),
        finding(3, at=NOON + MINUTE, market_id=2),
        finding(3, at=NOON + 60 * MINUTE),
    ],
    ids=["others", "another conduct", "another market", "much later"],
)
def test_what_is_about_something_else_is_a_case_of_its_own(other: Finding) -> None:
    store(finding(3, 4))
    assert len(store(other)) == 1


@pytest.mark.parametrize("again", [finding(3, 4), finding(3, 4, at=NOON - MINUTE)], ids=["the same", "only a part"])
def test_what_was_said_is_not_said_again(again: Finding) -> None:
    """Also when the case that it led to was closed as harmless: nothing has happened since."""
    (case,) = store(finding(3, 4))
    cases.change_state(case_id=case.pk, author_id=operator().pk, state="false_positive", outcome="It is nothing.")
    assert store(again) == []
    assert [alert.pk for alert in Alert.objects.all()] == [case.alerts.get().pk]
    assert len(store(finding(3, 4, at=NOON + MINUTE))) == 1


def test_an_account_tied_to_the_accused_belongs_to_their_case() -> None:
    store(finding(3))
    assert store(finding(9, at=NOON + MINUTE), ties=(Relation("device", 3, 9, "device d"),)) == []


def test_nothing_joins_a_closed_case() -> None:
    (case,) = store(finding(3))
    cases.change_state(case_id=case.pk, author_id=operator().pk, state="false_positive", outcome="A maker.")
    assert len(store(finding(3, at=NOON + MINUTE))) == 1


def test_closing_needs_words_and_leaves_a_line_and_a_case_can_be_reopened() -> None:
    (case,) = store(finding(3))
    author = operator()
    with pytest.raises(cases.CaseError, match="why"):
        cases.change_state(case_id=case.pk, author_id=author.pk, state="no_action", outcome=" ")
    cases.change_state(case_id=case.pk, author_id=author.pk, state="no_action", outcome="It was nothing.")
    cases.change_state(case_id=case.pk, author_id=author.pk, state="investigating")
    case.refresh_from_db()
    assert (case.state, case.closed_at, case.outcome) == ("investigating", None, "")
    lines = [note.text for note in case.notes.filter(kind="state").order_by("id")]
    assert lines == ["New \u2192 Closed: no action. It was nothing.", "Closed: no action \u2192 Investigating."]


def test_a_case_that_is_assigned_is_looked_into() -> None:
    (case,) = store(finding(3))
    author = operator()
    assert cases.assign(case_id=case.pk, author_id=author.pk, assignee_id=author.pk).state == "investigating"
    assert case.notes.get(kind="assigned").text == "Assigned to olga."


def test_the_database_refuses_to_forget() -> None:
    store(finding(3))
    for change in (
        lambda: CaseNote.objects.update(text="Nothing happened."),
        lambda: CaseNote.objects.all().delete(),
        lambda: Alert.objects.all().delete(),
        lambda: Case.objects.update(state="no_action"),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()


def test_operators_values_replace_the_defaults() -> None:
    DetectorSetting.objects.create(detector="wash_trading", parameter="meetings", value=10_000)
    assert settings_of_detectors() == {"wash_trading": {"meetings": 10_000}}
