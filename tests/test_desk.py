"""The desk's acts: forms file commands, two operators agree, and the audit log keeps all of it."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import msgspec
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, connections
from django.test import Client
from django.urls import reverse

from fees.models import FeeOverride, FeeTier
from marketdata.models import Asset, Market
from matching import inbox
from matching.engine.messages import FreezeAccount, Reason, UnfreezeAccount
from matching.models import InboxCommand, ProveRun
from orders.models import Order
from risk.models import Account, Balance, Limit, Withdrawal
from tests.api import Scene, SignedClient, make_scene
from tests.builders import running_exchange
from tests.operators import ask, decide, do, fill_in, operator, words
from trading import environment
from trading.desk import figures
from trading.models import ApiKey, AuditEntry, OperatorRequest, User


@pytest.fixture(scope="module")
def scene(fresh_database: str) -> Iterator[Scene]:
    with running_exchange() as exchange:
        yield make_scene(exchange)


@pytest.fixture
def risk(scene: Scene) -> Client:
    return operator("rita", "risk")


@pytest.fixture
def treasury(scene: Scene) -> Client:
    return operator("tom", "treasury")


@pytest.fixture
def second(scene: Scene) -> Client:
    return operator("tina", "treasury")


@pytest.fixture
def chief(scene: Scene) -> Client:
    return operator("chief", superuser=True)


def ask_for(scene: Scene, amount: str) -> Withdrawal:
    body = {"asset": "BTC", "amount": amount, "destination": "there"}
    return Withdrawal.objects.get(id=SignedClient(scene.alice).post("/withdrawals", body).body["id"])


def available(account_id: int, asset_id: int) -> Decimal:
    return Balance.objects.get(account_id=account_id, asset_id=asset_id).available


def applied(request: OperatorRequest) -> inbox.Done:
    """Wait for the command of an approved request."""
    assert request.inbox_id is not None
    return inbox.wait_for(inbox_id=request.inbox_id)


MARKET = {
    "tick_size": "0.01", "lot_size": "0.0001", "min_quantity": "0.0001", "max_quantity": "1000", "min_notional": "0",
    "max_notional": "1000000", "reference_price": "", "price_band": "20", "breaker_move": "10",
    "breaker_window": "300", "breaker_pause": "60",
}  # fmt: skip

# ---------------------------------------------------------------------------------------------- one operator


def test_assets_and_markets_are_created(chief: Client):
    do(chief, "create-asset", symbol="EUR", name="Euro", scale=6)
    do(chief, "create-market", base="BTC", quote="EUR", **MARKET)
    made = Market.objects.get(symbol="BTC-EUR")
    assert (made.tick_size, made.price_band, made.breaker_pause, made.state) == (Decimal("0.01"), 200_000, 60, "open")
    assert Asset.objects.get(symbol="EUR").scale == 6


@pytest.mark.parametrize(
    ("field", "text", "complaint"),
    [
        ("tick_size", "0", "It must be more than 0."),
        ("tick_size", "zero", "zero"),
        ("tick_size", "0.000001", "Tick size times lot size must be a whole number"),
        ("min_quantity", "0.00015", "It must be a multiple of the lot size."),
        ("max_quantity", "0.00001", "More than 0, at most the most quantity."),
        ("min_notional", "2000000", "From 0 to the most notional."),
        ("price_band", "101", "From 0 to 100 percent."),
        ("breaker_window", "0", "greater than or equal to 1"),
        ("quote", "USDT", "A market needs two different assets."),
        ("reason", "", "This field is required."),
    ],
)
def test_a_markets_parameters_are_checked_before_anything_is_filed(chief: Client, field: str, text: str, complaint):
    filed = InboxCommand.objects.count()
    answer = fill_in(chief, "create-market", **({"base": "USDT", "quote": "BTC"} | MARKET | {field: text}))
    assert answer.status_code == 400
    assert complaint in words(answer.content)
    assert InboxCommand.objects.count() == filed


def test_a_market_is_halted_and_opened_and_its_page_says_what_became_of_it(scene: Scene, risk: Client):
    done = do(risk, "market-state", scene.market, state="halted", note="maintenance")
    assert Market.objects.get(id=scene.market).state == "halted"
    state = risk.get(reverse("admin:desk_command", args=[done.inbox_id])).json()
    assert state == {
        "state": "applied",
        "sequence": done.sequence,
        "text": f"Applied at sequence {done.sequence}.",
    }
    page = words(risk.get(reverse("admin:matching_inboxcommand_change", args=[done.inbox_id])).content)
    assert f"Applied at sequence {done.sequence}. Set market BTC-USDT to halted." in page
    do(risk, "market-state", scene.market, state="open")
    assert Market.objects.get(id=scene.market).state == "open"


def test_bands_and_breakers_change_and_the_other_parameters_stay(scene: Scene, risk: Client):
    page = risk.get(reverse("admin:desk_form", args=["market-parameters", scene.market]))
    fields = {key: "" if value is None else value for key, value in page.context["form"].initial.items()}
    before = Market.objects.get(id=scene.market)
    do(risk, "market-parameters", scene.market, **(fields | {"price_band": "12.5", "breaker_move": "3"}))
    after = Market.objects.get(id=scene.market)
    assert (after.price_band, after.breaker_move) == (125_000, 30_000)
    assert (after.tick_size, after.max_notional) == (before.tick_size, before.max_notional)
    entry = AuditEntry.objects.latest("id")
    assert entry.before is not None
    assert entry.after is not None
    assert entry.before["price_band"] == before.price_band
    assert entry.after["parameters"]["price_band"] == 125_000
    coarser = fill_in(risk, "market-parameters", scene.market, **(fields | {"tick_size": "0.03"}))
    assert "A step can only become a finer divisor" in words(coarser.content)


def test_the_whole_exchange_is_halted_and_resumed(scene: Scene, risk: Client):
    do(risk, "exchange-state", state="halted")
    assert figures._worker()["halted"] is True
    do(risk, "exchange-state", state="open")
    assert figures._worker()["halted"] is False


def test_a_frozen_account_loses_its_orders_and_goes_on_when_unfrozen(scene: Scene, risk: Client):
    placed = scene.exchange.place(scene.bob, scene.market, "buy", price=99 * 10**6, quantity=10**8).sequence
    do(risk, "freeze", scene.bob, cancel_orders="on", reason="looks like fraud")
    account = Account.objects.get(id=scene.bob)
    assert (account.frozen, account.freeze_note) == (True, "looks like fraud")
    assert Order.objects.get(id=placed).status == "canceled"
    do(risk, "freeze", scene.bob, reason="it was not")
    assert not Account.objects.get(id=scene.bob).frozen


def test_a_refused_command_says_why_on_its_page(scene: Scene, treasury: Client):
    withdrawal = ask_for(scene, "0.5")
    scene.exchange.execute(FreezeAccount(scene.alice))
    with pytest.raises(inbox.Refused):
        do(treasury, "approve-withdrawal", withdrawal.id)
    scene.exchange.execute(UnfreezeAccount(scene.alice))
    filed = InboxCommand.objects.order_by("-id")[1]
    state = treasury.get(reverse("admin:desk_command", args=[filed.id])).json()
    assert state["state"] == "refused"
    assert state["text"] == f"Refused at sequence {state['sequence']}: {Reason.ACCOUNT_FROZEN.text}"


# ---------------------------------------------------------------------------------------------- two operators


def test_a_correction_waits_for_another_operator(scene: Scene, treasury: Client, second: Client):
    before = available(scene.alice, scene.btc)
    request = ask(treasury, "correct", scene.alice, asset="BTC", amount="0.25", reason="a deposit was missed")
    assert available(scene.alice, scene.btc) == before
    own = words(decide(treasury, request, "approve").content)
    assert "Another operator has to approve what you have asked for." in own
    assert request.status == "waiting"
    decide(second, request, "approve")
    done = applied(request)
    assert available(scene.alice, scene.btc) == before + Decimal("0.25")
    state = second.get(reverse("admin:desk_command", args=[request.inbox_id])).json()
    assert state["text"] == f"Applied at sequence {done.sequence}."
    steps = AuditEntry.objects.filter(request=request).order_by("id")
    assert [(step.operator.username, step.action) for step in steps] == [
        ("tom", "correction: asked"),
        ("tina", "correction: approved"),
    ]
    assert steps[0].reason == "a deposit was missed"
    assert (steps[1].before or {})["available"] == f"{before:.8f}"


def test_a_decision_needs_a_reason(scene: Scene, treasury: Client, second: Client):
    request = ask(treasury, "correct", scene.alice, asset="BTC", amount="0.1")
    assert "say why" in words(decide(second, request, "approve", note=" ").content)
    assert request.status == "waiting"


def test_not_even_a_superuser_approves_his_own_request(scene: Scene, chief: Client):
    request = ask(chief, "correct", scene.alice, asset="BTC", amount="-0.1")
    decide(chief, request, "approve")
    assert (request.status, request.inbox_id) == ("waiting", None)
    decide(chief, request, "refuse", "never mind")
    assert request.status == "withdrawn"


def test_the_database_itself_keeps_one_operator_from_approving(scene: Scene, treasury: Client):
    request = ask(treasury, "correct", scene.alice, asset="BTC", amount="0.1")
    forged = OperatorRequest.objects.filter(pk=request.pk)
    with pytest.raises(DatabaseError):
        forged.update(status="approved", inbox_id=1, decided_by=request.asked_by)
    with pytest.raises(DatabaseError):
        forged.update(status="approved", inbox_id=1)


def test_a_refused_request_files_nothing_and_is_over(scene: Scene, treasury: Client, second: Client):
    filed = InboxCommand.objects.count()
    request = ask(treasury, "correct", scene.alice, asset="BTC", amount="5")
    decide(second, request, "refuse", "no such deposit")
    assert (request.status, request.note, request.inbox_id) == ("refused", "no such deposit", None)
    assert "was refused already" in words(decide(second, request, "approve").content)
    assert InboxCommand.objects.count() == filed


def test_of_many_approvals_at_once_one_counts(scene: Scene, treasury: Client):
    before = available(scene.alice, scene.btc)
    request = ask(treasury, "correct", scene.alice, asset="BTC", amount="0.125")
    clients = [operator(f"approver-{number}", "treasury") for number in range(4)]
    together = threading.Barrier(len(clients))

    def approve(client: Client) -> str:
        together.wait()
        try:
            answer = client.post(reverse("admin:desk_decide", args=[request.pk]), {"decision": "approve", "note": "me"})
            return answer.headers["Location"]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(approve, clients))
    request.refresh_from_db()
    assert request.status == "approved"
    assert answers.count(reverse("admin:matching_inboxcommand_change", args=[request.inbox_id])) == 1
    applied(request)
    assert available(scene.alice, scene.btc) == before + Decimal("0.125")
    assert AuditEntry.objects.filter(request=request, action="correction: approved").count() == 1


def test_a_large_withdrawal_takes_two_and_a_small_one_does_not(scene: Scene, treasury: Client, second: Client):
    small, large = ask_for(scene, "1"), ask_for(scene, "1.00000001")
    do(treasury, "approve-withdrawal", small.id)
    request = ask(treasury, "approve-withdrawal", large.id)
    again = fill_in(second, "approve-withdrawal", large.id)
    assert f"Withdrawal {large.id} waits for a second operator already." in words(again.content)
    large.refresh_from_db()
    assert large.status == "pending"
    decide(second, request, "approve")
    applied(request)
    for row in (small, large):
        row.refresh_from_db()
        assert row.status == "paid"


def test_which_acts_take_two_is_a_setting(scene: Scene, treasury: Client, settings):
    settings.TWO_PERSON_RULE = ["fees"]
    before = available(scene.alice, scene.btc)
    do(treasury, "correct", scene.alice, asset="BTC", amount="0.01")
    assert available(scene.alice, scene.btc) == before + Decimal("0.01")
    ask(treasury, "fee-override", account=scene.alice, maker="0", taker="0.1")


def test_fee_rules_change_when_two_agree(scene: Scene, treasury: Client, second: Client):
    wrong = fill_in(treasury, "fee-tiers", valuation_asset="USDT", tiers="0 0.1 0.2\n1000 -0.3 0.1")
    assert "no maker's rebate" in words(wrong.content).replace("&#x27;", "'") or wrong.status_code == 400
    request = ask(treasury, "fee-tiers", valuation_asset="USDT", tiers="0 0.1 0.2\n1000 0.05 0.1")
    decide(second, request, "approve")
    applied(request)
    rows = FeeTier.objects.order_by("volume").values_list("volume", "maker_rate", "taker_rate")
    assert list(rows) == [(Decimal(0), 1_000, 2_000), (Decimal(1_000), 500, 1_000)]
    request = ask(treasury, "fee-override", market="BTC-USDT", maker="-0.01", taker="0.05")
    decide(second, request, "approve")
    applied(request)
    override = FeeOverride.objects.get(market=scene.market, account_id=None)
    assert (override.maker_rate, override.taker_rate) == (-100, 500)


def test_limits_change_when_two_agree(scene: Scene, risk: Client):
    request = ask(risk, "limits", scene.bob, max_open_orders=7, orders_per_second="", max_positions="BTC 10\nUSDT 5")
    decide(operator("robert", "risk"), request, "approve")
    applied(request)
    limits = msgspec.json.decode(Limit.objects.get(account=scene.bob).limits)
    assert limits == {
        "max_open_orders": 7,
        "orders_per_second": None,
        "max_positions": {str(scene.btc): 10 * 10**8, str(scene.usdt): 5 * 10**6},
    }


# ---------------------------------------------------------------------------------------------- the audit log


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trading_auditentry SET reason = 'another'",
        "DELETE FROM trading_auditentry",
        "TRUNCATE trading_auditentry",
    ],
)
def test_the_audit_log_is_append_only(scene: Scene, risk: Client, statement: str):
    assert AuditEntry.objects.exists()
    with pytest.raises(DatabaseError, match="append-only"), connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_changed_user_is_in_the_log_as_he_was_and_is(scene: Scene, chief: Client):
    user = User.objects.get(username="bob")
    page = chief.get(reverse("admin:trading_user_change", args=[user.pk]))
    fields = {key: value for key, value in page.context["adminform"].form.initial.items() if value not in (None, False)}
    fields |= {"email": "bob@example.org", "reason": "asked by phone", "groups": [], "user_permissions": []}
    missing = chief.post(reverse("admin:trading_user_change", args=[user.pk]), fields | {"reason": ""})
    assert "This field is required." in words(missing.content)
    assert chief.post(reverse("admin:trading_user_change", args=[user.pk]), fields).status_code == 302
    entry = AuditEntry.objects.latest("id")
    assert (entry.operator.username, entry.action, entry.subject) == ("chief", "user changed", "user bob")
    assert (entry.before, entry.after) == ({"email": ""}, {"email": "bob@example.org"})
    assert entry.reason == "asked by phone"


def test_a_revoked_key_is_in_the_log_and_needs_a_reason(scene: Scene, risk: Client):
    key = ApiKey.objects.get(key=SignedClient(scene.alice).key)
    fields = {"action": "revoke", "_selected_action": [key.pk]}
    forgotten = risk.post(reverse("admin:trading_apikey_changelist"), fields, follow=True)
    assert "say why" in words(forgotten.content)
    key.refresh_from_db()
    assert key.revoked_at is None
    risk.post(reverse("admin:trading_apikey_changelist"), fields | {"reason": "leaked"})
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.subject, entry.reason) == ("key revoked", f"API key {key.key}", "leaked")


def test_operators_logins_are_in_the_log_and_traders_are_not(scene: Scene):
    operator("lena", "support")
    assert AuditEntry.objects.latest("id").action == "signed in"
    count = AuditEntry.objects.count()
    Client().force_login(User.objects.get(username="alice"))
    assert AuditEntry.objects.count() == count


# ---------------------------------------------------------------------------------------------- dashboard and lists


def test_the_dashboard_knows_how_the_exchange_does(scene: Scene, treasury: Client):
    ProveRun.objects.create(proved=True, commands=12, seconds=0.1)
    waiting = OperatorRequest.objects.filter(status="waiting").count()
    found = treasury.get(reverse("admin:desk_figures")).json()
    assert found["worker"]["leads"]
    assert found["worker"]["standbys"] == 0
    assert 0 < found["commit"]["p50"] <= found["commit"]["p99"]
    assert found["open_orders"] == Order.objects.filter(status="open").count()
    assert found["orders_per_second"] > 0
    assert found["trades_per_second"] > 0
    assert found["waiting"]["requests"] == waiting
    assert found["proof"]["proved"]
    assert {"market": "BTC-USDT", "state": "open"}.items() <= found["markets"][0].items()
    assert found["days"]["asset"] == "USDT"
    assert found["days"]["volume"][-1] == pytest.approx(20.0)


def test_a_list_is_downloaded_as_it_is_filtered(scene: Scene, treasury: Client):
    path = reverse("admin:desk_export", args=["orders", "order"])
    lines = exported(treasury, path, {"q": str(scene.alice), "status": "open"})
    rows = Order.objects.filter(account_id=scene.alice, status="open").order_by("-id")
    assert lines[0].startswith("id,account_id,market_id,client_order_id,side")
    assert [int(line.split(",")[0]) for line in lines[1:]] == [row.id for row in rows]
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.subject) == ("export", "list of orders")


def test_a_download_has_no_secrets(scene: Scene, chief: Client):
    assert "password" not in exported(chief, reverse("admin:desk_export", args=["trading", "user"]))[0]
    keys = exported(chief, reverse("admin:desk_export", args=["trading", "apikey"]))[0]
    assert "secret" not in keys
    assert "public_key" not in keys


def exported(client: Client, path: str, query: dict[str, str] | None = None) -> list[str]:
    """The lines of a CSV file."""
    answer = client.get(path, query or {})
    assert answer.status_code == 200

    async def read() -> bytes:
        return b"".join([part async for part in answer])  # type: ignore[attr-defined]

    return asyncio.run(read()).decode().splitlines()


# ---------------------------------------------------------------------------------------------- settings


def test_the_amounts_that_one_may_approve_are_read_by_asset(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WITHDRAWAL_ONE_PERSON_MAX", "btc:0.5, USDT:1000")
    found = environment.amounts(name="WITHDRAWAL_ONE_PERSON_MAX")
    assert found == {"BTC": Decimal("0.5"), "USDT": Decimal(1000)}


@pytest.mark.parametrize("text", ["BTC", "BTC:", "BTC:-1", "BTC:1e3", "BTC:NaN", ":1", "BTC=1"])
def test_amounts_that_make_no_sense_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setenv("WITHDRAWAL_ONE_PERSON_MAX", text)
    with pytest.raises(ImproperlyConfigured, match="WITHDRAWAL_ONE_PERSON_MAX"):
        environment.amounts(name="WITHDRAWAL_ONE_PERSON_MAX")
