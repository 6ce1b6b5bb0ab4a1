"""Browser pages that remember what went wrong in them, and the sizes and themes they come in.

A test asks for a page with the fixtures `desktop` and `phone` (tests/browser/conftest.py) and gets Playwright's own
`Page`; what it has complained of by the end of the test fails the test.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

from trading import environment

SCREENSHOTS = environment.PROJECT_ROOT / ".data" / "screenshots"
DESKTOP: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
SIZES = {"desktop": DESKTOP, "phone": PHONE}
THEMES = ("dark", "light")
TIMEOUT_MS = 15_000

# A page tells of blocked content by an event only; the console makes it one complaint among the others.
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", event =>
    console.error(`Content-Security-Policy: ${event.effectiveDirective} blocked ${event.blockedURI}`));
"""


@dataclass  # without slots: Playwright marks the listeners' owner
class Complaints:
    """What the pages of one test have complained of: console errors and warnings, exceptions, failed requests."""

    allowed: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    def allow(self, pattern: str) -> None:
        """Expect complaints that match the regular expression: `complaints.allow("401")` in a test of refusals."""
        self.allowed.append(pattern)

    def unexpected(self) -> list[str]:
        """All that was found and not allowed."""
        return [text for text in self.found if not any(re.search(pattern, text) for pattern in self.allowed)]

    def listen(self, page: Page) -> None:
        """Remember everything that goes wrong in `page` from now on."""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.found.append(f"exception: {error}"))
        page.on("requestfailed", self._on_request_failed)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            where = message.location.get("url", "")
            self.found.append(f"console {message.type}: {message.text} ({where})")

    def _on_request_failed(self, request: Request) -> None:
        # A page that is left takes its unfinished requests back; that is no failure.
        if request.failure != "net::ERR_ABORTED":
            self.found.append(f"request failed: {request.method} {request.url}: {request.failure}")


@contextmanager
def opened_context(
    browser: Browser, *, base_url: str, size: str, theme: str, complaints: Complaints
) -> Iterator[BrowserContext]:
    """A browser profile of its own (cookies, storage) at `size` (of SIZES), with the cookie of `theme` (of THEMES)."""
    context = browser.new_context(base_url=base_url, color_scheme="dark", locale="en-GB", **SIZES[size])
    try:
        context.set_default_timeout(TIMEOUT_MS)
        context.add_cookies([{"name": "theme", "value": theme, "url": base_url}])
        context.add_init_script(REPORT_VIOLATIONS)
        context.on("page", complaints.listen)
        yield context
    finally:
        context.close()


def shot(page: Page, name: str, *, full: bool = False) -> None:
    """Write what `page` shows to `.data/screenshots/<name>-<size>-<theme>.png`; all of its length if `full`."""
    width = page.evaluate("innerWidth")
    size = next(size for size, options in SIZES.items() if options["viewport"]["width"] == width)
    theme = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "theme")
    page.evaluate("document.fonts.ready.then(() => null)")
    page.screenshot(path=SCREENSHOTS / f"{name}-{size}-{theme}.png", full_page=full, animations="disabled")


def assert_no_horizontal_scrolling(page: Page) -> None:
    """Fail if the page is wider than the window, and say which elements stick out."""
    wide: list[str] = page.evaluate(
        """() => document.scrollingElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
            .filter(element => element.getBoundingClientRect().right > innerWidth + 0.5)
            .map(element => `<${element.localName} class="${element.className}">`)"""
    )
    assert not wide, f"{page.url} is wider than its window: {wide[:10]}"
