"""A recorded order flow, fed through the whole system, gives what the other exchange made of it.

Everything goes the way of any order: a lane, the worker, one commit a batch. With a worker in another process the
commands are filed in its inbox; alone, a worker runs here and serves a lane. What came of it is read from the database.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from django.contrib.auth import get_user_model

from marketdata.models import Asset, Market
from matching import inbox, store
from matching.engine.messages import (
    AccountOpened,
    AnyCommand,
    AssetCreated,
    CancelOrder,
    CreateAsset,
    CreateMarket,
    Deposit,
    Limits,
    MarketChanged,
    MarketParameters,
    OpenAccount,
    OrderState,
    PlaceOrder,
    Reason,
    SetLimits,
    Side,
)
from matching.lanes import InProcessLane, LaneError
from matching.recording import UNKNOWN_ORDER, Recording, RestingOrder, Step, in_queues, read
from matching.worker import Worker
from orders import store as orders_store
from risk.models import Account

ACTOR = "replay"
REQUEST_COMMANDS = 100
REQUESTS_IN_FLIGHT = 12
FILED_COMMANDS = 1_000
FILES_IN_FLIGHT = 2
ANSWER_SECONDS_MAX = 120.0
SLEEP_SECONDS_MAX = 0.25
LOOK_SECONDS = 0.02

BASE_SCALE = 8
QUOTE_SCALE = 11
"""So that a tick of 0.001 times a lot of 10^-8 is a whole number of quote units; a recording's ticks are cents."""

WIDE = MarketParameters(
    tick_size=10 ** (QUOTE_SCALE - 3), lot_size=1, min_quantity=1, max_quantity=10**20, min_notional=0,
    max_notional=10**24, price_band=0, breaker_move=0,
)  # fmt: skip
"""Filters that refuse nothing which a recording with prices in cents can have."""

Progress = Callable[[int], None]
"""Called with the number of steps whose outcome is durable."""


class ReplayError(Exception):
    """The replay cannot be done; the text says why."""


class Place(NamedTuple):
    """Where a recording is replayed: a market, and one account for all buys and one for all sells."""

    market: Market
    buyer_id: int
    seller_id: int

    def account_id(self, side: Side) -> int:
        """Whose orders those of `side` are."""
        return self.buyer_id if side == "buy" else self.seller_id


class Row(NamedTuple):
    """One line of the comparison. `difference`: the first thing that is not as recorded, None if all of it is."""

    name: str
    matched: int
    expected: int
    difference: str | None


class Replayed(NamedTuple):
    """What came of a replay."""

    market: str
    commands: int
    seconds: float
    rows: list[Row]

    @property
    def same(self) -> bool:
        """Everything is as recorded."""
        return all(row.difference is None for row in self.rows)


def replay(
    *, folder: Path, market: str | None = None, speed: float | None = None, limit: int | None = None, progress: Progress
) -> Replayed:
    """Replay the recording in `folder` and compare.

    `market`: the symbol of an existing one, None for a scratch market. `speed`: times real time, None for as fast as
    possible. `limit`: only so many steps. Raises ReplayError, RecordingError.
    """
    found = Market.objects.select_related("base", "quote").filter(symbol=market).first()
    if market is not None and found is None:
        raise ReplayError(f"There is no market {market}.")
    base_scale, quote_scale, tick_size = BASE_SCALE, QUOTE_SCALE, WIDE.tick_size
    if found is not None:
        base_scale, quote_scale = found.base.scale, found.quote.scale
        tick_size = int(found.tick_size.scaleb(quote_scale))
    recording = read(folder=folder, base_scale=base_scale, quote_scale=quote_scale, tick_size=tick_size, limit=limit)
    lane = InProcessLane(commands_max=2 * REQUESTS_IN_FLIGHT)
    worker = Worker(lane=lane)
    worker.start()
    try:
        _wait_until_somebody_leads(worker)
        place = _set_up(found, recording)
        began = time.monotonic()
        timed = _timed(recording.steps, place, speed)
        if worker.status().books_loaded:
            asyncio.run(_feed_lane(lane, timed, progress))
        else:
            _feed_inbox(timed, progress)
        seconds = time.monotonic() - began
    except LaneError as error:
        raise ReplayError(f"The worker gave up in the middle ({type(error).__name__}); its log says why.") from error
    finally:
        worker.stop()
    return Replayed(place.market.symbol, len(recording.steps), seconds, compare(recording=recording, place=place))


# ---------------------------------------------------------------------------------------------- set up


def _wait_until_somebody_leads(worker: Worker) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    while not worker.status().books_loaded and not worker.status().standby:
        if time.monotonic() > deadline:
            raise ReplayError("The matching worker does not get ready; its log says why.")
        time.sleep(LOOK_SECONDS)


def _set_up(market: Market | None, recording: Recording) -> Place:
    """The market (a fresh one if none is named) and two fresh accounts with all the funds that the steps could need."""
    number = 1
    while (
        Account.objects.filter(name=f"replay {number}").exists() or Asset.objects.filter(symbol=f"RP{number}B").exists()
    ):
        number += 1
    if market is None:
        market = _scratch_market(number)
    base = quote = 0
    for step in recording.steps:
        if step.operation == "quote":
            quote += step.quantity
        elif step.price is not None and step.side == "buy":
            quote += step.price * step.quantity // 10**market.base.scale
        elif step.price is not None:
            base += step.quantity
    buyer = _account("replay-buyer", f"replay {number}", market.quote_id, quote)
    seller = _account("replay-seller", f"replay {number}", market.base_id, base)
    return Place(market, buyer, seller)


def _scratch_market(number: int) -> Market:
    assets: list[int] = []
    for letter, scale in (("B", BASE_SCALE), ("Q", QUOTE_SCALE)):
        created = _execute(CreateAsset(f"RP{number}{letter}", f"Replay {number}", scale))
        assert isinstance(created, AssetCreated)
        assets.append(created.asset_id)
    changed = _execute(CreateMarket(assets[0], assets[1], WIDE))
    assert isinstance(changed, MarketChanged)
    return Market.objects.select_related("base", "quote").get(id=changed.market_id)


def _account(username: str, name: str, asset_id: int, amount: int) -> int:
    """A fresh account without limits. Buyer and seller are two users: one's own orders would not trade."""
    user, _ = get_user_model().objects.get_or_create(username=username)
    opened = _execute(OpenAccount(user.pk, name))
    assert isinstance(opened, AccountOpened)
    _execute(SetLimits(opened.account_id, Limits(max_open_orders=None, orders_per_second=None)))
    if amount:
        _execute(Deposit(opened.account_id, asset_id, amount, "replay"))
    return opened.account_id


def _execute(command: AnyCommand) -> object:
    try:
        return inbox.execute(command=command, actor=ACTOR).events[0]
    except inbox.Refused as refused:
        raise ReplayError(f"The set-up was refused ({refused.reason.value}): {refused}") from refused
    except inbox.NoAnswer as silence:
        raise ReplayError(str(silence)) from silence


# ---------------------------------------------------------------------------------------------- feed


def command_of(step: Step, place: Place) -> AnyCommand:
    """What a step asks of us; the recording's order id is the client order id."""
    account_id = place.account_id(step.side)
    if step.operation == "cancel":
        return CancelOrder(account_id, client_order_id=step.order_id)
    if step.operation == "quote":
        return PlaceOrder(
            account_id, place.market.id, step.side, "market", quote_amount=step.quantity, time_in_force="ioc",
            client_order_id=step.order_id,
        )  # fmt: skip
    return PlaceOrder(
        account_id, place.market.id, step.side, price=step.price, quantity=step.quantity,
        time_in_force="ioc" if step.time_in_force == "IOC" else "gtc", post_only=step.time_in_force == "PO",
        client_order_id=step.order_id,
    )  # fmt: skip


def _timed(steps: list[Step], place: Place, speed: float | None) -> Iterator[tuple[float, AnyCommand]]:
    """Each command with the seconds after the start of the recording when it is due; the seeds are due at once."""
    first = next((step.exchange_ms for step in steps if step.operation != "seed"), 0)
    for step in steps:
        due = 0.0 if speed is None else max(0, step.exchange_ms - first) / 1000 / speed
        yield due, command_of(step, place)


def _chunks(timed: Iterable[tuple[float, AnyCommand]], size: int) -> Iterator[tuple[float, list[AnyCommand]]]:
    """Commands in groups of at most `size`, each with the time its first and last command are due."""
    began = time.monotonic()
    due, chunk = 0.0, list[AnyCommand]()
    for at, command in timed:
        if chunk and (len(chunk) == size or (at > due and began + at > time.monotonic())):
            yield began + due, chunk
            chunk = []
        due = at
        chunk.append(command)
    if chunk:
        yield began + due, chunk


async def _feed_lane(lane: InProcessLane, timed: Iterable[tuple[float, AnyCommand]], progress: Progress) -> None:
    """Many requests in flight, strictly in order: the lane is a queue and the worker takes them as they came."""
    flying: deque[tuple[int, asyncio.Task[object]]] = deque()
    done = 0
    for due, chunk in _chunks(timed, REQUEST_COMMANDS):
        while (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(min(wait, SLEEP_SECONDS_MAX))
        flying.append((len(chunk), asyncio.create_task(lane.execute(chunk))))
        await asyncio.sleep(0)
        while len(flying) == REQUESTS_IN_FLIGHT or (flying and flying[0][1].done()):
            count, task = flying.popleft()
            await task
            done += count
            progress(done)
    while flying:
        count, task = flying.popleft()
        await task
        done += count
        progress(done)


def _feed_inbox(timed: Iterable[tuple[float, AnyCommand]], progress: Progress) -> None:
    """File chunk after chunk with the worker of another process, always one ahead of the one it is at."""
    filed: deque[tuple[int, int]] = deque()
    done = 0
    for due, chunk in _chunks(timed, FILED_COMMANDS):
        while (wait := due - time.monotonic()) > 0:
            time.sleep(min(wait, SLEEP_SECONDS_MAX))
        filed.append((len(chunk), inbox.file_commands(commands=chunk, actor=ACTOR)[-1]))
        if len(filed) == FILES_IN_FLIGHT:
            done += _wait_for(*filed.popleft())
            progress(done)
    while filed:
        done += _wait_for(*filed.popleft())
        progress(done)


def _wait_for(count: int, inbox_id: int) -> int:
    try:
        inbox.wait_for(inbox_id=inbox_id, timeout=ANSWER_SECONDS_MAX)
    except inbox.Refused:
        pass  # as some of the recorded orders were
    except (inbox.NoAnswer, inbox.CommandFailed) as error:
        raise ReplayError(str(error)) from error
    return count


# ---------------------------------------------------------------------------------------------- compare


def compare(*, recording: Recording, place: Place) -> list[Row]:
    """What the database says came of the steps, against what the recording says."""
    accounts = [place.buyer_id, place.seller_id]
    with store.connect() as reading:
        rows = reading.execute(
            orders_store.SELECT_STATES + " WHERE o.account_id = ANY(%s) ORDER BY o.id", [accounts]
        ).fetchall()
        orders = {order.client_order_id or "": order for order in map(orders_store.state_from_row, rows)}
        names = {order.id: name for name, order in orders.items()}
        trades = reading.execute(
            """SELECT maker_order_id, taker_order_id, trunc(price * %s), trunc(quantity * %s) FROM marketdata_trade
            WHERE maker_account_id = ANY(%s) OR taker_account_id = ANY(%s) ORDER BY id""",
            [10**place.market.quote.scale, 10**place.market.base.scale, accounts, accounts],
        ).fetchall()
    traded = [
        (names.get(maker, "?"), names.get(taker, "?"), price, quantity) for maker, taker, price, quantity in trades
    ]
    open_orders = sorted(
        (order for order in orders.values() if order.status == "open"),
        key=lambda order: (order.side, order.price, order.priority),
    )
    resting = [RestingOrder(names[o.id], o.side, o.price or 0, o.remaining) for o in open_orders]
    return [
        _sequence_row("trades", recording.trades, traded),
        *_step_rows(recording, orders, place.market.base.scale),
        _sequence_row("resting orders", in_queues(recording.resting, recording.steps), resting),
    ]


def _sequence_row(name: str, expected: Sequence[tuple[object, ...]], found: Sequence[tuple[object, ...]]) -> Row:
    """Two lists, place by place."""
    matched = 0
    difference = None
    for number, (want, have) in enumerate(zip_longest(expected, found), start=1):
        if want == have:
            matched += 1
        elif difference is None:
            difference = f"number {number} is {have and tuple(have)}, recorded is {want and tuple(want)}"
    return Row(name, matched, len(expected), difference)


def _step_rows(recording: Recording, orders: dict[str, OrderState], base_scale: int) -> list[Row]:
    """What became of each step, by kinds of steps."""
    checks: dict[str, list[str | None]] = {}
    for step in recording.steps:
        if step.operation == "seed" or (step.operation == "new" and step.time_in_force == "GTC"):
            continue
        order = orders.get(step.order_id)
        name, well = _outcome(step, order, base_scale)
        state = "no order" if order is None else f"{order.status} ({order.reason}), remaining {order.remaining}"
        difference = None if well else f"order {step.order_id} is {state}, recorded is {step.expected}"
        checks.setdefault(name, []).append(difference)
    return [
        Row(name, found.count(None), len(found), next((each for each in found if each is not None), None))
        for name, found in checks.items()
    ]


def _outcome(step: Step, order: OrderState | None, base_scale: int) -> tuple[str, bool]:
    """What kind of outcome a step is to have, and whether it has it."""
    if step.operation == "cancel" and step.expected == UNKNOWN_ORDER:
        return "cancels of unknown orders", order is None
    if order is None:
        return "orders that arrived", False
    if step.operation == "cancel":
        canceled = order.status == "canceled" and order.reason == Reason.USER_CANCELED
        return "cancel remainders", canceled and order.remaining == step.expected_quantity(base_scale)
    if step.operation == "quote":
        return "orders by quote amount", order.filled_quantity == step.expected_quantity(base_scale)
    if step.time_in_force == "PO":
        refused = order.status == "rejected" and order.reason == Reason.POST_ONLY_WOULD_TRADE
        return "post-only refusals", refused and step.expected == "rejected"
    left = order.quantity is not None and order.filled_quantity + order.remaining == order.quantity
    return "IOC remainders", left and order.remaining == step.expected_quantity(base_scale)
