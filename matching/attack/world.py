"""A simulated exchange floor: a real `Exchange`, a clock of its own, and traders who take turns by events.

A trader's behaviour is a generator that acts and yields how many seconds it wants to wait; a fill may wake it sooner.
Everything that is chance comes from named streams of one seed, so the same seed gives the same commands for ever.
"""

import math
import random
from collections.abc import Callable, Generator
from heapq import heappop, heappush
from typing import NamedTuple

import msgspec

from matching.engine.messages import (
    AccountOpened,
    AmendOrder,
    AnyCommand,
    AnyEvent,
    AssetCreated,
    CancelOrder,
    CancelOrders,
    CreateAsset,
    CreateMarket,
    Deposit,
    FeeTier,
    Limits,
    MarketChanged,
    MarketParameters,
    OpenAccount,
    OrderPlaced,
    OrderState,
    PlaceOrder,
    SetFeeTiers,
    SetLimits,
    Side,
    TimeInForce,
    TradeExecuted,
)
from matching.exchange import Exchange
from orders.rules import LiveOrder
from risk.surveillance.messages import Relation, RelationKind

SECOND = 1_000_000
BASE_SCALE, QUOTE_SCALE = 8, 6
FUNDS = 10**9
"""Whole units of each asset that every account gets."""

IMPACT_SECONDS = 100.0
"""The time constant with which the passing part of a trade's impact on the price dies away."""

LASTING = 0.3
"""The part of a trade's impact that stays."""

TIERS = (FeeTier(volume=0, maker_rate=1_000, taker_rate=1_500),)

Behaviour = Generator[float, None, None]
"""What somebody does: it yields how many seconds it waits before it goes on."""

Lots = int
Ticks = int


class Episode(msgspec.Struct):
    """One attack and the truth about it. It grows while the attack runs; times in microseconds since 1970 UTC.

    `first_sequence` 0: nothing has been done yet.
    """

    id: int
    pattern: str
    disguise: str
    market_id: int
    guilty: tuple[int, ...]
    victims: tuple[int, ...] = ()
    first_sequence: int = 0
    last_sequence: int = 0
    first_at: int = 0
    last_at: int = 0
    commands: int = 0


class Step(NamedTuple):
    """A command as the exchange took it, what it made of it, and the attack it belongs to, if any."""

    sequence: int
    at: int
    command: AnyCommand
    events: list[AnyEvent]
    episode: Episode | None


class Flavour(NamedTuple):
    """What a market is like. Prices in ticks, quantities in lots, `volatility` in ticks per square root of a second.

    `clip` is an ordinary order; `spread` half of the ordinary spread; `impact` the ticks by which a clip that is taken
    moves what everybody thinks the price is. `tick` in quote units per whole base, `lot` in base units.
    `quote_scale`: quote units are 10^-scale.
    """

    name: str
    tick: int
    lot: int
    price: Ticks
    clip: Lots
    spread: float
    volatility: float
    impact: float
    quote_scale: int = QUOTE_SCALE


class Floor:
    """A market as its traders see it: the book, and the price that everybody has in mind."""

    def __init__(self, world: "World", market_id: int, flavour: Flavour) -> None:
        self.id = market_id
        self.flavour = flavour
        self.fair = float(flavour.price)
        self.heat = 0.0
        """How much livelier than usual the price is: the logarithm of the factor on its volatility."""
        self.news_until = 0
        self.silent: set[int] = set()
        """Accounts whose trades change nobody's mind: they bring the price from elsewhere."""
        self._world = world
        self._impact = 0.0
        self._impact_at = world.now
        self._book = world.exchange.state.markets[market_id].book
        self.last = flavour.price
        self.trades: list[tuple[int, Ticks, Side, Lots, int, int]] = []
        """(at, price, taker's side, quantity, taker, maker) of every trade."""

    def reference(self) -> float:
        """The price (ticks) that the crowd has in mind: news and what was traded lately."""
        elapsed = self._world.now - self._impact_at
        if elapsed > 0:
            self._impact *= math.exp(-elapsed / SECOND / IMPACT_SECONDS)
            self._impact_at = self._world.now
        return self.fair + self._impact

    def best(self, side: Side) -> Ticks | None:
        """The best bid ("buy") or ask ("sell") in ticks."""
        level = self._book.side_of(side).best()
        return None if level is None else level.price // self.flavour.tick

    def middle(self) -> float:
        """The middle of the touch in ticks; the reference where a side is empty."""
        bid, ask = self.best("buy"), self.best("sell")
        return self.reference() if bid is None or ask is None else (bid + ask) / 2

    def imbalance(self, levels: int = 6) -> float:
        """(bids - asks) / (bids + asks) over the best levels: from -1 to 1."""
        bids = sum(quantity for _, quantity in self._book.depth("buy", levels))
        asks = sum(quantity for _, quantity in self._book.depth("sell", levels))
        return (bids - asks) / (bids + asks) if bids + asks else 0.0

    def depth(self, side: Side, levels: int) -> Lots:
        """Lots on the best levels of a side."""
        return sum(quantity for _, quantity in self._book.depth(side, levels)) // self.flavour.lot

    def price_ago(self, seconds: float) -> Ticks:
        """The last trade's price as it was some seconds ago."""
        moment = self._world.now - int(seconds * SECOND)
        for at, price, *_ in reversed(self.trades):
            if at <= moment:
                return price
        return self.trades[0][1] if self.trades else self.last

    def taken(self, trade: TradeExecuted) -> None:
        """A trade took place."""
        flavour = self.flavour
        lots = trade.quantity // flavour.lot
        self.last = trade.price // flavour.tick
        self.trades.append(
            (self._world.now, self.last, trade.taker_side, lots, trade.taker_account_id, trade.maker_account_id)
        )
        if trade.taker_account_id in self.silent:
            return
        moved = flavour.impact * lots / flavour.clip * (1 if trade.taker_side == "buy" else -1)
        self.reference()
        self._impact += moved * (1 - LASTING)
        self.fair += moved * LASTING


class _Agent:
    """A behaviour and when it goes on. `reaction`: within how many seconds it answers its fills, None: it does not."""

    __slots__ = ("behaviour", "chance", "reaction", "turn")

    def __init__(self, behaviour: Behaviour, reaction: tuple[float, float] | None, chance: random.Random) -> None:
        self.behaviour = behaviour
        self.reaction = reaction
        self.chance = chance
        self.turn = 0


class World:
    """The exchange, the clock and everybody on the floor. `began`: microseconds since 1970 UTC."""

    def __init__(self, *, seed: str, began: int) -> None:
        self.exchange = Exchange()
        self.seed = seed
        self.began = began
        self.now = began
        self.floors: list[Floor] = []
        self.relations: list[Relation] = []
        self.roles: dict[int, str] = {}
        """What each account is, for those who look at a run."""
        self.episodes: list[Episode] = []
        self.steps: list[Step] = []
        self._queue: list[tuple[int, int, _Agent, int]] = []
        self._count = 0
        self._answering: dict[int, list[_Agent]] = {}
        self._users = 0
        self._floor_of: dict[int, Floor] = {}
        self._assets: list[int] = []
        self.submit(SetLimits(None, Limits(max_open_orders=None, orders_per_second=None)))

    def chance(self, name: str) -> random.Random:
        """A stream of chance of its own."""
        return random.Random(f"{self.seed}:{name}")  # noqa: S311 - a repeatable flow, no secret

    # ------------------------------------------------------------------------------------------ setting up

    def open_floor(self, flavour: Flavour) -> Floor:
        """A market between two assets of its own."""
        base, quote = (
            self._created(CreateAsset(f"{flavour.name}{letter}", flavour.name, scale))
            for letter, scale in (("B", BASE_SCALE), ("Q", flavour.quote_scale))
        )
        parameters = MarketParameters(
            tick_size=flavour.tick, lot_size=flavour.lot, min_quantity=flavour.lot, max_quantity=10**20,
            min_notional=0, max_notional=10**24, price_band=0, breaker_move=0,
        )  # fmt: skip
        changed = self.submit(CreateMarket(base, quote, parameters))[0]
        assert isinstance(changed, MarketChanged), changed
        if not self.floors:
            self.submit(SetFeeTiers(TIERS, quote))
        self._assets += [base, quote]
        floor = Floor(self, changed.market_id, flavour)
        self.floors.append(floor)
        self._floor_of[floor.id] = floor
        return floor

    def _created(self, command: CreateAsset) -> int:
        event = self.submit(command)[0]
        assert isinstance(event, AssetCreated), event
        return event.asset_id

    def open_account(self, *, role: str, user_id: int | None = None, name: str = "main") -> int:
        """A funded account: of a new user, or another one of an old user."""
        if user_id is None:
            self._users += 1
            user_id = self._users
        event = self.submit(OpenAccount(user_id, name))[0]
        assert isinstance(event, AccountOpened), event
        self.roles[event.account_id] = role
        for asset_id in self._assets:
            scale = self.exchange.state.assets[asset_id].scale
            self.submit(Deposit(event.account_id, asset_id, FUNDS * 10**scale))
        return event.account_id

    def user_of(self, account_id: int) -> int:
        """Whose account it is."""
        return self.exchange.state.accounts[account_id].owner

    def relate(self, kind: RelationKind, one: int, other: int, evidence: str) -> None:
        """Let two accounts have something in common that the exchange knows of."""
        self.relations.append(Relation(kind, one, other, evidence))

    def start(
        self,
        behaviour: Behaviour,
        *,
        after: float,
        fills_of: tuple[int, ...] = (),
        reaction: tuple[float, float] | None = None,
    ) -> None:
        """Let somebody begin `after` seconds from now; fills of the accounts wake him within `reaction` seconds."""
        agent = _Agent(behaviour, reaction, self.chance(f"reaction{self._count}"))
        for account_id in fills_of:
            self._answering.setdefault(account_id, []).append(agent)
        self._schedule(agent, after)

    # ------------------------------------------------------------------------------------------ running

    def run(self, *, until: int, take: Callable[[Step], None] | None = None) -> None:
        """Let everybody act until the clock reaches `until`; `take` gets each step as it happens."""
        done = 0
        while self._queue and self._queue[0][0] <= until:
            at, _, agent, turn = heappop(self._queue)
            if turn != agent.turn:
                continue
            self.now = max(self.now + 1, at)
            wait = next(agent.behaviour, None)
            if wait is not None:
                self._schedule(agent, wait)
            if take is not None:
                for step in self.steps[done:]:
                    take(step)
                done = len(self.steps)

    def _schedule(self, agent: _Agent, seconds: float) -> None:
        agent.turn += 1
        self._count += 1
        at = self.now + max(1, int(seconds * SECOND))
        heappush(self._queue, (at, self._count, agent, agent.turn))

    def submit(self, command: AnyCommand, episode: Episode | None = None) -> list[AnyEvent]:
        """Give a command to the exchange at once; commands are at least a microsecond apart."""
        self.now += 1
        events = self.exchange.apply(command, self.now)
        sequence = self.exchange.state.sequence
        if episode is not None:
            episode.first_sequence = episode.first_sequence or sequence
            episode.first_at = episode.first_at or self.now
            episode.last_sequence, episode.last_at = sequence, self.now
            episode.commands += 1
        self.steps.append(Step(sequence, self.now, command, events, episode))
        for event in events:
            if isinstance(event, TradeExecuted):
                self._floor_of[event.market_id].taken(event)
                for agent in self._answering.get(event.maker_account_id, ()):
                    if agent.reaction is not None:
                        self._schedule(agent, agent.chance.uniform(*agent.reaction))
        return events


class Trader:
    """One account on one market, speaking in ticks and lots. With an `episode`, what it does is part of the attack."""

    def __init__(self, world: World, floor: Floor, account_id: int, episode: Episode | None = None) -> None:
        self.world = world
        self.floor = floor
        self.account_id = account_id
        self.episode = episode

    def limit(
        self,
        side: Side,
        price: float,
        lots: float,
        *,
        post_only: bool = False,
        time_in_force: TimeInForce = "gtc",
    ) -> OrderState | None:
        """Place a limit order (price in ticks, rounded; at least one lot); None if it was refused."""
        flavour = self.floor.flavour
        command = PlaceOrder(
            self.account_id, self.floor.id, side, price=max(1, round(price)) * flavour.tick,
            quantity=max(1, round(lots)) * flavour.lot, time_in_force=time_in_force, post_only=post_only,
        )  # fmt: skip
        return self._placed(command)

    def market(self, side: Side, lots: float) -> OrderState | None:
        """Buy or sell at whatever price there is; None if there was nothing."""
        quantity = max(1, round(lots)) * self.floor.flavour.lot
        return self._placed(PlaceOrder(self.account_id, self.floor.id, side, "market", quantity=quantity,
                                       time_in_force="ioc"))  # fmt: skip

    def _placed(self, command: PlaceOrder) -> OrderState | None:
        for event in self.world.submit(command, self.episode):
            if isinstance(event, OrderPlaced):
                return event.order
        return None

    def filled(self, order: OrderState | None) -> Lots:
        """How much of an order traded when it was placed."""
        return 0 if order is None else order.filled_quantity // self.floor.flavour.lot

    def live(self, order: OrderState | None) -> LiveOrder | None:
        """The order as it rests now, None if it is over."""
        return None if order is None else self.world.exchange.state.orders.get(order.id)

    def left(self, order: OrderState | None) -> Lots:
        """What still rests of an order."""
        live = self.live(order)
        return 0 if live is None else live.remaining // self.floor.flavour.lot

    def cancel(self, order: OrderState | LiveOrder | None) -> None:
        """Cancel an order if it still rests."""
        if order is not None and order.id in self.world.exchange.state.orders:
            self.world.submit(CancelOrder(self.account_id, order.id), self.episode)

    def cancel_all(self, side: Side | None = None) -> None:
        """Cancel everything on this market, or one side of it, in one command."""
        if self.resting(side):
            self.world.submit(CancelOrders(self.account_id, self.floor.id, side), self.episode)

    def move(self, order: OrderState | LiveOrder | None, price: float, lots: float | None = None) -> None:
        """Amend an order that still rests to another price, and to another total quantity."""
        flavour = self.floor.flavour
        if order is None or order.id not in self.world.exchange.state.orders:
            return
        quantity = None if lots is None else max(1, round(lots)) * flavour.lot
        self.world.submit(
            AmendOrder(self.account_id, order.id, price=max(1, round(price)) * flavour.tick, quantity=quantity),
            self.episode,
        )

    def resting(self, side: Side | None = None) -> list[LiveOrder]:
        """Its orders in the book, oldest first."""
        orders = self.world.exchange.state.account_orders.get(self.account_id, {})
        return [
            order
            for order in orders.values()
            if order.market_id == self.floor.id and (side is None or order.side == side)
        ]

    def position(self) -> Lots:
        """What it bought less what it sold on this market."""
        base = self.world.exchange.state.markets[self.floor.id].base
        account = self.world.exchange.state.accounts[self.account_id]
        balance = account.balances[base.id]
        return (balance.available + balance.held - FUNDS * base.unit) // self.floor.flavour.lot


def other(side: Side) -> Side:
    """The opposite side."""
    return "sell" if side == "buy" else "buy"


def sign(side: Side) -> int:
    """1 for buys, -1 for sells."""
    return 1 if side == "buy" else -1


def trace(kind: RelationKind, chance: random.Random) -> str:
    """What two accounts have in common, as the exchange would have seen it; addresses are from documentation nets."""
    if kind == "address":
        return f"2001:db8:{chance.randrange(16**4):x}::{chance.randrange(1, 16**4):x}"
    return f"{kind.split('_')[0]} {chance.randrange(16**10):010x}"
