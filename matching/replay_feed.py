"""How a recorded order flow gets into the exchange: on a market, from two fresh accounts, each step when it is due.

Everything goes the way of any order: a lane, the worker, one commit a batch. With a worker in another process the
commands are filed in its inbox; alone, a worker runs here and serves a lane.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from django.contrib.auth import get_user_model

from marketdata.models import Asset, Market
from matching import inbox
from matching.engine.messages import (
    AccountOpened,
    AnyCommand,
    CancelOrder,
    Deposit,
    Limits,
    MarketParameters,
    OpenAccount,
    PlaceOrder,
    SetLimits,
    Side,
)
from matching.lanes import InProcessLane, LaneError
from matching.recording import Step
from matching.worker import Worker
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


class Feeder:
    """The way into the exchange while `feeding` lasts."""

    def __init__(self, worker: Worker, lane: InProcessLane) -> None:
        self._worker = worker
        self._lane = lane

    def feed(self, *, steps: list[Step], place: Place, speed: float | None, progress: Progress) -> None:
        """Carry out all steps; `speed`: times real time, None: as fast as possible. Raises LaneError, ReplayError."""
        self.feed_timed(timed=_timed(steps, place, speed), progress=progress)

    def feed_timed(self, *, timed: Iterable[tuple[float, AnyCommand]], progress: Progress) -> None:
        """Carry out commands, each when so many seconds have gone by. Raises LaneError, ReplayError."""
        if self._worker.status().books_loaded:
            asyncio.run(_feed_lane(self._lane, timed, progress))
        else:
            _feed_inbox(timed, progress)


@contextlib.contextmanager
def feeding() -> Iterator[Feeder]:
    """A worker for the length of the block; it stands by when another one leads. Raises ReplayError."""
    lane = InProcessLane(commands_max=2 * REQUESTS_IN_FLIGHT)
    worker = Worker(lane=lane)
    worker.start()
    try:
        _wait_until_somebody_leads(worker)
        yield Feeder(worker, lane)
    except LaneError as error:
        raise ReplayError(f"The worker gave up in the middle ({type(error).__name__}); its log says why.") from error
    finally:
        worker.stop()


def _wait_until_somebody_leads(worker: Worker) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    while not worker.status().books_loaded and not worker.status().standby:
        if time.monotonic() > deadline:
            raise ReplayError("The matching worker does not get ready; its log says why.")
        time.sleep(LOOK_SECONDS)


def open_accounts(*, market: Market, steps: list[Step], number: int) -> Place:
    """Two fresh accounts, labelled with `number`, with all the funds that the steps could need on the market."""
    base = quote = 0
    for step in steps:
        if step.operation == "quote":
            quote += step.quantity
        elif step.price is not None and step.side == "buy":
            quote += step.price * step.quantity // 10**market.base.scale
        elif step.price is not None:
            base += step.quantity
    buyer = _account("replay-buyer", f"replay {number}", market.quote_id, quote)
    seller = _account("replay-seller", f"replay {number}", market.base_id, base)
    return Place(market, buyer, seller)


def next_number() -> int:
    """The number of the next replay; its accounts and, on a scratch market, its assets are named after it."""
    number = 1
    while (
        Account.objects.filter(name=f"replay {number}").exists() or Asset.objects.filter(symbol=f"RP{number}B").exists()
    ):
        number += 1
    return number


def _account(username: str, name: str, asset_id: int, amount: int) -> int:
    """A fresh account without limits. Buyer and seller are two users: one's own orders would not trade."""
    user, _ = get_user_model().objects.get_or_create(username=username)
    opened = execute(OpenAccount(user.pk, name))
    assert isinstance(opened, AccountOpened)
    execute(SetLimits(opened.account_id, Limits(max_open_orders=None, orders_per_second=None)))
    if amount:
        execute(Deposit(opened.account_id, asset_id, amount, "replay"))
    return opened.account_id


def execute(command: AnyCommand) -> object:
    """The first event of a filed command. Raises ReplayError."""
    try:
        return inbox.execute(command=command, actor=ACTOR).events[0]
    except inbox.Refused as refused:
        raise ReplayError(f"The set-up was refused ({refused.reason.value}): {refused}") from refused
    except inbox.NoAnswer as silence:
        raise ReplayError(str(silence)) from silence


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
