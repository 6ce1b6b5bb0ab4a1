"""The operators' admin: everything to look at, nothing to edit, and withdrawals to decide."""

import re
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from matching import inbox
from matching.engine.messages import FreezeAccount, UnfreezeAccount
from matching.models import InboxCommand, JournalEntry
from orders.models import Order
from risk.models import Account, Withdrawal
from tests.api import Scene, SignedClient, make_scene
from tests.builders import running_exchange
from trading.models import ApiKey, User

NEVER_EDITED = [
    "orders.order", "marketdata.trade", "marketdata.market", "marketdata.asset", "risk.account", "risk.entry",
    "risk.deposit", "risk.withdrawal", "risk.limit", "fees.feetier", "fees.feeoverride", "matching.journalentry",
    "matching.inboxcommand", "matching.enginestate", "matching.proverun", "trading.apikey", "trading.auditentry",
    "trading.operatorrequest",
]  # fmt: skip
"""Money, rules and records: commands change them, or nobody."""


@pytest.fixture(scope="module")
def scene(fresh_database: str) -> Iterator[Scene]:
    with running_exchange() as exchange:
        yield make_scene(exchange)


@pytest.fixture
def operator(scene: Scene) -> Client:
    user, _ = User.objects.get_or_create(username="operator", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(user)
    return client


def words(page: bytes) -> str:
    """A page's text without its tags."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.decode()).split())


def ask_for(scene: Scene, amount: str) -> Withdrawal:
    asked = SignedClient(scene.alice).post("/withdrawals", {"asset": "BTC", "amount": amount, "destination": "there"})
    return Withdrawal.objects.get(id=asked.body["id"])


def decide(client: Client, action: str, *withdrawals: Withdrawal) -> str:
    """What the page says after the action."""
    answer = client.post(
        reverse("admin:risk_withdrawal_changelist"),
        {"action": action, "reason": "checked", "_selected_action": [each.pk for each in withdrawals]},
        follow=True,
    )
    assert answer.status_code == 200
    return words(answer.content)


def test_secrets_and_credentials_have_no_page():
    shown = {model._meta.label for model in admin.site._registry}
    assert not shown & {"trading.Session", "trading.Authenticator", "otp_totp.TOTPDevice", "otp_static.StaticDevice"}


def test_what_money_and_orders_are_in_has_a_page():
    """Django's admin does not take composite keys: balances are on the accounts' pages, candles behind the trades."""
    shown = {model._meta.label_lower for model in admin.site._registry}
    assert shown >= {*NEVER_EDITED, "trading.user", "auth.group"}


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.label_lower)
def test_every_page_opens(scene: Scene, operator: Client, model):
    ask_for(scene, "0.01")
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    assert operator.get(reverse(f"{name}_changelist")).status_code == 200
    assert operator.get(reverse(f"{name}_changelist"), {"q": "1"}).status_code == 200
    row = model._default_manager.first()
    if row is not None:
        assert operator.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200


@pytest.mark.parametrize("label", NEVER_EDITED)
def test_nothing_can_be_added_changed_or_deleted(scene: Scene, operator: Client, label: str):
    model = apps.get_model(label)
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    assert operator.get(reverse(f"{name}_add")).status_code == 403
    row = model._default_manager.first()
    if row is not None:
        assert operator.post(reverse(f"{name}_change", args=[row.pk]), {}).status_code == 403
        assert operator.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403


def test_only_staff_comes_in(scene: Scene):
    client = Client()
    client.force_login(User.objects.get(username="alice"))
    assert client.get(reverse("admin:risk_withdrawal_changelist")).status_code == 302


def test_an_approved_withdrawal_is_paid_and_logged(scene: Scene, operator: Client):
    withdrawal = ask_for(scene, "1")
    assert f"Withdrawal {withdrawal.id} is approved." in decide(operator, "approve", withdrawal)
    withdrawal.refresh_from_db()
    assert withdrawal.status == "paid"
    assert JournalEntry.objects.latest("sequence").kind == "approve_withdrawal"
    logged = LogEntry.objects.latest("id")
    assert (logged.object_id, logged.change_message) == (str(withdrawal.id), "approved")


def test_a_refused_withdrawal_goes_back(scene: Scene, operator: Client):
    first, second = ask_for(scene, "1"), ask_for(scene, "2")
    page = decide(operator, "refuse", first, second)
    assert f"Withdrawal {first.id} is refused." in page
    assert f"Withdrawal {second.id} is refused." in page
    assert set(Withdrawal.objects.filter(id__in=[first.id, second.id]).values_list("status", flat=True)) == {"refused"}


def test_what_the_exchange_refuses_is_told(scene: Scene, operator: Client):
    withdrawal = ask_for(scene, "1")
    scene.exchange.execute(FreezeAccount(scene.alice))
    assert f"Withdrawal {withdrawal.id} was not approved: The account is frozen" in decide(
        operator, "approve", withdrawal
    )
    scene.exchange.execute(UnfreezeAccount(scene.alice))
    decide(operator, "approve", withdrawal)
    assert f"Withdrawal {withdrawal.id} was not approved: The withdrawal is paid already." in decide(
        operator, "approve", withdrawal
    )


def test_deciding_takes_a_permission(scene: Scene):
    looker = User.objects.create_user("looker", password=None, is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_withdrawal"))
    client = Client()
    client.force_login(looker)
    withdrawal = ask_for(scene, "0.5")
    decide(client, "approve", withdrawal)
    withdrawal.refresh_from_db()
    assert withdrawal.status == "pending"


def test_a_revoked_key_signs_nothing(scene: Scene, operator: Client):
    client = SignedClient(scene.alice)
    key = ApiKey.objects.get(key=client.key)
    fields = {"action": "revoke", "reason": "leaked", "_selected_action": [key.pk]}
    operator.post(reverse("admin:trading_apikey_changelist"), fields)
    assert client.get("/balances").code == "key_revoked"


def test_a_keys_page_does_not_show_its_secret(scene: Scene, operator: Client):
    key = ApiKey.objects.get(key=SignedClient(scene.alice).key)
    page = operator.get(reverse("admin:trading_apikey_change", args=[key.pk])).content.decode()
    assert key.key in page
    assert "secret" not in page.lower()


def test_an_account_shows_its_funds(scene: Scene, operator: Client):
    page = operator.get(reverse("admin:risk_account_change", args=[scene.bob])).content
    assert "USDT: 9881.000000 available, 99.000000 held" in words(page)


def test_a_new_user_gets_an_account(scene: Scene, operator: Client):
    fields = {
        "username": "newcomer",
        "usable_password": "true",
        "password1": "Xy7-hard-one",
        "password2": "Xy7-hard-one",
    }
    assert operator.post(reverse("admin:trading_user_add"), fields).status_code == 302
    inbox.wait_for(inbox_id=InboxCommand.objects.latest("id").id)
    assert Account.objects.get(user__username="newcomer").name == "main"


def test_lists_are_not_counted_to_their_end(scene: Scene, operator: Client, django_assert_max_num_queries):
    with django_assert_max_num_queries(10) as statements:
        operator.get(reverse("admin:orders_order_changelist"), {"q": str(scene.alice)})
    counts = [query["sql"] for query in statements.captured_queries if "COUNT(" in query["sql"]]
    assert counts
    assert all("LIMIT 10000" in sql for sql in counts)
    assert not any("::text" in query["sql"] for query in statements.captured_queries)
    assert Order.objects.count() == 6
