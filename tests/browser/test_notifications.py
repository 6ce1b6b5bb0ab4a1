"""The bell in a real browser: it counts live on every page, leads on, and what is read in one place is read in all."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import PageFactory
from tests.browser.pages import assert_no_horizontal_scrolling
from tests.browser.visitors import shots, sign_up
from tests.harness import ServerProcess

DEPOSIT = """
import time
from notifications.recording import News, record_all
from trading.models import User
user = User.objects.get(username="{user}")
record_all(
    News(
        user_id=user.pk, kind="deposit_credited", key=f"browser {{number}}",
        figures={{"amount": str(number), "asset": "ETH"}}, at=time.time_ns() // 1000)
    for number in {numbers})
"""


def record(site: ServerProcess, user: str, *numbers: int) -> None:
    """Tell the person of deposits, from another process."""
    done = site.manage("shell", "--no-imports", "-c", DEPOSIT.format(user=user, numbers=numbers))
    assert done.returncode == 0, done.stderr


def bell_says(page: Page, unread: int) -> None:
    badge = page.locator(".bell-count")
    if unread:
        expect(badge).to_have_text(str(unread))
    expect(badge).to_be_visible(visible=unread > 0)


def listens(page: Page) -> Page:
    """The page, once its bell follows: it has heard its first word."""
    expect(page.locator("notification-bell")).to_have_attribute("data-live", "")
    return page


def test_the_bell_counts_live_and_reading_is_told_everywhere(desktop: PageFactory, site: ServerProcess):
    page = sign_up(desktop(), "bell-reader")
    listens(page)
    other = page.context.new_page()
    other.goto("/notifications")
    listens(other)
    expect(other.get_by_text("No notifications yet")).to_be_visible()

    record(site, "bell-reader", 11, 12)
    for each in (page, other):
        bell_says(each, 2)
    expect(page.locator("toast-stack .toast").filter(has_text="12 ETH was deposited")).to_be_visible()
    titles = other.locator(".news-page .news-item strong")
    expect(titles).to_have_text([re.compile("12 ETH was deposited"), re.compile("11 ETH was deposited")])

    page.locator(".bell-button").click()
    items = page.locator(".bell-list .news-item.unread")
    expect(items).to_have_count(2)
    shots(page, "bell-open")
    page.get_by_role("button", name="Mark all as read").click()
    expect(items).to_have_count(0)
    for each in (page, other):
        bell_says(each, 0)
    expect(other.locator(".news-page .unread")).to_have_count(0)
    shots(other, "notifications")


def test_a_notification_leads_to_what_it_is_about_and_is_read_then(phone: PageFactory, site: ServerProcess):
    page = sign_up(phone(), "bell-phone")
    listens(page)
    record(site, "bell-phone", 5)
    bell_says(page, 1)
    page.locator(".bell-button").click()
    shots(page, "bell-open")
    page.locator(".bell-list .news-item a").click()
    page.wait_for_url("**/portfolio/transfers")
    listens(page)
    bell_says(page, 0)


def test_choices_fit_every_screen(desktop: PageFactory, phone: PageFactory):
    for make, name in ((desktop, "chooser-desk"), (phone, "chooser-phone")):
        page = sign_up(make(), name)
        listens(page)
        page.goto("/account/notifications")
        listens(page)
        assert_no_horizontal_scrolling(page)
        page.get_by_label("Order filled: E-mail").uncheck()
        page.get_by_label("Halts of every market").check()
        page.get_by_role("button", name="Save").first.click()
        expect(page.get_by_text("Saved.")).to_be_visible()
        expect(page.get_by_label("Order filled: E-mail")).not_to_be_checked()
        expect(page.get_by_label("Halts of every market")).to_be_checked()
        expect(page.get_by_label("Two-factor changed: E-mail")).to_be_disabled()
        listens(page)
        shots(page, "notification-choices", full=True)
