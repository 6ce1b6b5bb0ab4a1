"""What people come for, from the first page to the last: sign up, get funds, trade with one another, find it again.

Everyone is a browser profile of their own. The market is one that no other module of these tests uses.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PageFactory
from tests.browser.pages import SIZES, Complaints, shot
from tests.browser.traders import FLOOR, PHONE_WIDTH_MAX, Trader
from tests.browser.visitors import arrived, log_in, shots, sign_up
from tests.harness import ServerProcess, new_data_dir, remove_data_dir

MARKET = "ETH-USDT"
RECONNECT_MS = 60_000  # the pauses between the attempts grow to 20 s


class Person(Trader):
    """Somebody on the floor, at a desk or with a phone."""

    @property
    def is_on_phone(self) -> bool:
        """Whether the floor shows one panel at a time."""
        return bool(self.page.evaluate("innerWidth") <= PHONE_WIDTH_MAX)

    def go_to_the_floor(self) -> None:
        """Open the market's page and wait for the live book."""
        self.page.goto(FLOOR.format(market=self.market))
        arrived(self.page)

    def show(self, panel: str, tab: str | None = None) -> None:
        """Bring up a panel: on a phone by the bar at the bottom, and one of its tabs at a desk."""
        if self.is_on_phone:
            self.page.locator(f"[data-show={panel}]").click()
        if tab:
            self.tab(tab)

    def order(self, side: str, *, amount: str, price: str | None = None) -> None:
        """Place a limit order, or a market order without a price, and wait for the answer."""
        if self.is_on_phone:
            self.open_ticket(side.lower())
        self.choose(side)
        self.choose("Limit" if price else "Market")
        self.write(price=price, amount=amount)
        self.send()
        expect(self.submit).to_have_attribute("data-answer", "done")
        if self.is_on_phone:
            self.page.get_by_role("button", name="Close the order ticket").click()

    def offer(self, price: str) -> Locator:
        """The level of the asks at a price; the last price, which the book shows too, is none."""
        return self.page.locator("order-book .level.sell").filter(has_text=price)

    def balance(self, asset: str) -> Locator:
        """The row of an asset among the balances on the floor."""
        return self.panel.get_by_role("table", name="Balances").locator("tbody tr").filter(has_text=asset)


@pytest.mark.parametrize("size", SIZES)
def test_from_signing_up_to_a_trade_with_another_and_its_line_in_the_statement(
    open_page: PageFactory, size: str, tmp_path: Path
) -> None:
    ann_page = sign_up(open_page(size=size), f"ann-{size}", funds=False)
    ann_page.goto("/account")
    shots(ann_page, "account")
    ann_page.get_by_role("button", name="Get test funds").click()
    expect(ann_page.get_by_text("20 ETH of test money are in your account.")).to_be_visible()
    ann = Person(ann_page, MARKET)
    ann.go_to_the_floor()
    ben = Person(sign_up(open_page(size=size), f"ben-{size}"), MARKET)
    ben.go_to_the_floor()
    stranger = Person(open_page(size=size), MARKET)
    stranger.go_to_the_floor()
    for who in (ben, stranger):
        who.show("book")
        expect(who.offer("2,300.00")).to_have_count(0)

    ann.order("Sell", price="2300", amount="0.5")
    for who in (ben, stranger):
        expect(who.offer("2,300.00")).to_be_visible()
    shots(stranger.page, "floor-stranger")
    ann.show("orders")
    expect(ann.open_orders).to_have_count(1)
    shots(ann.page, "floor-own-order")

    ben.order("Buy", amount="0.5")
    expect(ann.toast("Sold 0.5 ETH at 2,300.00")).to_contain_text("fee 1.15 USDT (maker)")
    expect(ann.open_orders).to_have_count(0)
    ann.show("orders", "Fills")
    fills = ann.panel.get_by_role("table", name="Fills").locator("tbody tr")
    expect(fills).to_have_count(1)
    expect(fills).to_contain_text("2,300.00")
    ann.show("wallet", "Balances")
    expect(ann.balance("USDT")).to_contain_text("101,148.85")
    expect(ann.balance("ETH")).to_contain_text("19.5")
    shots(ann.page, "floor-balances")
    expect(stranger.offer("2,300.00")).to_have_count(0)
    follow_the_money(ann.page, tmp_path)


def follow_the_money(page: Page, folder: Path) -> None:
    """Ann's portfolio, statement, its CSV, and the order itself tell the same story."""
    page.goto("/portfolio")
    holding = page.get_by_role("row").filter(has_text="Tether")
    expect(holding).to_contain_text("101,148.85")
    shots(page, "portfolio-traded")
    page.get_by_role("link", name="Statement").click()
    expect(page.get_by_role("row").filter(has_text="1,150.00")).to_contain_text("101,150.00")
    expect(page.get_by_role("row").filter(has_text="\u22121.15")).to_contain_text("101,148.85")
    shots(page, "statement")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    download.value.save_as(folder / "statement.csv")
    with (folder / "statement.csv").open(newline="") as file:
        lines = {(row["type"], row["asset"], row["amount"], row["balance"]) for row in csv.DictReader(file)}
    assert ("trade", "USDT", "1150.00000000", "101150.00000000") in lines
    assert ("trade", "ETH", "-0.50000000", "19.50000000") in lines
    assert ("fee", "USDT", "-1.15000000", "101148.85000000") in lines
    page.goto("/orders/history")
    page.get_by_role("link", name=re.compile(r"^Order \d+$")).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Sell {MARKET}")
    shots(page, "order-filled", full=True)


@pytest.mark.parametrize("size", SIZES)
def test_one_click_on_the_home_page_leads_to_a_first_trade(open_page: PageFactory, size: str) -> None:
    seller = Person(sign_up(open_page(size=size), f"sue-{size}"), MARKET)
    seller.go_to_the_floor()
    seller.order("Sell", price="2310", amount="1")

    page = open_page(size=size)
    page.goto("/")
    shots(page, "home", full=True)
    page.get_by_role("button", name="Try the demo").click()
    guest = Person(arrived(page), MARKET)
    expect(guest.toast("Welcome")).to_contain_text("100,000 USDT")
    guest.go_to_the_floor()
    guest.order("Buy", amount="1")
    expect(guest.toast("Bought 1 ETH at 2,310.00")).to_be_visible()
    page.goto("/account")
    expect(page.get_by_text("This is a trial account")).to_be_visible()
    shot(page, "account-trial")
    expect(seller.toast("Sold 1 ETH at 2,310.00")).to_be_visible()


# ---------------------------------------------------------------------------------------------- the server goes away


@pytest.fixture
def mortal() -> Iterator[ServerProcess]:
    """A server of one's own, to kill."""
    data_dir = new_data_dir()
    try:
        with ServerProcess(data_dir=data_dir, env={"DEMO_FLOW": "0", "RATE_LIMITS": "off"}) as running:
            yield running
    finally:
        remove_data_dir(data_dir)


def test_the_server_dies_and_comes_back_while_people_look(
    open_page: PageFactory, mortal: ServerProcess, complaints: Complaints
) -> None:
    complaints.allow("WebSocket|ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE")
    alice = Person(log_in(open_page(base_url=mortal.base_url), "alice", "alice-demo"), MARKET)
    bob = Person(log_in(open_page(size="phone", base_url=mortal.base_url), "bob", "bob-demo"), MARKET)
    for who in (alice, bob):
        who.go_to_the_floor()
    alice.order("Sell", price="2300", amount="0.5")
    bob.show("book")
    expect(bob.offer("2,300.00")).to_be_visible()
    bob.page.evaluate("() => navigator.serviceWorker.ready.then(() => null)")
    elsewhere = bob.page.context.new_page()
    elsewhere.goto("/portfolio")
    elsewhere.wait_for_function("navigator.serviceWorker.controller")

    mortal.kill9()
    for who in (alice, bob):
        expect(who.page.locator("html")).to_have_attribute("data-feed", "reconnecting")
    expect(alice.page.locator("feed-status")).to_contain_text("reconnecting")
    shots(alice.page, "floor-reconnecting")
    shots(bob.page, "floor-reconnecting")
    elsewhere.goto("/orders")
    expect(elsewhere.get_by_role("heading", level=1)).to_have_text("You are offline")
    shots(elsewhere, "offline")

    mortal.start()
    mortal.wait_ready()
    elsewhere.get_by_role("link", name="Try again").click()
    expect(elsewhere.get_by_role("heading", level=1)).to_have_text("Orders")
    for who in (alice, bob):
        expect(who.page.locator("html")).to_have_attribute("data-feed", "live", timeout=RECONNECT_MS)
        expect(who.offer("2,300.00")).to_be_visible()
    expect(alice.open_orders).to_have_count(1)
    bob.order("Buy", amount="0.2")
    expect(alice.toast("Sold 0.2 ETH at 2,300.00")).to_be_visible()
    alice.order("Sell", price="2299", amount="0.3")
    expect(bob.offer("2,299.00")).to_be_visible()


def test_it_can_be_installed_as_an_app(phone: PageFactory) -> None:
    page = phone()
    page.goto("/")
    page.evaluate("() => navigator.serviceWorker.ready.then(() => null)")
    devtools = page.context.new_cdp_session(page)
    told = devtools.send("Page.getAppManifest")
    assert told["errors"] == []
    assert told["url"].endswith("/manifest.webmanifest")
    found = devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert [each["errorId"] for each in found if each["errorId"] != "in-incognito"] == []
    loaded = page.evaluate(
        """async () => {
            const { icons } = await (await fetch("/manifest.webmanifest")).json();
            return Promise.all(icons.map(async ({ src, sizes }) => {
                const image = Object.assign(new Image(), { src });
                await image.decode();
                return [sizes, `${image.naturalWidth}x${image.naturalHeight}`];
            }));
        }"""
    )
    assert len(loaded) == 3
    assert all(promised == real for promised, real in loaded)
