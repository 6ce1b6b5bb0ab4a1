"""The worker on a real database: it survives poison, stands by, restarts, and memory and database stay one."""

import struct
import time
from collections.abc import Iterator
from contextlib import closing

import msgspec
import psycopg
import pytest
from django.db import connections

from matching import inbox, snapshot, store, worker
from matching.client_ids import BloomFilter, UsedClientIds, digest_of
from matching.engine.messages import (
    CommandRefused,
    Limits,
    OpenAccount,
    OrderDuplicated,
    OrderPlaced,
    PlaceOrder,
    Reason,
    SetLimits,
)
from matching.lanes import InProcessLane, WorkerUnavailable
from matching.models import InboxCommand
from matching.pipeline import Pipeline
from matching.state import State
from orders.store import client_order_digests
from tests.builders import RunningExchange, running_exchange

UNIT = 10**8


class Floor:
    """An exchange with one market and two funded accounts."""

    def __init__(self, exchange: RunningExchange) -> None:
        self.exchange = exchange
        suffix = str(time.time_ns())[-9:]
        self.base, self.quote = exchange.create_asset(f"B{suffix}", 8), exchange.create_asset(f"Q{suffix}", 8)
        self.market = exchange.create_market(
            self.base,
            self.quote,
            tick_size=10**6,
            lot_size=1_000,
            breaker_move=100_000,
            breaker_window=60,
            breaker_pause=1,
        )
        funds = {self.base: 1_000 * UNIT, self.quote: 10_000_000 * UNIT}
        self.alice = exchange.open_account(f"alice{suffix}", funds)
        self.bob = exchange.open_account(f"bob{suffix}", funds)

    def buy(self, price: int, quantity: int = UNIT, **fields: object) -> OrderPlaced:
        """Alice bids; price in whole quote."""
        return self._placed(self.alice, "buy", price, quantity, fields)

    def sell(self, price: int, quantity: int = UNIT, **fields: object) -> OrderPlaced:
        """Bob offers; price in whole quote."""
        return self._placed(self.bob, "sell", price, quantity, fields)

    def _placed(self, account: int, side: str, price: int, quantity: int, fields: dict[str, object]) -> OrderPlaced:
        reply = self.exchange.place(account, self.market, side, price=price * UNIT, quantity=quantity, **fields)  # type: ignore[arg-type]
        return next(event for event in reply.events if isinstance(event, OrderPlaced))


@pytest.fixture
def floor(fresh_database: str) -> Iterator[Floor]:
    """A running exchange; the module's tests share its database, each has a market of its own."""
    with running_exchange() as exchange:
        yield Floor(exchange)


def live_state() -> State:
    """The memory of this process's worker; it is quiet while a test looks."""
    assert worker._worker is not None
    session = worker._worker._session
    assert session is not None
    return session.exchange.state


def comparable(taken: snapshot.Snapshot) -> snapshot.Snapshot:
    """Without what only the database knows: when an open order last changed."""
    return msgspec.structs.replace(
        taken, orders=[msgspec.structs.replace(order, updated_at=0) for order in taken.orders]
    )


def wait_until(condition: object, seconds: float = 10) -> None:
    """Poll until `condition()` holds."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_memory_and_database_are_the_same_state(floor: Floor) -> None:
    floor.sell(100), floor.sell(101), floor.buy(100, UNIT // 2), floor.buy(99), floor.buy(98, client_order_id="mine")
    floor.exchange.execute(SetLimits(floor.alice, Limits(max_open_orders=7, max_positions={floor.base: 5 * UNIT})))
    with store.connect() as connection:
        stored = store.load(connection)
    assert comparable(stored) == comparable(snapshot.take(live_state()))


def test_a_restarted_worker_goes_on_where_the_last_one_was(fresh_database: str) -> None:
    with running_exchange() as exchange:
        floor = Floor(exchange)
        resting = floor.sell(100, client_order_id="first")
        before = comparable(snapshot.take(live_state()))
    with running_exchange() as exchange:
        floor.exchange = exchange
        assert comparable(snapshot.take(live_state())) == before
        assert floor.buy(100).order.status == "filled"
        again = exchange.place(
            floor.bob, floor.market, "sell", price=100 * UNIT, quantity=UNIT, client_order_id="first"
        )
        assert again.events == [OrderDuplicated(resting.order.id)]


def test_an_old_client_order_id_is_found_in_the_database(floor: Floor) -> None:
    first = floor.buy(90, client_order_id="old")
    floor.exchange.cancel(floor.alice, first.order.id)
    del live_state().client_orders[floor.alice, "old"]
    order = {"price": 90 * UNIT, "quantity": UNIT, "client_order_id": "old"}
    same = floor.exchange.place(floor.alice, floor.market, "buy", **order)
    assert same.events == [OrderDuplicated(first.order.id)]
    del live_state().client_orders[floor.alice, "old"]
    other = floor.exchange.place(floor.alice, floor.market, "buy", **order | {"quantity": 2 * UNIT})
    assert other.events == [CommandRefused(Reason.CLIENT_ORDER_ID_CONFLICT)]


def test_a_tripped_breaker_reopens_by_itself(floor: Floor) -> None:
    floor.sell(100), floor.buy(100), floor.sell(120)
    assert floor.buy(120).order.reason == Reason.CIRCUIT_BREAKER
    assert live_state().markets[floor.market].state == "cancel_only"
    wait_until(lambda: live_state().markets[floor.market].state == "open")
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT text FROM notifications_announcement "
            "WHERE market_id = %s AND announcement_type = 'breaker_tripped'",
            [floor.market],
        )
        assert cursor.fetchall() == [
            (
                "Circuit breaker: a trade at 120 would be more than 10 % away from the prices of the last 60 s, "
                "which were between 100 and 100.",
            )
        ]


def test_a_command_that_the_database_refuses_is_put_aside_and_the_rest_goes_on(floor: Floor) -> None:
    nobody = 2_000_000_000
    poison = inbox.file_command(command=OpenAccount(nobody), actor="test")
    healthy = inbox.file_command(command=SetLimits(floor.alice, Limits(max_open_orders=3)), actor="test")
    with pytest.raises(inbox.CommandFailed):
        inbox.wait_for(inbox_id=poison)
    assert inbox.wait_for(inbox_id=healthy).events
    wait_until(lambda: worker.status().books_loaded)
    assert floor.buy(50).order.status == "open"


def test_a_row_that_is_no_command_is_put_aside(floor: Floor) -> None:
    row = InboxCommand.objects.create(payload='{"kind":"sing"}', actor="test")
    with pytest.raises(inbox.CommandFailed):
        inbox.wait_for(inbox_id=row.pk)
    assert floor.buy(50).order.status == "open"


def test_a_lost_connection_costs_the_lock_and_the_memory_but_no_order(floor: Floor) -> None:
    resting = floor.buy(77)
    session = worker._worker and worker._worker._session
    with store.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    wait_until(lambda: worker._worker and worker._worker._session not in (session, None))
    assert resting.order.id in live_state().orders
    assert floor.buy(78).order.status == "open"


def test_only_one_worker_leads_and_a_standby_takes_over(floor: Floor) -> None:
    standby = worker.Worker(lane=InProcessLane(commands_max=10))
    standby.start()
    try:
        wait_until(lambda: standby.status().standby)
        assert not standby.status().books_loaded
        with store.connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        wait_until(lambda: standby.status().books_loaded or worker.status().books_loaded)
        assert floor.exchange.execute(SetLimits(floor.bob, None)).events
    finally:
        standby.stop()


def test_the_lane_is_closed_when_no_worker_runs(fresh_database: str) -> None:
    lane = worker.order_lane()
    with running_exchange() as exchange:
        assert Floor(exchange).buy(10).order.status == "open"
    with running_exchange() as exchange:
        worker.stop()
        with pytest.raises(WorkerUnavailable):
            exchange.send(PlaceOrder(3, 1, "buy", price=UNIT, quantity=UNIT))
    assert lane.depth == 0


def test_a_second_writer_of_the_same_sequence_is_refused(floor: Floor) -> None:
    """Fencing: even a worker that believes it leads cannot write a sequence twice."""
    with closing(store.connect()) as connection:
        state = snapshot.restore(store.load(connection))
        scales = store.load_scales(connection)
        batch = store.Batch(state.sequence, state.now)
        batch.add(SetLimits(floor.alice, None), [])
        with pytest.raises(psycopg.errors.UniqueViolation):
            Pipeline(connection).run(store.encode(batch, state, scales))


def used_client_ids() -> UsedClientIds:
    """What the worker of this process knows of used ids, once it has read the history."""
    assert worker._worker is not None
    session = worker._worker._session
    assert session is not None
    used = session._used_client_ids
    wait_until(lambda: used.complete)
    return used


def test_a_client_order_id_of_an_ended_order_is_known_after_a_restart(fresh_database: str) -> None:
    with running_exchange() as exchange:
        floor = Floor(exchange)
        first = floor.buy(90, client_order_id="from before")
        exchange.cancel(floor.alice, first.order.id)
    with running_exchange() as exchange:
        floor.exchange = exchange
        assert used_client_ids().suspects([(floor.alice, "never used")]) == []
        assert (floor.alice, "from before") not in live_state().client_orders
        again = exchange.place(
            floor.alice, floor.market, "buy", price=90 * UNIT, quantity=UNIT, client_order_id="from before"
        )
        assert again.events == [OrderDuplicated(first.order.id)]


def test_a_used_id_is_never_denied_and_a_new_one_is_rarely_suspected(floor: Floor) -> None:
    used = used_client_ids()
    mine = [(floor.alice, f"order-{number}") for number in range(20_000)]
    assert len(used.suspects(mine)) < 200
    assert used.suspects(mine) == mine
    others = [(floor.bob, f"order-{number}") for number in range(20_000)]
    assert len(used.suspects(others)) < 200


def test_the_database_digests_ids_as_the_worker_does(floor: Floor) -> None:
    placed = floor.buy(80, client_order_id="a-B:c/1")
    with store.connect() as connection:
        found = client_order_digests(connection, after=placed.order.id - 1, until=placed.order.id)
    assert struct.unpack(">QQ", found) == digest_of(floor.alice, "a-B:c/1")


def test_filters_grow_with_what_they_hold() -> None:
    small = BloomFilter(100)
    small.add(digest_of(1, str(number)) for number in range(100))
    assert all(digest_of(1, str(number)) in small for number in range(100))
    assert sum(digest_of(2, str(number)) in small for number in range(10_000)) < 100
