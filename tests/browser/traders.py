"""A person at the trading floor: what they do by mouse and keyboard, and where they look.

`Trader` wraps a page on one market; its locators are what a person would name: the ticket, a field's error, the rows of
open orders, the toasts.
"""

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.pages import TIMEOUT_MS

expect.set_options(timeout=TIMEOUT_MS)

FLOOR = "/trade/{market}"
PHONE_WIDTH_MAX = 640


class Trader:
    """A page on the floor of `market`, signed in to a trial account of its own (100,000 USDT, 2 BTC, 20 ETH)."""

    def __init__(self, page: Page, market: str) -> None:
        self.page = page
        self.market = market
        self.ticket = page.locator("order-ticket")
        self.panel = page.locator("orders-panel")
        self.submit = self.ticket.locator(".ticket-submit")

    def start_trial(self) -> None:
        """One click in the ticket; back on the floor with funds."""
        self.page.goto(FLOOR.format(market=self.market))
        if self.page.evaluate("innerWidth") <= PHONE_WIDTH_MAX:
            self.open_ticket("buy")
        self.page.get_by_role("button", name="Try it with test funds").click()
        self.page.wait_for_url(f"**{FLOOR.format(market=self.market)}")
        expect(self.ticket.locator(".ticket-available")).to_have_text("100,000.00 USDT")

    def open_ticket(self, side: str) -> None:
        """On a phone: bring up the ticket."""
        self.page.locator(f"[data-open-ticket={side}]").click()

    def choose(self, choice: str) -> None:
        """Buy, Sell, Limit, Market, GTC, IOC or FOK."""
        self.ticket.get_by_role("radio", name=re.compile(f"^{choice}")).check()

    def write(self, *, price: str | None = None, amount: str | None = None) -> None:
        """Fill in the ticket's fields."""
        if price is not None:
            self.price.fill(price)
        if amount is not None:
            self.amount.fill(amount)

    def send(self) -> None:
        """Enter in the amount sends."""
        self.amount.press("Enter")

    def place(self, side: str, *, price: str, amount: str) -> None:
        """Place a limit order and wait until it has been answered."""
        self.choose(side)
        self.write(price=price, amount=amount)
        self.send()
        expect(self.amount).to_have_value("")
        expect(self.submit).to_have_attribute("data-answer", "done")

    @property
    def price(self) -> Locator:
        """The field for the price."""
        return self.ticket.get_by_label("Price", exact=True)

    @property
    def amount(self) -> Locator:
        """The field for the amount."""
        return self.ticket.get_by_label("Amount", exact=True)

    def error(self, field: str) -> Locator:
        """What is said to be wrong with a field: price or quantity."""
        return self.ticket.locator(f"#ticket-{field}-error")

    def summary(self, name: str) -> Locator:
        """A figure of the ticket's summary by how its name begins."""
        row = self.ticket.locator(".ticket-summary > div").filter(has_text=re.compile(f"^{re.escape(name)}"))
        return row.locator("dd")

    def tab(self, name: str) -> None:
        """Show one of the panel's tabs."""
        self.panel.get_by_role("tab", name=name).click()

    @property
    def open_orders(self) -> Locator:
        """The rows of open orders."""
        return self.panel.locator("tr.open-order")

    def toast(self, text: str) -> Locator:
        """The toasts that contain `text`."""
        return self.page.locator("toast-stack .toast").filter(has_text=text)

    @property
    def dialog(self) -> Locator:
        """The open dialog."""
        return self.page.locator("dialog[open]")

    def level(self, side: str, price: str) -> Locator:
        """The row of the order book at a price, as it is written there ("2,300.00")."""
        return self.page.locator("order-book").get_by_text(price, exact=True).locator("visible=true").first

    def api(self, method: str, path: str) -> Any:
        """What the REST API answers to this person."""
        return self.page.evaluate(
            """async ([method, path]) => {
                const token = document.cookie.match(/csrftoken=([^;]+)/)[1];
                const answer = await fetch(`/api/v1${path}`, { method, headers: { "X-CSRFToken": token } });
                return answer.json();
            }""",
            [method, path],
        )
