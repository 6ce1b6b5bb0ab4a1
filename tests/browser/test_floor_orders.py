"""The trader's half of the floor in a real browser: the ticket, open orders, fills, toasts and shortcuts.

Every test has a market and trial accounts of its own, on a server of this module's own.
"""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from matching.engine.messages import Reason
from tests.browser.conftest import PageFactory
from tests.browser.pages import SIZES, THEMES, Complaints, assert_no_horizontal_scrolling, shot
from tests.browser.traders import Trader
from tests.harness import ServerProcess, new_data_dir, remove_data_dir

NewTrader = Callable[..., Trader]

MARKETS = [f"FLOOR{number}-USDT" for number in range(1, 41)]
MAKE_MARKETS = f"""
from marketdata.models import Asset
from matching.engine.messages import CreateMarket, MarketParameters
from trading import control
base, quote = Asset.objects.get(symbol="ETH"), Asset.objects.get(symbol="USDT")
texts = {{
    "tick_size": "0.01", "lot_size": "0.0001", "min_quantity": "0.0001", "max_quantity": "10000", "min_notional": "5",
    "max_notional": "10000000", "reference_price": "2300", "price_band": "50", "breaker_move": "0",
}}
parameters = MarketParameters(**control.market_filters(texts=texts, base=base, quote=quote))
commands = [CreateMarket(base.id, quote.id, parameters, symbol) for symbol in {MARKETS}]
control.execute_all(commands=commands, actor="tests", timeout=60)
"""


@pytest.fixture(scope="module")
def site() -> Iterator[ServerProcess]:
    """A demo server for this module instead of the one for all, so that its markets are in nobody's way."""
    data_dir = new_data_dir()
    try:
        with ServerProcess(data_dir=data_dir, env={"DEMO_FLOW": "0", "RATE_LIMITS": "off"}) as running:
            made = running.manage("shell", "-c", MAKE_MARKETS)
            assert made.returncode == 0, made.stderr
            yield running
    finally:
        remove_data_dir(data_dir)


@pytest.fixture(scope="module")
def unused_markets() -> Iterator[str]:
    """The markets that no test has had yet."""
    return iter(MARKETS)


@pytest.fixture
def market(unused_markets: Iterator[str]) -> str:
    """A market of this test's own: ETH against USDT, around 2,300, nothing in its book."""
    return next(unused_markets)


@pytest.fixture
def new_trader(open_page: PageFactory, market: str) -> NewTrader:
    """Makes people with a funded trial account on the market's floor, each in a browser of their own."""

    def make(**options: str) -> Trader:
        trader = Trader(open_page(**options), market)
        trader.start_trial()
        return trader

    return make


def only_by_rest(page: Page) -> None:
    """The page gets no socket any more; what it has is closed when it is loaded again."""

    def refuse(socket: WebSocketRoute) -> None:
        socket.close(code=1001)

    page.route_web_socket("**/api/v1/ws", refuse)
    page.reload()


# ---------------------------------------------------------------------------------------------- trading


@pytest.mark.parametrize("theme", THEMES)
def test_one_click_makes_a_funded_trial_account(new_trader: NewTrader, theme: str) -> None:
    trader = new_trader(theme=theme)
    expect(trader.toast("Welcome")).to_contain_text("100,000 USDT")
    expect(trader.submit).to_have_text("Buy ETH")
    expect(trader.panel.get_by_text("No open orders yet.")).to_be_visible()
    trader.tab("Balances")
    expect(trader.panel.get_by_role("row", name="BTC 2")).to_be_visible()
    shot(trader.page, "floor-trial")


def test_a_visitor_sees_the_ticket_and_is_invited(open_page: PageFactory, market: str) -> None:
    page = open_page()
    page.goto(f"/trade/{market}")
    ticket = page.locator("order-ticket")
    ticket.get_by_label("Price", exact=True).fill("2300")
    ticket.get_by_label("Amount", exact=True).fill("0.5")
    expect(Trader(page, market).summary("Total")).to_have_text("1,150.00 USDT")
    expect(ticket.get_by_role("link", name="Log in")).to_have_attribute("href", f"/login?next=%2Ftrade%2F{market}")
    expect(ticket.locator(".ticket-submit")).to_have_count(0)
    expect(page.locator("orders-panel").get_by_text("Your orders, fills and balances will be here.")).to_be_visible()


def test_an_order_is_seen_in_another_browser_and_the_trade_by_both(new_trader: NewTrader) -> None:
    ann, ben = new_trader(), new_trader(theme="light")
    ann.place("Buy", price="2300", amount="0.5")
    expect(ann.toast("Buy order placed")).to_contain_text("0.5 ETH at 2,300.00 USDT")
    expect(ann.open_orders).to_have_count(1)
    expect(ben.level("buy", "2,300.00")).to_be_visible()

    ben.place("Sell", price="2300", amount="0.2")
    expect(ben.toast("Sold 0.2 ETH at 2,300.00")).to_contain_text("fee 0.69 USDT (taker)")
    expect(ann.toast("Bought 0.2 ETH at 2,300.00")).to_contain_text("fee 0.0002 ETH (maker)")
    expect(ann.open_orders.first).to_contain_text("40 %")
    ann.tab("Fills")
    row = ann.panel.get_by_role("table", name="Fills").locator("tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("0.2000")
    ben.tab("Order history")
    expect(ben.panel.get_by_role("table", name="Order history").locator("tbody tr")).to_contain_text("filled")
    for trader in (ann, ben):
        shot(trader.page, "floor-traded")


def test_many_fills_at_once_are_one_toast(new_trader: NewTrader) -> None:
    ann, ben = new_trader(), new_trader()
    for price in ("2300", "2299", "2298"):
        ann.place("Buy", price=price, amount="0.1")
    ben.choose("Sell")
    ben.choose("Market")
    ben.write(amount="0.3")
    ben.send()
    expect(ben.toast("Sold 0.3 ETH at 2,299.00 on average")).to_contain_text("3 trades")
    expect(ben.toast("Sold")).to_have_count(1)


@pytest.mark.parametrize(
    ("side", "kind", "share", "amount"),
    [
        ("Buy", "Limit", "50%", "21.7391"),  # 50,000 / 2,300, in lots of 0.0001
        ("Buy", "Limit", "100%", "43.4782"),
        ("Sell", "Limit", "25%", "5"),
        ("Sell", "Market", "75%", "15"),
        ("Buy", "Market", "100%", "100000"),
    ],
)
def test_percentages_are_of_what_is_available(
    new_trader: NewTrader, side: str, kind: str, share: str, amount: str
) -> None:
    trader = new_trader()
    trader.choose(side)
    trader.choose(kind)
    if kind == "Limit":
        trader.write(price="2300")
    elif side == "Buy":
        trader.ticket.get_by_label("Amount in").select_option("USDT")
    trader.ticket.get_by_role("button", name=share, exact=True).click()
    expect(trader.amount).to_have_value(amount)


def test_the_estimate_of_a_market_order_is_what_happens(new_trader: NewTrader) -> None:
    ann, ben = new_trader(), new_trader()
    for price, amount in (("2300.01", "0.3333"), ("2310.77", "0.2"), ("2322.22", "3")):
        ann.place("Sell", price=price, amount=amount)
    ben.choose("Market")
    ben.write(amount="1.2345")
    expect(ben.submit).to_have_text("Buy 1.2345 ETH")
    expect(ben.summary("Total")).not_to_have_text("\u2013")
    said = {
        name: Decimal(ben.summary(name).inner_text().split()[0].replace(",", ""))
        for name in ("Average price", "Total", "Fee", "You get", "Costs at most")
    }
    ben.send()
    expect(ben.submit).to_have_text("Filled")
    fills = ben.api("GET", f"/fills?market={ben.market}")["results"]
    cent = Decimal("0.01")
    notional = sum((Decimal(fill["notional"]) for fill in fills), Decimal(0))
    fee = sum(Decimal(fill["fee"]) for fill in fills)
    assert len(fills) == 3
    assert said["Total"] == said["Costs at most"] == notional.quantize(cent, rounding="ROUND_DOWN")
    assert said["Fee"] == fee
    assert said["You get"] == Decimal("1.2345") - fee
    assert said["Average price"] == (notional / Decimal("1.2345")).quantize(cent, rounding="ROUND_DOWN")


# ---------------------------------------------------------------------------------------------- refusals and warnings


def test_what_is_wrong_is_said_at_the_field(new_trader: NewTrader) -> None:
    trader = new_trader()
    trader.write(price="2300.001", amount="0.00005")
    trader.send()
    expect(trader.error("price")).to_have_text("The price must be a positive multiple of 0.01 USDT.")
    expect(trader.price).to_have_attribute("aria-invalid", "true")
    expect(trader.price).to_be_focused()
    expect(trader.error("quantity")).to_have_text("The quantity must be a positive multiple of 0.0001 ETH.")
    trader.write(price="2300", amount="100")
    trader.send()
    expect(trader.error("quantity")).to_have_text("This costs 230,000 USDT; 100,000 USDT are available.")
    assert trader.api("GET", "/orders")["results"] == []


def test_the_exchange_has_the_last_word(new_trader: NewTrader) -> None:
    ann, ben = new_trader(), new_trader()
    ann.place("Sell", price="2301", amount="1")
    expect(ben.level("sell", "2,301.00")).to_be_visible()
    ben.write(price="2301", amount="0.5")
    ben.ticket.get_by_label("Post-only").check()
    expect(ben.ticket.locator(".ticket-note")).to_have_text("At this price it would trade at once, and be refused.")
    ben.send()
    expect(ben.error("price")).to_have_text("The post-only order would have traded at once.")
    expect(ben.toast("Order refused")).to_contain_text("The post-only order would have traded at once.")
    expect(ben.submit).to_have_attribute("data-answer", "refused")
    ben.write(price="2300")
    expect(ben.error("price")).to_be_hidden()


def test_a_price_far_from_the_market_is_asked_about(new_trader: NewTrader) -> None:
    ann, ben = new_trader(), new_trader()
    ann.place("Sell", price="2300", amount="1")
    expect(ben.level("sell", "2,300.00")).to_be_visible()
    ben.write(price="2460", amount="0.1")
    ben.send()
    expect(ben.dialog).to_contain_text("This price is far from the market")
    expect(ben.dialog).to_contain_text("6.96\u00a0% above the market")
    shot(ben.page, "floor-risky")
    expect(ben.dialog.get_by_role("button", name="Go back")).to_be_focused()
    ben.page.keyboard.press("Escape")
    expect(ben.dialog).to_have_count(0)
    expect(ben.amount).to_be_focused()
    assert ben.api("GET", "/orders")["results"] == []
    ben.send()
    ben.dialog.get_by_role("button", name="Buy 0.1 ETH anyway").click()
    expect(ben.submit).to_have_text("Filled")


def test_a_market_order_that_moves_the_market_is_asked_about(new_trader: NewTrader) -> None:
    ann, ben = new_trader(), new_trader()
    ann.place("Sell", price="2300", amount="1")
    ann.place("Sell", price="2369", amount="1")
    ben.choose("Market")
    ben.write(amount="1.5")
    expect(ben.summary("Slippage")).to_have_text("1.00\u00a0%")
    ben.send()
    expect(ben.dialog).to_contain_text("from 2,300.00 USDT to 2,369.00 USDT, 3.00\u00a0% away")
    ben.dialog.get_by_role("button", name="Go back").click()
    ben.write(amount="0.5")
    ben.send()
    expect(ben.submit).to_have_text("Filled")


def test_a_market_that_is_not_open_says_so(new_trader: NewTrader, site: ServerProcess, market: str) -> None:
    trader = new_trader()
    assert site.manage("market", market, "halted").returncode == 0
    banner = trader.ticket.get_by_text("The market is halted; cancels are accepted.")
    expect(banner).to_be_visible()
    expect(trader.submit).to_be_disabled()
    assert site.manage("market", market, "post_only").returncode == 0
    expect(trader.ticket.get_by_text("The market takes only post-only orders at the moment.")).to_be_visible()
    trader.ticket.get_by_label("Post-only").check()
    expect(trader.submit).to_be_enabled()
    assert site.manage("market", market, "open").returncode == 0
    expect(trader.ticket.locator(".ticket-banner")).to_be_hidden()


def test_reasons_are_told_in_the_exchange_s_own_words(new_trader: NewTrader) -> None:
    page = new_trader().page
    script = "async code => (await import('/static/orders/reasons.js')).reasonText(code)"
    early_ends = (
        Reason.USER_CANCELED, Reason.IMMEDIATE_OR_CANCEL, Reason.FILL_OR_KILL, Reason.SELF_TRADE_PREVENTED,
        Reason.NO_LIQUIDITY, Reason.PRICE_BAND, Reason.CIRCUIT_BREAKER, Reason.ACCOUNT_WAS_FROZEN,
    )  # fmt: skip
    refusals = (
        Reason.INSUFFICIENT_BALANCE, Reason.PRICE_OFF_TICK, Reason.QUANTITY_OFF_LOT, Reason.QUANTITY_TOO_SMALL,
        Reason.QUANTITY_TOO_LARGE, Reason.NOTIONAL_TOO_SMALL, Reason.NOTIONAL_TOO_LARGE, Reason.PRICE_OUTSIDE_BAND,
        Reason.POST_ONLY_WOULD_TRADE, Reason.TOO_MANY_OPEN_ORDERS, Reason.POSITION_LIMIT, Reason.ORDER_RATE_EXCEEDED,
        Reason.ACCOUNT_FROZEN, Reason.EXCHANGE_HALTED, Reason.MARKET_HALTED, Reason.MARKET_CANCEL_ONLY,
        Reason.MARKET_POST_ONLY,
    )  # fmt: skip
    for reason in early_ends + refusals:
        assert page.evaluate(script, reason.value) == reason.text


# ---------------------------------------------------------------------------------------------- open orders


def test_an_order_is_amended_by_editing_its_cells(new_trader: NewTrader) -> None:
    trader = new_trader()
    trader.place("Buy", price="2300", amount="0.5")
    row = trader.open_orders.first
    row.get_by_role("button", name="Price 2,300.00, change").click()
    price, amount = row.get_by_label("Price", exact=True), row.get_by_label("Amount", exact=True)
    expect(price).to_be_focused()
    price.fill("2290.005")
    price.press("Enter")
    expect(row.get_by_role("alert").filter(has_text="multiple of 0.01")).to_be_visible()
    shot(trader.page, "floor-amend-refused")
    price.fill("2290")
    amount.fill("0.4")
    amount.press("Enter")
    expect(row.get_by_role("button", name="Price 2,290.00, change")).to_be_visible()
    expect(row.get_by_role("button", name="Amount 0.4000, change")).to_be_focused()
    (order,) = trader.api("GET", "/orders?status=open")["results"]
    assert (order["price"], order["quantity"]) == ("2290.00", "0.4000")

    row.get_by_role("button", name="Amount 0.4000, change").click()
    amount.fill("9")
    amount.press("Escape")
    expect(row.get_by_role("button", name="Amount 0.4000, change")).to_be_focused()
    assert trader.api("GET", "/orders?status=open")["results"] == [order]


def test_the_chart_amends_by_its_event_and_hears_of_own_orders(new_trader: NewTrader) -> None:
    trader = new_trader()
    trader.page.evaluate("addEventListener('own-orders', event => { window.told = event.detail.orders }, true)")
    trader.place("Buy", price="2300", amount="0.5")
    (order,) = trader.api("GET", "/orders?status=open")["results"]
    drag = "detail => document.dispatchEvent(new CustomEvent('amend-order', { detail }))"
    trader.page.evaluate(drag, {"id": order["id"], "price": "2310.00"})
    expect(trader.toast("Order amended")).to_contain_text("Buy 0.5 ETH at 2,310.00")
    expect(trader.open_orders).to_contain_text("2,310.00")
    trader.page.wait_for_function("told.length === 1 && told[0].price === '2310.00'")
    trader.page.evaluate(drag, {"id": order["id"], "price": "2310.001"})
    expect(trader.toast("The order was not amended")).to_contain_text("multiple of 0.01 USDT")


def test_one_order_is_canceled_and_all_only_after_asking(new_trader: NewTrader) -> None:
    trader = new_trader()
    for price in ("2300", "2299", "2298"):
        trader.place("Buy", price=price, amount="0.1")
    expect(trader.panel.get_by_role("tab", name="Open orders 3")).to_be_visible()
    trader.panel.get_by_role("button", name="Cancel: Buy 0.1 ETH at 2,299.00").click()
    expect(trader.open_orders).to_have_count(2)
    trader.panel.get_by_role("button", name="Cancel all").click()
    expect(trader.dialog).to_contain_text("Cancel 2 orders?")
    trader.dialog.get_by_role("button", name="Keep them").click()
    expect(trader.open_orders).to_have_count(2)
    trader.panel.get_by_role("button", name="Cancel all").click()
    trader.dialog.get_by_role("button", name="Cancel 2 orders").click()
    expect(trader.panel.get_by_text("No open orders yet.")).to_be_visible()
    expect(trader.ticket.locator(".ticket-available")).to_have_text("100,000.00 USDT")
    trader.tab("Order history")
    expect(trader.panel.get_by_role("table", name="Order history").locator("tbody tr")).to_have_count(3)


# ---------------------------------------------------------------------------------------------- keyboard


def test_shortcuts_work_but_not_while_typing(new_trader: NewTrader) -> None:
    trader = new_trader()
    trader.place("Buy", price="2300", amount="0.1")
    trader.place("Buy", price="2299", amount="0.1")
    press = trader.page.keyboard.press
    leave = "document.activeElement.blur()"
    trader.page.evaluate(leave)
    press("c")
    expect(trader.open_orders).to_have_count(1)
    expect(trader.open_orders).to_contain_text("2,300.00")
    press("s")
    expect(trader.submit).to_have_text("Sell ETH")
    expect(trader.amount).to_be_focused()
    trader.page.keyboard.type("bmc?")
    expect(trader.submit).to_have_text("Sell ETH")
    expect(trader.open_orders).to_have_count(1)
    press("Escape")
    expect(trader.amount).to_have_value("")
    trader.page.evaluate(leave)
    press("m")
    expect(trader.price).to_be_hidden()
    trader.page.evaluate(leave)
    press("?")
    expect(trader.dialog).to_contain_text("Cancel the last order")
    press("b")
    expect(trader.submit).to_have_text("Sell ETH")
    press("Escape")
    expect(trader.dialog).to_have_count(0)
    press("l")
    expect(trader.price).to_be_visible()


def test_the_book_fills_the_ticket(new_trader: NewTrader) -> None:
    ann, ben = new_trader(), new_trader()
    ann.place("Sell", price="2300", amount="1")
    ann.place("Sell", price="2301", amount="0.5")
    ben.level("sell", "2,301.00").click()
    expect(ben.price).to_have_value("2301.00")
    pick = {"detail": {"side": "sell", "price": "2300.00", "quantity": "1.0000"}}
    ben.page.evaluate("pick => document.dispatchEvent(new CustomEvent('pick-level', pick))", pick)
    expect(ben.price).to_have_value("2300.00")
    expect(ben.submit).to_have_text("Buy 1 ETH")


# ---------------------------------------------------------------------------------------------- a bad connection


def test_without_a_socket_everything_works_by_rest(new_trader: NewTrader, complaints: Complaints) -> None:
    complaints.allow("WebSocket")
    trader = new_trader()
    only_by_rest(trader.page)
    expect(trader.ticket.locator(".ticket-available")).to_have_text("100,000.00 USDT")
    trader.place("Buy", price="2300", amount="0.5")
    expect(trader.open_orders).to_have_count(1)
    expect(trader.ticket.locator(".ticket-available")).to_have_text("98,850.00 USDT")
    row = trader.open_orders.first
    row.get_by_role("button", name="Price 2,300.00, change").click()
    row.get_by_label("Price", exact=True).fill("2200")
    row.get_by_label("Price", exact=True).press("Enter")
    expect(row.get_by_role("button", name="Price 2,200.00, change")).to_be_visible()
    row.get_by_role("button", name="Cancel: Buy").click()
    expect(trader.open_orders).to_have_count(0)


def test_an_order_whose_answer_is_lost_is_not_placed_twice(new_trader: NewTrader, complaints: Complaints) -> None:
    complaints.allow("WebSocket|ERR_FAILED|POST .*/orders")
    trader = new_trader()
    only_by_rest(trader.page)
    expect(trader.ticket.locator(".ticket-available")).to_have_text("100,000.00 USDT")
    sent: list[str] = []

    def lose_the_first_answer(route: Route) -> None:
        if route.request.method != "POST":
            return route.continue_()
        sent.append(json.loads(route.request.post_data or "")["client_order_id"])
        if len(sent) > 1:
            return route.continue_()
        route.fetch()
        return route.abort()

    trader.page.route("**/api/v1/orders", lose_the_first_answer)
    trader.write(price="2300", amount="0.5")
    trader.send()
    expect(trader.toast("No answer to the order")).to_be_visible()
    trader.send()
    expect(trader.submit).to_have_attribute("data-answer", "done")
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert len(trader.api("GET", "/orders")["results"]) == 1


# ---------------------------------------------------------------------------------------------- phone, everyone


@pytest.mark.parametrize("theme", THEMES)
def test_a_phone_trades_from_the_sheet(new_trader: NewTrader, theme: str) -> None:
    trader = new_trader(size="phone", theme=theme)
    trader.open_ticket("buy")
    trader.write(price="2300", amount="0.5")
    shot(trader.page, "floor-ticket")
    trader.submit.click()
    expect(trader.submit).to_have_attribute("data-answer", "done")
    trader.page.locator("[data-close-ticket]").first.click()
    trader.page.locator("[data-show=orders]").click()
    expect(trader.open_orders).to_have_count(1)
    assert_no_horizontal_scrolling(trader.page)
    shot(trader.page, "floor-orders")
    small = trader.page.evaluate(
        """() => [...document.querySelectorAll("order-ticket, orders-panel")].flatMap(part =>
            [...part.querySelectorAll("button, select, input:not([type=checkbox], [type=radio]), label.check")]
                .filter(target => target.checkVisibility() && target.getBoundingClientRect().height < 40)
                .map(target => `${target.outerHTML.slice(0, 80)}: ${target.getBoundingClientRect().height}`))"""
    )
    assert small == []


@pytest.mark.parametrize("size", SIZES)
def test_every_control_has_a_name(new_trader: NewTrader, size: str) -> None:
    trader = new_trader(size=size)
    nameless = trader.page.evaluate(
        """() => [...document.querySelectorAll(
                ":is(order-ticket, orders-panel) :is(button, select, input:not([type=hidden]))")]
            .filter(control => !control.labels?.length && !control.getAttribute("aria-label"))
            .filter(control => !control.textContent.trim() && !control.hidden)
            .map(control => control.outerHTML)"""
    )
    assert nameless == []
