"""A person on the pages around the floor: signs up, logs in and out, and is photographed in both themes."""

from playwright.sync_api import Locator, Page, expect

from tests.browser.pages import THEMES, TIMEOUT_MS, assert_no_horizontal_scrolling, shot

expect.set_options(timeout=TIMEOUT_MS)

PASSWORD = "correct-horse-7"
CHOOSE_THEME = "async theme => (await import('/static/trading/theme.js')).chooseTheme(theme)"


def arrived(page: Page) -> Page:
    """The page, on the trading floor with a live connection: Chromium complains when one leaves before that."""
    page.wait_for_url("**/trade/**")
    expect(page.locator("html")).to_have_attribute("data-feed", "live")
    return page


def fill_sign_up(page: Page, username: str) -> None:
    """Write into the sign-up form what it asks for."""
    page.get_by_label("Username").fill(username)
    page.get_by_label("E-mail").fill(f"{username}@example.org")
    page.get_by_label("Password", exact=True).fill(PASSWORD)


def sign_up(page: Page, username: str, *, funds: bool = True) -> Page:
    """A new account by the form, in the demo with test funds; the page is the trading floor then."""
    page.goto("/signup")
    fill_sign_up(page, username)
    page.get_by_label("Start with test funds").set_checked(funds)
    page.get_by_role("button", name="Create account").click()
    return arrived(page)


def give_password(page: Page, username: str, password: str = PASSWORD) -> None:
    """Fill in and send the login form."""
    page.goto("/login")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Log in", exact=True).click()


def log_in(page: Page, username: str, password: str = PASSWORD) -> Page:
    """Log in to an account without a second factor; the page is the trading floor then."""
    give_password(page, username, password)
    return arrived(page)


def log_out(page: Page) -> None:
    """By the menu in the header; the page is the home page then."""
    page.locator("summary[aria-label^='Account of']").click()
    page.get_by_role("button", name="Log out", exact=True).click()
    page.wait_for_url(lambda url: url.endswith("/"))


def fact(page: Page, name: str) -> Locator:
    """The value beside a name in a list of facts."""
    return page.locator("dl > div").filter(has=page.locator("dt", has_text=name)).locator("dd")


def shots(page: Page, name: str, *, full: bool = False) -> None:
    """Screenshots in both themes, ending with the one the page had; fails if the page is wider than its window."""
    assert_no_horizontal_scrolling(page)
    had = page.locator("html").get_attribute("data-theme")
    for theme in sorted(THEMES, key=lambda each: each == had):
        page.evaluate(CHOOSE_THEME, theme)
        shot(page, name, full=full)
