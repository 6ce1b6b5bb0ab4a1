"""The demo's makers and takers against a real server: they quote, trade, pause, come back, and end with the server."""

import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from tests.harness import ServerProcess, new_data_dir, remove_data_dir
from trading import demo, embedded
from trading.demo_flow.flow import BACK_OFF_SECONDS_MAX, back_off
from trading.demo_flow.rules import LEVELS, MarketRules, distance, quote_dollars, quote_price, trade_dollars
from trading.demo_flow.walk import DAY_SECONDS, Walk

MARKETS = ("BTC-USDT", "ETH-USDT", "ETH-BTC")
PATIENCE_SECONDS = 60

RULES = MarketRules("BTC-USDT", "BTC", "USDT", Decimal("0.01"), Decimal("0.00001"), Decimal(5))


# ---------------------------------------------------------------------------------------------- prices and sizes


def test_a_walk_of_half_a_year_stays_near_its_anchors_and_moves() -> None:
    walk = Walk(anchors={"BTC": 43_000.0, "ETH": 2_300.0}, rng=Random(1))
    seen = []
    for _ in range(180 * 24):
        walk.step(3_600)
        seen.append(walk.dollars("BTC"))
        assert walk.fair("ETH", "BTC") == pytest.approx(walk.dollars("ETH") / walk.dollars("BTC"))
        assert walk.fair("ETH", "USDT") == pytest.approx(walk.dollars("ETH"))
    assert 43_000 * 0.75 < min(seen) < 43_000 * 0.97
    assert 43_000 * 1.03 < max(seen) < 43_000 * 1.25


def test_a_walk_follows_a_price_that_people_have_moved_and_comes_back_within_weeks() -> None:
    walk = Walk(anchors={"BTC": 43_000.0, "ETH": 2_300.0}, rng=Random(1))
    walk.pull("BTC", "USDT", 86_000.0, 0.5)
    assert walk.fair("BTC", "USDT") == pytest.approx(43_000 * math.sqrt(2))
    walk.pull("ETH", "BTC", walk.fair("ETH", "BTC") * 1.1, 1.0)
    assert walk.fair("ETH", "USDT") == pytest.approx(2_300 * 1.1)
    walk.step(21 * DAY_SECONDS)
    assert walk.fair("BTC", "USDT") == pytest.approx(43_000, rel=0.2)


def test_the_ladder_is_on_ticks_and_lots_ordered_and_deeper_away_from_the_price() -> None:
    rng = Random(1)
    bids = [quote_price(RULES, 43_000.0, "buy", level) for level in range(LEVELS)]
    asks = [quote_price(RULES, 43_000.0, "sell", level) for level in range(LEVELS)]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < 43_000 < asks[0]
    assert len({*bids, *asks}) == 2 * LEVELS
    assert all(price % RULES.tick_size == 0 for price in bids + asks)
    assert [distance(level) for level in range(LEVELS)] == sorted(distance(level) for level in range(LEVELS))
    near, far = (sum(quote_dollars(1.0, level, rng) for _ in range(500)) for level in (0, LEVELS - 1))
    assert 3 * near < far


def test_sizes_are_whole_lots_that_the_market_takes_and_now_and_then_large() -> None:
    rng = Random(1)
    dollars = [trade_dollars(1.0, 1.0, rng) for _ in range(5_000)]
    quantities = [RULES.quantity(size / 43_000, Decimal(43_000)) for size in dollars]
    assert all(quantity % RULES.lot_size == 0 for quantity in quantities)
    assert all(quantity * 43_000 >= RULES.min_notional for quantity in quantities)
    assert sorted(dollars)[2_500] == pytest.approx(700, rel=0.1)
    assert max(dollars) > 50 * 700


def test_the_pauses_after_failures_grow_to_a_bound_and_differ() -> None:
    rng = Random(1)
    pauses = [back_off(failures, rng) for failures in range(1, 60)]
    assert pauses[0] <= 0.5
    assert all(BACK_OFF_SECONDS_MAX / 2 <= pause <= BACK_OFF_SECONDS_MAX for pause in pauses[9:])
    assert len(set(pauses)) == len(pauses)


# ---------------------------------------------------------------------------------------------- a living market


@pytest.fixture(scope="module")
def living() -> Iterator[ServerProcess]:
    """A server with the demo flow and without history: it was seeded before, as by an older version."""
    data_dir = new_data_dir()
    server = ServerProcess(data_dir=data_dir, env={"DEMO_FLOW": "on"})
    try:
        assert server.manage("migrate").returncode == 0
        assert server.manage("seed").returncode == 0
        server.start()
        server.wait_ready()
        yield server
    finally:
        server.close()
        remove_data_dir(data_dir)


def until(what: Callable[[], Any]) -> Any:
    """What `what` gives as soon as that is something; the server may be away for a while."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if found := what():
                return found
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.2)


def get(server: ServerProcess, path: str) -> Any:
    answer = httpx.get(f"{server.base_url}/api/v1{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def depth(server: ServerProcess, market: str) -> tuple[list[list[str]], list[list[str]]]:
    found = get(server, f"/markets/{market}/depth?levels=1000")
    return found["bids"], found["asks"]


def full_depth(server: ServerProcess, market: str) -> tuple[list[list[str]], list[list[str]]] | None:
    """The depth, once each side has the makers' orders (where ticks are coarse, several share a level)."""
    sides = depth(server, market)
    return sides if all(LEVELS * 2 // 3 <= len(side) <= LEVELS for side in sides) else None


def last_trade(server: ServerProcess, market: str) -> int:
    answer = httpx.get(f"{server.base_url}/api/v1/markets/{market}/trades?limit=1")
    results = answer.json()["results"] if answer.status_code == 200 else []
    return int(results[0]["id"]) if results else 0


def trades_after(server: ServerProcess, market: str, trade_id: int) -> bool:
    return last_trade(server, market) > trade_id


def rows(server: ServerProcess, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(embedded.database_url(data_dir=server.data_dir)) as connection:
        return connection.execute(sql).fetchall()


def flow_processes(server: ServerProcess) -> list[psutil.Process]:
    assert server.process is not None
    children = psutil.Process(server.process.pid).children()
    children = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in children if "demo_flow" in child.cmdline()]


def test_both_sides_are_quoted_in_all_markets_and_trades_happen(living: ServerProcess) -> None:
    for market in MARKETS:
        bids, asks = until(partial(full_depth, living, market))
        bid, ask = Decimal(bids[0][0]), Decimal(asks[0][0])
        assert bid < ask < bid * Decimal("1.01")
        until(partial(last_trade, living, market))


def test_only_the_labelled_users_trade_and_no_secret_is_on_the_command_line(living: ServerProcess) -> None:
    (flow,) = flow_processes(living)
    assert flow.cmdline()[-4:] == ["manage.py", "demo_flow", "--url", living.base_url]
    traders = rows(
        living,
        "SELECT DISTINCT u.username, a.name FROM orders_order o JOIN risk_account a ON a.id = o.account_id"
        " JOIN trading_user u ON u.id = a.user_id",
    )
    assert {(name, "demo-flow") for name in demo.FLOW_MAKERS} <= set(traders)
    assert set(traders) <= {(name, "demo-flow") for name in demo.FLOW}


def test_a_halted_market_is_left_alone_and_taken_up_again(living: ServerProcess) -> None:
    assert living.manage("market", "ETH-BTC", "halt").returncode == 0
    halted_at = last_trade(living, "ETH-BTC")
    others = last_trade(living, "BTC-USDT")
    until(lambda: trades_after(living, "BTC-USDT", others))
    assert last_trade(living, "ETH-BTC") == halted_at
    assert living.manage("market", "ETH-BTC", "open").returncode == 0
    until(lambda: trades_after(living, "ETH-BTC", halted_at))


def test_an_empty_account_is_filled_up_by_a_demo_deposit(living: ServerProcess) -> None:
    account = "a.name = 'demo-flow' AND u.username = 'demo-maker-1'"
    accounts = "risk_account a JOIN trading_user u ON u.id = a.user_id"
    asset = "JOIN marketdata_asset s ON s.id = x.asset_id AND s.symbol = 'ETH'"

    def taken_away() -> bool:
        """All that is not held at the moment but for a little; refused when an order has held more meanwhile."""
        sql = f"SELECT x.available FROM {accounts} JOIN risk_balance x ON x.account_id = a.id {asset} WHERE {account}"
        ((available,),) = rows(living, sql)
        words = ["demo-maker-1", "ETH", f"-{available - 1:f}", "--account", "demo-flow", "--note", "spent"]
        return living.manage("correct", *words).returncode == 0

    until(taken_away)
    sql = f"SELECT x.reference FROM {accounts} JOIN risk_deposit x ON x.account_id = a.id {asset} WHERE {account}"
    until(lambda: ("demo",) in rows(living, sql))


def test_it_waits_while_the_database_is_away_and_resumes(living: ServerProcess) -> None:
    (flow,) = flow_processes(living)
    pid = living.postgres_pid()
    assert pid is not None
    before = last_trade(living, "BTC-USDT")
    psutil.Process(pid).kill()
    until(lambda: trades_after(living, "BTC-USDT", before))
    assert flow_processes(living) == [flow]


def test_it_ends_with_a_killed_server_and_the_next_one_goes_on_with_the_same_orders(living: ServerProcess) -> None:
    (flow,) = flow_processes(living)
    before = last_trade(living, "BTC-USDT")
    living.kill9()
    flow.wait(PATIENCE_SECONDS)
    living.start()
    living.wait_ready()
    until(lambda: trades_after(living, "BTC-USDT", before))
    for market in MARKETS:
        assert until(partial(full_depth, living, market))
    (new,) = flow_processes(living)
    assert living.terminate() == 0
    new.wait(PATIENCE_SECONDS)
    assert living.manage("prove", timeout=300).returncode == 0


def test_switched_off_there_is_no_flow(server: ServerProcess) -> None:
    assert server.env["DEMO_FLOW"] == "off"
    assert flow_processes(server) == []
    assert rows(server, "SELECT username FROM trading_user WHERE username LIKE 'demo-%'") == []
    assert depth(server, "BTC-USDT") == ([], [])


def test_the_command_wants_its_keys_on_standard_input(server: ServerProcess) -> None:
    command = [sys.executable, "manage.py", "demo_flow", "--url", server.base_url]
    asked = subprocess.run(command, env=server.env, input="no keys\n", capture_output=True, text=True, timeout=60)
    assert asked.returncode == 1
    assert "is no list of keys" in asked.stderr
