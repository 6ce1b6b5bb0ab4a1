"""Who may do what at the desk: every role against every page and method."""

from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from tests.api import Scene, SignedClient, make_scene
from tests.builders import running_exchange
from tests.operators import ask, operator
from trading.desk.acts import KINDS
from trading.desk.pages import FORMS
from trading.desk.roles import ROLES
from trading.models import AuditEntry, OperatorRequest, User

RISK_FORMS = {"exchange-state", "market-state", "market-parameters", "freeze", "limits", "default-limits"}
TREASURY_FORMS = {"correct", "approve-withdrawal", "refuse-withdrawal", "fee-tiers", "fee-override"}
MAY_OPEN = {
    "nobody": set(),
    "support": set(),
    "risk": RISK_FORMS,
    "treasury": TREASURY_FORMS,
    "admin": set(FORMS),
}
"""The forms that each role may open and send; nobody is staff without a role."""

LISTS = [
    "orders.order", "marketdata.trade", "marketdata.market", "marketdata.asset", "risk.account", "risk.entry",
    "risk.deposit", "risk.withdrawal", "risk.limit", "fees.feetier", "fees.feeoverride", "matching.journalentry",
    "matching.inboxcommand", "matching.proverun", "trading.user", "trading.apikey", "trading.auditentry",
    "trading.operatorrequest",
]  # fmt: skip
"""Every role with a name sees them."""


@pytest.fixture(scope="module")
def scene(fresh_database: str) -> Iterator[Scene]:
    with running_exchange() as exchange:
        yield make_scene(exchange)


@pytest.fixture(scope="module")
def withdrawal_id(scene: Scene) -> int:
    body = {"asset": "BTC", "amount": "0.5", "destination": "there"}
    return int(SignedClient(scene.alice).post("/withdrawals", body).body["id"])


@pytest.fixture(scope="module")
def clients(scene: Scene) -> dict[str, Client]:
    return {role: operator(f"one-{role}", *([role] if role != "nobody" else [])) for role in MAY_OPEN}


def status(client: Client, method: str, path: str) -> int:
    """The answer's status; a POST sends nothing, so that what is allowed comes back as a form to fill in."""
    return int(getattr(client, method)(path).status_code)


@pytest.mark.parametrize("role", MAY_OPEN)
@pytest.mark.parametrize("form", FORMS)
def test_forms_open_for_those_who_may_file(scene: Scene, withdrawal_id: int, clients: dict[str, Client], role, form):
    targets = {"market": scene.market, "account": scene.bob, "withdrawal": withdrawal_id}
    model = FORMS[form].model
    path = reverse("admin:desk_form", args=[form, *([targets[str(model._meta.model_name)]] if model else [])])
    allowed = form in MAY_OPEN[role]
    assert status(clients[role], "get", path) == (200 if allowed else 403)
    assert status(clients[role], "post", path) == (400 if allowed else 403)
    assert status(clients[role], "delete", path) == 405
    assert status(Client(), "get", path) == 302


@pytest.mark.parametrize("role", MAY_OPEN)
@pytest.mark.parametrize("label", LISTS)
def test_lists_and_downloads_open_for_every_role(clients: dict[str, Client], role: str, label: str):
    expected = 403 if role == "nobody" else 200
    app, model = label.split(".")
    assert status(clients[role], "get", reverse(f"admin:{app}_{model}_changelist")) == expected
    assert status(clients[role], "get", reverse("admin:desk_export", args=[app, model])) == expected
    assert status(clients[role], "post", reverse("admin:desk_export", args=[app, model])) in (403, 405)


@pytest.mark.parametrize("role", MAY_OPEN)
def test_only_admins_add_and_change_people(clients: dict[str, Client], role: str):
    bob = User.objects.get(username="bob").pk
    group = Group.objects.get(name="support").pk
    expected = 200 if role == "admin" else 403
    assert status(clients[role], "get", reverse("admin:trading_user_add")) == expected
    assert status(clients[role], "get", reverse("admin:auth_group_change", args=[group])) == expected
    assert status(clients[role], "post", reverse("admin:trading_user_change", args=[bob])) == expected
    assert status(clients[role], "post", reverse("admin:auth_user_password_change", args=[bob])) == expected
    assert status(clients[role], "post", reverse("admin:trading_user_delete", args=[bob])) == 403


def test_an_admin_makes_no_superusers(clients: dict[str, Client]):
    superuser = User.objects.create_user("root", is_staff=True, is_superuser=True)
    bob = User.objects.get(username="bob")
    fields = {"username": "bob", "is_active": "on", "is_superuser": "on", "user_permissions": ["1"], "reason": "try"}
    clients["admin"].post(reverse("admin:trading_user_change", args=[bob.pk]), fields)
    bob.refresh_from_db()
    assert not bob.is_superuser
    assert not bob.user_permissions.exists()
    path = reverse("admin:trading_user_change", args=[superuser.pk])
    assert status(clients["admin"], "post", path) == 403


@pytest.mark.parametrize("role", MAY_OPEN)
def test_a_request_is_decided_by_those_who_could_have_asked(scene: Scene, clients: dict[str, Client], role: str):
    request = ask(operator("asker", "treasury"), "correct", scene.bob, asset="BTC", amount="1")
    path = reverse("admin:desk_decide", args=[request.pk])
    assert status(clients[role], "get", path) == 405
    answer = clients[role].post(path, {"decision": "refuse", "note": "no"})
    request.refresh_from_db()
    if role in ("treasury", "admin"):
        assert (answer.status_code, request.status) == (302, "refused")
    else:
        assert (answer.status_code, request.status) == (403, "waiting")


@pytest.mark.parametrize("role", MAY_OPEN)
def test_keys_are_revoked_and_withdrawals_decided_by_those_who_may(
    scene: Scene, withdrawal_id: int, clients: dict[str, Client], role: str
):
    may = {"risk": {"revoke"}, "treasury": {"approve", "refuse"}, "admin": {"revoke", "approve", "refuse"}}.get(
        role, set()
    )
    offered = set()
    for name in ("trading_apikey", "risk_withdrawal"):
        answer = clients[role].get(reverse(f"admin:{name}_changelist"))
        if answer.status_code == 200 and answer.context["action_form"]:
            offered |= {value for value, _ in answer.context["action_form"].fields["action"].choices if value}
    assert offered == may


@pytest.mark.parametrize("role", [role for role in MAY_OPEN if role != "nobody"])
def test_the_audit_log_and_requests_cannot_be_edited(scene: Scene, clients: dict[str, Client], role: str):
    for model in (AuditEntry, OperatorRequest):
        name = f"admin:trading_{model._meta.model_name}"
        row = model._default_manager.latest("id")
        assert status(clients[role], "get", reverse(f"{name}_change", args=[row.pk])) == 200
        assert status(clients[role], "post", reverse(f"{name}_change", args=[row.pk])) == 403
        assert status(clients[role], "post", reverse(f"{name}_delete", args=[row.pk])) == 403
        assert status(clients[role], "get", reverse(f"{name}_add")) == 403


@pytest.mark.parametrize("role", MAY_OPEN)
def test_every_operator_sees_the_dashboard(clients: dict[str, Client], role: str):
    assert status(clients[role], "get", reverse("admin:index")) == 200
    assert status(clients[role], "get", reverse("admin:desk_figures")) == 200


def test_the_sidebar_shows_what_a_role_may_see(clients: dict[str, Client]):
    seen = {role: clients[role].get(reverse("admin:index")).content.decode() for role in MAY_OPEN}
    assert reverse("admin:auth_group_changelist") in seen["admin"]
    assert reverse("admin:auth_group_changelist") not in seen["support"]
    assert reverse("admin:orders_order_changelist") in seen["support"]
    assert reverse("admin:orders_order_changelist") not in seen["nobody"]


def test_every_permission_that_a_role_or_an_act_names_exists(scene: Scene):
    known = {f"{app}.{name}" for app, name in Permission.objects.values_list("content_type__app_label", "codename")}
    assert {kind.permission for kind in KINDS.values()} <= known
    assert set().union(*ROLES.values()) <= known


def test_a_role_that_was_tampered_with_is_put_right_by_migrating(scene: Scene):
    support = Group.objects.get(name="support")
    before = set(support.permissions.values_list("codename", flat=True))
    support.permissions.add(Permission.objects.get(codename="change_market"))
    call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
    assert set(support.permissions.values_list("codename", flat=True)) == before
    assert all(codename.startswith("view_") for codename in before)
    assert "view_session" not in before


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label_lower)
def test_nobody_without_a_role_sees_a_list(clients: dict[str, Client], model):
    path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    assert status(clients["nobody"], "get", path) == 403
