"""The benchmark works: every kind of row, in runs too short to say anything, and what it says of missed figures."""

import contextlib
import json
import random
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from matching.bench import engine, exchange, flow, frames, order_entry, report, requests, scratch, socket_orders, spread
from matching.bench.feed_load import Outcome as FeedOutcome
from matching.bench.open_loop import Outcome
from matching.bench.report import Row
from matching.bench.requests import Key, OpenFloor
from matching.bench.toy import ToyBook
from matching.engine.book import Book
from matching.engine.engine import Fill
from matching.engine.messages import Side
from tests.harness import clean_env
from trading import environment


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    """200 signed orders."""
    path = tmp_path / "requests"
    opened = OpenFloor(flow.Floor(1, [3], [4]), [Key(3, "bk_buyer", "secret"), Key(4, "bk_seller", "secret")])
    requests.write_file(path=path, opened=opened, count=200, name="test")
    return path


def bench(*options: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """`manage.py bench` in a process of its own."""
    return subprocess.run(
        [sys.executable, "manage.py", "bench", *options],
        cwd=environment.PROJECT_ROOT, env=clean_env() | extra, capture_output=True, text=True, timeout=600,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- the flows


def test_the_mix_keeps_its_proportions_and_the_size_of_the_book():
    flow_of_mix = engine.mix(commands=5_000, resting=500)
    cancels = sum(1 for command in flow_of_mix.commands if not command.quantity)
    book, reported, crossing = Book(), list[Fill](), 0
    engine.play(book, flow_of_mix.before, [])
    for command in flow_of_mix.commands:
        before = len(reported)
        engine.play(book, [command], reported)
        crossing += len(reported) > before
    assert 0.43 < cancels / 5_000 < 0.47
    assert 0.12 < crossing / 5_000 < 0.14
    assert len(reported) == flow_of_mix.fills
    assert 450 < len(book.orders) < 550


@pytest.mark.parametrize("shape", engine.SHAPES)
def test_every_shape_gives_all_its_fills(shape: str):
    assert engine.engine_rate(engine.SHAPES[shape](commands=1_000)) > 0


def test_the_yardstick_gives_the_same_fills_as_the_engine():
    chance = random.Random(7)
    toy, book, reported = ToyBook(), Book(), list[Fill]()
    for id in range(1, 2_000):
        side: Side = chance.choice(("buy", "sell"))
        command = engine.Input(id, side, chance.randint(95, 105), chance.randint(1, 9))
        fills = toy.place(*command)
        before = len(reported)
        engine.play(book, [command], reported)
        assert fills == [(fill.maker.id, fill.maker.price, fill.quantity) for fill in reported[before:]]
        if id % 3 == 0:
            gone = chance.randint(1, id)
            was_there = gone in book.orders
            engine.play(book, [engine.Input(gone, "buy", 0, 0)], reported)
            assert toy.cancel(gone) == was_there


def test_half_the_orders_of_the_flow_trade_and_none_stays():
    bench_floor = exchange.Bench(resting=100)
    orders = flow.commands(bench_floor.floor, flow.trading_orders(bench_floor.floor, count=1_000, name="test"))
    bench_floor.execute(orders)
    state = bench_floor.exchange.state
    assert state.trade_id == 500
    assert len(state.orders) == 100
    assert len({order.client_order_id for order in orders}) == 1_000


def test_the_exchange_gives_its_rows():
    rows = list(exchange.measure(orders=500, resting=50, runs=1))
    rows += exchange.growth(orders=200, small=10, large=50, runs=1)
    assert [row.group for row in rows] == ["exchange"] * 4 + ["growth"]
    assert all(row.figure > 0 for row in rows)


# ---------------------------------------------------------------------------------------------- the load


def test_the_open_loop_counts_an_answer_for_every_request(request_file: Path):
    port = scratch.free_port()
    with scratch.background("-m", "matching.bench.bare", port):
        scratch.wait_until(lambda: scratch.answers(port=port, path="/", status=201))
        outcome = scratch.run_module(
            "matching.bench.open_loop", port, request_file, 1_000, 8, 50, returning=Outcome
        )  # fmt: skip
    assert len(outcome.latencies) == 150
    assert min(outcome.latencies) > 0
    assert outcome.refused == 0


def test_readers_of_the_feed_at_two_processes_are_told_through_redis(request_file: Path, tmp_path: Path):
    ports = [scratch.free_port() for _ in range(2)]
    with spread.redis(folder=tmp_path) as (redis_url, _), contextlib.ExitStack() as stack:
        for port in ports:
            stack.enter_context(scratch.background("-m", "matching.bench.bare_feed", port, redis_url))
        scratch.wait_until(lambda: all(scratch.answers(port=port, path="/", status=201) for port in ports))
        outcome = scratch.run_module(
            "matching.bench.feed_load", ",".join(map(str, ports)), request_file, flow.SYMBOL, 4, 500,
            returning=FeedOutcome,
        )  # fmt: skip
    assert (outcome.orders, outcome.frames, len(outcome.latencies)) == (200, 800, 800)


def test_every_reader_of_the_feed_is_told_of_every_order(request_file: Path):
    port = scratch.free_port()
    with scratch.background("-m", "matching.bench.bare_feed", port):
        scratch.wait_until(lambda: scratch.answers(port=port, path="/", status=201))
        outcome = scratch.run_module(
            "matching.bench.feed_load", port, request_file, flow.SYMBOL, 3, 500, returning=FeedOutcome
        )
    assert (outcome.orders, outcome.frames, len(outcome.latencies)) == (200, 600, 600)
    assert min(outcome.latencies) > 0


@pytest.mark.parametrize("length", [0, 125, 126, 65_535])
def test_a_frame_made_beforehand_is_a_websocket_frame(length: int):
    sent: list[str | bytes] = []

    def answer(connection: ServerConnection) -> None:
        for text in connection:
            sent.append(text)
            connection.ping()
            connection.send(text)
            connection.send("end")

    with serve(answer, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        connection = frames.Connection(port=server.socket.getsockname()[1], number=0)
        connection.socket.sendall(frames.masked(b"x" * length))
        received: list[bytes] = []
        while len(received) < 2:
            received += connection.receive()
        connection.socket.close()
        server.shutdown()
        thread.join()
    assert sent == ["x" * length]
    assert received == [b"x" * length, b"end"]


def test_the_sockets_share_the_whole_flow():
    keys = [Key(3, "bk_buyer", "secret"), Key(4, "bk_seller", "secret")]
    opened = OpenFloor(flow.Floor(1, [3], [4]), keys)
    lists = socket_orders.frames_of(opened=opened, count=100, sockets=4, name="test")
    assert all(b'"op":"order.place"' in frame for each in lists for frame in each[1:])
    assert {key.key in str(each[0]) for each, key in zip(lists, keys * 2, strict=True)} == {True}
    assert [len(each) for each in lists] == [26] * 4
    ids = {match for each in lists for frame in each[1:] for match in re.findall(rb'"id":(\d+)', frame)}
    assert len(ids) == 100


def test_a_load_without_wrk_says_how_to_get_it(tmp_path: Path):
    result = bench("--quick", "--only", "http", "--disk", str(tmp_path), PATH=str(tmp_path))
    assert result.returncode == 1
    assert "NOT RUN: http: wrk is not installed: apt install wrk" in result.stdout


# ---------------------------------------------------------------------------------------------- the table

ROW: dict[str, Any] = {"group": "test", "what": "something", "unit": "orders/s", "yardstick_figure": 100.0}


@pytest.mark.parametrize(
    ("figure", "at_least", "ratio_at_least", "ok"),
    [
        (200, 200, None, True),
        (199, 200, None, False),
        (160, 100, 1.6, True),
        (159, 100, 1.6, False),
        (99, None, None, None),
    ],
)
def test_a_rate_must_reach_its_figure_and_its_ratio(figure, at_least, ratio_at_least, ok):
    assert report.rate_row(figure=figure, at_least=at_least, ratio_at_least=ratio_at_least, **ROW).ok is ok


@pytest.mark.parametrize(
    ("figure", "below", "ratio_at_most", "ok"),
    [(3.9, 4, None, True), (4, 4, None, False), (120, None, 1.2, True), (121, None, 1.2, False), (9, None, None, None)],
)
def test_a_time_must_stay_within_its_bounds(figure, below, ratio_at_most, ok):
    assert report.bounded_row(figure=figure, below=below, ratio_at_most=ratio_at_most, **ROW).ok is ok


def test_percentiles_are_values_that_were_measured():
    values = [float(value) for value in range(1, 101)]
    assert report.percentile(values=values, percent=50) == 51
    assert report.percentile(values=values, percent=99) == 100
    assert report.percentile(values=values, percent=100) == 100
    assert report.median([3.0, 1.0, 2.0]) == 2


def test_the_table_names_what_was_missed():
    rows = [report.rate_row(figure=50, at_least=100, **ROW), report.rate_row(figure=150, at_least=100, **ROW)]
    text = report.table_text(rows=rows, width=180)
    assert report.missed(rows) == rows[:1]
    assert text.count("NOT MET") == 1
    assert "0.50" in text
    assert report.missed([report.unjudged(row) for row in rows]) == []


def test_an_unknown_group_is_refused():
    result = bench("--only", "engine,everything")
    assert result.returncode != 0
    assert "There is no everything" in result.stderr


def test_a_quick_bench_of_the_engine_prints_and_writes_its_rows(tmp_path: Path):
    file = tmp_path / "bench.json"
    result = bench("--quick", "--only", "engine", "--json", str(file), DATA_DIR=str(tmp_path / "data"))
    assert result.returncode == 0, result.stderr
    found = json.loads(file.read_text())
    assert found["machine"]["cores"] >= 1
    assert [row["what"] for row in found["rows"]][1:] == list(engine.SHAPES)
    assert "load average" in result.stdout
    assert not (tmp_path / "data" / "postgres").exists()


@pytest.mark.slow
def test_a_quick_bench_gives_every_row_and_leaves_nothing_behind(tmp_path: Path):
    file, disk = tmp_path / "bench.json", tmp_path / "disk"
    before = set(scratch.RAM_DISK.glob("bench-*"))
    result = bench("--quick", "--json", str(file), "--disk", str(disk), DATA_DIR=str(tmp_path / "data"))
    rows = [Row(**row) for row in json.loads(file.read_text())["rows"]]
    counts = {
        group: sum(row.group == group for row in rows) for group in ("engine", "exchange", "commit", "latency", "feed")
    }
    assert counts == {"engine": 6, "exchange": 4, "commit": 1, "latency": 6, "feed": 2}
    assert sum(row.group == "growth" for row in rows) == 4
    if shutil.which("wrk"):
        assert result.returncode == 0, result.stdout
        assert sum(row.group == "http" for row in rows) == 2 * len(order_entry.REQUIRED)
        assert sum(row.group == "sockets" for row in rows) == len(socket_orders.CONNECTIONS)
        assert sum(row.group == "distributed" for row in rows) == 8
    else:
        assert result.returncode == 1
        assert "NOT RUN: http: wrk is not installed" in result.stdout
    assert list(disk.iterdir()) == []
    assert set(scratch.RAM_DISK.glob("bench-*")) <= before
