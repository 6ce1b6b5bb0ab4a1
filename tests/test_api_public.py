"""What everyone may read: time, assets, markets, depth, trades, ticker, announcements. No owner is in any of it."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from matching.engine.messages import SetMarketState
from orders import book_queries
from tests.api import ApiClient, Scene, make_scene
from tests.builders import running_exchange

EVERYTHING = [
    "/time",
    "/assets",
    "/markets",
    "/markets/BTC-USDT",
    "/markets/BTC-USDT/depth",
    "/markets/BTC-USDT/ticker",
    "/markets/BTC-USDT/trades",
    "/announcements",
]


@pytest.fixture(scope="module")
def scene(fresh_database: str) -> Iterator[Scene]:
    with running_exchange() as exchange:
        scene = make_scene(exchange)
        exchange.create_market(scene.usdt, scene.btc, tick_size=1, lot_size=10**6)
        yield scene


@pytest.fixture
def anyone() -> ApiClient:
    return ApiClient()


def test_the_time_is_now(anyone: ApiClient):
    before = time.time_ns() // 1_000_000
    told = anyone.get("/time").body
    assert before <= told["milliseconds"] <= time.time_ns() // 1_000_000
    assert told["time"].endswith("Z")


def test_assets(scene: Scene, anyone: ApiClient):
    assert anyone.get("/assets").body == [
        {"asset": "BTC", "name": "BTC", "scale": 8},
        {"asset": "USDT", "name": "USDT", "scale": 6},
    ]


def test_a_market_and_its_filters(scene: Scene, anyone: ApiClient):
    market = anyone.get("/markets/BTC-USDT").body
    assert market == anyone.get("/markets").body[0]
    assert market == {
        "market": "BTC-USDT",
        "base": "BTC",
        "quote": "USDT",
        "state": "open",
        "note": "",
        "reopens_at": None,
        "tick_size": "0.01",
        "lot_size": "0.0001",
        "min_quantity": "0.0001",
        "max_quantity": "10000000000.0000",
        "min_notional": "0.00",
        "max_notional": "1000000000000.00",
        "reference_price": None,
        "price_band": "0",
        "breaker_move": "0",
        "breaker_window_seconds": 300,
        "breaker_pause_seconds": 300,
    }


def test_depth_adds_up_levels_and_names_its_sequence(scene: Scene, anyone: ApiClient):
    depth = anyone.get("/markets/BTC-USDT/depth").body
    assert depth["bids"] == [["99.00", "1.0000"]]
    assert depth["asks"] == [["100.00", "0.3000"], ["101.00", "0.7500"]]
    reply = scene.exchange.place(scene.bob, scene.market, "buy", price=98 * 10**6, quantity=10**8)
    after = anyone.get("/markets/BTC-USDT/depth").body
    assert after["bids"] == [["99.00", "1.0000"], ["98.00", "1.0000"]]
    assert depth["sequence"] < reply.sequence == after["sequence"]
    assert anyone.get("/markets/BTC-USDT/depth", levels=1).body == {
        "sequence": after["sequence"],
        "bids": [["99.00", "1.0000"]],
        "asks": [["100.00", "0.3000"]],
    }
    scene.exchange.cancel(scene.bob, reply.sequence)
    assert anyone.get("/markets/BTC-USDT/depth").body["bids"] == depth["bids"]


def test_a_market_without_orders_or_trades(scene: Scene, anyone: ApiClient):
    depth = anyone.get("/markets/USDT-BTC/depth").body
    assert (depth["bids"], depth["asks"]) == ([], [])
    assert anyone.get("/markets/USDT-BTC/trades").body == {"results": [], "next": None}
    ticker = anyone.get("/markets/USDT-BTC/ticker").body
    assert ticker.pop("since") < anyone.get("/time").body["time"]
    assert ticker == {
        "market": "USDT-BTC",
        "volume": "0",
        "quote_volume": "0.00000000",
        **dict.fromkeys(["last", "best_bid", "best_ask", "open", "high", "low", "change", "change_rate"]),
    }


@pytest.mark.parametrize(
    ("path", "parameters", "field"),
    [
        ("/markets/BTC-USDT/depth", {"levels": 0}, "levels"),
        ("/markets/BTC-USDT/depth", {"levels": 1001}, "levels"),
        ("/markets/BTC-USDT/depth", {"levels": "all"}, "levels"),
        ("/markets/BTC-USDT/trades", {"limit": 501}, "limit"),
        ("/markets/BTC-USDT/trades", {"cursor": "x"}, "cursor"),
        ("/announcements", {"limit": -1}, "limit"),
    ],
)
def test_parameters_out_of_range(scene: Scene, anyone: ApiClient, path: str, parameters: dict[str, str], field: str):
    answer = anyone.get(path, **parameters)
    assert (answer.status, answer.code, answer.field) == (422, "invalid_field", field)


@pytest.mark.parametrize("path", EVERYTHING)
def test_unknown_parameters_are_refused(scene: Scene, anyone: ApiClient, path: str):
    answer = anyone.get(path, symbol="BTC")
    assert (answer.status, answer.code, answer.field) == (422, "unknown_parameter", "symbol")


@pytest.mark.parametrize("name", ["BTC-EUR", "btc-usdt", "x", "%E2%82%BF-USDT", "BTC-USDT%20", "a" * 300])
@pytest.mark.parametrize("path", ["/markets/{}", "/markets/{}/depth", "/markets/{}/ticker", "/markets/{}/trades"])
def test_unknown_markets(scene: Scene, anyone: ApiClient, path: str, name: str):
    answer = anyone.get(path.format(name))
    assert (answer.status, answer.code, answer.field) == (404, "unknown_market", "market")


def test_the_tape_and_the_ticker(scene: Scene, anyone: ApiClient):
    """More trades at rising prices, then the numbers of 24 hours, and of a later day when they are over."""
    exchange = scene.exchange
    eth = exchange.create_asset("ETH", 8)
    market = exchange.create_market(eth, scene.usdt, tick_size=10_000, lot_size=10_000)
    carol = exchange.open_account("carol", {eth: 10 * 10**8})
    dave = exchange.open_account("dave", {scene.usdt: 10_000 * 10**6})
    prices = ["100.00", "104.00", "98.00", "103.00"]
    for price in prices:
        units = int(price.replace(".", "")) * 10**4
        exchange.place(carol, market, "sell", price=units, quantity=10**8)
        exchange.place(dave, market, "buy", price=units, quantity=10**8)
    trades = anyone.everything("/markets/ETH-USDT/trades", limit=1)
    assert [trade["price"] for trade in trades] == prices[::-1]
    assert trades == anyone.get("/markets/ETH-USDT/trades").body["results"]
    assert set(trades[0]) == {"id", "price", "quantity", "taker_side", "executed_at"}
    ticker = anyone.get("/markets/ETH-USDT/ticker").body
    del ticker["since"]
    assert ticker == {
        "market": "ETH-USDT",
        "last": "103.00",
        "best_bid": None,
        "best_ask": None,
        "open": "100.00",
        "high": "104.00",
        "low": "98.00",
        "change": "3.00",
        "change_rate": "0.030000",
        "volume": "4.0000",
        "quote_volume": "405.00",
    }
    later = book_queries.ticker(market="ETH-USDT", now=timezone.now() + timedelta(hours=24, seconds=1))
    assert (later.last, later.open, later.high, later.volume) == ("103.00", None, None, "0.0000")


def test_announcements_newest_first(scene: Scene, anyone: ApiClient):
    scene.exchange.execute(SetMarketState("halted", scene.market, "maintenance"))
    scene.exchange.execute(SetMarketState("open", scene.market))
    back, halt = anyone.get("/announcements", limit=2).body["results"]
    assert (halt["market"], "maintenance" in halt["text"], halt["sequence"] < back["sequence"]) == (
        "BTC-USDT",
        True,
        True,
    )
    everything = anyone.everything("/announcements", limit=1)
    assert [row["id"] for row in everything] == sorted((row["id"] for row in everything), reverse=True)


def test_the_market_tells_its_state(scene: Scene, anyone: ApiClient):
    scene.exchange.execute(SetMarketState("cancel_only", scene.market, "news"))
    market = anyone.get("/markets/BTC-USDT").body
    assert (market["state"], market["note"]) == ("cancel_only", "news")
    scene.exchange.execute(SetMarketState("open", scene.market))


def test_one_statement_each(scene: Scene, django_assert_num_queries):
    with django_assert_num_queries(1):
        book_queries.depth(market="BTC-USDT", levels=1000)
    with django_assert_num_queries(1):
        book_queries.ticker(market="BTC-USDT", now=timezone.now())
