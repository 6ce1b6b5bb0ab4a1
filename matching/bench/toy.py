"""The yardstick of the engine: the plainest matcher that gives the same fills, a dict of levels and a heap of prices.

No owners, no totals, no orders to hand out: what price-time priority costs in Python when nothing else is wanted.
"""

from heapq import heappop, heappush

Fill = tuple[int, int, int]
"""Maker's id, price, quantity."""


class ToyBook:
    """Both sides of one market; a level is a dict of remaining quantities by order id, oldest first."""

    def __init__(self) -> None:
        self.levels: dict[str, dict[int, dict[int, int]]] = {"buy": {}, "sell": {}}
        self.heaps: dict[str, list[int]] = {"buy": [], "sell": []}
        self.places: dict[int, dict[int, int]] = {}

    def place(self, id: int, side: str, price: int, quantity: int) -> list[Fill]:
        """Match a limit order and rest what remains of it."""
        sign, other = (1, "sell") if side == "buy" else (-1, "buy")
        fills: list[Fill] = []
        heap, levels = self.heaps[other], self.levels[other]
        while quantity and heap and heap[0] <= price * sign:
            best = heap[0]
            level = levels[best]
            gone: list[int] = []
            for maker, remaining in level.items():
                traded = min(remaining, quantity)
                fills.append((maker, best * sign, traded))
                quantity -= traded
                if traded < remaining:
                    level[maker] = remaining - traded
                    break
                gone.append(maker)
                if not quantity:
                    break
            for maker in gone:
                del level[maker], self.places[maker]
            if not level:
                del levels[heappop(heap)]
        if quantity:
            key = -price * sign
            own = self.levels[side].get(key)
            if own is None:
                own = self.levels[side][key] = {}
                heappush(self.heaps[side], key)
            own[id] = quantity
            self.places[id] = own
        return fills

    def cancel(self, id: int) -> bool:
        """Take an order out; False when it is not there."""
        level = self.places.pop(id, None)
        if level is None:
            return False
        del level[id]
        return True
