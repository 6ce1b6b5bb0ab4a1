"""Histories by cursor in both directions and within a time, and the same as CSV, streamed by the whole application."""

import asyncio
import csv
import io
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from marketdata import exports, paging
from marketdata.exports import cell
from marketdata.shapes import Page
from orders.queries import ListedOrder
from tests.api import BASE, ApiClient, Scene, SignedClient, make_scene
from tests.builders import running_exchange

FORMULA = '=1+1",x'


@pytest.fixture(scope="module")
def scene(fresh_database: str) -> Iterator[Scene]:
    """The scene, thirty trades of alice's and bob's some milliseconds apart, and an order with a nasty name."""
    with running_exchange() as exchange:
        scene = make_scene(exchange)
        for number in range(30):
            price = (100 + number % 3) * 10**6
            exchange.place(scene.alice, scene.market, "sell", price=price, quantity=10**5)
            exchange.place(scene.bob, scene.market, "buy", price=price, quantity=10**5)
            time.sleep(0.002)
        exchange.place(scene.alice, scene.market, "sell", price=500 * 10**6, quantity=10**6, client_order_id="far/=1")
        yield scene


@pytest.fixture(scope="module")
def alice(scene: Scene) -> SignedClient:
    return SignedClient(scene.alice, "read")


@pytest.fixture(autouse=True)
def no_limits(settings: Any) -> None:
    """Request limits have tests of their own."""
    settings.RATELIMIT_ENABLE = False


LISTS = ["/orders", "/fills", "/entries", "/markets/BTC-USDT/trades"]
TIMES = {"/orders": "created_at", "/entries": "posted_at"}


def time_of(path: str, row: dict[str, Any]) -> str:
    return str(row[TIMES.get(path, "executed_at")])


def moment_in(path: str, rows: list[dict[str, Any]]) -> str:
    """The time of a row in the middle."""
    return time_of(path, rows[len(rows) // 2])


# ---------------------------------------------------------------------------------------------- pages


@pytest.mark.parametrize("path", LISTS)
def test_oldest_first_is_the_other_way_round(alice: SignedClient, path: str):
    newest = alice.everything(path, limit=7)
    assert len(newest) > 30
    assert alice.everything(path, limit=7, order="newest") == newest
    assert alice.everything(path, limit=7, order="oldest") == newest[::-1]


@pytest.mark.parametrize("path", LISTS)
def test_a_cursor_may_be_the_last_id_that_one_knows(alice: SignedClient, path: str):
    """Whoever has read up to an id asks for what came after it."""
    newest = alice.everything(path)
    known = newest[4].get("id") or newest[4]["trade_id"]
    assert alice.get(path, order="oldest", cursor=known).body == {"results": newest[3::-1], "next": None}


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("path", LISTS)
def test_a_time_from_start_up_to_end(alice: SignedClient, path: str, order: str):
    rows = alice.everything(path, order=order)
    middle = moment_in(path, rows)
    assert alice.everything(path, order=order, limit=5, start=middle) == [
        row for row in rows if time_of(path, row) >= middle
    ]
    assert alice.everything(path, order=order, limit=5, end=middle) == [
        row for row in rows if time_of(path, row) < middle
    ]
    latest = max(time_of(path, row) for row in rows)
    between = [row for row in rows if middle <= time_of(path, row) < latest]
    assert alice.everything(path, order=order, limit=5, start=middle, end=latest) == between
    assert 0 < len(between) < len(rows)


@pytest.mark.parametrize("path", LISTS)
def test_a_time_before_or_after_everything(alice: SignedClient, path: str):
    rows = alice.everything(path)
    assert alice.get(path, start="2100-01-01").body == {"results": [], "next": None}
    assert alice.get(path, end="1970-01-01").body == {"results": [], "next": None}
    assert alice.everything(path, start="0", end="4102444800000") == rows


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/orders", {"status": "open", "side": "sell", "market": "BTC-USDT"}),
        ("/fills", {"market": "BTC-USDT"}),
        ("/entries", {"asset": "USDT"}),
    ],
)
def test_with_filters_a_page_looks_only_so_far(
    alice: SignedClient, path: str, asked: dict[str, str], order: str, monkeypatch: pytest.MonkeyPatch
):
    rows = alice.everything(path, order=order, **asked)
    middle = moment_in(path, rows)
    monkeypatch.setattr(paging, "SCAN_MAX", 3)
    assert alice.everything(path, order=order, **asked) == rows
    later = [row for row in rows if time_of(path, row) >= middle]
    assert alice.everything(path, order=order, start=middle, **asked) == later


@pytest.mark.parametrize("path", [*LISTS, *(f"{path}/export" for path in LISTS), "/deposits", "/withdrawals"])
@pytest.mark.parametrize(
    ("asked", "code", "field"),
    [
        ({"order": "random"}, "invalid_field", "order"),
        ({"start": "2026-02-30"}, "invalid_field", "start"),
        ({"end": "soon"}, "invalid_field", "end"),
        ({"start": "2026-01-02", "end": "2026-01-01"}, "invalid_range", "start"),
    ],
)
def test_what_cannot_be_asked(alice: SignedClient, path: str, asked: dict[str, str], code: str, field: str):
    answer = alice.get(path, **asked)
    assert (answer.status, answer.code, answer.field) == (422, code, field)


# ---------------------------------------------------------------------------------------------- files


def fetch(client: ApiClient, target: str, *, method: str = "GET") -> httpx.Response:
    """A request to the application that the server runs, with order entry before Django."""
    from trading.asgi import application

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as browser:
            return await browser.request(method, BASE + target, headers=client.headers(method, BASE + target, b""))

    return asyncio.run(send())


def table(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.text.endswith("\r\n")
    assert answer.text.count("\n") == answer.text.count("\r\n")
    return list(csv.DictReader(io.StringIO(answer.text)))


def as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


@pytest.mark.parametrize("query", ["", "?order=oldest", "?start=2020-01-01&end=2100-01-01"])
@pytest.mark.parametrize("path", LISTS)
def test_the_file_has_the_same_rows(alice: SignedClient, path: str, query: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("marketdata.rest.PAGE_ROWS", 7)
    expected = alice.everything(path, **dict(each.split("=") for each in query.lstrip("?").split("&") if each))
    answer = fetch(alice, f"{path}/export{query}")
    assert table(answer) == [{name: as_text(value) for name, value in row.items()} for row in expected]
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    name = "BTC-USDT-trades" if "markets" in path else path.strip("/")
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}.csv"'
    assert answer.text.split("\r\n")[0] == ",".join(expected[0])


def test_filters_hold_for_files(scene: Scene, alice: SignedClient):
    rows = table(fetch(alice, "/orders/export?status=open&side=sell"))
    assert {(row["status"], row["side"]) for row in rows} == {("open", "sell")}
    assert [row["asset"] for row in table(fetch(alice, "/entries/export?asset=BTC"))].count("BTC") > 30
    of_order = table(fetch(alice, f"/fills/export?order_id={scene.alice_orders[0]}"))
    assert {row["order_id"] for row in of_order} == {str(scene.alice_orders[0])}
    assert table(fetch(alice, "/fills/export?end=2000-01-01")) == []


def test_a_file_of_an_unknown_market_or_nobody(alice: SignedClient):
    missing = fetch(alice, "/markets/BTC-EUR/trades/export")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_market")
    assert fetch(ApiClient(), "/orders/export").status_code == 401
    assert fetch(ApiClient(), "/markets/BTC-USDT/trades/export").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_file_is_only_to_be_read(alice: SignedClient, method: str):
    answer = fetch(alice, "/orders/export", method=method)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


def test_nobody_sees_the_orders_of_others(scene: Scene):
    bob = SignedClient(scene.bob, "read")
    exported = {int(row["id"]) for row in table(fetch(bob, "/orders/export"))}
    assert exported == {order["id"] for order in bob.everything("/orders")}
    assert exported.isdisjoint(scene.alice_orders)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-2+3", "'-2+3"),
        ("@sum", "'@sum"),
        ("\t=1", "'\t=1"),
        ("-0.015", "-0.015"),
        ("a=1", "a=1"),
        (None, ""),
        (True, "true"),
        (-7, "-7"),
    ],
)
def test_no_cell_is_a_formula(value: Any, shown: str):
    assert cell(value) == shown


def order_named(name: str) -> ListedOrder:
    fields: dict[str, Any] = dict.fromkeys(ListedOrder.__slots__, "1")
    return ListedOrder(**fields | {"client_order_id": name})


def test_quotes_commas_and_lines_come_back_as_they_were():
    names = [FORMULA, 'a "b"', "c,d", "e\r\nf", "é"]
    response = exports.csv_response(
        filename="x.csv", columns=ListedOrder, read=lambda _: Page([order_named(name) for name in names], None)
    )

    async def whole() -> bytes:
        return b"".join([part async for part in response])

    rows = csv.DictReader(io.StringIO(asyncio.run(whole()).decode(), newline=""))
    assert [row["client_order_id"] for row in rows] == ["'" + FORMULA, *names[1:]]


def test_a_file_is_read_page_by_page_as_it_is_fetched():
    """No page is read before the one before it has been taken."""
    asked: list[int | None] = []

    def read(cursor: int | None) -> Page[ListedOrder]:
        asked.append(cursor)
        place = cursor or 0
        return Page([order_named(f"{place}")], str(place + 1) if place < 5 else None)

    response = exports.csv_response(filename="x.csv", columns=ListedOrder, read=read)

    async def fetch_some() -> None:
        parts = aiter(response)
        await anext(parts)
        await anext(parts)
        assert asked == [None]
        await anext(parts)
        assert asked == [None, 1]
        assert [part async for part in parts] != []

    asyncio.run(fetch_some())
    assert asked == [None, 1, 2, 3, 4, 5]
