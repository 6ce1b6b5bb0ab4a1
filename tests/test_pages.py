"""The pages for people: front page, portfolio, transfers, statement, orders, status, errors, the installable shell."""

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.core.exceptions import BadRequest, PermissionDenied
from django.test import Client, RequestFactory
from django.utils import timezone
from django_ratelimit.exceptions import Ratelimited
from pytest_django import Settings

from matching.engine.messages import Deposit, FeeTier, SetFeeTiers, SetMarketState
from risk import queries as risk_queries
from tests.api import Scene, make_scene
from tests.builders import running_exchange
from trading.models import User
from trading.pages import errors, home

PUBLIC = ("/", "/status", "/offline", "/nothing-here")
PERSONAL = (
    "/portfolio",
    "/portfolio/transfers",
    "/portfolio/statement",
    "/orders",
    "/orders/history",
    "/orders/fills",
)


@pytest.fixture(scope="module")
def scene(fresh_database: str) -> Iterator[Scene]:
    """The usual scene, with two more assets: ETH, traded for BTC at 0.05, and DOGE without a market."""
    with running_exchange() as exchange:
        scene = make_scene(exchange)
        eth, doge = exchange.create_asset("ETH", 8), exchange.create_asset("DOGE", 8)
        market = exchange.create_market(eth, scene.btc, tick_size=1_000, lot_size=100_000)
        carol = exchange.open_account("carol", {eth: 3 * 10**8, doge: 10**8, scene.usdt: 50 * 10**6})
        maker = exchange.open_account("maker", {scene.btc: 10**8})
        exchange.place(maker, market, "buy", price=5_000_000, quantity=10**8)
        exchange.place(carol, market, "sell", price=5_000_000, quantity=10**8)
        exchange.execute(SetFeeTiers((FeeTier(0, 0, 0),), scene.usdt))
        yield scene


def browser(username: str | None = None) -> Client:
    client = Client(raise_request_exception=False)
    if username:
        client.force_login(User.objects.get(username=username))
    return client


def page(client: Client, path: str, status: int = 200) -> str:
    """The page's words, tags taken out, spaces made single."""
    response = client.get(path)
    assert response.status_code == status, response.content
    return words(response)


def words(response: Any) -> str:
    text = re.sub(r"<[^>]+>", " ", response.content.decode().partition("<main")[2])
    return re.sub(r"\s+", " ", unescape(text))


# ---------------------------------------------------------------------------------------------- every page


@pytest.mark.parametrize("path", PUBLIC + PERSONAL)
def test_every_page_of_a_demo_says_that_it_is_one(scene: Scene, path: str, settings: Settings):
    for demo in (True, False):
        settings.DEMO = demo
        text = browser("alice").get(path).content.decode()
        assert ("test money only" in text) is demo
        assert ('class="badge demo"' in text) is demo


@pytest.mark.parametrize("path", [*PERSONAL, "/orders/1"])
def test_personal_pages_ask_who_you_are(scene: Scene, path: str):
    answer = browser().get(path)
    assert answer.status_code == 302
    assert answer.headers["Location"].endswith(f"?next={path}")


def test_a_page_comes_in_the_chosen_colours(scene: Scene):
    client = browser()
    assert (
        "data-theme" not in client.get("/").content.decode().partition(">")[0] + client.get("/").content.decode()[:90]
    )
    client.cookies["theme"], client.cookies["palette"] = "light", "colour-blind"
    assert '<html lang="en" data-theme="light" data-palette="colour-blind">' in client.get("/").content.decode()
    client.cookies["theme"], client.cookies["palette"] = '"><script>', "nonsense"
    assert '<html lang="en" data-palette="standard">' in client.get("/").content.decode()


def test_every_page_has_landmarks_a_skip_link_and_one_heading(scene: Scene):
    for path in PUBLIC + PERSONAL:
        text = browser("alice").get(path).content.decode()
        for mark in ("<header", '<main id="content"', "<footer", 'href="#content"', 'aria-label="Main"'):
            assert mark in text, (path, mark)
        assert text.count("<h1") == 1, path


# ---------------------------------------------------------------------------------------------- front page


def test_the_front_page_shows_every_market_to_everyone(scene: Scene):
    text = page(browser(), "/")
    assert "BTC /USDT BTC 100.00 0.00 % 100.00 100.00 0.2000 BTC" in text
    assert "ETH /BTC ETH 0.05000 0.00 %" in text
    assert "Try the demo" in text
    assert "Sign up" in text
    assert "Try the demo" not in page(browser("alice"), "/")


def test_a_sparkline_stays_in_its_box_and_carries_the_last_price_over_quiet_hours():
    points = home.sparkline(closes={20: Decimal(10), 22: Decimal(30), 24: Decimal(20)})
    assert points == "100,30 105,30 110,2 115,2 120,16"
    assert home.sparkline(closes={}) == ""
    assert home.sparkline(closes={24: Decimal(1)}) == ""
    assert home.sparkline(closes={22: Decimal(5), 24: Decimal(5)}) == "110,16 115,16 120,16"


# ---------------------------------------------------------------------------------------------- portfolio


def test_a_portfolio_is_valued_through_markets_and_says_what_has_no_price(scene: Scene):
    text = page(browser("carol"), "/portfolio")
    # 2 ETH at 0.05 BTC at 100 USDT, 0.05 BTC at 100 USDT less a fee, 50 USDT; DOGE has no market.
    assert "Total value 64.99 USDT" in text
    assert "No price for DOGE" in text
    assert "ETH ETH 2.00 0.00 5.00 0.00 % 10.00" in text
    assert "DOGE DOGE 1.00 0.00 no price" in text


def test_an_empty_portfolio_says_what_to_do(scene: Scene):
    scene.exchange.open_account("newcomer")
    text = page(browser("newcomer"), "/portfolio")
    assert "Nothing here yet" in text
    assert "Deposit test money" in text


def test_without_an_account_the_page_says_so(scene: Scene):
    User.objects.create_user("homeless")
    assert "Your account is not open yet" in page(browser("homeless"), "/portfolio")


def test_a_person_looks_at_one_of_their_accounts_and_never_at_anothers(scene: Scene):
    scene.exchange.open_account("alice", {scene.usdt: 7_000_000}, name="savings")
    alice = browser("alice")
    assert "Total value 7.00 USDT" in page(alice, "/portfolio?account=savings")
    assert 'href="/portfolio/statement?account=savings"' in alice.get("/portfolio?account=savings").content.decode()
    page(alice, "/portfolio?account=secret", 404)
    page(browser("bob"), "/portfolio?account=savings", 404)


# ---------------------------------------------------------------------------------------------- transfers


def test_the_demo_credits_a_deposit_at_once(scene: Scene):
    account = scene.exchange.open_account("dora")
    answer = browser("dora").post("/portfolio/deposit", {"asset": "BTC", "amount": "1.5"}, follow=True)
    assert answer.redirect_chain == [("/portfolio/transfers", 302)]
    assert "1.50 BTC: credited to your account." in words(answer)
    (balance,) = [each for each in risk_queries.balances(account_id=account) if each.asset == "BTC"]
    assert balance.available == "1.50000000"


def test_outside_of_the_demo_nobody_credits_themselves(scene: Scene, settings: Settings):
    settings.DEMO = False
    account = scene.exchange.open_account("eve")
    answer = browser("eve").post("/portfolio/deposit", {"asset": "BTC", "amount": "1.5"})
    assert answer.status_code == 422
    assert f"name your account number {account}" in words(answer)
    assert {each.balance for each in risk_queries.balances(account_id=account)} <= {"0.00000000", "0.000000"}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"asset": "BTC", "amount": "1e3"}, "Use a plain decimal number"),
        ({"asset": "BTC", "amount": "0.000000001"}, "At most 8 decimals"),
        ({"asset": "BTC", "amount": "0"}, "The amount must be above zero"),
        ({"asset": "XYZ", "amount": "1"}, "The asset does not exist."),
        ({"asset": "BTC", "amount": "1000"}, "The available balance does not cover"),
        ({"asset": "BTC", "amount": "1", "destination": "a\u0000b"}, "Null characters are not allowed."),
        ({"asset": "BTC", "amount": ""}, "This field is required."),
    ],
)
def test_a_refused_withdrawal_says_why_and_keeps_what_was_typed(scene: Scene, fields: dict[str, str], why: str):
    before = risk_queries.balances(account_id=scene.alice)
    answer = browser("alice").post("/portfolio/withdraw", {"destination": "bc1q-somewhere"} | fields)
    assert answer.status_code == 422
    assert why in words(answer)
    assert 'aria-invalid="true"' in answer.content.decode()
    assert f'value="{fields["amount"]}"' in answer.content.decode()
    assert risk_queries.balances(account_id=scene.alice) == before


def test_a_withdrawal_is_held_and_listed(scene: Scene):
    scene.exchange.open_account("frank", {scene.btc: 10**8})
    frank = browser("frank")
    answer = frank.post("/portfolio/withdraw", {"asset": "BTC", "amount": "0.4", "destination": "bc1q"}, follow=True)
    assert "0.40 BTC: held until an operator decides." in words(answer)
    assert "waits for an operator 0.40 BTC bc1q" in words(answer)
    assert "BTC BTC 0.60 0.40" in page(frank, "/portfolio")


def test_forms_without_our_token_get_the_page_for_it(scene: Scene):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(username="alice"))
    answer = client.post("/portfolio/deposit", {"asset": "BTC", "amount": "1"})
    assert answer.status_code == 403
    assert "The form was not sent from this site" in words(answer)


# ---------------------------------------------------------------------------------------------- statement


def rows_in(text: str) -> int:
    return text.count("<tr") - text.count("<thead")


def test_the_statement_filters_by_asset_type_and_day(scene: Scene):
    bob = browser("bob")
    every = bob.get("/portfolio/statement").content.decode()
    assert rows_in(every) == len(risk_queries.entries(account_id=scene.bob, limit=500).results) == 4
    assert rows_in(bob.get("/portfolio/statement?asset=USDT&type=trade").content.decode()) == 1
    today = timezone.now().date()
    yesterday, tomorrow = today - timedelta(days=1), today + timedelta(days=1)
    assert rows_in(bob.get(f"/portfolio/statement?start={yesterday}&end={tomorrow}").content.decode()) == 4
    assert "Nothing fits these filters" in page(bob, f"/portfolio/statement?end={yesterday}")
    assert "Nothing fits these filters" in page(bob, f"/portfolio/statement?start={tomorrow}&asset=BTC")


def test_nonsense_in_the_address_is_no_filter(scene: Scene):
    bob = browser("bob")
    for query in (
        "asset=%00",
        "type=gift",
        "start=yesterday",
        "cursor=-1",
        "cursor=99999999999999999999",
        "asset=NO",
        "end=9999-12-31",
    ):
        assert rows_in(bob.get(f"/portfolio/statement?{query}").content.decode()) == 4, query


def test_the_statement_goes_on_where_the_page_ended(scene: Scene):
    account = scene.exchange.open_account("grace")
    grace = browser("grace")
    for amount in range(1, 54):
        scene.exchange.execute(Deposit(account, scene.usdt, amount * 10**6))
    first = grace.get("/portfolio/statement?asset=USDT").content.decode()
    assert "+53.00" in first
    assert "+4.00" in first
    assert "+3.00" not in first
    older = re.search(r'href="(\?[^"]*cursor=[^"]*)"', first)
    assert older is not None
    second = grace.get("/portfolio/statement" + unescape(older[1])).content.decode()
    assert "+3.00" in second
    assert "+1.00" in second
    assert "+4.00" not in second
    assert ">Older<" not in second
    assert ">Newest<" in second
    assert rows_in(first) + rows_in(second) == 53


# ---------------------------------------------------------------------------------------------- orders


def test_open_orders_are_those_that_rest(scene: Scene):
    text = page(browser("alice"), "/orders")
    assert text.count("Cancel order") == 3
    assert "buy" not in text.partition("Actions")[2]
    assert "No open orders" in page(browser("carol"), "/orders")


def test_the_history_filters_by_market_side_status_and_day(scene: Scene):
    bob = browser("bob")
    today = timezone.now().date()
    for query, rows in (
        ("", 3),
        ("status=rejected", 1),
        ("side=sell", 0),
        ("market=BTC-USDT&side=buy&status=filled", 1),
        ("market=ETH-BTC", 0),
        (f"start={today}", 3),
        (f"start={today + timedelta(days=1)}", 0),
        (f"end={today - timedelta(days=1)}", 0),
    ):
        assert bob.get(f"/orders/history?{query}").content.decode().count("link-row") == rows, query


def test_fills_are_listed_with_their_fees(scene: Scene):
    text = page(browser("bob"), "/orders/fills")
    assert "BTC-USDT buy 100.00 0.2000 20.00 0.0003 BTC taker" in text
    assert "No fill fits these filters" in page(browser("bob"), "/orders/fills?market=ETH-BTC")


def test_an_order_tells_its_story_to_its_owner_only(scene: Scene):
    filled, rejected = scene.bob_orders[0], scene.bob_orders[2]
    story = page(browser("bob"), f"/orders/{filled}").partition("What happened")[2]
    assert re.search(r"Placed Buy 0\.2000 BTC at 100\.00 USDT .* Filled 0\.2000 BTC at 100\.00 USDT, as taker", story)
    assert "The available balance does not cover the order" in page(browser("bob"), f"/orders/{rejected}")
    assert "Partly filled 0.2000 BTC at 100.00 USDT, as maker" in page(
        browser("alice"), f"/orders/{scene.alice_orders[0]}"
    )
    page(browser("alice"), f"/orders/{filled}", 404)
    page(browser("bob"), "/orders/99999999999999999999", 404)


def test_trades_of_one_moment_are_one_step(scene: Scene):
    taker = scene.exchange.open_account("henry", {scene.usdt: 1_000 * 10**6})
    tick, lot = 10**6, 10**8
    order = scene.exchange.place(taker, scene.market, "buy", price=101 * tick, quantity=lot).sequence
    story = page(browser("henry"), f"/orders/{order}").partition("What happened")[2]
    assert "Filled 1.0000 BTC in 3 trades from 100.00 to 101.00 USDT, as taker" in story
    assert story.count("illed") == 1


def test_a_list_is_exported_with_its_filters(scene: Scene):
    today = timezone.now().date()
    tomorrow = today + timedelta(days=1)
    for path, file in (
        ("/orders", "/api/v1/orders/export?status=open"),
        (f"/orders/history?side=buy&start={today}", f"/api/v1/orders/export?side=buy&start={today}"),
        (f"/orders/fills?market=BTC-USDT&end={today}", f"/api/v1/fills/export?market=BTC-USDT&end={tomorrow}"),
        ("/portfolio/statement?asset=BTC&type=trade", "/api/v1/entries/export?asset=BTC"),
    ):
        text = unescape(browser("bob").get(path).content.decode())
        assert f'href="{file}" download' in text
        answer = browser("bob").get(file)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")


# ---------------------------------------------------------------------------------------------- status


def test_the_status_shows_markets_and_what_was_announced(scene: Scene):
    scene.exchange.execute(SetMarketState("halted", scene.market, "maintenance"))
    try:
        text = page(browser(), "/status")
    finally:
        scene.exchange.execute(SetMarketState("open", scene.market))
    assert "Everything runs: orders are taken." in text
    assert "BTC-USDT halted maintenance" in text
    assert "ETH-BTC open" in text


# ---------------------------------------------------------------------------------------------- errors


def test_unknown_paths_are_a_page_and_below_the_api_json(scene: Scene):
    assert "Nothing is here" in page(browser(), "/no/such/page", 404)
    answer = browser().get("/api/v1/no/such/thing")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")
    assert answer.json()["error"]["code"] == "not_found"


def test_the_page_for_500_needs_no_database():
    request = RequestFactory().get("/portfolio")
    request.COOKIES["theme"] = "light"
    answer = errors.server_error(request)  # without a database fixture, any query would fail here
    assert answer.status_code == 500
    assert "Something went wrong here" in words(answer)
    assert 'data-theme="light"' in answer.content.decode()


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (lambda request: errors.bad_request(request, BadRequest()), 400, "That request makes no sense"),
        (errors.too_many_requests, 429, "Too many requests"),
        (lambda request: errors.forbidden(request, Ratelimited()), 429, "Too many requests"),
    ],
)
def test_errors_wear_the_same_clothes(answer, status: int, text: str):
    response = answer(RequestFactory().get("/"))
    assert response.status_code == status
    assert text in words(response)
    assert 'class="site-header"' in response.content.decode()


def test_below_the_api_every_error_stays_json():
    request = RequestFactory().get("/api/v1/orders")
    for response, code in (
        (errors.bad_request(request, BadRequest()), "bad_request"),
        (errors.forbidden(request, PermissionDenied()), "forbidden"),
        (errors.not_found(request, Exception()), "not_found"),
        (errors.server_error(request), "internal_error"),
    ):
        assert f'"code":"{code}"'.encode() in response.content


# ---------------------------------------------------------------------------------------------- installable


def test_the_manifest_names_icons_that_exist(scene: Scene):
    answer = browser().get("/manifest.webmanifest")
    assert answer.headers["Content-Type"] == "application/manifest+json"
    manifest = answer.json()
    assert {icon["sizes"] for icon in manifest["icons"]} == {"192x192", "512x512"}
    assert {icon["purpose"] for icon in manifest["icons"]} == {"any", "maskable"}
    for icon in manifest["icons"]:
        assert finders.find(icon["src"].removeprefix("/static/"))


def test_the_service_worker_keeps_the_shell_and_nothing_personal(scene: Scene):
    answer = browser("alice").get("/sw.js")
    assert answer.headers["Content-Type"].startswith("text/javascript")
    kept = re.search(r"const SHELL = \[OFFLINE, (.*)\];", answer.content.decode())
    assert kept is not None
    paths = [path.encode().decode("unicode_escape") for path in re.findall(r'"([^"]+)"', kept[1])]
    assert all(finders.find(path.removeprefix("/static/")) for path in paths)
    offline = browser("alice").get("/offline").content.decode()
    assert "You are offline" in offline
    assert "alice" not in offline
