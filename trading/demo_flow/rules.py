"""What a market of the demo allows and what is usual in it: ticks and lots, ladders of quotes, sizes of trades."""

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from random import Random

from matching.engine.messages import Side

LEVELS = 24
"""Price levels that the makers quote on each side."""

NEAREST = 2.0e-4
FARTHEST = 1.6e-2
"""Distances of the first and last level from the fair price, as fractions of it."""

NEAREST_DOLLARS = 5_000.0
DEEPER = 0.22
"""How much more each further level holds, as a fraction of the first."""

TRADE_DOLLARS = 700.0
TRADE_SPREAD = 1.1
"""The median trade, and the standard deviation of its logarithm."""

WHALE_CHANCE = 0.015
WHALE_TIMES = 15.0

TRADES_PER_SECOND = 0.25
"""Takers' orders on the busiest market in calm times."""

SHARES = {"BTC-USDT": 1.0, "ETH-USDT": 0.6, "ETH-BTC": 0.25}
"""How busy a market is, and how deep its book, beside the first."""


@dataclass(frozen=True, slots=True)
class MarketRules:
    """The filters of a market; decimals in whole assets."""

    symbol: str
    base: str
    quote: str
    tick_size: Decimal
    lot_size: Decimal
    min_notional: Decimal

    @property
    def share(self) -> float:
        """How busy this market is, beside the first."""
        return SHARES.get(self.symbol, min(SHARES.values()))

    def price(self, value: float, side: Side) -> Decimal:
        """The tick at `value`, or the next one that is worse for whoever trades with an order of this side."""
        rounding = ROUND_FLOOR if side == "buy" else ROUND_CEILING
        return max((Decimal(value) / self.tick_size).to_integral_value(rounding), Decimal(1)) * self.tick_size

    def quantity(self, value: float, price: Decimal) -> Decimal:
        """Whole lots: at most `value`, and at least what the market takes at this price."""
        lots = (Decimal(value) / self.lot_size).to_integral_value(ROUND_FLOOR)
        least = (self.min_notional * 2 / price / self.lot_size).to_integral_value(ROUND_CEILING)
        return max(lots, least, Decimal(1)) * self.lot_size


def distance(level: int) -> float:
    """How far from the fair price level 0, 1, ... belongs, as a fraction: dense near it, sparse away from it."""
    return float(NEAREST * (FARTHEST / NEAREST) ** (level / (LEVELS - 1)))


def quote_price(rules: MarketRules, fair: float, side: Side, level: int) -> Decimal:
    """Where a maker's order of that level belongs when `fair` is the fair price."""
    away = math.exp(-distance(level) if side == "buy" else distance(level))
    return rules.price(fair * away, side)


def quote_dollars(share: float, level: int, rng: Random) -> float:
    """The size of a maker's order: log-normal, and larger away from the fair price."""
    return share * NEAREST_DOLLARS * (1 + DEEPER * level) * rng.lognormvariate(0, 0.6)


def trade_dollars(share: float, nerves: float, rng: Random) -> float:
    """The size of a taker's order: log-normal, larger in nervous times, and now and then a large one."""
    whale = WHALE_TIMES if rng.random() < WHALE_CHANCE else 1.0
    return math.sqrt(share) * nerves * whale * TRADE_DOLLARS * rng.lognormvariate(0, TRADE_SPREAD)


def usual_dollars(share: float) -> float:
    """What takers usually trade in a second: how often times how much."""
    return share * TRADES_PER_SECOND * TRADE_DOLLARS * math.exp(TRADE_SPREAD**2 / 2)
