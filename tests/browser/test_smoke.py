"""The first look: pages that everyone may see come up whole at both sizes, in both themes."""

import pytest

from tests.browser.conftest import PageFactory
from tests.browser.pages import SIZES, THEMES, Complaints, assert_no_horizontal_scrolling, shot


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_the_home_page_fits_its_window(open_page: PageFactory, size: str, theme: str) -> None:
    page = open_page(size=size, theme=theme)
    answer = page.goto("/")
    assert answer is not None
    assert answer.ok
    assert page.locator("html").get_attribute("data-theme") == theme
    assert_no_horizontal_scrolling(page)
    shot(page, "home")


@pytest.mark.parametrize("size", SIZES)
def test_the_documentation_of_the_api_works_without_exceptions_to_the_policy(open_page: PageFactory, size: str) -> None:
    page = open_page(size=size)
    page.goto("/api/docs/")
    page.get_by_text("/api/v1/orders/batch", exact=True).wait_for()
    shot(page, "api-docs")
    page.locator(".opblock-summary", has_text="/api/v1/time").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute", exact=True).click()
    page.locator(".live-responses-table .response-col_status", has_text="200").wait_for()


def test_the_chart_library_draws_under_our_policy(open_page: PageFactory) -> None:
    page = open_page()
    page.goto("/")
    drawn = page.evaluate(
        """async () => {
            const library = "/static/vendor/lightweight-charts/lightweight-charts.standalone.production.mjs";
            const { createChart, CandlestickSeries } = await import(library);
            const box = document.body.appendChild(document.createElement("div"));
            const chart = createChart(box, { width: 400, height: 200, layout: { attributionLogo: false } });
            chart.addSeries(CandlestickSeries).setData([{ time: 1, open: 1, high: 3, low: 1, close: 2 }]);
            const pixels = chart.takeScreenshot().getContext("2d").getImageData(0, 0, 400, 200).data;
            return new Set(new Uint32Array(pixels.buffer)).size;
        }"""
    )
    assert drawn > 2, "background and axes alone have fewer colours than a candle"


def test_what_the_policy_blocks_is_a_complaint(open_page: PageFactory, complaints: Complaints) -> None:
    page = open_page()
    page.goto("/")
    page.evaluate(
        """() => new Promise(resolve => {
            addEventListener("securitypolicyviolation", () => setTimeout(resolve));
            document.head.append(Object.assign(document.createElement("style"), { textContent: "b { color: red }" }));
        })"""
    )
    assert any("style-src-elem blocked inline" in text for text in complaints.found)
    complaints.allow("Content Security Policy|Content-Security-Policy")


def test_a_script_that_throws_and_a_request_that_fails_are_complaints(
    open_page: PageFactory, complaints: Complaints
) -> None:
    page = open_page()
    page.goto("/")
    with page.expect_event("pageerror"):
        page.evaluate("() => { setTimeout(() => { throw new Error('thrown on purpose') }) }")
    with page.expect_console_message(lambda message: "404" in message.text):
        page.evaluate("() => fetch('/static/no-such-file.js')")
    assert any("thrown on purpose" in text for text in complaints.found)
    assert any("404" in text for text in complaints.found)
    complaints.allow("thrown on purpose|404")


@pytest.mark.parametrize("path", ["/admin/", "/admin/trading/user/"])
def test_the_operators_desk_needs_no_exception_to_the_policy(open_page: PageFactory, path: str) -> None:
    page = open_page()
    page.goto(f"/login?next={path}")
    page.get_by_label("Username").fill("admin")
    page.locator("input[type=password]").fill("admin-demo")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"**{path}")
    page.locator("#site-name").wait_for()
