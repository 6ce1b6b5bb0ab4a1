"""Where the demo's prices go: one random walk an asset, in US dollars, so that all markets agree with each other.

A walk has moods (calm or nervous, rising or falling, some minutes to hours each) and is drawn back to its anchor over
days, so a demo may run for weeks. Nothing here is money: prices are floats until `rules` puts them on a tick.
"""

import math
from collections.abc import Mapping
from random import Random

DAY_SECONDS = 86_400.0
VOLATILITY = {"BTC": 0.6e-4, "ETH": 0.75e-4}
"""Standard deviation of the logarithm of a price after one second, in a mood of 1."""

TOGETHER = 0.8
"""How much of an asset's movement is everybody's."""

RETURN_SECONDS = 4 * DAY_SECONDS
"""How long a walk takes to lose about two thirds of its distance from the anchor."""

MOOD_SECONDS = 2_400.0
NERVES = (0.6, 0.8, 1.0, 1.0, 1.2, 1.5, 2.0)
TREND = 0.012
"""How strong a mood's drift is: standard deviations of a second, a second."""

STEP_SECONDS_MAX = 900.0


class Walk:
    """The dollar prices of a few assets, moved on by `step`. `anchors`: where they belong; `rng`: all of its chance."""

    def __init__(self, *, anchors: Mapping[str, float], rng: Random) -> None:
        self._anchors = {asset: math.log(price) for asset, price in anchors.items()}
        self._logs = dict(self._anchors)
        self._rng = rng
        self._mood_seconds = 0.0
        self.nerves = 1.0
        self._trend = 0.0

    def dollars(self, asset: str) -> float:
        """What one of the asset is worth; an asset without an anchor is a dollar."""
        return math.exp(self._logs.get(asset, 0.0))

    def fair(self, base: str, quote: str) -> float:
        """The price of a market, in its quote asset."""
        return math.exp(self._logs.get(base, 0.0) - self._logs.get(quote, 0.0))

    def step(self, seconds: float) -> None:
        """Move on; a long time is walked in several steps, so that moods come and go."""
        while seconds > 0:
            part = min(seconds, STEP_SECONDS_MAX)
            self._step(part)
            seconds -= part

    def pull(self, base: str, quote: str, price: float, share: float) -> None:
        """Bring the market's fair price nearer to `price` by `share` of the distance."""
        self._logs[base] += share * math.log(price / self.fair(base, quote))

    def _step(self, seconds: float) -> None:
        self._mood_seconds -= seconds
        if self._mood_seconds <= 0:
            self._mood_seconds = self._rng.expovariate(1 / MOOD_SECONDS)
            self.nerves = self._rng.choice(NERVES)
            self._trend = self._rng.gauss(0, TREND)
        root = math.sqrt(seconds)
        common = self._rng.gauss(0, 1)
        for asset, anchor in self._anchors.items():
            own = self._rng.gauss(0, 1)
            moved = self.nerves * root * (TOGETHER * common + math.sqrt(1 - TOGETHER**2) * own) + self._trend * seconds
            back = (anchor - self._logs[asset]) * seconds / RETURN_SECONDS
            self._logs[asset] += VOLATILITY.get(asset, max(VOLATILITY.values())) * moved + back
