"""Stored candles against trades made up over months: by hand with datetime and Decimal, for every interval."""

import importlib
import random
import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from marketdata import candle_queries, candles, queries
from marketdata.candles import INTERVALS, SECOND, STORED, Candle
from marketdata.models import Candle as CandleRow
from marketdata.models import Trade
from marketdata.shapes import Interval, microseconds_of, moment_of
from marketdata.store import Scales
from matching import audit, store
from matching.bench.commit import make_users
from matching.engine.messages import (
    AccountOpened,
    AnyCommand,
    AnyEvent,
    CreateAsset,
    CreateMarket,
    Deposit,
    MarketParameters,
    OpenAccount,
    PlaceOrder,
)
from matching.exchange import Exchange
from matching.pipeline import Pipeline
from tests.api import ApiClient
from tests.pure.test_candles import naive_borders

BTC, USD = 10**8, 10**6
BEGIN = datetime(2023, 12, 30, 23, 59, 58, tzinfo=UTC)
"""A Saturday, two seconds before the last day of a year; the next February has 29 days."""


class Past:
    """An exchange whose batches are committed at any moments one likes, by the worker's own statements."""

    def __init__(self) -> None:
        self._exchange, self._scales = Exchange(), Scales()
        self._connection = store.connect()
        self._pipeline = Pipeline(self._connection)

    def at(self, moment: datetime, *commands: AnyCommand) -> list[list[AnyEvent]]:
        """Carry out the commands as one batch; the events of each."""
        now = microseconds_of(moment)
        batch = store.Batch(self._exchange.state.sequence + 1, now)
        for command in commands:
            batch.add(command, self._exchange.apply(command, now))
        self._pipeline.run(store.encode(batch, self._exchange.state, self._scales))
        return batch.events

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()


def moments() -> Iterator[datetime]:
    """When there were trades: around every border, close together, and with gaps of seconds to weeks."""
    chance = random.Random(11)
    moment = BEGIN
    for _ in range(60):
        yield moment
        moment += timedelta(microseconds=chance.choice([400_000, 1_600_000, 20_000_000]))
    for border in ((2024, 1, 1), (2024, 1, 8), (2024, 2, 1), (2024, 2, 29), (2024, 3, 1), (2024, 3, 4)):
        night = datetime(*border, tzinfo=UTC)
        for offset in (-1, 0, 1, 61 * SECOND, 3 * 3600 * SECOND + 5):
            yield night + timedelta(microseconds=offset)


@pytest.fixture(scope="module")
def traded(fresh_database: str) -> Iterator[SimpleNamespace]:
    """Two markets with trades, and a third without."""
    past = Past()
    past.at(BEGIN, CreateAsset("BTC", "BTC", 8), CreateAsset("USD", "USD", 6), CreateAsset("ETH", "ETH", 8))
    wide = MarketParameters(
        tick_size=USD // 100, lot_size=BTC // 10_000, min_quantity=BTC // 10_000, max_quantity=10**18, min_notional=0,
        max_notional=10**18, price_band=0, breaker_move=0,
    )  # fmt: skip
    past.at(BEGIN, *(CreateMarket(base, quote, wide) for base, quote in ((1, 2), (3, 2), (3, 1))))
    accounts = []
    for user_id in make_users(2):
        (opened,) = past.at(BEGIN, OpenAccount(user_id))[0][:1]
        assert isinstance(opened, AccountOpened)
        accounts.append(opened.account_id)
        past.at(BEGIN, *(Deposit(opened.account_id, asset, 10**15) for asset in (1, 2, 3)))
    chance = random.Random(5)
    for moment in moments():
        orders: list[AnyCommand] = []
        for _ in range(chance.randint(1, 3)):
            market, price = chance.choice((1, 1, 2)), chance.randint(900, 1_100) * USD // 10
            quantity = chance.randint(1, 30_000) * BTC // 10_000
            maker, taker = chance.choice((("buy", "sell"), ("sell", "buy")))
            orders += [
                PlaceOrder(accounts[0], market, maker, price=price, quantity=quantity),  # type: ignore[arg-type]
                PlaceOrder(accounts[1], market, taker, price=price, quantity=quantity),  # type: ignore[arg-type]
            ]
        past.at(moment, *orders)
    past.close()
    last = Trade.objects.filter(market_id=1).latest("id").executed_at
    return SimpleNamespace(now=last + timedelta(hours=30), last=last)


# ---------------------------------------------------------------------------------------------- the oracle


def naive_candles(*, market_id: int, interval: str) -> list[Candle]:
    """The candles with trades, by sorting the market's trades into the calendar's drawers; in units."""
    drawers: dict[int, list[Trade]] = {}
    for trade in Trade.objects.filter(market_id=market_id).order_by("id"):
        drawers.setdefault(naive_borders(interval, microseconds_of(trade.executed_at))[0], []).append(trade)
    found = []
    for begin, kept in drawers.items():
        prices = [units(trade.price, USD) for trade in kept]
        found.append(
            Candle(
                begin,
                prices[0],
                max(prices),
                min(prices),
                prices[-1],
                sum(units(trade.quantity, BTC) for trade in kept),
                sum(units(trade.notional, USD) for trade in kept),
                len(kept),
                sum(units(trade.quantity, BTC) for trade in kept if trade.taker_side == "buy"),
            )
        )
    return found


def units(amount: Decimal, unit: int) -> int:
    assert amount * unit == int(amount * unit)
    return int(amount * unit)


def naive_history(*, interval: str, now: datetime) -> list[dict[str, Any]]:
    """Every candle of market 1 from its first trade to now, without gaps, as the API writes it."""
    traded = {candle.open_time: candle for candle in naive_candles(market_id=1, interval=interval)}
    found: list[dict[str, Any]] = []
    at, close = min(traded), 0
    while at <= microseconds_of(now):
        candle = traded.get(at) or Candle(at, close, close, close, close, 0, 0, 0, 0)
        close = candle.close
        prices = {name: f"{Decimal(getattr(candle, name)) / USD:.2f}" for name in ("open", "high", "low", "close")}
        found.append(
            {
                "open_time": moment_of(at).strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
                **prices,
                "volume": f"{Decimal(candle.volume) / BTC:.4f}",
                "quote_volume": at_least_cents(Decimal(candle.quote_volume) / USD),
                "trades": candle.trades,
                "taker_buy_volume": f"{Decimal(candle.taker_buy_volume) / BTC:.4f}",
            }
        )
        at = naive_borders(interval, at)[1]
    return found


def at_least_cents(amount: Decimal) -> str:
    whole, decimals = f"{amount:.6f}".split(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


# ---------------------------------------------------------------------------------------------- what is stored


@pytest.mark.parametrize("interval", STORED)
@pytest.mark.parametrize("market_id", [1, 2, 3])
def test_every_stored_candle_is_what_the_trades_make(traded: SimpleNamespace, interval: str, market_id: int):
    expected = naive_candles(market_id=market_id, interval=interval)
    assert (len(expected) > 5) == (market_id != 3)
    assert queries.read_candles(market_id=market_id, interval=interval, begin=0)[1] == expected
    width = candles.WIDTHS[interval] // SECOND
    assert CandleRow.objects.filter(market_id=market_id, seconds=width).count() == len(expected)


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_interval_is_put_together_from_the_stored_ones(traded: SimpleNamespace, interval: str):
    expected = naive_candles(market_id=1, interval=interval)
    sequence, found, before = queries.read_candles(market_id=1, interval=interval, begin=0)
    assert (found, before) == (expected, None)
    middle = expected[len(expected) // 2].open_time
    _, later, before = queries.read_candles(market_id=1, interval=interval, begin=middle)
    assert later == [candle for candle in expected if candle.open_time >= middle]
    assert before == next((each.close for each in reversed(expected) if each.open_time < middle), None)
    assert queries.candle_now(market_id=1, interval=interval) == (sequence, expected[-1])


def test_the_migration_makes_the_same_candles_of_trades_that_are_there(traded: SimpleNamespace):
    migration = importlib.import_module("marketdata.migrations.0003_candles")
    before = list(CandleRow.objects.order_by("pk").values_list())
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE marketdata_candle")
        cursor.execute(migration.CANDLES_OF_TRADES)
    assert list(CandleRow.objects.order_by("pk").values_list()) == before
    with store.connect() as own:
        assert audit.first_finding(own) is None


def test_a_market_that_never_traded(traded: SimpleNamespace):
    assert queries.candle_now(market_id=3, interval="1h")[1] is None
    assert queries.day_candles(market_id=3, now=microseconds_of(traded.now))[1:] == ([], None)
    assert history("BTC-USD", traded, "1h")
    assert history("ETH-BTC", traded, "1h") == []


def test_what_a_ticker_starts_with(traded: SimpleNamespace):
    """At the last trade: the minutes of 24 hours. Thirty hours later: none, but the last price."""
    minutes = naive_candles(market_id=1, interval="1m")
    now = microseconds_of(traded.last)
    since = candles.open_time("1m", now) - 1_439 * 60 * SECOND
    _, found, last = queries.day_candles(market_id=1, now=now)
    assert found == [minute for minute in minutes if minute.open_time >= since]
    assert 1 < len(found) < len(minutes)
    assert queries.day_candles(market_id=1, now=microseconds_of(traded.now))[1:] == ([], last)
    assert last == minutes[-1].close


# ---------------------------------------------------------------------------------------------- what is told


EARLY_NOW = {"1s": BEGIN + timedelta(minutes=30)} | dict.fromkeys(("1m", "3m", "5m"), BEGIN + timedelta(days=3))
"""Of short intervals only so much of the history is looked at."""


def history(market: str, traded: SimpleNamespace, interval: Any, **asked: Any) -> list[dict[str, Any]]:
    """What the endpoint would answer at the scene's now."""
    asked = {"end": EARLY_NOW[interval]} | asked if interval in EARLY_NOW else asked
    moments = {name: microseconds_of(asked.pop(name)) for name in ("start", "end") if name in asked}
    told = candle_queries.candles(
        market=market, interval=interval, now=microseconds_of(traded.now), **{"limit": 1_000} | asked | moments
    )
    assert told.interval == interval
    return [{name: getattr(each, name) for name in each.__slots__} for each in told.results]


@pytest.mark.parametrize("interval", INTERVALS)
def test_the_latest_candles_have_no_gaps(traded: SimpleNamespace, interval: str):
    expected = naive_history(interval=interval, now=last_moment(traded, interval))
    assert history("BTC-USD", traded, interval) == expected[-1_000:]
    assert history("BTC-USD", traded, interval, limit=7) == expected[-7:]


@pytest.mark.parametrize("interval", INTERVALS)
def test_from_a_start_up_to_an_end(traded: SimpleNamespace, interval: str):
    now = last_moment(traded, interval)
    expected = naive_history(interval=interval, now=now)
    starts = [naive_time(each) for each in expected]
    chance = random.Random(interval)
    for _ in range(12):
        start = BEGIN + (now - BEGIN) * chance.uniform(-0.1, 0.95) // timedelta(seconds=1) * timedelta(seconds=1)
        start += timedelta(microseconds=chance.choice((0, 1)))
        if chance.random() < 0.4:
            start = chance.choice(starts)
        end = min(start + (now - BEGIN) * chance.choice((0.0001, 0.01, 0.1, 0.5)), now)
        within = [each for each, begun in zip(expected, starts, strict=True) if start <= begun < end]
        from_start = [each for each, begun in zip(expected, starts, strict=True) if start <= begun]
        to_end = [each for each, begun in zip(expected, starts, strict=True) if begun < end]
        assert history("BTC-USD", traded, interval, start=start, end=end) == within[:1_000]
        assert history("BTC-USD", traded, interval, start=start, limit=5) == from_start[:5]
        assert history("BTC-USD", traded, interval, end=end, limit=5) == to_end[-5:]


def last_moment(traded: SimpleNamespace, interval: str) -> datetime:
    return EARLY_NOW[interval] - timedelta(microseconds=1) if interval in EARLY_NOW else traded.now


def naive_time(told: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(told["open_time"])


def test_a_trade_a_moment_after_our_clock_is_not_lost(traded: SimpleNamespace):
    """The worker's clock may be ahead of that of a web process."""
    behind = SimpleNamespace(now=traded.last - timedelta(hours=2))
    told = history("BTC-USD", behind, "1h", limit=10)
    assert told == naive_history(interval="1h", now=traded.last)[-10:]


# ---------------------------------------------------------------------------------------------- over HTTP


@pytest.fixture
def anyone() -> ApiClient:
    return ApiClient()


def test_the_endpoint(traded: SimpleNamespace, anyone: ApiClient):
    answer = anyone.get("/markets/BTC-USD/candles", interval="1d", start="2024-01-01", end="1704153600000")
    assert answer.status == 200
    assert set(answer.body) == {"sequence", "interval", "results"}
    assert answer.body["interval"] == "1d"
    assert answer.body["sequence"] > 100
    expected = naive_history(interval="1d", now=traded.now)
    assert answer.body["results"] == expected[2:3]
    assert answer.body["results"][0]["open_time"] == "2024-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    "start",
    [
        "2024-02-29",
        "2024-02-29T00:00",
        "2024-02-29T00:00:00",
        "2024-02-29T00:00:00.000000Z",
        "2024-02-29T02:30:00+02:30",
        "1709164800000",
    ],
)
def test_the_same_moment_said_in_many_ways(traded: SimpleNamespace, anyone: ApiClient, start: str):
    told = anyone.get("/markets/BTC-USD/candles", interval="1h", start=start, limit=1).body["results"]
    assert [each["open_time"] for each in told] == ["2024-02-29T00:00:00.000000Z"]


@pytest.mark.parametrize(
    ("asked", "code", "field"),
    [
        ({}, "missing_parameter", "interval"),
        ({"interval": "7m"}, "invalid_field", "interval"),
        ({"interval": "1h", "limit": 0}, "invalid_field", "limit"),
        ({"interval": "1h", "limit": 1001}, "invalid_field", "limit"),
        ({"interval": "1h", "start": "yesterday"}, "invalid_field", "start"),
        ({"interval": "1h", "end": "-5"}, "invalid_field", "end"),
        ({"interval": "1h", "end": "2026-02-30"}, "invalid_field", "end"),
        ({"interval": "1h", "start": "2026-01-01T25:00Z"}, "invalid_field", "start"),
        ({"interval": "1h", "start": "2024-01-02", "end": "2024-01-02"}, "invalid_range", "start"),
        ({"interval": "1h", "start": "2000000000000", "end": "2024-01-02"}, "invalid_range", "start"),
        ({"interval": "1h", "symbol": "BTC"}, "unknown_parameter", "symbol"),
    ],
)
def test_refusals(traded: SimpleNamespace, anyone: ApiClient, asked: dict[str, Any], code: str, field: str):
    answer = anyone.get("/markets/BTC-USD/candles", **asked)
    assert (answer.status, answer.code, answer.field) == (422, code, field)


def test_an_unknown_market(traded: SimpleNamespace, anyone: ApiClient):
    answer = anyone.get("/markets/BTC-EUR/candles", interval="1h")
    assert (answer.status, answer.code, answer.field) == (404, "unknown_market", "market")


@pytest.mark.parametrize("asked", [{"start": "9999-12-31"}, {"end": "0001-01-01"}, {"start": "9" * 15}])
@pytest.mark.parametrize("interval", ["1s", "1w", "1M"])
def test_a_range_far_away_is_empty(traded: SimpleNamespace, anyone: ApiClient, asked: dict[str, Any], interval: str):
    answer = anyone.get("/markets/BTC-USD/candles", interval=interval, **asked)
    assert (answer.status, answer.body["results"]) == (200, [])


def test_the_documented_intervals_are_all_of_them():
    assert typing.get_args(typing.get_args(Interval)[0]) == INTERVALS
