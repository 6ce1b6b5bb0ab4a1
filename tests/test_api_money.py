"""Balances, statement, deposits, withdrawals, fees and accounts over REST."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.utils import timezone

from fees import queries as fee_queries
from matching.engine.messages import (
    ApproveWithdrawal,
    FeeTier,
    FreezeAccount,
    RefuseWithdrawal,
    SetFeeOverride,
    SetFeeTiers,
    UnfreezeAccount,
)
from risk import queries
from tests.api import ApiClient, BrowserClient, Scene, SignedClient, make_scene
from tests.builders import running_exchange
from trading.api.money import ACCOUNTS_PER_USER_MAX


@pytest.fixture(scope="module")
def scene(fresh_database: str) -> Iterator[Scene]:
    with running_exchange() as exchange:
        yield make_scene(exchange)


@pytest.fixture(scope="module")
def alice(scene: Scene) -> SignedClient:
    return SignedClient(scene.alice)


@pytest.fixture
def saver(scene: Scene, request: pytest.FixtureRequest) -> SignedClient:
    """A new account with 5 BTC."""
    return SignedClient(scene.exchange.open_account(request.node.name[:60], {scene.btc: 5 * 10**8}))


def balance(client: ApiClient, asset: str) -> tuple[str, str]:
    """(available, held) of an asset."""
    (row,) = [row for row in client.get("/balances").body if row["asset"] == asset]
    assert Decimal(row["balance"]) == Decimal(row["available"]) + Decimal(row["held"])
    return row["available"], row["held"]


def test_balances_in_every_asset(scene: Scene):
    assert SignedClient(scene.bob).get("/balances").body == [
        {"asset": "BTC", "available": "0.19970000", "held": "0.00000000", "balance": "0.19970000"},
        {"asset": "USDT", "available": "9881.000000", "held": "99.000000", "balance": "9980.000000"},
    ]


def test_the_statement_explains_the_balance(scene: Scene):
    bob = SignedClient(scene.bob)
    lines = bob.everything("/entries", limit=2)
    assert lines == bob.get("/entries").body["results"]
    assert [(line["type"], line["asset"], line["amount"], line["balance"]) for line in lines] == [
        ("fee", "BTC", "-0.00030000", "0.19970000"),
        ("trade", "USDT", "-20.000000", "9980.000000"),
        ("trade", "BTC", "0.20000000", "0.20000000"),
        ("deposit", "USDT", "10000.000000", "10000.000000"),
    ]
    assert [line["asset"] for line in bob.get("/entries", asset="BTC").body["results"]] == ["BTC", "BTC"]
    assert lines[0]["reference"] == 1


@pytest.mark.parametrize("path", ["/entries", "/deposits", "/withdrawals"])
def test_an_unknown_asset_is_named(alice: SignedClient, path: str):
    answer = alice.get(path, asset="DOGE")
    assert (answer.status, answer.code, answer.field) == (404, "unknown_asset", "asset")


def test_a_demo_user_credits_their_own_account(saver: SignedClient):
    made = saver.post("/deposits", {"asset": "BTC", "amount": "0.5"})
    assert made.status == 201
    assert made.body["amount"] == "0.50000000"
    assert saver.get("/deposits").body["results"][0] == made.body
    assert balance(saver, "BTC") == ("5.50000000", "0.00000000")


def test_production_does_not_let_users_credit_themselves(saver: SignedClient, settings):
    settings.DEMO = False
    answer = saver.post("/deposits", {"asset": "BTC", "amount": "0.5"})
    assert (answer.status, answer.code) == (403, "demo_only")
    assert balance(saver, "BTC") == ("5.00000000", "0.00000000")


def test_a_withdrawal_is_held_until_it_is_approved(scene: Scene, saver: SignedClient):
    asked = saver.post("/withdrawals", {"asset": "BTC", "amount": "2", "destination": "bc1-somewhere"})
    assert (asked.status, asked.body["status"], asked.body["destination"]) == (201, "pending", "bc1-somewhere")
    assert balance(saver, "BTC") == ("3.00000000", "2.00000000")
    scene.exchange.execute(ApproveWithdrawal(asked.body["id"], "checked"))
    (paid,) = saver.get("/withdrawals", status="paid", asset="BTC").body["results"]
    assert (paid["id"], paid["note"]) == (asked.body["id"], "checked")
    assert balance(saver, "BTC") == ("3.00000000", "0.00000000")
    assert saver.get("/withdrawals", status="pending").body["results"] == []


def test_a_refused_withdrawal_comes_back(scene: Scene, saver: SignedClient):
    asked = saver.post("/withdrawals", {"asset": "BTC", "amount": "2", "destination": "x"})
    scene.exchange.execute(RefuseWithdrawal(asked.body["id"]))
    assert saver.get("/withdrawals").body["results"][0]["status"] == "refused"
    assert balance(saver, "BTC") == ("5.00000000", "0.00000000")


def test_without_approval_a_withdrawal_is_paid_at_once(saver: SignedClient, settings):
    settings.WITHDRAWAL_APPROVAL = False
    asked = saver.post("/withdrawals", {"asset": "BTC", "amount": "2", "destination": "x"})
    assert (asked.status, asked.body["status"]) == (201, "paid")
    assert balance(saver, "BTC") == ("3.00000000", "0.00000000")


def test_what_the_exchange_refuses_has_its_reason(scene: Scene, saver: SignedClient):
    too_much = saver.post("/withdrawals", {"asset": "BTC", "amount": "5.00000001", "destination": "x"})
    assert (too_much.status, too_much.code) == (422, "insufficient_balance")
    nothing = saver.post("/deposits", {"asset": "BTC", "amount": "0"})
    assert (nothing.status, nothing.code) == (422, "invalid_amount")
    (account,) = saver.get("/accounts").body
    scene.exchange.execute(FreezeAccount(account["id"]))
    frozen = saver.post("/withdrawals", {"asset": "BTC", "amount": "1", "destination": "x"})
    assert (frozen.status, frozen.code) == (422, "account_frozen")
    assert saver.get("/accounts").body[0]["frozen"] is True
    scene.exchange.execute(UnfreezeAccount(account["id"]))
    assert balance(saver, "BTC") == ("5.00000000", "0.00000000")


@pytest.mark.parametrize("path", ["/deposits", "/withdrawals"])
@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"amount": 1}, 422, "invalid_field", "amount"),
        ({"amount": 1.5}, 422, "invalid_field", "amount"),
        ({"amount": None}, 422, "invalid_field", "amount"),
        ({"amount": ""}, 422, "invalid_decimal", "amount"),
        ({"amount": "-1"}, 422, "invalid_decimal", "amount"),
        ({"amount": "+1"}, 422, "invalid_decimal", "amount"),
        ({"amount": "1e5"}, 422, "invalid_decimal", "amount"),
        ({"amount": "NaN"}, 422, "invalid_decimal", "amount"),
        ({"amount": "Infinity"}, 422, "invalid_decimal", "amount"),
        ({"amount": "٣"}, 422, "invalid_decimal", "amount"),
        ({"amount": " 1"}, 422, "invalid_decimal", "amount"),
        ({"amount": "1" * 41}, 422, "invalid_decimal", "amount"),
        ({"amount": "0.000000001"}, 422, "too_many_decimals", "amount"),
        ({"asset": "btc"}, 422, "invalid_field", "asset"),
        ({"asset": "BTC\0"}, 422, "invalid_field", "asset"),
        ({"asset": "DOGE"}, 404, "unknown_asset", "asset"),
        ({"account_id": 1}, 422, "unknown_field", "account_id"),
    ],
)
def test_wrong_fields_are_named(alice: SignedClient, path: str, change: dict, status: int, code: str, field: str):
    fields = {"asset": "BTC", "amount": "1"} | ({"destination": "x"} if path == "/withdrawals" else {})
    answer = alice.post(path, fields | change)
    assert (answer.status, answer.code, answer.field) == (status, code, field)


@pytest.mark.parametrize("destination", ["", "x" * 257, "a\0b", "line\nbreak"])
def test_destinations_that_are_none(alice: SignedClient, destination: str):
    answer = alice.post("/withdrawals", {"asset": "BTC", "amount": "1", "destination": destination})
    assert (answer.status, answer.code, answer.field) == (422, "invalid_field", "destination")


def test_missing_fields_are_named(alice: SignedClient):
    answer = alice.post("/withdrawals", {"asset": "BTC", "amount": "1"})
    assert (answer.status, answer.code, answer.field) == (422, "missing_field", "destination")


def test_scopes(scene: Scene):
    reader, trader = SignedClient(scene.alice, "read"), SignedClient(scene.alice, "trade")
    deposit, withdrawal = {"asset": "BTC", "amount": "1"}, {"asset": "BTC", "amount": "1", "destination": "x"}
    for client, path, body in [
        (reader, "/deposits", deposit),
        (reader, "/withdrawals", withdrawal),
        (trader, "/withdrawals", withdrawal),
    ]:
        assert (client.post(path, body).status, client.post(path, body).code) == (403, "scope_missing")
    assert (trader.get("/balances").status, trader.get("/balances").code) == (403, "scope_missing")


def test_default_fees(alice: SignedClient):
    default = {"volume": "0", "maker_rate": "0.001", "taker_rate": "0.0015"}
    assert alice.get("/fees").body == {
        "valuation_asset": None,
        "volume": "0",
        "tier": default,
        "next_tier": None,
        "markets": [{"market": "BTC-USDT", "maker_rate": "0.001", "taker_rate": "0.0015"}],
    }


def test_fees_by_volume_and_by_override(scene: Scene):
    """What /fees tells is what the next order pays."""
    exchange = scene.exchange
    usdt = 10**6
    tiers = (FeeTier(0, 1_000, 1_500), FeeTier(50 * usdt, 500, 1_000), FeeTier(1_000 * usdt, -100, 800))
    exchange.execute(SetFeeTiers(tiers, scene.usdt))
    buyer = exchange.open_account("eve", {scene.usdt: 1_000 * usdt})
    eve = SignedClient(buyer)
    assert eve.get("/fees").body["next_tier"] == {"volume": "50.000000", "maker_rate": "0.0005", "taker_rate": "0.001"}
    exchange.place(buyer, scene.market, "buy", price=101 * usdt, quantity=6 * 10**7)
    now = eve.get("/fees").body
    assert now["valuation_asset"] == "USDT"
    assert now["volume"] == "60.300000"  # 0.3 at 100 and 0.3 at 101
    assert now["tier"] == {"volume": "50.000000", "maker_rate": "0.0005", "taker_rate": "0.001"}
    assert now["next_tier"] == {"volume": "1000.000000", "maker_rate": "-0.0001", "taker_rate": "0.0008"}
    assert now["markets"] == [{"market": "BTC-USDT", "maker_rate": "0.0005", "taker_rate": "0.001"}]
    exchange.execute(SetFeeOverride(buyer, scene.market, 0, 200))
    exchange.execute(SetFeeOverride(None, scene.market, 0, 5_000))
    assert eve.get("/fees").body["markets"] == [{"market": "BTC-USDT", "maker_rate": "0", "taker_rate": "0.0002"}]
    reply = exchange.place(buyer, scene.market, "buy", price=101 * usdt, quantity=10**7)
    (fill,) = eve.get("/fills", order_id=reply.sequence).body["results"]
    assert Decimal(fill["fee"]) == Decimal(fill["quantity"]) * Decimal("0.0002")


def test_sub_accounts(scene: Scene):
    alice = BrowserClient("alice")
    opened = alice.post("/accounts", {"name": "bot-1"})
    assert (opened.status, opened.body["name"], opened.body["frozen"]) == (201, "bot-1", False)
    assert [account["name"] for account in alice.get("/accounts").body] == ["main", "bot-1"]
    again = alice.post("/accounts", {"name": "bot-1"})
    assert (again.status, again.code) == (422, "already_exists")
    bot = BrowserClient("alice", account="bot-1")
    assert bot.post("/deposits", {"asset": "USDT", "amount": "7"}).status == 201
    assert balance(bot, "USDT") == ("7.000000", "0.000000")
    assert bot.get("/orders").body["results"] == []
    assert SignedClient(scene.alice).get("/accounts").body == alice.get("/accounts").body[:1]


@pytest.mark.parametrize("name", ["", "Main", "a b", "x" * 33, "a\0", "-a", "é"])
def test_account_names_that_are_none(scene: Scene, name: str):
    answer = BrowserClient("alice").post("/accounts", {"name": name})
    assert (answer.status, answer.code, answer.field) == (422, "invalid_field", "name")


def test_somebody_elses_account_is_not_there(scene: Scene):
    answer = BrowserClient("bob", account="bot-that-bob-has-not").get("/balances")
    assert (answer.status, answer.code) == (404, "unknown_account")


def test_an_api_key_opens_no_accounts(alice: SignedClient):
    answer = alice.post("/accounts", {"name": "sneaky"})
    assert (answer.status, answer.code) == (403, "session_required")


def test_accounts_have_a_bound(scene: Scene):
    scene.exchange.open_account("mallory")
    for number in range(2, ACCOUNTS_PER_USER_MAX + 1):
        scene.exchange.open_account("mallory", name=f"a{number}")
    answer = BrowserClient("mallory").post("/accounts", {"name": "one-more"})
    assert (answer.status, answer.code) == (422, "too_many_accounts")


def test_few_statements_each(scene: Scene, django_assert_num_queries):
    alice = scene.alice
    for expected, read in [
        (1, lambda: queries.balances(account_id=alice)),
        (1, lambda: queries.entries(account_id=alice, limit=500)),
        (1, lambda: queries.deposits(account_id=alice, limit=500)),
        (1, lambda: queries.withdrawals(account_id=alice, limit=500)),
        (2, lambda: queries.withdrawals(account_id=alice, limit=500, status="pending")),
        (4, lambda: fee_queries.fees(account_id=alice, now=timezone.now())),
    ]:
        with django_assert_num_queries(expected):
            read()
