"""Those of the honest crowd who wait in the book: market makers of several kinds, grids, whales and penny jumpers.

Each is busy in a way that looks like some abuse: makers pull their quotes after fills, whales move large orders, grids
keep ladders, a penny jumper is always one tick ahead of everybody.
"""

import random
from typing import NamedTuple

from matching.attack.world import Behaviour, Lots, Trader, other, sign
from matching.engine.messages import OrderState, Side

SIDES: tuple[Side, Side] = ("buy", "sell")


class Style(NamedTuple):
    """How a maker quotes: how many levels, how far apart (ticks), how large (clips), how often it looks (seconds).

    `amends` instead of canceling and placing; `pulls` all its quotes after a fill before it quotes anew; `skew`: by how
    many ticks a clip of inventory moves its quotes.
    """

    levels: int
    step: float
    size: float
    pause: float
    tolerance: float
    amends: bool = False
    pulls: bool = False
    skew: float = 0.5


def size_of(trader: Trader, chance: random.Random, clips: float, spread: float = 0.5) -> Lots:
    """Lots around so many clips, as people choose them: often round, never always the same."""
    lots = trader.floor.flavour.clip * clips * chance.lognormvariate(0, spread)
    if chance.random() < 0.3:
        digits = max(0, len(str(int(lots))) - 1)
        lots = round(lots, -digits)
    return max(1, round(lots))


def maker(trader: Trader, chance: random.Random, style: Style) -> Behaviour:
    """Quotes both sides around the price it has in mind, and goes with it."""
    floor = trader.floor
    quotes: dict[tuple[Side, int], OrderState | None] = {}
    spread = floor.flavour.spread * chance.uniform(0.8, 1.5)
    quoted = 0.0
    while True:
        inventory = trader.position() / floor.flavour.clip
        lean = max(
            -0.6, min(0.6, -style.skew * inventory / 20)
        ) * floor.flavour.spread + 0.4 * floor.flavour.spread * floor.imbalance(4)
        aim = floor.reference() + lean + chance.gauss(0, 0.4)
        empty = [key for key, quote in quotes.items() if trader.live(quote) is None] if quotes else [("buy", 0)]
        nervous = 1 + max(0.0, floor.heat)
        if abs(aim - quoted) >= style.tolerance * spread / 4 * nervous or empty:
            if style.pulls and quotes:
                trader.cancel_all()
                yield chance.uniform(0.02, 0.4)
            moved = abs(aim - quoted) >= style.tolerance * spread / 4 * nervous
            quoted = aim = aim if moved or style.pulls else quoted
            for level in range(style.levels):
                for side in SIDES:
                    away = spread * nervous**0.5 + level * style.step
                    price = aim - sign(side) * away
                    best = floor.best(other(side))
                    if best is not None:
                        price = min(price, best - 1) if side == "buy" else max(price, best + 1)
                    quotes[side, level] = _requote(trader, chance, style, quotes.get((side, level)), side, price, level)
            if chance.random() < 0.5:
                yield chance.uniform(0.05, 0.3)
        yield style.pause * chance.uniform(0.5, 1.5) / min(3.0, nervous)


def _requote(
    trader: Trader, chance: random.Random, style: Style, quote: OrderState | None, side: Side, price: float, level: int
) -> OrderState | None:
    """Bring one quote to its price."""
    live = trader.live(quote)
    if live is not None:
        if live.price == round(price) * trader.floor.flavour.tick:
            return quote
        if style.amends:
            trader.move(live, price)
            return quote
        trader.cancel(live)
    return trader.limit(side, price, size_of(trader, chance, style.size * (1 + 0.4 * level), 0.25), post_only=True)


def grid(trader: Trader, chance: random.Random) -> Behaviour:
    """A ladder of fixed prices; where one was filled, the opposite order goes one rung away."""
    floor = trader.floor
    step = max(2, round(floor.flavour.spread * chance.uniform(1.0, 2.0)))
    rungs = chance.randint(5, 9)
    lots = size_of(trader, chance, 0.6)
    while True:
        middle = round(floor.middle())
        orders: dict[int, tuple[Side, OrderState | None]] = {}
        for number in range(1, rungs + 1):
            for side in SIDES:
                price = middle - sign(side) * number * step
                orders[price] = (side, trader.limit(side, price, lots, post_only=True))
            yield chance.uniform(0.05, 0.2)
        while abs(floor.middle() - middle) < (rungs + 4) * step:
            yield chance.uniform(8, 25)
            for price, (side, order) in list(orders.items()):
                if order is not None and trader.live(order) is None:
                    del orders[price]
                    there = price + sign(side) * step
                    if there not in orders:
                        orders[there] = (other(side), trader.limit(other(side), there, lots, post_only=True))
        trader.cancel_all()
        yield chance.uniform(5, 30)


def whale(trader: Trader, chance: random.Random) -> Behaviour:
    """Patient: large orders that rest for minutes, sometimes near the touch, and follow the price when it leaves."""
    floor = trader.floor
    side: Side = chance.choice(SIDES)
    while True:
        if chance.random() < 0.3:
            side = other(side)
        away = floor.flavour.spread * chance.choice((0.7, 1.5, 3, 6))
        middle = floor.middle()
        order = trader.limit(side, middle - sign(side) * away, size_of(trader, chance, chance.uniform(5, 14)))
        for _ in range(chance.randint(3, 20)):
            yield chance.uniform(10, 60)
            if trader.live(order) is None or abs(floor.middle() - middle) > 6 * away + 10:
                break
        trader.cancel(order)
        yield chance.uniform(5, 200)


def ladder(trader: Trader, chance: random.Random) -> Behaviour:
    """Accumulates: a ladder of orders on one side, which stays, fills, and is put anew when the price has moved."""
    floor = trader.floor
    side: Side = chance.choice(SIDES)
    while True:
        middle = floor.middle()
        for level in range(chance.randint(4, 7)):
            price = middle - sign(side) * (floor.flavour.spread + 1 + level * chance.uniform(1.5, 3))
            trader.limit(side, price, size_of(trader, chance, 0.8 + 0.3 * level))
            yield chance.uniform(0.2, 2)
        for _ in range(chance.randint(5, 30)):
            yield chance.uniform(10, 40)
            if abs(floor.middle() - middle) > 5 * floor.flavour.spread:
                break
        if chance.random() < 0.5:
            trader.cancel_all()
        else:
            for order in trader.resting():
                trader.cancel(order)
        yield chance.uniform(5, 90)


def penny(trader: Trader, chance: random.Random) -> Behaviour:
    """Always wants to be first: one tick ahead of whoever is best, on both sides, whoever that is."""
    floor = trader.floor
    while True:
        yield chance.uniform(2, 14)
        side = chance.choice(SIDES)
        own = trader.resting(side)
        best, far = floor.best(side), floor.best(other(side))
        if best is None or far is None or (own and own[0].price == best * floor.flavour.tick):
            continue
        for order in own:
            trader.cancel(order)
        price = best + sign(side)
        if (far - price) * sign(side) > 2 and abs(price - floor.reference()) < 4 * floor.flavour.spread:
            trader.limit(side, price, size_of(trader, chance, 0.4), post_only=True)


def backstop(trader: Trader, chance: random.Random) -> Behaviour:
    """A wide two-sided quote that hardly ever trades, kept up all the time."""
    floor = trader.floor
    quotes: dict[Side, OrderState | None] = {}
    while True:
        for side in SIDES:
            price = floor.reference() - sign(side) * floor.flavour.spread * chance.uniform(4, 6)
            if trader.live(quotes.get(side)) is not None and chance.random() < 0.5:
                trader.move(quotes[side], price)
            else:
                trader.cancel(quotes.get(side))
                quotes[side] = trader.limit(side, price, size_of(trader, chance, 3), post_only=True)
        yield chance.uniform(40, 110)
