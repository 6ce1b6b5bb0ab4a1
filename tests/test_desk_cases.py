"""Cases at the desk: who sees them, what can be done, and that what is done to an account names its case."""

import json
from collections.abc import Iterator

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from matching import inbox
from matching.models import InboxCommand, JournalEntry
from notifications.models import Notification
from risk import cases
from risk.models import Account, Alert, Case, DetectorSetting, Limit
from risk.surveillance.messages import Alert as Finding
from risk.surveillance.messages import Relations
from risk.surveillance.surveillance import DETECTORS
from tests.api import Scene, make_scene
from tests.builders import running_exchange
from tests.operators import operator
from trading.models import AuditEntry, User

ROLES = ("nobody", "support", "treasury", "risk", "admin")


@pytest.fixture(scope="module")
def scene(fresh_database: str) -> Iterator[Scene]:
    with running_exchange() as exchange:
        yield make_scene(exchange)


@pytest.fixture
def risk(scene: Scene) -> Client:
    return operator("rita", "risk")


@pytest.fixture
def case(scene: Scene) -> Case:
    """A case of its own about alice and bob; its alert is about the end of the journal."""
    number, last = Case.objects.count(), JournalEntry.objects.latest("sequence").sequence
    at = 1_780_000_000_000_000 + number * 3_600_000_000
    finding = Finding(
        detector="wash_trading",
        severity="high",
        account_ids=(scene.alice, scene.bob),
        market_id=scene.market,
        first_sequence=last,
        last_sequence=last + number,
        first_at=at,
        last_at=at + 1_000_000,
        figures={"meetings": 14.0},
        thresholds={"meetings": 8.0},
        text="They trade with each other.",
    )
    with transaction.atomic():
        (opened,) = cases.store_findings(findings=[finding], relations=Relations())
    return opened


def act(client: Client, case: Case, name: str, **fields: object) -> int:
    """Send one of the case's forms; the answer's status."""
    return client.post(reverse(f"admin:risk_case_{name}", args=[case.pk]), fields).status_code


def measure(client: Client, case: Case, measure: str, account_id: int, reason: str = "too much of it") -> str:
    """Take a measure; the journaled command's payload, once it is done."""
    assert act(client, case, "measure", measure=measure, account_id=account_id, reason=reason) == 302
    inbox_id = case.notes.filter(kind=measure).latest("id").inbox_id
    assert inbox_id is not None
    done = inbox.wait_for(inbox_id=inbox_id)
    return JournalEntry.objects.get(sequence=done.sequence).payload


def test_a_case_shows_its_accounts_alerts_and_history(risk: Client, case: Case) -> None:
    page = risk.get(reverse("admin:risk_case_change", args=[case.pk])).content.decode()
    assert "wash trading on" in page
    assert "They trade with each other." in page
    assert "alice" in page
    assert "bob" in page
    listed = risk.get(reverse("admin:risk_case_changelist"), {"q": str(case.account_ids[0])}).content.decode()
    assert reverse("admin:risk_case_change", args=[case.pk]) in listed


@pytest.mark.parametrize("role", ROLES)
def test_who_is_suspected_is_for_those_who_look_into_it(scene: Scene, case: Case, role: str) -> None:
    client = operator(f"one-{role}", *([] if role == "nobody" else [role]))
    alert = case.alerts.get()
    expected = 200 if role in ("risk", "admin") else 403
    for name, arguments in (
        ("risk_case_changelist", []),
        ("risk_case_change", [case.pk]),
        ("risk_alert_changelist", []),
        ("risk_alert_change", [alert.pk]),
        ("risk_alert_evidence", [alert.pk]),
        ("risk_detectorsetting_changelist", []),
    ):
        assert client.get(reverse(f"admin:{name}", args=arguments)).status_code == expected, name
    for name in ("note", "assign", "state", "measure"):
        assert act(client, case, name) == (
            400 if expected == 200 and name != "assign" else 302 if expected == 200 else 403
        )
        assert client.get(reverse(f"admin:risk_case_{name}", args=[case.pk])).status_code in (403, 405)


def test_a_case_is_assigned_noted_closed_and_reopened(risk: Client, case: Case) -> None:
    rita = User.objects.get(username="rita")
    assert act(risk, case, "assign", assignee=rita.pk) == 302
    assert act(risk, case, "note", text="Asked the owner.") == 302
    assert act(risk, case, "state", state="false_positive") == 400  # why?
    assert act(risk, case, "state", state="false_positive", outcome="A market maker.") == 302
    case.refresh_from_db()
    assert (case.state, case.assignee_id, case.outcome) == ("false_positive", rita.pk, "A market maker.")
    assert act(risk, case, "state", state="investigating") == 302
    case.refresh_from_db()
    assert (case.state, case.closed_at) == ("investigating", None)
    kinds = list(case.notes.order_by("id").values_list("kind", flat=True))
    assert kinds == ["alert", "assigned", "note", "state", "state"]
    logged = AuditEntry.objects.filter(subject=f"case {case.pk}").order_by("id").values_list("action", flat=True)
    assert list(logged) == ["case: assign", "case: note", "case: state", "case: state"]


def test_measures_are_journaled_with_the_case_as_their_reason(scene: Scene, risk: Client, case: Case) -> None:
    payload = json.loads(measure(risk, case, "throttle", scene.alice))
    assert payload["note"] == f"Case {case.pk}: too much of it"
    limits = json.loads(Limit.objects.get(account_id=scene.alice).limits)
    assert (limits["orders_per_second"], limits["max_open_orders"]) == (1, 10)
    measure(risk, case, "release", scene.alice)
    assert not Limit.objects.filter(account_id=scene.alice).exists()

    payload = json.loads(measure(risk, case, "freeze", scene.bob))
    assert (payload["kind"], payload["cancel_orders"]) == ("freeze_account", True)
    assert Account.objects.get(pk=scene.bob).freeze_note == f"Case {case.pk}: too much of it"
    measure(risk, case, "unfreeze", scene.bob)
    assert not Account.objects.get(pk=scene.bob).frozen
    case.refresh_from_db()
    assert case.state == "escalated"


def test_a_warning_is_told_to_the_owner_and_files_nothing(scene: Scene, risk: Client, case: Case) -> None:
    filed = InboxCommand.objects.count()
    assert act(risk, case, "measure", measure="warn", account_id=scene.alice, reason="Stop that.") == 302
    told = Notification.objects.get(user__username="alice", kind="conduct_warning")
    assert told.figures == {"reason": "Stop that."}
    assert InboxCommand.objects.count() == filed


def test_measures_are_for_the_accounts_of_the_case_only(scene: Scene, risk: Client, case: Case) -> None:
    assert act(risk, case, "measure", measure="freeze", account_id=1, reason="why not") == 400
    assert act(risk, case, "measure", measure="hang", account_id=scene.alice, reason="why not") == 400


def test_the_evidence_is_served_and_kept(risk: Client, case: Case) -> None:
    alert = case.alerts.get()
    first = risk.get(reverse("admin:risk_alert_evidence", args=[alert.pk]))
    assert first["Content-Type"] == "application/json"
    frames = first.json()["frames"]
    assert frames[0]["sequence"] == alert.first_sequence - 1
    assert Alert.objects.get(pk=alert.pk).evidence is not None
    assert risk.get(reverse("admin:risk_alert_evidence", args=[alert.pk])).content == first.content


def test_detectors_are_set_within_their_bounds_and_set_back(risk: Client) -> None:
    path = reverse("admin:risk_detectorsetting_changelist")
    parameter = DETECTORS["wash_trading"].PARAMETERS[0]
    field = f"wash_trading.{parameter.name}"
    assert risk.post(path, {field: parameter.maximum + 1, "reason": "try"}).status_code == 400
    assert risk.post(path, {field: parameter.minimum}).status_code == 400  # why?
    assert not DetectorSetting.objects.exists()
    assert risk.post(path, {field: parameter.minimum, "reason": "try"}).status_code == 302
    assert [(row.detector, row.parameter, row.value) for row in DetectorSetting.objects.all()] == [
        ("wash_trading", parameter.name, parameter.minimum)
    ]
    assert risk.post(path, {"reason": "back"}).status_code == 302
    assert not DetectorSetting.objects.exists()
    entry = AuditEntry.objects.filter(action="detectors").latest("id")
    assert (entry.before, entry.after) == ({field: parameter.minimum}, {field: None})
