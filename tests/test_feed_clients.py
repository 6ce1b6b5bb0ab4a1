"""The public feed over a bad network: random order flow, both reference clients behind a proxy with faults, the truth.

One session is played and recorded, then every test looks at the record: the books that the clients ever had against a
replay of the journal, trades against the database, ticker and candles against REST, and that nobody's name is told.
"""

import asyncio
import contextlib
import json
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest

from tests.fault_proxy import FaultProxy
from tests.harness import ServerProcess
from tests.order_flow import MARKET, NAME, OrderFlow, true_books
from tests.socket_client import CLIENTS, Following, State, calm_server, follow_channel, following, socket_url, until
from tests.test_recovery import demo_signers
from trading import embedded

TRADES, TICKER, SECONDS, MINUTES = (
    f"{channel.partition('.')[0]}.{MARKET}{channel.partition('.')[2]}"
    for channel in ("trades", "ticker", "candles..1s", "candles..1m")
)
REQUESTS = 400
PAUSE_SECONDS_MAX = 0.1
SETTLE_SECONDS = 60

DEPTH_KEYS = {"channel", "type", "first_sequence", "last_sequence", "bids", "asks", "checksum", "time"}
TRADE_KEYS = {"id", "price", "quantity", "taker_side", "executed_at"}
TICKER_VALUES = {
    "last", "best_bid", "best_ask", "state", "open", "high", "low", "change", "change_rate", "volume", "quote_volume",
}  # fmt: skip
TICKER_KEYS = {"channel", "type", "last_sequence", "time"} | TICKER_VALUES
CANDLE_KEYS = {
    "open_time", "open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume",
}  # fmt: skip


@dataclass
class Record:
    """What was seen: books by client, applied messages by channel, and everything that passed the proxy."""

    server: ServerProcess
    seed: int
    last: int = 0
    books: dict[str, list[State]] = field(default_factory=dict)
    messages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    orders: dict[int, int] = field(default_factory=dict)

    @property
    def database_url(self) -> str:
        return embedded.database_url(data_dir=self.server.data_dir)

    def rows(self, statement: str) -> list[Any]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(statement).fetchall()

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.server.base_url}/api/v1/markets/{MARKET}{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def settled(self) -> bool:
        """Whether every channel has told all trades: what there is to see no longer changes."""
        trades, ticker = self.messages[TRADES], self.messages[TICKER]
        ((count, newest),) = self.rows("SELECT count(*), max(id) FROM marketdata_trade")
        return (
            any(trade["id"] == newest for message in trades for trade in message["trades"])
            and bool(ticker)
            and same_values(latest(ticker), self.get("/ticker"))
            and all(sum(self.candles(channel, "trades")) == count for channel in (SECONDS, MINUTES))
        )

    def candles(self, channel: str, name: str) -> list[Any]:
        """A value of each candle as it was last told."""
        last = {candle["open_time"]: candle for message in self.messages[channel] for candle in message["candles"]}
        return [candle[name] for candle in last.values()]


def latest(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that reflects most: behind this proxy a snapshot that was held up may come last of all."""
    return max(messages, key=lambda message: int(message["last_sequence"]))


def same_values(ticker: dict[str, Any], answer: dict[str, Any]) -> bool:
    """Whether the ticker says what REST answers; the market's state is not in the ticker there."""
    return {name: ticker[name] for name in TICKER_VALUES - {"state"}} == {
        name: answer[name] for name in TICKER_VALUES - {"state"}
    }


@pytest.fixture(
    scope="module", params=[1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def record(request: pytest.FixtureRequest) -> Iterator[Record]:
    with calm_server() as server:
        yield asyncio.run(play(Record(server, request.param)))


async def play(record: Record) -> Record:
    """Both clients and some channels behind the proxy, the candles beside it; until all have seen the end."""
    direct = socket_url(record.server.base_url)
    flow = OrderFlow(base_url=record.server.base_url, signers=demo_signers(record.server), seed=record.seed)
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(FaultProxy(target_url=direct, seed=record.seed))
        for kind in CLIENTS:
            client = await stack.enter_async_context(following(kind, proxy.url, MARKET))
            record.books[kind] = client.states
        for channel in (TRADES, TICKER):
            await stack.enter_async_context(listening(record, proxy.url, channel))
        for channel in (SECONDS, MINUTES):
            await stack.enter_async_context(listening(record, direct, channel))
        await until(lambda: all(record.books.values()))
        record.last = await flow.run(requests=REQUESTS, pause_max=PAUSE_SECONDS_MAX)

        await until(
            lambda: min(states[-1][0] for states in record.books.values()) >= record.last, seconds=SETTLE_SECONDS
        )
        await until(record.settled, seconds=SETTLE_SECONDS, pause=0.5)
    record.requests, record.frames, record.counts = proxy.requests, proxy.frames, dict(proxy.counts)
    record.orders = flow.counts
    return record


@contextlib.asynccontextmanager
async def listening(record: Record, url: str, channel: str) -> AsyncIterator[None]:
    """Record the applied messages of a channel while the block runs."""
    messages = record.messages[channel] = list[dict[str, Any]]()

    async def listen() -> None:
        async for message in follow_channel(url, channel):
            messages.append(message)

    task = asyncio.create_task(listen())
    try:
        yield
    finally:
        ended = task.done()
        task.cancel()
        await asyncio.wait([task])
        if ended:
            task.result()


def test_every_book_that_a_client_had_was_the_true_one(record: Record):
    sequences = {sequence for states in record.books.values() for sequence, _, _ in states}
    truth = true_books(database_url=record.database_url, market=MARKET, sequences=sequences)
    for kind, states in record.books.items():
        assert len(states) > 50, kind
        for sequence, bids, asks in states:
            assert (bids, asks) == truth[sequence], f"{kind} at {sequence}"


def test_both_clients_end_where_the_exchange_is(record: Record):
    depth = record.get("/depth?levels=1000")
    assert [record.last] == [row[0] for row in record.rows("SELECT max(sequence) FROM matching_journalentry")]
    for states in record.books.values():
        assert states[-1] == (record.last, depth["bids"], depth["asks"])


def test_every_checksum_is_of_the_true_book(record: Record):
    depths = [message for message in map(json.loads, record.frames) if message.get("channel") == f"depth.{MARKET}"]
    told = [message for message in depths if message["type"] != "heartbeat"]
    sequences = {message["last_sequence"] for message in told}
    truth = true_books(database_url=record.database_url, market=MARKET, sequences=sequences)
    for message in told:
        sides = ("|".join(":".join(level) for level in side[:10]) for side in truth[message["last_sequence"]])
        assert message["checksum"] == zlib.crc32("#".join(sides).encode()), message


def test_the_network_was_bad_and_every_gap_was_healed_by_going_on(record: Record):
    for fault in ("drop", "delay", "duplicate", "cut"):
        assert record.counts[fault] > 0, fault
    assert {400, 500, 503}.isdisjoint(record.orders), record.orders
    depth = [request for request in record.requests if request["channels"] == [f"depth.{MARKET}"]]
    resumed = [request for request in depth if "from_sequence" in request]
    assert len(resumed) > 10
    assert len(depth) - len(resumed) <= 10  # the first ones, again where the snapshot was dropped


def test_every_trade_is_told_once_in_the_order_of_the_database(record: Record):
    told = [trade for message in record.messages[TRADES] for trade in message["trades"]]
    rows = record.rows("SELECT id, price, quantity, taker_side, executed_at FROM marketdata_trade ORDER BY id")
    assert len(rows) > 50
    # A snapshot repeats what is known: the first may come again when it was lost; all others would be unfilled gaps.
    newest, fresh = 0, []
    for trade in told:
        if trade["id"] > newest:
            newest = trade["id"]
            fresh.append(trade)
    assert [trade["id"] for trade in fresh] == [row[0] for row in rows]
    updates = [message for message in record.messages[TRADES] if message["type"] == "update"]
    ids = [trade["id"] for message in updates for trade in message["trades"]]
    assert ids == sorted(set(ids))
    for trade, (_, price, quantity, taker_side, executed_at) in zip(fresh, rows, strict=True):
        assert (trade["price"], trade["quantity"]) == (f"{price:.2f}", f"{quantity:.5f}")
        assert trade["taker_side"] == taker_side
        assert trade["executed_at"] == executed_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_the_last_ticker_is_what_rest_answers(record: Record):
    ticker = latest(record.messages[TICKER])
    assert same_values(ticker, record.get("/ticker"))
    assert Decimal(ticker["volume"]) == sum(row[0] for row in record.rows("SELECT quantity FROM marketdata_trade"))


@pytest.mark.parametrize(("channel", "interval"), [(SECONDS, "1s"), (MINUTES, "1m")])
def test_candles_are_what_rest_answers(record: Record, channel: str, interval: str):
    told = {candle["open_time"]: candle for message in record.messages[channel] for candle in message["candles"]}
    start, end = min(told), max(told)
    answer = record.get(f"/candles?interval={interval}&start={start}&limit=1000")
    stored = {candle["open_time"]: candle for candle in answer["results"] if start <= candle["open_time"] <= end}
    assert told == stored
    assert sum(candle["trades"] for candle in told.values()) > 50


def test_nobody_is_named(record: Record):
    """Owners, orders and client order ids stay private: the keys are the documented ones, and no name occurs."""
    messages = [json.loads(frame) for frame in record.frames]
    messages += [message for channel in (SECONDS, MINUTES) for message in record.messages[channel]]
    for message in messages:
        channel = message.get("channel", "").partition(".")[0]
        if channel == "depth":
            assert message.keys() <= DEPTH_KEYS
        elif channel == "ticker":
            assert message.keys() <= TICKER_KEYS
        elif channel:
            assert message.keys() <= {"channel", "type", "first_sequence", "last_sequence", "time", channel}
            for entry in message.get(channel, []):
                assert entry.keys() == (TRADE_KEYS if channel == "trades" else CANDLE_KEYS)
    text = "".join(record.frames)
    for name in (NAME, "alice", "bob", "account", "client_order_id", "order_id"):
        assert name not in text


def test_the_clients_survive_the_death_of_the_server():
    """It is killed between two stretches of order flow; each book is the true one before, after and in between."""

    async def run(server: ServerProcess) -> dict[str, list[State]]:
        url, signers = socket_url(server.base_url), demo_signers(server)
        async with following(CLIENTS[0], url, MARKET) as python, following(CLIENTS[1], url, MARKET) as javascript:
            for seed in (4, 5):
                flow = OrderFlow(base_url=server.base_url, signers=signers, seed=seed)
                last = await flow.run(requests=60, pause_max=PAUSE_SECONDS_MAX)
                await reach(last, python, javascript)
                if seed == 4:
                    await asyncio.to_thread(restart, server)
            return dict(zip(CLIENTS, (python.states, javascript.states), strict=True))

    with calm_server() as server:
        books = asyncio.run(run(server))
        sequences = {sequence for states in books.values() for sequence, _, _ in states}
        url = embedded.database_url(data_dir=server.data_dir)
        truth = true_books(database_url=url, market=MARKET, sequences=sequences)
    for kind, states in books.items():
        for sequence, bids, asks in states:
            assert (bids, asks) == truth[sequence], f"{kind} at {sequence}"


async def reach(sequence: int, *clients: Following) -> None:
    """Wait until every client's book has come to a sequence."""
    await until(lambda: all(each.states and each.states[-1][0] >= sequence for each in clients), seconds=SETTLE_SECONDS)


def restart(server: ServerProcess) -> None:
    """Kill it, and start it again on the same data."""
    server.kill9()
    server.start()
    server.wait_ready(SETTLE_SECONDS)
