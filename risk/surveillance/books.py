"""The books as the surveillance keeps them: the quantity at every price, the touch, and what is usual on a market.

What is usual (depth near the touch, an order's life, a trade's size) are running medians that cost no memory, sampled
so that neither a burst of orders nor a single account can shift them.
"""

from bisect import bisect_left, insort

from matching.engine.messages import Side

NEAR_LEVELS = 10
"""Depth near the touch is the quantity of this many best levels of a side."""

SAMPLE_MICROSECONDS = 50_000
"""What is usual on a market is looked at no more often than this, so that no burst of orders can shift it."""

LIVES_OF_AN_ACCOUNT_MICROSECONDS = 100_000
"""An account's orders count for the usual life no more often than this, so that no account decides it alone."""

ACCOUNTS_MAX = 20_000


class Median:
    """A running median of positive numbers that needs no memory: each number moves it by a small factor."""

    __slots__ = ("count", "value")

    def __init__(self) -> None:
        self.count = 0
        self.value = 0.0

    def learn(self, number: float) -> None:
        """Take another number; the first hundred move the median further, so that it finds its place soon."""
        if not self.count:
            self.value = max(1.0, number)
        elif number > self.value:
            self.value *= 1.01 + 0.5 / (self.count + 1)
        elif number < self.value:
            self.value /= 1.01 + 0.5 / (self.count + 1)
        self.count += 1


class Levels:
    """One side of a book: the quantity at each price. Prices are kept times `sign`, rising: the best is the last."""

    __slots__ = ("keys", "quantities", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.quantities: dict[int, int] = {}

    def best(self) -> int | None:
        """The best price, or None."""
        return self.keys[-1] * self.sign if self.keys else None

    def add(self, price: int, quantity: int) -> None:
        """More rests at `price`."""
        key = price * self.sign
        if key in self.quantities:
            self.quantities[key] += quantity
            return
        self.quantities[key] = quantity
        keys = self.keys
        if keys and key < keys[-1]:
            insort(keys, key)
        else:
            keys.append(key)

    def take(self, price: int, quantity: int) -> None:
        """Less rests at `price`; without anything left the level is gone."""
        key = price * self.sign
        left = self.quantities[key] - quantity
        if left:
            self.quantities[key] = left
            return
        del self.quantities[key]
        keys = self.keys
        if keys[-1] == key:
            keys.pop()
        else:
            del keys[bisect_left(keys, key)]

    def within(self, distance: int) -> int:
        """The quantity that rests no further than `distance` (quote units per whole base) behind the best price."""
        keys, quantities = self.keys, self.quantities
        total = 0
        if keys:
            worst = keys[-1] - distance
            for index in range(len(keys) - 1, -1, -1):
                key = keys[index]
                if key < worst:
                    break
                total += quantities[key]
        return total

    def top(self, levels: int) -> list[tuple[int, int]]:
        """The best levels as (price, quantity), best first."""
        return [(key * self.sign, self.quantities[key]) for key in self.keys[: -levels - 1 : -1]]


class MarketBook:
    """A market's book as it stands after the last command, and what is usual there.

    `depth`: base units in the ten best levels of a side; `reach`: from the best of them to the worst (quote units per
    whole base); `spread`: between the best prices; `life`: microseconds from placing to cancel or complete fill;
    `trade`: base units of a match; `order`: base units of an order that rested.
    """

    __slots__ = ("asks", "bids", "depth", "life", "lived", "order", "reach", "sampled_at", "spread", "trade")

    def __init__(self) -> None:
        self.bids = Levels(1)
        self.asks = Levels(-1)
        self.depth = Median()
        self.reach = Median()
        self.spread = Median()
        self.life = Median()
        self.trade = Median()
        self.order = Median()
        self.sampled_at = 0
        self.lived: dict[int, int] = {}

    def side(self, side: Side) -> Levels:
        """Where an order of `side` rests."""
        return self.bids if side == "buy" else self.asks

    def touch(self) -> tuple[int | None, int | None]:
        """(best bid, best ask); None: an empty side."""
        return self.bids.best(), self.asks.best()

    def sample(self, at: int) -> None:
        """Look at depth, reach and spread as they are now."""
        self.sampled_at = at
        for levels in (self.bids, self.asks):
            keys = levels.keys[-NEAR_LEVELS:]
            if len(keys) > 1:
                self.depth.learn(sum(map(levels.quantities.__getitem__, keys)))
                self.reach.learn(keys[-1] - keys[0])
        if self.bids.keys and self.asks.keys:
            self.spread.learn(-self.asks.keys[-1] - self.bids.keys[-1])

    def ended(self, account_id: int, at: int, placed_at: int) -> None:
        """An order left: its life counts, unless another one of the account did a moment ago."""
        if at - self.lived.get(account_id, 0) >= LIVES_OF_AN_ACCOUNT_MICROSECONDS:
            if len(self.lived) >= ACCOUNTS_MAX:
                self.lived.clear()
            self.lived[account_id] = at
            self.life.learn(at - placed_at)
