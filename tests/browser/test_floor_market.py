"""The market's half of the floor in a real browser: the book, the tape and the charts follow the exchange and heal.

What the page knows is compared with what the REST API answers at the same time, by the page itself.
"""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PageFactory
from tests.browser.pages import SIZES, THEMES, Complaints, assert_no_horizontal_scrolling, shot
from tests.gateway_client import Signer
from tests.harness import ServerProcess, new_data_dir, remove_data_dir

REMEMBER_SOCKETS = """
const Plain = WebSocket;
WebSocket = class extends Plain {
    constructor(...all) {
        super(...all);
        (window.sockets ??= []).push(this);
    }
};
"""
FLOOR = "/trade/BTC-USDT"
ORDERS = "/api/v1/orders"
TARGET_PX = 40

SAME_BOOK = """async () => {
    const { book } = await import("/static/marketdata/book.js");
    const answer = await fetch("/api/v1/markets/BTC-USDT/depth?levels=1000").catch(() => null);
    if (!answer?.ok) return false;
    const { bids, asks } = await answer.json();
    const mine = side => JSON.stringify(book.levels(side).map(({ price, quantity }) => [price, quantity]));
    return book.loaded && mine("buy") === JSON.stringify(bids) && mine("sell") === JSON.stringify(asks);
}"""
SAME_TAPE = """async () => {
    const { results } = await (await fetch("/api/v1/markets/BTC-USDT/trades?limit=20")).json();
    const group = text => text.replace(/\\B(?=(\\d{3})+\\.)/g, ",");
    const rows = [...document.querySelectorAll(".tape-rows > [role=row]")].slice(0, results.length);
    return results.length > 0 && results.every(({ price, quantity, taker_side }, index) =>
        rows[index].querySelector(".price").textContent === group(price) &&
        rows[index].querySelector(".quantity").textContent === quantity && rows[index].className === taker_side);
}"""
SMALL_TARGETS = """least => [...document.querySelectorAll("button:enabled, select, a[href], summary, input")]
    .filter(element => element.checkVisibility({ visibilityProperty: true }) && !element.closest(".visually-hidden, p"))
    .map(element => [element, (element.closest("label") ?? element).getBoundingClientRect()])
    .filter(([, box]) => box.width && box.right > 0 && box.left < innerWidth)
    .filter(([, box]) => Math.min(box.width, box.height) < least - 0.5)
    .map(([element, box]) => `${element.outerHTML.slice(0, 80)} ${box.width} x ${box.height}`)"""


class Exchange:
    """A server as two traders use it, and how its orders are placed."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        made = [server.manage("create_api_key", user, "--scopes", "read,trade", "--json") for user in ("alice", "bob")]
        keys = [json.loads(key.stdout) for key in made]
        self.alice, self.bob = (Signer(key["key"], 0, key["secret"]) for key in keys)

    def send(self, signer: Signer, method: str, target: str, body: Any = None) -> Any:
        """A signed request; the answer's JSON, which must not be an error."""
        content = b"" if body is None else json.dumps(body).encode()
        headers = signer.headers(method, target, content, window=60_000) | {"Content-Type": "application/json"}
        answer = httpx.request(method, self.server.base_url + target, content=content, headers=headers, timeout=30)
        assert answer.is_success, answer.text
        return answer.json()

    def place(self, signer: Signer, side: str, price: str, quantity: str) -> Any:
        """A limit order on BTC-USDT."""
        body = {"market": "BTC-USDT", "side": side, "type": "limit", "price": price, "quantity": quantity}
        return self.send(signer, "POST", ORDERS, body)

    def clear(self) -> None:
        """Nobody has an open order."""
        for signer in (self.alice, self.bob):
            self.send(signer, "DELETE", ORDERS)

    def fill_book(self) -> None:
        """Five bids by alice from 42,990 down and five asks by bob from 43,010 up."""
        for step in range(5):
            self.place(self.alice, "buy", f"{42_990 - step}.25", f"0.0{step + 1}")
            self.place(self.bob, "sell", f"{43_010 + step}.75", f"0.0{step + 1}")

    def trade_at(self, price: str) -> None:
        """Bob buys a little from alice, or the nearest better price."""
        self.place(self.alice, "sell", price, "0.001")
        self.place(self.bob, "buy", price, "0.001")


@pytest.fixture(scope="module")
def exchange(site: ServerProcess) -> Exchange:
    """The shared server, its makers off."""
    return Exchange(site)


@pytest.fixture
def quiet(exchange: Exchange) -> Iterator[Exchange]:
    """The shared server with an empty book."""
    exchange.clear()
    yield exchange
    exchange.clear()


@pytest.fixture(scope="module")
def living() -> Iterator[ServerProcess]:
    """A demo with its past and its makers and takers, which is what people see first."""
    data_dir = new_data_dir()
    server = ServerProcess(data_dir=data_dir, env={"DEMO_FLOW": "on", "RATE_LIMITS": "off"})
    try:
        server.start()
        server.wait_ready(timeout=300)  # thirty days are traded first
        yield server
    finally:
        server.close()
        remove_data_dir(data_dir)


def at_the_floor(page: Page, path: str = FLOOR) -> Page:
    """The page on the floor, its feed live and its book loaded."""
    page.goto(path)
    expect(page.locator("feed-status")).to_have_attribute("data-state", "live")
    page.wait_for_function(SAME_BOOK)
    return page


def row(page: Page, side: str, price: str) -> Locator:
    """The ladder's row of a side ("buy") at a price as it is shown ("43,010.75")."""
    return page.locator(f".level.{side}").filter(has=page.get_by_text(price, exact=True))


def shown(page: Page, side: str) -> list[list[str]]:
    """The rows of a side as texts, from the best on."""
    rows = page.locator(f".level.{side}").evaluate_all(
        "rows => rows.map(row => [...row.querySelectorAll('[role=gridcell]')].map(cell => cell.textContent))"
    )
    filled = [cells for cells in rows if cells[0]]
    return filled if side == "buy" else filled[::-1]


def sign_in(page: Page, user: str) -> None:
    """As one of the demo's users."""
    page.goto("/login")
    page.get_by_label("Username").fill(user)
    page.locator("input[type=password]").fill(f"{user}-demo")
    page.locator("main form button[type=submit]").first.click()
    page.wait_for_url(lambda url: "/login" not in url)


def test_an_unknown_market_is_not_found(desktop: PageFactory, complaints: Complaints) -> None:
    complaints.allow("404")
    answer = desktop().goto("/trade/NO-SUCH")
    assert answer is not None
    assert answer.status == 404


def test_the_floor_begins_with_the_first_market(desktop: PageFactory) -> None:
    page = desktop()
    page.goto("/trade/")
    assert page.url.endswith("/trade/BTC-USDT")


def test_book_and_tape_equal_the_exchange_after_activity(desktop: PageFactory, quiet: Exchange) -> None:
    page = at_the_floor(desktop())
    quiet.fill_book()
    quiet.place(quiet.bob, "sell", "42989.25", "0.015")  # takes the best bid and half of the next
    quiet.trade_at("43000.00")
    quiet.place(quiet.alice, "buy", "43011.75", "0.025")  # takes the best ask, then rests above it
    page.wait_for_function(SAME_BOOK)
    page.wait_for_function(SAME_TAPE)
    depth = httpx.get(f"{quiet.server.base_url}/api/v1/markets/BTC-USDT/depth").json()
    for side, levels in (("buy", depth["bids"]), ("sell", depth["asks"])):
        total, expected = Decimal(0), []
        for price, quantity in levels:
            total += Decimal(quantity)
            expected.append([f"{Decimal(price):,}", quantity, str(total)])
        count = len(shown(page, side))
        assert count >= 4
        expect(page.locator(f".level.{side} .price")).not_to_have_count(0)
        assert shown(page, side) == expected[:count]
    expect(page.locator(".middle .last")).to_have_text("43,011.75")
    expect(page.locator(".ticker-price .last")).to_have_text("43,011.75")


def test_levels_are_grouped_by_the_chosen_step(desktop: PageFactory, quiet: Exchange) -> None:
    for price, quantity in (("42000.99", "0.1"), ("42000.01", "0.2"), ("41999.99", "0.3")):
        quiet.place(quiet.alice, "buy", price, quantity)
    for price, quantity in (("43000.01", "0.1"), ("43001.00", "0.2"), ("43001.01", "0.3")):
        quiet.place(quiet.bob, "sell", price, quantity)
    page = at_the_floor(desktop())
    page.get_by_label("Price step").select_option("1")
    expect(row(page, "buy", "42,000")).to_be_visible()
    assert shown(page, "buy") == [["42,000", "0.30000", "0.30000"], ["41,999", "0.30000", "0.60000"]]
    assert shown(page, "sell") == [["43,001", "0.30000", "0.30000"], ["43,002", "0.30000", "0.60000"]]
    page.reload()
    expect(page.get_by_label("Price step")).to_have_value("1")
    page.get_by_label("Price step").select_option("0.01")
    expect(row(page, "buy", "42,000.99")).to_be_visible()


def test_one_side_of_the_book_has_all_the_room(desktop: PageFactory, quiet: Exchange) -> None:
    page = at_the_floor(desktop())
    both = page.locator(".level.buy").count()
    page.get_by_label("Bids only").click()
    expect(page.locator(".level.sell")).to_have_count(0)
    assert page.locator(".level.buy").count() >= 2 * both


def test_a_price_and_a_quantity_of_the_ladder_fill_the_ticket(desktop: PageFactory, quiet: Exchange) -> None:
    quiet.fill_book()
    page = at_the_floor(desktop())
    ticket = page.locator("order-ticket")
    row(page, "buy", "42,988.25").locator(".price").click()
    expect(ticket.get_by_label("Price", exact=True)).to_have_value("42988.25")
    row(page, "sell", "43,012.75").locator(".quantity").click()
    expect(ticket.get_by_label("Price", exact=True)).to_have_value("43012.75")
    expect(ticket.get_by_label("Amount", exact=True)).to_have_value("0.06")


def test_the_ladder_is_one_stop_of_the_tab_key_and_arrows_move_in_it(desktop: PageFactory, quiet: Exchange) -> None:
    quiet.fill_book()
    page = at_the_floor(desktop())
    assert page.locator(".ladder [tabindex='0']").count() == 1
    page.get_by_label("Price step").focus()
    page.keyboard.press("Tab")
    focused = page.locator(".level :focus")
    expect(focused).to_have_text("42,990.25")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("order-ticket").get_by_label("Price", exact=True)).to_have_value("42989.25")
    row(page, "buy", "42,989.25").locator(".price").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("order-ticket").get_by_label("Amount", exact=True)).to_have_value("0.03")


def test_markets_are_found_by_keyboard_alone(desktop: PageFactory, quiet: Exchange) -> None:
    page = at_the_floor(desktop())
    page.locator("body").press("/")
    expect(page.get_by_label("Search a market")).to_be_focused()
    page.keyboard.type("eth b")
    expect(page.locator("#market-options [role=option]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".market-popover")).to_be_hidden()
    page.locator("body").press("/")
    expect(page.get_by_label("Search a market")).to_be_focused()
    page.keyboard.type("eth")
    expect(page.locator("#market-options [role=option]")).to_have_count(2)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/trade/ETH-BTC")
    expect(page.locator("feed-status")).to_have_attribute("data-state", "live")


def test_tabs_of_the_book_are_moved_by_arrows_and_depth_is_drawn(desktop: PageFactory, quiet: Exchange) -> None:
    quiet.fill_book()
    page = at_the_floor(desktop())
    page.get_by_role("tab", name="Book").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Depth")).to_be_focused()
    expect(page.locator(".depth-sum.bid")).to_have_text("0.1500 bid")
    expect(page.locator("depth-chart canvas")).to_have_attribute(
        "aria-label", "Market depth within ±1\u00a0%: 0.1500 BTC bid, 0.1500 BTC asked"
    )
    box = page.locator("depth-chart canvas").bounding_box()
    assert box is not None
    page.locator("depth-chart canvas").hover(position={"x": 4, "y": box["height"] / 2})
    expect(page.locator(".depth-tip")).to_contain_text("Bids down to 42,986.25")


def test_an_interval_is_chosen_kept_and_drawn(desktop: PageFactory, quiet: Exchange) -> None:
    quiet.trade_at("43000.00")
    page = at_the_floor(desktop())
    chart = page.locator("price-chart")
    expect(chart).to_have_attribute("data-interval", "1m")
    page.locator(".intervals").get_by_text("1h", exact=True).click()
    expect(chart).to_have_attribute("data-interval", "1h")
    expect(page.locator(".chart-legend")).to_contain_text("1h")
    page.get_by_label("All intervals").first.click()
    page.get_by_role("button", name="3 days").click()
    expect(chart).to_have_attribute("data-interval", "3d")
    page.reload()
    expect(chart).to_have_attribute("data-interval", "3d")
    expect(page.locator(".more-intervals summary")).to_have_text("3d")


def test_the_chart_follows_trades(desktop: PageFactory, quiet: Exchange) -> None:
    quiet.trade_at("43000.00")
    page = at_the_floor(desktop())
    expect(page.locator(".chart-legend")).to_contain_text("C43,000.00")
    quiet.trade_at("43100.00")
    expect(page.locator(".chart-legend")).to_contain_text("C43,100.00")
    page.locator(".intervals").get_by_text("15m", exact=True).click()
    expect(page.locator("price-chart")).to_have_attribute("data-interval", "15m")
    quiet.trade_at("43050.00")
    expect(page.locator(".chart-legend")).to_contain_text("C43,050.00")


def test_own_orders_are_marked_and_their_lines_amend_them(desktop: PageFactory, quiet: Exchange) -> None:
    quiet.trade_at("43000.00")
    order = quiet.place(quiet.alice, "buy", "42990.00", "0.01")
    page = desktop()
    sign_in(page, "alice")
    at_the_floor(page)
    expect(page.locator(".level.buy.own")).to_have_count(1)
    area = page.locator(".chart-area")
    box = area.bounding_box()
    assert box is not None
    for height in range(0, int(box["height"]), 4):
        page.mouse.move(box["x"] + 200, box["y"] + height)
        if "on-line" in (area.get_attribute("class") or ""):
            break
    else:
        pytest.fail("no line of the order on the chart")
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + height + 60, steps=4)
    page.mouse.up()
    expect(row(page, "buy", "42,990.00")).to_have_count(0)
    page.wait_for_function(SAME_BOOK)
    amended = quiet.send(quiet.alice, "GET", f"{ORDERS}/{order['id']}")
    assert Decimal(amended["price"]) < Decimal("42990.00")


def test_older_candles_come_when_one_scrolls_to_them(open_page: PageFactory, living: ServerProcess) -> None:
    page = at_the_floor(open_page(base_url=living.base_url))
    chart = page.locator("price-chart")
    expect(chart).to_have_attribute("data-interval", "1m")
    page.wait_for_function("() => document.querySelector('price-chart').dataset.candles >= 300")
    page.locator(".chart-area").focus()
    for _ in range(30):
        page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => document.querySelector('price-chart').dataset.candles >= 1300")
    expect(page.get_by_role("button", name="To now")).to_be_visible()
    page.keyboard.press("End")
    expect(page.get_by_role("button", name="To now")).to_be_hidden()


def test_nothing_moves_but_numbers_while_the_market_lives(open_page: PageFactory, living: ServerProcess) -> None:
    page = open_page(base_url=living.base_url)
    page.add_init_script(
        """window.shifted = 0; new PerformanceObserver(list => {
            for (const entry of list.getEntries()) window.shifted += entry.value;
        }).observe({ type: "layout-shift", buffered: true });"""
    )
    at_the_floor(page)
    tape = page.locator(".tape-rows")
    before = tape.inner_text()
    page.wait_for_function("before => document.querySelector('.tape-rows').innerText !== before", arg=before)
    assert page.evaluate("shifted") < 0.02


def test_a_restart_of_the_server_is_told_and_healed(
    open_page: PageFactory, make_server: Callable[..., ServerProcess], complaints: Complaints
) -> None:
    complaints.allow("WebSocket|ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|502|503|request failed")
    server = make_server(env={"DEMO_FLOW": "0", "RATE_LIMITS": "off"})
    server.start()
    server.wait_ready()
    exchange = Exchange(server)
    exchange.fill_book()
    page = at_the_floor(open_page(base_url=server.base_url))
    status = page.locator("feed-status")
    server.terminate()
    expect(status).to_have_attribute("data-state", "reconnecting")
    expect(status).to_contain_text("reconnecting")
    expect(page.locator(".ladder-rows")).to_have_css("opacity", "0.45")
    server.start()
    server.wait_ready()
    exchange.place(exchange.alice, "buy", "42995.00", "0.07")
    expect(status).to_have_attribute("data-state", "live", timeout=40_000)
    expect(row(page, "buy", "42,995.00")).to_be_visible()
    page.wait_for_function(SAME_BOOK)
    expect(page.locator(".ladder-rows")).to_have_css("opacity", "1")


def test_a_page_that_slept_is_right_when_it_wakes(desktop: PageFactory, quiet: Exchange) -> None:
    page = at_the_floor(desktop())
    browser = page.context.new_cdp_session(page)
    browser.send("Page.setWebLifecycleState", {"state": "frozen"})
    quiet.fill_book()
    quiet.trade_at("43000.00")
    browser.send("Page.setWebLifecycleState", {"state": "active"})
    expect(row(page, "buy", "42,990.25")).to_be_visible()
    page.wait_for_function(SAME_BOOK)
    page.wait_for_function(SAME_TAPE)
    expect(page.locator("feed-status")).to_have_attribute("data-state", "live")


def test_a_lost_connection_is_replaced_at_once_when_the_page_is_seen_again(
    desktop: PageFactory, quiet: Exchange
) -> None:
    page = desktop()
    page.add_init_script(REMEMBER_SOCKETS)
    at_the_floor(page)
    page.evaluate("for (const socket of sockets) socket.close()")
    page.wait_for_function("() => document.querySelector('feed-status').dataset.state === 'reconnecting'")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_function("() => sockets.length >= 2 && sockets.at(-1).readyState === WebSocket.OPEN")
    quiet.fill_book()
    page.wait_for_function(SAME_BOOK)
    expect(row(page, "buy", "42,990.25")).to_be_visible()


def test_a_book_whose_checksum_is_wrong_is_asked_for_again(desktop: PageFactory, quiet: Exchange) -> None:
    page = at_the_floor(desktop())
    page.evaluate(
        "import('/static/marketdata/book.js').then(({ book }) => book.apply({ bids: [['1.00', '9']], asks: [] }))"
    )
    quiet.fill_book()
    expect(row(page, "buy", "42,990.25")).to_be_visible()
    page.wait_for_function(SAME_BOOK)


@pytest.mark.parametrize("tab", ["chart", "book", "trade", "orders", "wallet"])
def test_a_phone_never_scrolls_sideways_and_its_targets_are_large(
    phone: PageFactory, quiet: Exchange, tab: str
) -> None:
    page = at_the_floor(phone())
    page.locator(f"[data-show={tab}]").tap()
    assert_no_horizontal_scrolling(page)
    assert page.evaluate("document.scrollingElement.scrollHeight <= innerHeight")
    expect(page.locator(".ticker-price .last")).to_be_visible()
    assert page.evaluate(SMALL_TARGETS, TARGET_PX) == []


def test_a_phone_s_levels_can_be_hit_by_a_finger(phone: PageFactory, quiet: Exchange) -> None:
    quiet.fill_book()
    page = at_the_floor(phone())
    page.locator("[data-show=book]").tap()
    page.wait_for_function("() => document.querySelectorAll('.level').length >= 6")
    heights = page.locator(".level").evaluate_all("rows => rows.map(row => row.getBoundingClientRect().height)")
    assert min(heights) >= TARGET_PX


def test_a_phone_buys_in_a_sheet(phone: PageFactory, quiet: Exchange) -> None:
    page = at_the_floor(phone())
    panel = page.locator(".ticket-panel")
    expect(panel).to_be_hidden()
    page.get_by_role("button", name="Sell", exact=True).tap()
    expect(panel).to_be_visible()
    expect(page.locator("order-ticket").get_by_label("Sell")).to_be_checked()
    page.wait_for_function("() => document.querySelector('.ticket-panel').contains(document.activeElement)")
    assert page.locator(".chart-panel").evaluate("panel => panel.inert")
    page.get_by_label("Close the order ticket").tap()
    expect(panel).to_be_hidden()
    expect(page.locator("[data-open-ticket=sell]")).to_be_focused()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_the_floor_is_seen(open_page: PageFactory, living: ServerProcess, size: str, theme: str) -> None:
    page = at_the_floor(open_page(size=size, theme=theme, base_url=living.base_url))
    page.wait_for_function("() => document.querySelector('price-chart').dataset.candles > 0")
    assert_no_horizontal_scrolling(page)
    shot(page, "floor")
    if size == "phone":
        page.locator("[data-show=book]").tap()
        shot(page, "floor-book")
    page.get_by_role("tab", name="Depth").click()
    expect(page.locator(".depth-sum.bid")).to_contain_text("bid")
    shot(page, "floor-depth")
