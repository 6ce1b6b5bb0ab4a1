"""Those of the honest crowd who come for the orders of others: retail, slicers, arbitrage, momentum, copiers, funds.

Their haste looks like abuse as well: arbitrageurs sweep and turn around, day traders flip, an index fund buys into the
close, a copier is always right behind somebody.
"""

import random

from matching.attack.makers import SIDES, size_of
from matching.attack.world import SECOND, Behaviour, Lots, Trader, World, other, sign
from matching.engine.messages import Side


def retail(trader: Trader, chance: random.Random, pause: float) -> Behaviour:
    """Small orders now and then: at the market, near the touch, or hopefully far from it; some are given up."""
    floor = trader.floor
    while True:
        yield chance.expovariate(1 / pause)
        side = chance.choice(SIDES)
        if chance.random() < 0.3 and floor.imbalance() * sign(side) < 0:
            side = other(side)
        lots = size_of(trader, chance, 0.3, 0.9)
        if chance.random() < 0.45:
            trader.market(side, lots)
            continue
        away = chance.choice((-1, 0, 1, 2, 5, 12)) * floor.flavour.spread / 2
        order = trader.limit(side, floor.middle() - sign(side) * away, lots)
        yield chance.expovariate(1 / 90)
        if chance.random() < 0.6:
            trader.cancel(order)


def twap(trader: Trader, chance: random.Random) -> Behaviour:
    """Slices a large order into even children, at the market, over many minutes."""
    while True:
        yield chance.uniform(30, 500)
        side = chance.choice(SIDES)
        gap = chance.uniform(15, 50)
        lots = size_of(trader, chance, 0.8)
        for _ in range(chance.randint(12, 40)):
            trader.market(side, lots * chance.uniform(0.8, 1.2))
            yield gap * chance.uniform(0.8, 1.2)


def patient_slicer(trader: Trader, chance: random.Random) -> Behaviour:
    """Shows one child at the touch, moves it when the price leaves, and shows the next one when it is filled."""
    floor = trader.floor
    while True:
        side = chance.choice(SIDES)
        left = size_of(trader, chance, 12)
        while left > 0:
            best = floor.best(side)
            price = best if best is not None else round(floor.reference()) - 3 * sign(side)
            lots = min(left, size_of(trader, chance, 0.8))
            order = trader.limit(side, price, lots)
            for _ in range(chance.randint(3, 9)):
                yield chance.uniform(2, 7)
                best = floor.best(side)
                if trader.live(order) is None or (best is not None and abs(best - price) > 2):
                    break
            left -= lots - trader.left(order)
            trader.cancel(order)
        yield chance.uniform(60, 400)


def arbitrageur(trader: Trader, chance: random.Random) -> Behaviour:
    """Takes what is off the price elsewhere, several levels at once, and turns around when it is off the other way."""
    floor = trader.floor
    floor.silent.add(trader.account_id)
    delay = 0.0
    while True:
        yield chance.uniform(0.4, 1.6)
        delay = 0.9 * delay + chance.gauss(0, 0.3)
        elsewhere = 0.3 * floor.fair + 0.7 * floor.reference() + delay
        edge = floor.flavour.spread * chance.uniform(0.7, 1.2)
        ask, bid = floor.best("sell"), floor.best("buy")
        lots = size_of(trader, chance, 1.5)
        if ask is not None and elsewhere - ask > edge:
            trader.limit("buy", elsewhere - edge / 2, lots, time_in_force="ioc")
        elif bid is not None and bid - elsewhere > edge:
            trader.limit("sell", elsewhere + edge / 2, lots, time_in_force="ioc")


def follower(trader: Trader, chance: random.Random) -> Behaviour:
    """Momentum: joins a move that is larger than usual and leaves when it turns or a few minutes are over."""
    floor = trader.floor
    window = chance.uniform(8, 50)
    usual = floor.flavour.volatility * window**0.5 + floor.flavour.spread
    while True:
        yield chance.uniform(1.5, 5)
        moved = floor.last - floor.price_ago(window)
        if abs(moved) < chance.uniform(1.2, 2.2) * usual:
            continue
        side: Side = "buy" if moved > 0 else "sell"
        bought = sum(
            trader.filled(trader.market(side, size_of(trader, chance, 1.2))) for _ in range(chance.randint(1, 3))
        )
        best_seen = floor.last * sign(side)
        for _ in range(chance.randint(10, 50)):
            yield chance.uniform(2, 6)
            best_seen = max(best_seen, floor.last * sign(side))
            if best_seen - floor.last * sign(side) > usual * 0.6:
                break
        if bought:
            trader.market(other(side), bought)
        yield chance.uniform(10, 60)


def latecomer(trader: Trader, chance: random.Random) -> Behaviour:
    """Afraid to miss a rise: buys when the price has gone up a lot, and gives up when it falls back."""
    floor = trader.floor
    held: Lots = 0
    bought_at = 0
    eager = chance.uniform(15, 36)
    while True:
        yield chance.uniform(4, 20)
        usual = floor.flavour.volatility * 120**0.5
        if not held and floor.last - floor.price_ago(150) > max(usual * 3, eager * floor.flavour.spread / 3):
            for _ in range(chance.randint(1, 4)):
                held += trader.filled(trader.market("buy", size_of(trader, chance, 2.5, 0.8)))
                yield chance.uniform(2, 20)
            bought_at = floor.last
        elif held and (bought_at - floor.last > 2 * usual or chance.random() < 0.01):
            trader.market("sell", held)
            held = 0
            yield 300


def imbalance_trader(trader: Trader, chance: random.Random) -> Behaviour:
    """Reads the book: buys where much more is bid than asked, and out again a little later."""
    floor = trader.floor
    while True:
        yield chance.uniform(1, 4)
        seen = floor.imbalance(6)
        if abs(seen) < chance.uniform(0.3, 0.55):
            continue
        side: Side = "buy" if seen > 0 else "sell"
        filled = trader.filled(trader.market(side, size_of(trader, chance, 0.8)))
        yield chance.uniform(10, 60)
        if filled:
            order = trader.limit(other(side), floor.best(other(side)) or floor.reference(), filled)
            yield chance.uniform(5, 20)
            rest = trader.left(order)
            trader.cancel(order)
            if rest:
                trader.market(other(side), rest)


def day_trader(trader: Trader, chance: random.Random) -> Behaviour:
    """Flips: in with a few quick orders, out within minutes, with a target and a stop."""
    floor = trader.floor
    while True:
        yield chance.uniform(40, 240)
        side = chance.choice(SIDES)
        held: Lots = 0
        for _ in range(chance.randint(1, 4)):
            held += trader.filled(trader.market(side, size_of(trader, chance, 0.9)))
            yield chance.uniform(0.3, 4)
        entry = floor.last
        target = floor.flavour.spread * chance.uniform(1, 4)
        order = trader.limit(other(side), entry + sign(side) * target, max(1, held)) if held else None
        for _ in range(chance.randint(4, 40)):
            yield chance.uniform(3, 8)
            if trader.live(order) is None or (entry - floor.last) * sign(side) > target:
                break
        rest = trader.left(order)
        trader.cancel(order)
        if rest:
            trader.market(other(side), rest)


def copier(trader: Trader, chance: random.Random, leader: int) -> Behaviour:
    """Does what another account did, a moment later: its trades are seen in the tape's shape, not known in advance."""
    floor = trader.floor
    seen = 0
    while True:
        yield chance.uniform(0.5, 3)
        for at, _, side, lots, taker, _ in floor.trades[seen:]:
            if taker == leader and trader.world.now - at < 5 * SECOND and chance.random() < 0.8:
                trader.market(side, lots * chance.uniform(0.3, 0.6))
        seen = len(floor.trades)


def parent(trader: Trader, chance: random.Random) -> Behaviour:
    """A customer with large orders at times that nobody can know: a chunk at the market, some in two or three bites."""
    side = chance.choice(SIDES)
    while True:
        yield chance.uniform(50, 210)
        if chance.random() < 0.15:
            side = other(side)
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            trader.market(side, size_of(trader, chance, 5, 0.4))
            yield chance.uniform(0.5, 4)


def index_fund(trader: Trader, chance: random.Random, close: int) -> Behaviour:
    """Buys or sells evenly into the close, because its benchmark is the closing price."""
    side = chance.choice(SIDES)
    minutes = chance.uniform(6, 12)
    yield max(0.1, (close - trader.world.now) / SECOND - minutes * 60)
    gap = chance.uniform(6, 15)
    lots = size_of(trader, chance, 1.0)
    while trader.world.now < close:
        trader.market(side, lots * chance.uniform(0.9, 1.1))
        yield gap * chance.uniform(0.9, 1.1)


def forgetful(trader: Trader, chance: random.Random) -> Behaviour:
    """Meets its own resting order now and then, as a firm with two desks does."""
    floor = trader.floor
    while True:
        yield chance.uniform(300, 1500)
        side = chance.choice(SIDES)
        best = floor.best(side)
        if best is None:
            continue
        order = trader.limit(side, best + sign(side), size_of(trader, chance, 0.3), post_only=True)
        yield chance.uniform(5, 30)
        trader.market(other(side), size_of(trader, chance, 0.3))
        yield chance.uniform(5, 60)
        trader.cancel(order)


def price_elsewhere(world: World, chance: random.Random) -> Behaviour:
    """The price on other venues: a random walk whose liveliness comes in clusters, with news now and then."""
    while True:
        for floor in world.floors:
            floor.heat = 0.995 * floor.heat + chance.gauss(0, 0.05)
            scale = floor.flavour.volatility * 2.0 ** max(-1.5, min(2.0, floor.heat))
            floor.fair += chance.gauss(0, scale)
            if chance.random() < 1.3 / 3600:
                world.start(news(world, chance, world.floors.index(floor)), after=0.1)
        yield 1.0


def news(world: World, chance: random.Random, number: int) -> Behaviour:
    """Something has happened: the price elsewhere goes a long way within seconds, and stays."""
    floor = world.floors[number]
    moves = chance.randint(3, 12)
    size = floor.flavour.volatility * chance.choice((-1, 1)) * chance.uniform(15, 40)
    floor.heat = min(2.0, floor.heat + 1)
    for _ in range(moves):
        floor.fair += size / moves * chance.uniform(0.5, 1.5)
        yield chance.uniform(0.3, 2.5)
