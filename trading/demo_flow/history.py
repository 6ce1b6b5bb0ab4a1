"""The past of a new demo: thirty days of trades, made by real commands through a worker whose clock begins back then.

The demo's makers and takers trade along a walk that ends at the reference prices, now and then at first, each minute
in the last day and every few seconds in the last hour; at the end the makers' quotes rest in the books. Everything is
in the journal like anything else, and a start that was cut short is taken up where the journal ends.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import NamedTuple, get_args

from django.conf import settings
from django.db import connection

from marketdata.models import Market
from matching.engine.messages import AnyCommand, CancelOrders, PlaceOrder, Side
from matching.lanes import InProcessLane
from matching.models import EngineState
from matching.worker import Worker, microseconds_now
from risk.models import Account
from trading import control, demo
from trading.demo_flow.rules import LEVELS, NEAREST, MarketRules, quote_dollars, quote_price, usual_dollars
from trading.demo_flow.walk import DAY_SECONDS, VOLATILITY, Walk
from trading.models import ApiKey

SEED = 3
HISTORY_DAYS = 30
SECOND = 1_000_000
READY_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.01


class Stage(NamedTuple):
    """From `since` seconds ago on, each market has `trades` trades every `every` seconds."""

    since: float
    every: float
    trades: int


STAGES = (
    Stage(HISTORY_DAYS * DAY_SECONDS, 3_600, 2),
    Stage(3 * DAY_SECONDS, 300, 2),
    Stage(DAY_SECONDS, 60, 2),
    Stage(3_600, 15, 2),
)
WANDER = 0.5
"""How far the trades of a moment are from its fair price: in standard deviations of the time it stands for."""

SIZE_SPREAD = 0.5
DAY_NIGHT = 0.45
"""How much busier than usual the busiest hour of the day is."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """When something is traded (`at`: microseconds), for how many seconds it stands, and what things cost then."""

    at: int
    stage: Stage
    nerves: float
    dollars: dict[str, float]

    def fair(self, rules: MarketRules) -> float:
        return self.dollars.get(rules.base, 1.0) / self.dollars.get(rules.quote, 1.0)


class _Place(NamedTuple):
    """A market with its rules, and how its decimals become units."""

    market: Market
    rules: MarketRules

    def order(self, account_id: int, side: Side, price: Decimal, quantity: Decimal, *, makes: bool) -> PlaceOrder:
        """A maker's order rests, a taker's does not."""
        return PlaceOrder(
            account_id,
            self.market.id,
            side,
            price=int(price.scaleb(self.market.quote.scale)),
            quantity=int(quantity.scaleb(self.market.base.scale)),
            time_in_force="gtc" if makes else "ioc",
            post_only=makes,
        )


class _Scene(NamedTuple):
    """Where and with whom history is made; `done_until`: the time of the journal's end, microseconds."""

    places: Sequence[_Place]
    makers: Sequence[int]
    takers: Sequence[int]
    done_until: int


class _Clock:
    """A clock that somebody sets. Microseconds since 1970."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def make_history(*, say: Callable[[str], None]) -> None:
    """Make the demo's accounts and its past, before anybody else can trade; nothing if there is a demo already.

    To be called while no worker runs in this process. Does nothing without DEMO_FLOW or beside another worker.
    """
    if not settings.DEMO_FLOW or ApiKey.objects.exists() or control.leader() is not None:
        connection.close()
        return
    say("Making thirty days of market history for the demo ...")
    began, now = time.monotonic(), microseconds_now()
    clock = _Clock(now - int(STAGES[0].since * SECOND))
    lane = InProcessLane(commands_max=1)
    worker = Worker(lane=lane, clock=clock)
    matching_logger = logging.getLogger("matching")
    level = matching_logger.level
    matching_logger.setLevel(logging.WARNING)
    worker.start()
    try:
        _wait_until_ready(worker)
        demo.seed_accounts()
        commands = asyncio.run(_feed(lane, clock, _requests(_scene(), now)))
    finally:
        worker.stop()
        matching_logger.setLevel(level)
    say(f"History made: {commands:,} orders in {time.monotonic() - began:.1f} s.")


def _wait_until_ready(worker: Worker) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not worker.status().books_loaded:
        assert time.monotonic() < deadline, "the matching worker does not get ready"
        time.sleep(LOOK_SECONDS)


async def _feed(lane: InProcessLane, clock: _Clock, requests: Iterator[tuple[int, Sequence[AnyCommand]]]) -> int:
    """One request after the other, so that each is a batch of its own at its own time; how many commands it were."""
    count = 0
    for at, commands in requests:
        clock.now = at
        count += len(await lane.execute(commands))
    return count


def _scene() -> _Scene:
    scene = _Scene(
        [_Place(market, _rules(market)) for market in Market.objects.select_related("base", "quote")],
        _account_ids(demo.FLOW_MAKERS),
        _account_ids(demo.FLOW_TAKERS),
        int(EngineState.objects.get().received_at.timestamp() * SECOND),
    )
    connection.close()
    return scene


def _requests(scene: _Scene, now: int) -> Iterator[tuple[int, Sequence[AnyCommand]]]:
    """What happens when (microseconds), up to `now`; without what is in the journal already."""
    rng = Random(SEED)  # noqa: S311 - a demo's prices are no secret
    makers, takers = scene.makers, scene.takers
    anchors = {
        place.rules.base: float(place.market.reference_price or 1)
        for place in scene.places
        if place.rules.quote == demo.VALUATION_ASSET
    }
    moments = list(_moments(now, anchors, rng))
    yield scene.done_until, [CancelOrders(maker) for maker in makers]  # what one that was cut short left in the books
    for moment in moments:
        commands = [
            command
            for place in scene.places
            for trade in _trades(place, moment, rng)
            for command in _orders(place, *trade, rng.choice(makers), rng.choice(takers))
        ]
        if moment.at > scene.done_until:
            yield moment.at, commands
    for place in scene.places:
        yield now, list(_quotes(place, moments[-1], makers, rng))


def _rules(market: Market) -> MarketRules:
    return MarketRules(
        market.symbol, market.base.symbol, market.quote.symbol, market.tick_size, market.lot_size, market.min_notional
    )


def _account_ids(usernames: Sequence[str]) -> list[int]:
    return list(
        Account.objects.filter(user__username__in=usernames, name=demo.FLOW_ACCOUNT)
        .order_by("id")
        .values_list("id", flat=True)
    )


def _moments(now: int, anchors: dict[str, float], rng: Random) -> Iterator[_Moment]:
    """All moments up to `now`, along a walk that is bent so that it ends at the anchors."""
    walk = Walk(anchors=anchors, rng=rng)
    walked: list[tuple[float, Stage, float, dict[str, float]]] = []
    ends = [stage.since for stage in STAGES[1:]] + [0.0]
    for stage, end in zip(STAGES, ends, strict=True):
        into_the_last = now / SECOND % stage.every  # so that every hour, or minute, of the clock has its moment
        for number in range(round((stage.since - end) / stage.every)):
            walk.step(stage.every)
            ago = stage.since + into_the_last - (number + rng.uniform(0.3, 0.9)) * stage.every
            if ago < stage.since:
                walked.append((ago, stage, walk.nerves, {asset: walk.dollars(asset) for asset in anchors}))
    missed = {asset: math.log(walk.dollars(asset) / anchor) for asset, anchor in anchors.items()}
    for ago, stage, nerves, dollars in walked:
        part = 1 - ago / STAGES[0].since
        bent = {asset: price * math.exp(-missed[asset] * part) for asset, price in dollars.items()}
        yield _Moment(now - int(ago * SECOND), stage, nerves, bent)


def _trades(place: _Place, moment: _Moment, rng: Random) -> Iterator[tuple[Side, Decimal, Decimal]]:
    """(taker's side, price, quantity) of each trade of a moment; the last one is at its fair price."""
    rules, stage, fair = place.rules, moment.stage, moment.fair(place.rules)
    spread = VOLATILITY["BTC"] * moment.nerves * math.sqrt(stage.every) * WANDER
    hour = moment.at / SECOND % DAY_SECONDS / DAY_SECONDS
    busy = 1 + DAY_NIGHT * math.sin(2 * math.pi * (hour - 0.35))
    volume = busy * moment.nerves * stage.every * usual_dollars(rules.share) / stage.trades
    for number in range(stage.trades):
        wandered = rng.gauss(0, spread) if number < stage.trades - 1 else 0.0
        side: Side = "buy" if rng.random() < (0.8 if wandered > 0 else 0.2 if wandered < 0 else 0.5) else "sell"
        near = NEAREST if side == "buy" else -NEAREST
        price = rules.price(fair * math.exp(wandered + near), "buy")
        dollars = volume * rng.lognormvariate(-(SIZE_SPREAD**2) / 2, SIZE_SPREAD)
        yield side, price, rules.quantity(dollars / moment.dollars.get(rules.base, 1.0), price)


def _orders(
    place: _Place, side: Side, price: Decimal, quantity: Decimal, maker: int, taker: int
) -> tuple[PlaceOrder, PlaceOrder]:
    """What makes one trade: an order of a maker, and a taker who takes all of it."""
    return (
        place.order(maker, "sell" if side == "buy" else "buy", price, quantity, makes=True),
        place.order(taker, side, price, quantity, makes=False),
    )


def _quotes(place: _Place, moment: _Moment, makers: Sequence[int], rng: Random) -> Iterator[PlaceOrder]:
    """Both sides of a market's book, each level by the next maker."""
    rules, sides = place.rules, get_args(Side)
    for level in range(LEVELS):
        for side in sides:
            price = quote_price(rules, moment.fair(rules), side, level)
            quantity = quote_dollars(rules.share, level, rng) / moment.dollars.get(rules.base, 1.0)
            yield place.order(makers[level % len(makers)], side, price, rules.quantity(quantity, price), makes=True)
