"""The honest crowd of a run: who is there, on which market, how busy, and what some of them have in common.

Nobody in it does anything wrong, and everybody is a false alarm waiting to happen.
"""

import random
from collections.abc import Callable
from itertools import pairwise

from matching.attack import makers, takers
from matching.attack.makers import Style
from matching.attack.world import Behaviour, Flavour, Floor, Trader, World, trace

BUSY_STYLES = (
    Style(levels=2, step=2.5, size=1.5, pause=8, tolerance=3.2),
    Style(levels=3, step=2.0, size=1.0, pause=14, tolerance=4.5, pulls=True),
    Style(levels=2, step=3.0, size=2.0, pause=9, tolerance=3.5, amends=True),
    Style(levels=1, step=1.0, size=2.5, pause=6, tolerance=3.2, pulls=True, skew=0.8),
    Style(levels=4, step=3.5, size=2.0, pause=20, tolerance=5.5),
)
QUIET_STYLES = (
    Style(levels=3, step=2.0, size=1.2, pause=18, tolerance=3.2),
    Style(levels=2, step=2.5, size=1.8, pause=14, tolerance=3.2, amends=True),
    Style(levels=2, step=3.0, size=1.5, pause=22, tolerance=4.5, pulls=True),
)


def busy_flavour(chance: random.Random) -> Flavour:
    """A large market: the tick is about a third of a basis point."""
    price = chance.randint(25_000, 45_000)
    return Flavour(
        name="LARGE", tick=10**6 * chance.choice((1, 2)), lot=10**4, price=price, clip=chance.randint(800, 4_000),
        spread=chance.uniform(2.5, 5), volatility=chance.uniform(0.7, 1.3), impact=chance.uniform(0.35, 0.6),
    )  # fmt: skip


def quiet_flavour(chance: random.Random) -> Flavour:
    """A small market: the tick is about two basis points, and there is less to take."""
    price = chance.randint(3_000, 7_000)
    return Flavour(
        name="SMALL", tick=1_000, lot=10**6, price=price, clip=chance.randint(1_500, 9_000),
        spread=chance.uniform(2, 4), volatility=chance.uniform(0.25, 0.5), impact=chance.uniform(0.8, 1.4),
    )  # fmt: skip


class Crowd:
    """Opens the accounts of the honest, and lets them begin."""

    def __init__(self, world: World, *, close: int) -> None:
        self._world = world
        self._chance = world.chance("crowd")
        self._close = close
        self.retail: list[int] = []
        self.makers: list[int] = []
        self.parents: dict[int, int] = {}
        """By market the customer with the large orders."""

    def open(self) -> None:
        """Everybody on every floor, and what some have in common."""
        world = self._world
        world.start(takers.price_elsewhere(world, world.chance("price")), after=0.5)
        for floor, styles, people in zip(world.floors, (BUSY_STYLES, QUIET_STYLES), (45, 18), strict=False):
            self._makers(floor, styles)
            self._takers(floor, busy=people > 20)
            for number in range(people):
                trader = Trader(world, floor, world.open_account(role="retail"))
                chance = world.chance(f"retail{floor.id}-{number}")
                self.retail.append(trader.account_id)
                world.start(takers.retail(trader, chance, chance.uniform(60, 400)), after=chance.uniform(1, 200))
        self._share()

    def _makers(self, floor: Floor, styles: tuple[Style, ...]) -> None:
        world = self._world
        for number, style in enumerate(styles):
            trader = Trader(world, floor, world.open_account(role=f"maker {number}"))
            chance = world.chance(f"maker{floor.id}-{number}")
            self.makers.append(trader.account_id)
            reaction = (0.005, 0.25) if number % 2 else (0.5, 5)
            world.start(
                makers.maker(trader, chance, style), after=chance.uniform(0.1, 2), fills_of=(trader.account_id,),
                reaction=reaction,
            )  # fmt: skip
        self._add(floor, makers.grid, 2 if len(styles) > 3 else 1, after=10)
        self._add(floor, makers.whale, 3 if len(styles) > 3 else 2, after=30)
        self._add(floor, makers.ladder, 1, after=60)
        self._add(floor, makers.backstop, 1, after=5)

    def _takers(self, floor: Floor, *, busy: bool) -> None:
        self._add(floor, takers.twap, 2 if busy else 1, after=20)
        self._add(floor, takers.patient_slicer, 2 if busy else 1, after=20)
        self._add(floor, takers.arbitrageur, 2 if busy else 1, after=20)
        self._add(floor, takers.follower, 4 if busy else 3, after=60)
        self._add(floor, takers.imbalance_trader, 4 if busy else 3, after=30)
        self._add(floor, takers.day_trader, 2 if busy else 1, after=60)
        self._add(floor, takers.latecomer, 6 if busy else 14, after=200)
        self._add(floor, takers.forgetful, 1, after=60)
        [leader] = self._add(floor, takers.parent, 1, after=60)
        self.parents[floor.id] = leader
        world = self._world
        copier = Trader(world, floor, world.open_account(role="copier"))
        world.start(takers.copier(copier, world.chance(f"copier{floor.id}"), leader), after=30)
        fund = Trader(world, floor, world.open_account(role="index fund"))
        world.start(takers.index_fund(fund, world.chance(f"fund{floor.id}"), self._close), after=1)
        if busy:
            self._add(floor, makers.penny, 1, after=30)

    def _add(
        self, floor: Floor, behaviour: Callable[[Trader, random.Random], Behaviour], count: int, *, after: float
    ) -> list[int]:
        world = self._world
        accounts = []
        for number in range(count):
            trader = Trader(world, floor, world.open_account(role=behaviour.__name__))
            chance = world.chance(f"{behaviour.__name__}{floor.id}-{number}")
            world.start(behaviour(trader, chance), after=after * chance.uniform(0.5, 1.5))
            accounts.append(trader.account_id)
        return accounts

    def _share(self) -> None:
        """Households at one address, customers of one bank, a firm with two desks."""
        chance, world = self._chance, self._world
        people = chance.sample(self.retail, 12)
        for one, two in zip(people[0:6:2], people[1:6:2], strict=True):
            world.relate("address", one, two, trace("address", chance))
        for one, two in pairwise(people[6:10]):
            world.relate("funding", one, two, trace("funding", chance))
        world.relate("device", people[10], people[11], trace("device", chance))
        floor = world.floors[0]
        desk = world.open_account(role="desk", user_id=world.user_of(self.makers[0]), name="desk")
        world.relate("owner", self.makers[0], desk, "one owner")
        world.start(takers.arbitrageur(Trader(world, floor, desk), world.chance("desk")), after=40)
