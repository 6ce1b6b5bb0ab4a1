"""What every attack needs: its time, its accounts, what ties them, and the truth it leaves behind."""

import random
from collections.abc import Sequence

from matching.attack import takers
from matching.attack.crowd import Crowd
from matching.attack.makers import size_of
from matching.attack.world import SECOND, Behaviour, Episode, Floor, Lots, Trader, World, trace
from risk.surveillance.messages import RelationKind

KINDS: tuple[RelationKind, ...] = ("address", "device", "funding", "withdrawal_target")
TIED = 0.85
"""How likely an attacker's further account has something in common with one of his others."""


class Attack:
    """One attack in the making, on one floor. Chance is its own; `minutes` is how long the run lasts."""

    def __init__(
        self, *, world: World, people: Crowd, episode: Episode, floor: Floor, close: int, minutes: float
    ) -> None:
        self.world = world
        self.people = people
        self.episode = episode
        self.floor = floor
        self.close = close
        self.minutes = minutes
        self.chance: random.Random = world.chance(f"attack{episode.id}")

    def traders(self, count: int, *, tied: float = TIED, user_id: int | None = None) -> list[Trader]:
        """The attacker's accounts; with `user_id` all of one owner."""
        world, chance = self.world, self.chance
        accounts: list[int] = []
        for number in range(count):
            account_id = world.open_account(
                role=f"attacker {self.episode.id}", user_id=user_id, name=f"account {len(self.episode.guilty) + number}"
            )
            if user_id is None and accounts and chance.random() < tied:
                kind = chance.choice(KINDS)
                world.relate(kind, chance.choice(accounts), account_id, trace(kind, chance))
            if user_id is None and not accounts and count > 1 and tied > 1:
                user_id = world.user_of(account_id)
            if user_id is not None:
                for one in accounts:
                    world.relate("owner", one, account_id, "one owner")
            accounts.append(account_id)
        self.episode.guilty = tuple(sorted((*self.episode.guilty, *accounts)))
        return [Trader(world, self.floor, account_id, self.episode) for account_id in accounts]

    def size(self, clips: float, spread: float = 0.3) -> Lots:
        """Lots around so many clips."""
        return size_of(Trader(self.world, self.floor, 0), self.chance, clips, spread)

    def between(self, bounds: Sequence[float]) -> float:
        """A number between the two bounds."""
        return self.chance.uniform(bounds[0], bounds[1])

    def count(self, bounds: Sequence[int]) -> int:
        """A whole number between the two bounds, both possible."""
        return self.chance.randint(bounds[0], bounds[1])

    def begin(self, behaviour: Behaviour, *, lasting: float) -> None:
        """Start at some time that leaves the attack `lasting` minutes."""
        early = min(6.0, self.minutes / 5)
        latest = max(early + 0.5, self.minutes - lasting - 2)
        self.world.start(behaviour, after=60 * self.chance.uniform(early, latest))

    def begin_before_close(self, behaviour: Behaviour, *, seconds: float) -> None:
        """Start so many seconds before the full hour."""
        self.world.start(behaviour, after=max(1.0, (self.close - self.world.now) / SECOND - seconds))

    def mix_in(self, traders: Sequence[Trader], pause: float = 70) -> None:
        """Let the attacker's accounts trade like anybody else all the time; that is no part of the attack."""
        for trader in traders:
            honest = Trader(self.world, self.floor, trader.account_id)
            self.world.start(
                takers.retail(honest, self.chance, pause * self.chance.uniform(0.7, 1.4)),
                after=self.chance.uniform(5, 100),
            )
