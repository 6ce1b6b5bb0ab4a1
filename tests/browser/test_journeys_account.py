"""What people do about their account: second factor, API keys, password and sessions, colours, all by keyboard too."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.account_pages.people import app_code
from tests.browser.conftest import PageFactory
from tests.browser.pages import SIZES, Complaints, shot
from tests.browser.visitors import (
    PASSWORD,
    arrived,
    fact,
    fill_sign_up,
    give_password,
    log_in,
    log_out,
    shots,
    sign_up,
)

NEW_PASSWORD = "battery-staple-9"
ORDERS = "/api/v1/orders"

REMEMBER_BACKGROUNDS = """
window.backgrounds = new Set();
(function look() {
    if (document.body) backgrounds.add(getComputedStyle(document.body).backgroundColor);
    requestAnimationFrame(look);
})();
"""
"""Each colour that a frame of the page was drawn in: a page that flashes has two."""

FOCUSED = """() => {
    const { activeElement: element } = document;
    const { outlineStyle, boxShadow } = getComputedStyle(element);
    const name = element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent;
    return { name: name.trim(), marked: outlineStyle !== "none" || boxShadow !== "none" };
}"""


# ---------------------------------------------------------------------------------------------- second factor


@pytest.mark.parametrize("size", SIZES)
def test_a_second_factor_is_set_up_used_and_given_up(open_page: PageFactory, size: str) -> None:
    name = f"twofa-{size}"
    page = sign_up(open_page(size=size), name)
    page.goto("/account/security")
    shots(page, "security")
    page.get_by_role("link", name="Turn on two-factor").click()
    secret = set_up(page)
    codes = page.get_by_label("Recovery codes").inner_text().split()
    assert len(set(codes)) == 10
    shot(page, "recovery-codes")
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("10 of your recovery codes are unused")).to_be_visible()
    shot(page, "security-two-factor")
    assert not any(code in page.content() for code in codes)

    log_out(page)
    give_password(page, name)
    expect(page.get_by_role("heading", level=1)).to_have_text("Enter your code")
    shot(page, "login-code")
    page.get_by_label("Code", exact=True).fill(app_code(secret, steps=1))  # the present one was used up
    page.get_by_role("button", name="Log in", exact=True).click()
    arrived(page)

    log_out(page)
    give_password(page, name)
    page.get_by_role("link", name="Use a recovery code").click()
    page.get_by_label("Recovery code").fill(codes[3])
    page.get_by_role("button", name="Log in", exact=True).click()
    arrived(page)
    page.goto("/account/security")
    expect(page.get_by_text("9 of your recovery codes are unused")).to_be_visible()
    give_up(page)
    log_out(page)
    log_in(page, name)


def set_up(page: Page) -> str:
    """Tell the app by the key that is shown, below a QR code that can be seen; returns the key."""
    secret = page.locator("#secret").inner_text()
    picture = page.get_by_role("img", name="QR code")
    expect(picture).to_be_visible()
    box = picture.bounding_box()
    assert box is not None
    assert box["width"] == box["height"] >= 160
    shots(page, "two-factor", full=True)
    page.get_by_label("Code", exact=True).fill(app_code(secret))
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Keep your recovery codes")
    return secret


def give_up(page: Page) -> None:
    """Turn it off, with the password."""
    page.get_by_role("link", name="Turn off").click()
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Turn off").click()
    expect(page.get_by_text("Two-factor is off")).to_be_visible()
    expect(page.get_by_role("link", name="Turn on two-factor")).to_be_visible()


# ---------------------------------------------------------------------------------------------- API keys


@pytest.mark.parametrize("size", SIZES)
def test_an_api_key_works_in_a_shell_until_it_is_revoked(open_page: PageFactory, size: str, tmp_path: Path) -> None:
    page = sign_up(open_page(size=size), f"keys-{size}")
    page.goto("/account/api-keys")
    shot(page, "api-keys-none", full=True)
    page.get_by_label("Name").fill("laptop bot")
    page.get_by_label("Trade: place").check()
    page.get_by_role("button", name="Make key").click()
    secret = page.locator("#key-secret").inner_text()
    see, place = page.locator(".command pre").all_inner_texts()
    shots(page, "api-key-made")

    assert shell(see, tmp_path) == (200, balances_of(page))
    status, order = shell(place, tmp_path)
    assert (status, order["market"], order["quantity"]) == (201, "BTC-USDT", "0.01500")

    page.get_by_role("link", name="I have copied it").click()
    expect(page.get_by_role("row").filter(has_text="laptop bot")).to_be_visible()
    assert secret not in page.content()
    shots(page, "api-keys")
    page.get_by_role("button", name="Revoke laptop bot").click()
    expect(page.get_by_text("laptop bot is revoked")).to_be_visible()
    status, refusal = shell(see, tmp_path)
    assert (status, refusal["error"]["code"]) == (401, "key_revoked")
    page.goto(f"/orders/{order['id']}")
    page.get_by_role("button", name="Cancel order").click()
    expect(page.get_by_text("is canceled")).to_be_visible()


def shell(line: str, home: Path) -> tuple[int, Any]:
    """Run a line as it is shown; the status and the JSON that curl got (which its settings in `home` make it tell)."""
    (home / ".curlrc").write_text('write-out = "%{stderr}%{http_code}"\n')
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "CURL_HOME": str(home)}
    ran = subprocess.run(["sh", "-c", line], env=environment, capture_output=True, text=True, timeout=30)
    return int(ran.stderr), json.loads(ran.stdout)


def balances_of(page: Page) -> Any:
    """What the API tells the browser's own session."""
    return page.evaluate("async () => (await fetch('/api/v1/balances')).json()")


# ---------------------------------------------------------------------------------------------- password, sessions


def test_a_new_password_ends_the_other_sessions(
    desktop: PageFactory, phone: PageFactory, complaints: Complaints
) -> None:
    complaints.allow("401")
    name = "pat"
    here, there = sign_up(phone(), name), log_in(desktop(), name)
    here.goto("/account/security")
    here.get_by_role("link", name="Change password").click()
    here.get_by_label("Present password").fill(PASSWORD)
    here.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    here.get_by_label("New password again").fill(NEW_PASSWORD)
    shot(here, "password-change")
    here.get_by_role("button", name="Change password").click()
    expect(here.get_by_role("heading", level=1)).to_have_text("Security")
    told_to_be_logged_out(there)
    there.goto("/portfolio")
    expect(there.get_by_role("heading", level=1)).to_have_text("Log in")
    give_password(there, name)
    expect(there.get_by_text("The username or the password is wrong.")).to_be_visible()
    shot(there, "login-wrong")
    log_in(there, name, NEW_PASSWORD)


def test_a_session_is_ended_from_another(desktop: PageFactory, phone: PageFactory, complaints: Complaints) -> None:
    complaints.allow("401")
    name = "sam"
    here, there = sign_up(desktop(), name), log_in(phone(), name)
    here.goto("/account/security")
    rows = here.get_by_role("row").filter(has_text="Chrome on Linux")
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="this browser")).to_have_count(1)
    shots(here, "sessions")
    rows.filter(has_not_text="this browser").get_by_role("button").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("this browser")
    told_to_be_logged_out(there)
    there.goto("/orders")
    expect(there.get_by_role("heading", level=1)).to_have_text("Log in")
    log_in(there, name)


def told_to_be_logged_out(page: Page) -> None:
    """The open floor says so by itself, and nothing behind that can be used; whoever wants goes on as a visitor."""
    dialog = page.get_by_role("dialog", name="You are logged out")
    expect(dialog).to_be_visible()
    shot(page, "floor-logged-out")
    dialog.get_by_role("button", name="Just watch").click()
    expect(page.locator("body[data-user]")).to_have_count(0)
    arrived(page)


# ---------------------------------------------------------------------------------------------- colours, keyboard


def colours(page: Page) -> tuple[str | None, str | None]:
    """Theme and palette of the page."""
    root = page.locator("html")
    return root.get_attribute("data-theme"), root.get_attribute("data-palette")


def test_colours_stay_without_a_flash_and_follow_the_account(desktop: PageFactory, phone: PageFactory) -> None:
    name = "hue"
    page = desktop(theme="dark")
    page.context.add_init_script(REMEMBER_BACKGROUNDS)
    page.goto("/")
    page.get_by_label("Appearance").click()
    page.get_by_role("button", name="Light").click()
    page.get_by_role("button", name="Blue and orange").click()
    page.reload()
    assert colours(page) == ("light", "colour-blind")
    page.wait_for_function("backgrounds.size > 0")
    assert page.evaluate("[...backgrounds]") == [page.evaluate("getComputedStyle(document.body).backgroundColor")]

    sign_up(page, name)
    assert colours(page) == ("light", "colour-blind")
    page.goto("/account")
    expect(page.get_by_label("Light", exact=True).and_(page.get_by_role("radio"))).to_be_checked()
    page.locator("main").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    other = log_in(phone(theme="dark"), name)
    assert colours(other) == ("light", "colour-blind")
    other.reload()
    assert colours(other) == ("light", "colour-blind")


def stops(page: Page, count: int) -> list[str]:
    """The names of the next stops of the tab key, each of which must be marked."""
    names = []
    for _ in range(count):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        assert focused["marked"], f"{focused['name']} has the focus, and nobody sees it"
        names.append(focused["name"])
    return names


def test_an_account_is_made_with_the_keyboard_alone(desktop: PageFactory) -> None:
    page = desktop()
    page.goto("/")
    header = ["Skip to content", "Bourse", "Trade", "Portfolio", "Orders", "Appearance", "Log in", "Sign up"]
    assert stops(page, len(header)) == header
    page.keyboard.press("Enter")
    page.wait_for_url("**/signup")
    expect(page.get_by_label("Username")).to_be_focused()
    for text in ("kim-keys", "kim@example.org", PASSWORD):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED)["name"] == "Show password"
    assert stops(page, 1) == ["Start with test funds: 100,000 USDT, 2 BTC and 20 ETH"]
    page.keyboard.press("Enter")
    arrived(page)
    expect(page.locator("body")).to_have_attribute("data-user", "kim-keys")
    assert stops(page, 1) == ["Skip to content"]
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()


def says(field: Locator) -> Locator:
    """What is said to be wrong at a field of a form."""
    return field.locator("xpath=ancestor::div[contains(@class, 'field')][1]").locator(".errorlist")


@pytest.mark.parametrize("size", SIZES)
def test_the_sign_up_form_says_what_is_wrong_where_it_is(open_page: PageFactory, size: str) -> None:
    page = open_page(size=size)
    page.goto("/signup")
    shots(page, "sign-up", full=True)
    fill_sign_up(page, "a b")
    page.get_by_label("Password", exact=True).fill("12345678")
    page.get_by_role("button", name="Create account").click()
    expect(says(page.get_by_label("Username"))).to_contain_text("3 to 32 letters")
    expect(page.get_by_label("Username")).to_be_focused()
    expect(says(page.get_by_label("Password", exact=True))).to_contain_text("too common")
    shot(page, "sign-up-wrong", full=True)
    page.goto("/login")
    shots(page, "login")
    log_in(page, "alice", "alice-demo")
    page.goto("/account")
    expect(fact(page, "Username")).to_have_text("alice")
