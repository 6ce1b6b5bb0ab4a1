"""The real exchange for tests: a worker on the default database, and the ways in that everybody uses.

Tests reach their states through the inbox and the order lane, so that no test holds an impossible state. Every call
waits for its commit. Use with the fixture `fresh_database`:

    with running_exchange() as exchange:
        btc, usd = exchange.create_asset("BTC", 8), exchange.create_asset("USD", 2)
        market = exchange.create_market(btc, usd, tick_size=100, lot_size=1_000_000)
        alice = exchange.open_account("alice", {usd: 1_000_00})
        reply = exchange.place(alice, market, "buy", price=100_00, quantity=50_000_000)
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from django.db import connections

from matching import inbox, worker
from matching.engine.messages import (
    AccountOpened,
    AnyCommand,
    AssetCreated,
    CancelOrder,
    CreateAsset,
    CreateMarket,
    Deposit,
    MarketChanged,
    MarketParameters,
    OpenAccount,
    PlaceOrder,
    Side,
)
from matching.lanes import Reply
from trading.models import User

START_SECONDS_MAX = 10
ANSWER_SECONDS_MAX = 10


class RunningExchange:
    """A worker's lanes as seen by a test. Amounts are units, as in messages."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def execute(self, command: AnyCommand) -> inbox.Done:
        """File a command in the inbox and wait for its answer; raises inbox.Refused."""
        return inbox.execute(command=command, actor="test", timeout=ANSWER_SECONDS_MAX)

    def send(self, *commands: AnyCommand) -> list[Reply]:
        """Carry commands through the order lane, as one request; one reply each."""
        answer = asyncio.run_coroutine_threadsafe(worker.order_lane().execute(commands), self._loop)
        return answer.result(ANSWER_SECONDS_MAX)

    def create_asset(self, symbol: str, scale: int) -> int:
        """A new asset's id."""
        created = self.execute(CreateAsset(symbol, symbol, scale)).events[0]
        assert isinstance(created, AssetCreated)
        return created.asset_id

    def create_market(self, base: int, quote: int, **parameters: Any) -> int:
        """The id of a new market; its filters are wide, band and breaker off, unless `parameters` say otherwise."""
        wide = {
            "tick_size": 1, "lot_size": 1, "min_quantity": parameters.get("lot_size", 1), "max_quantity": 10**18,
            "min_notional": 0, "max_notional": 10**18, "price_band": 0, "breaker_move": 0,
        }  # fmt: skip
        changed = self.execute(CreateMarket(base, quote, MarketParameters(**wide | parameters))).events[0]
        assert isinstance(changed, MarketChanged)
        return changed.market_id

    def open_account(self, username: str, funds: Mapping[int, int] | None = None, *, name: str = "main") -> int:
        """The id of an account of the user (made if needed), with `funds` (asset id -> units) deposited."""
        user, _ = User.objects.get_or_create(username=username)
        opened = self.execute(OpenAccount(user.pk, name)).events[0]
        assert isinstance(opened, AccountOpened)
        for asset_id, amount in (funds or {}).items():
            self.execute(Deposit(opened.account_id, asset_id, amount))
        return opened.account_id

    def place(self, account_id: int, market_id: int, side: Side, **fields: Any) -> Reply:
        """Place an order through the lane: a limit order if `price` is among the fields, else an ioc market order."""
        if "price" not in fields:
            fields = {"order_type": "market", "time_in_force": "ioc"} | fields
        return self.send(PlaceOrder(account_id, market_id, side, **fields))[0]

    def cancel(self, account_id: int, order_id: int) -> Reply:
        """Cancel an order through the lane."""
        return self.send(CancelOrder(account_id, order_id))[0]


@contextlib.contextmanager
def running_exchange() -> Iterator[RunningExchange]:
    """This process's worker (matching.worker), started on the default database with its books loaded; then stopped."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="test-loop", daemon=True)
    thread.start()
    worker.start()
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not worker.status().books_loaded:
            assert time.monotonic() < deadline, "the worker does not get ready"
            time.sleep(0.005)
        yield RunningExchange(loop)
    finally:
        worker.stop()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        connections.close_all()
