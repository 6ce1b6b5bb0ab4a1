"""One server and one Chromium for all browser tests; pages of both sizes that fail a test when they complain.

The server is another process, so that these tests never touch a database: Playwright's synchronous interface runs an
event loop in this thread, in which Django would refuse to. It ends with this package, before other tests need one.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.pages import Complaints, opened_context
from tests.chromium import ARGUMENTS, chromium_path
from tests.harness import ServerProcess, new_data_dir, remove_data_dir

PageFactory = Callable[..., Page]


@pytest.fixture(scope="package")
def site() -> Iterator[ServerProcess]:
    """A ready demo server without its market makers, for all browser tests: do not kill this one."""
    data_dir = new_data_dir()
    try:
        with ServerProcess(data_dir=data_dir, env={"DEMO_FLOW": "0", "RATE_LIMITS": "off"}) as running:
            yield running
    finally:
        remove_data_dir(data_dir)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for this package; what must not be shared is in its contexts."""
    executable = chromium_path()
    assert executable is not None, "The browser tests need Chromium; `make test` says how to get it."
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """What the pages of this test complain of; anything that was not allowed fails the test."""
    collected = Complaints()
    yield collected
    assert collected.unexpected() == []


@pytest.fixture
def open_page(browser: Browser, site: ServerProcess, complaints: Complaints) -> Iterator[PageFactory]:
    """Makes blank pages, each in a browser profile of its own: `open_page(size="phone", theme="light")`.

    `base_url` names another server than `site`. Paths given to `page.goto` are below it.
    """
    with ExitStack() as stack:

        def make(*, size: str = "desktop", theme: str = "dark", base_url: str = site.base_url) -> Page:
            context = opened_context(browser, base_url=base_url, size=size, theme=theme, complaints=complaints)
            return stack.enter_context(context).new_page()

        yield make


@pytest.fixture
def desktop(open_page: PageFactory) -> PageFactory:
    """Makes pages of 1440 x 900: `desktop()`, `desktop(theme="light")`."""
    return lambda **options: open_page(size="desktop", **options)


@pytest.fixture
def phone(open_page: PageFactory) -> PageFactory:
    """Makes pages of 390 x 844 with touch: `phone()`, `phone(theme="light")`."""
    return lambda **options: open_page(size="phone", **options)
