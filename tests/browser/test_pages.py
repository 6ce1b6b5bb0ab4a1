"""The pages around the trading floor in a browser: colours, menus, money, orders, sorting, and no network."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PageFactory
from tests.browser.pages import SIZES, THEMES, Complaints, assert_no_horizontal_scrolling, shot
from tests.harness import ServerProcess

PLACE = """async () => {
    const token = document.cookie.match(/csrftoken=([^;]+)/)[1];
    const order = { market: "BTC-USDT", side: "buy", type: "limit", price: "42000.00", quantity: "0.01000" };
    const answer = await fetch("/api/v1/orders", { method: "POST", body: JSON.stringify(order),
        headers: { "Content-Type": "application/json", "X-CSRFToken": token } });
    return (await answer.json()).id;
}"""

TARGET_PIXELS_MIN = 40
SMALL_TARGETS = """least => [...document.querySelectorAll("a, button, summary, select, input")].filter(element => {
    const target = element.matches(".stretched") ? element.closest("tr") : element.closest("label") ?? element;
    const { width, height } = target.getBoundingClientRect();
    return width && height && Math.round(height) < least && !element.closest("p") && !element.matches(".skip-link");
}).map(element => element.outerHTML.slice(0, 90))"""


def signed_in(page: Page, username: str = "bob") -> Page:
    page.goto("/login")
    page.get_by_label("Username").fill(username)
    page.locator("input[type=password]").fill(f"{username}-demo")
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url("**/trade/**")
    return page


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_every_page_fits_its_window_and_has_targets_for_a_finger(open_page: PageFactory, size: str, theme: str):
    page = signed_in(open_page(size=size, theme=theme))
    paths = ("/", "/portfolio", "/portfolio/transfers", "/portfolio/statement", "/orders", "/orders/history")
    for path in (*paths, "/orders/fills", "/status", "/offline"):
        page.goto(path)
        assert_no_horizontal_scrolling(page)
        shot(page, path.strip("/").replace("/", "-") or "home-signed-in")
        if size == "phone":
            assert page.evaluate(SMALL_TARGETS, TARGET_PIXELS_MIN) == [], path


def test_colours_are_chosen_at_once_and_come_with_the_next_page(desktop: PageFactory):
    page = desktop(theme="dark")
    page.goto("/")
    page.get_by_label("Appearance").click()
    page.get_by_role("button", name="Light").click()
    page.get_by_role("button", name="Blue and orange").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    expect(page.get_by_role("button", name="Light")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(page.locator("details.menu[open]")).to_have_count(0)
    served = page.request.get("/").text()
    assert '<html lang="en" data-theme="light" data-palette="colour-blind">' in served


def test_the_first_tab_stop_leads_past_the_header(desktop: PageFactory):
    page = desktop()
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.url.endswith("#content")


def test_markets_are_sorted_by_a_heading(desktop: PageFactory):
    page = desktop()
    page.goto("/")
    heading = page.get_by_role("columnheader", name="Market", exact=True)
    heading.get_by_role("button").click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    heading.get_by_role("button").click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    markets = page.locator("tbody tr").evaluate_all("rows => rows.map(row => row.dataset.market)")
    assert markets == sorted(markets, reverse=True)
    assert {"ETH-USDT", "ETH-BTC", "BTC-USDT"} <= set(markets)  # operators' tests may have made another


def test_test_money_is_deposited_and_a_refused_withdrawal_says_why(desktop: PageFactory, complaints: Complaints):
    complaints.allow("422")
    page = signed_in(desktop())
    page.goto("/portfolio/transfers?asset=ETH")
    deposit = page.get_by_role("region", name="Deposit")
    expect(deposit.get_by_label("Asset")).to_have_value("ETH")
    deposit.get_by_label("Amount").fill("1,234.5")
    deposit.get_by_role("button").click()
    expect(page.get_by_role("status").filter(has_text="1,234.50 ETH: credited to your account.")).to_be_visible()
    withdraw = page.get_by_role("region", name="Withdraw")
    withdraw.get_by_label("Amount").fill("999999999")
    withdraw.get_by_label("Destination").fill("bc1q-nowhere")
    withdraw.get_by_role("button").click()
    expect(withdraw.get_by_text("The available balance does not cover the order or withdrawal.")).to_be_visible()
    expect(withdraw.get_by_label("Amount")).to_have_value("999999999")


def test_an_order_is_found_read_and_canceled(phone: PageFactory):
    page = signed_in(phone())
    order = page.evaluate(PLACE)
    page.goto("/orders")
    page.get_by_role("link", name=f"Order {order}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Buy BTC-USDT")
    expect(page.get_by_text("Buy 0.01000 BTC at 42,000.00 USDT")).to_be_visible()
    shot(page, "order")
    page.get_by_role("button", name="Cancel order").click()
    expect(page.get_by_text(f"Order {order} is canceled")).to_be_visible()
    expect(page.get_by_text("The owner canceled the order.")).to_be_visible()


def test_without_a_network_the_offline_page_comes_and_nothing_personal_was_kept(
    desktop: PageFactory, site: ServerProcess, complaints: Complaints
):
    complaints.allow("ERR_INTERNET_DISCONNECTED|WebSocket")
    page = signed_in(desktop())
    page.goto("/portfolio")
    page.evaluate("() => navigator.serviceWorker.ready.then(() => null)")
    page.goto("/orders")
    kept = page.evaluate(
        """async () => {
            const caches_ = await Promise.all((await caches.keys()).map(name => caches.open(name)));
            const requests = await Promise.all(caches_.map(cache => cache.keys()));
            return requests.flat().map(request => new URL(request.url).pathname);
        }"""
    )
    assert "/offline" in kept
    assert [path for path in kept if path != "/offline" and not path.startswith("/static/")] == []
    page.context.set_offline(True)
    page.goto("/portfolio")
    expect(page.get_by_role("heading", level=1)).to_have_text("You are offline")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
