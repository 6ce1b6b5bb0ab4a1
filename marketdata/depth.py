"""The price levels of a market as everyone may see them, kept current by absolute changes.

Each side has its quantities by price and its prices in order, the best at the end: what changes most is near the best,
so inserting and removing move little.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from zlib import crc32

CHECKSUM_LEVELS = 10

Level = tuple[int, int]
"""A price (quote units per whole base) and the quantity (base units) resting there."""


class DepthSide:
    """One side. `sign` is 1 for bids and -1 for asks: the best price has the largest `sign` x price."""

    __slots__ = ("_keys", "_sign", "quantities")

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._keys: list[int] = []
        self.quantities: dict[int, int] = {}

    def apply(self, changes: Iterable[Level]) -> None:
        """Take the new quantity of each level; 0: the level is gone."""
        quantities, keys, sign = self.quantities, self._keys, self._sign
        for price, quantity in changes:
            if quantity:
                if price not in quantities:
                    insort(keys, price * sign)
                quantities[price] = quantity
            elif quantities.pop(price, None) is not None:
                del keys[bisect_left(keys, price * sign)]

    def levels(self, limit: int | None = None) -> list[Level]:
        """The best `limit` levels (default: all), best first."""
        keys = self._keys if limit is None else self._keys[-limit:]
        return [(key * self._sign, self.quantities[key * self._sign]) for key in reversed(keys)]

    def best(self) -> int | None:
        """The best price, None when the side is empty."""
        return self._keys[-1] * self._sign if self._keys else None

    def changes_to(self, other: "DepthSide") -> list[Level]:
        """What turns this side into `other`."""
        gone = [(price, 0) for price in self.quantities if price not in other.quantities]
        return gone + [level for level in other.quantities.items() if self.quantities.get(level[0]) != level[1]]


class Depth:
    """Both sides of a market."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = DepthSide(1)
        self.asks = DepthSide(-1)


def checksum(bids: Iterable[list[str]], asks: Iterable[list[str]]) -> int:
    """CRC-32 of the best ten levels of each side, given best first as [price, quantity] texts (docs/websocket.md)."""
    sides = ("|".join([f"{price}:{quantity}" for price, quantity in side]) for side in (bids, asks))
    return crc32("#".join(sides).encode())
