"""The operator's desk in a real browser: what operators come for, alone and by two, in both sizes and themes."""

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PageFactory
from tests.browser.pages import SIZES, THEMES, TIMEOUT_MS, Complaints, assert_no_horizontal_scrolling, shot
from tests.browser.visitors import give_password
from tests.harness import ServerProcess

expect.set_options(timeout=TIMEOUT_MS)


def at_desk(page: Page, username: str) -> Page:
    """The desk, signed in with the demo's password; the dashboard has its figures."""
    page.goto("/admin/")
    page.wait_for_url("**/login**")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password", exact=True).fill(f"{username}-demo")
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url("**/admin/")
    expect(page.locator("[data-live]")).to_have_attribute("data-live", "live")
    return page


def follow(page: Page, path: str, *buttons: str) -> None:
    """Open a list or row and press its buttons, one page after the other."""
    page.goto(path)
    for button in buttons:
        page.locator(".desk-buttons").get_by_role("link", name=button, exact=True).click()


def send(page: Page, button: str, **fields: str) -> None:
    """Fill in a form of the desk by the names of its fields, and send it."""
    for name, text in ({"reason": "a browser test"} | fields).items():
        field = page.locator(f"[name={name}]")
        if field.evaluate("field => field.localName") == "select":
            field.select_option(text)
        else:
            field.fill(text)
    page.get_by_role("button", name=button, exact=True).click()


def applied(page: Page) -> None:
    """Wait until the command's page says that it is done."""
    page.wait_for_url("**/inboxcommand/*/change/")
    expect(page.locator("command-state")).to_have_text(re.compile(r"^Applied at sequence [0-9]+\.$"))


def main_account(page: Page, username: str) -> str:
    """The address of a user's account, found by searching."""
    page.goto(f"/admin/risk/account/?q={username}")
    link = page.locator("#result_list a[href*='/account/']").first
    href = link.get_attribute("href")
    assert href is not None
    return href.partition("?")[0]


@pytest.fixture
def treasury(desktop: PageFactory) -> Page:
    return at_desk(desktop(), "treasury")


def test_the_dashboard_goes_on_without_reloading(desktop: PageFactory, site: ServerProcess) -> None:
    page = at_desk(desktop(), "support")
    expect(page.locator("[data-figure=worker]")).to_have_text("Leads")
    expect(page.locator("[data-figure=proof]")).to_have_text("Never")
    assert site.manage("prove").returncode == 0
    expect(page.locator("[data-figure=proof]")).to_have_text("Proved")
    expect(page.locator("day-bars rect")).to_have_count(60)


def test_a_market_is_created_and_halted(desktop: PageFactory, complaints: Complaints) -> None:
    complaints.allow("status of 400")  # what a form with mistakes is answered with
    page = at_desk(desktop(), "operator")
    follow(page, "/admin/marketdata/asset/", "Create an asset")
    send(page, "Create", symbol="LTC", name="Litecoin", scale="8")
    applied(page)
    follow(page, "/admin/marketdata/market/", "Create a market")
    filters = {"tick_size": "0.01", "lot_size": "0.00015", "min_quantity": "0.001", "max_quantity": "1000"}
    send(page, "Create", base="LTC", quote="USDT", **filters)
    expect(page.locator(".desk-fields")).to_contain_text("It must be a multiple of the lot size.")
    send(page, "Create", lot_size="0.001")
    applied(page)
    page.goto("/admin/marketdata/market/?q=LTC-USDT")
    page.locator("#result_list tbody a").first.click()
    page.locator(".desk-buttons").get_by_role("link", name="Change state").click()
    send(page, "Change state", state="halted", note="not yet")
    applied(page)
    page.goto("/admin/")
    row = page.locator("[data-figure=markets] tr").filter(has_text="LTC-USDT")
    expect(row).to_contain_text("halted")


def test_a_correction_takes_two_people(desktop: PageFactory, treasury: Page) -> None:
    account = main_account(treasury, "bob")
    follow(treasury, account, "Correct a balance")
    send(treasury, "Correct", asset="BTC", amount="0.5")
    treasury.wait_for_url("**/operatorrequest/*/change/")
    expect(treasury.get_by_role("button", name="Approve")).to_have_count(0)
    other = at_desk(desktop(), "operator")
    expect(other.locator("[data-figure=requests]")).not_to_have_text("0")
    other.goto(treasury.url)
    other.get_by_label("Why").fill("the deposit is on the statement")
    other.get_by_role("button", name="Approve").click()
    applied(other)
    other.goto(account)
    expect(other.get_by_role("row", name=re.compile(r"^[0-9]+ correction 0\.5 BTC"))).to_be_visible()


def test_a_large_withdrawal_takes_two_people(desktop: PageFactory, site: ServerProcess, treasury: Page) -> None:
    asked = site.manage("withdraw", "request", "alice", "BTC", "2.5", "--to", "cold storage")
    assert asked.returncode == 0, asked.stderr
    treasury.goto("/admin/risk/withdrawal/?status=pending")
    treasury.locator("#result_list tr").filter(has_text="2.5").locator("a").first.click()
    treasury.locator(".desk-buttons").get_by_role("link", name="Approve").click()
    send(treasury, "Approve: pay out")
    treasury.wait_for_url("**/operatorrequest/*/change/")
    other = at_desk(desktop(), "operator")
    other.goto(treasury.url)
    other.get_by_label("Why").fill("the deposit is on the statement")
    other.get_by_role("button", name="Approve").click()
    applied(other)
    treasury.goto("/admin/risk/withdrawal/?status=paid")
    expect(treasury.locator("#result_list tr").filter(has_text="cold storage")).to_contain_text("paid")


def test_an_account_is_frozen_and_unfrozen(desktop: PageFactory) -> None:
    page = at_desk(desktop(), "risk")
    account = main_account(page, "bob")
    for word in ("Freeze", "Unfreeze"):
        follow(page, account, word)
        send(page, word)
        applied(page)
    page.goto(account)
    expect(page.locator(".desk-panel").filter(has_text="what operators did")).to_contain_text("Unfreeze account")


def test_traders_do_not_come_in(desktop: PageFactory, complaints: Complaints) -> None:
    complaints.allow("403")
    page = desktop()
    give_password(page, "bob", "bob-demo")
    page.wait_for_url("**/trade/**")
    page.goto("/admin/")
    expect(page.locator("body")).to_contain_text("operators")


PAGES = {
    "dashboard": "/admin/",
    "orders": "/admin/orders/order/",
    "market": "/admin/marketdata/market/1/change/",
    "new-market": "/admin/desk/do/create-market/",
    "account": "/admin/risk/account/3/change/",
    "audit": "/admin/trading/auditentry/",
    "user": "/admin/trading/user/1/change/",
}


@pytest.fixture
def at_sizes(open_page: PageFactory, size: str) -> Page:
    return at_desk(open_page(size=size), "admin")


@pytest.mark.parametrize("size", SIZES)
def test_every_page_fits_and_is_photographed(at_sizes: Page, site: ServerProcess, size: str) -> None:
    page = at_sizes
    for theme in THEMES:
        page.context.add_cookies([{"name": "theme", "value": theme, "url": site.base_url}])
        for name, path in PAGES.items():
            page.goto(path)
            expect(page.locator("html")).to_have_class(theme)
            if name == "dashboard":
                expect(page.locator("[data-live]")).to_have_attribute("data-live", "live")
            assert_no_horizontal_scrolling(page)
            shot(page, f"desk-{name}")


def test_the_looser_policy_is_for_operators_pages_only(desktop: PageFactory, site: ServerProcess) -> None:
    page = at_desk(desktop(), "support")
    answer = page.request.get("/admin/")
    assert "'unsafe-eval'" in answer.headers["content-security-policy"]
    assert "script-src 'self' 'unsafe-eval';" in answer.headers["content-security-policy"] + ";"
    assert "unsafe" not in page.request.get("/").headers["content-security-policy"]
    assert "unsafe" not in httpx.get(f"{site.base_url}/admin/").headers["content-security-policy"]
