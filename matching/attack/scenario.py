"""A run: an hour of the floor with the crowd, and attacks in it.

`simulate` gives the whole of it: every command with the exchange's events and the attack it belongs to, the truth about
the attacks, and what the exchange knows of accounts that belong together.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from matching.attack import crowd
from matching.attack.crowd import Crowd
from matching.attack.plan import PATTERNS, Plan
from matching.attack.world import SECOND, Episode, Step, World
from risk.surveillance.messages import Relation, Relations

DAY = 86_400 * SECOND
FIRST_DAY = 20_000
"""Days since 1970 of the first possible day of a run."""

HOUR = 3_600 * SECOND
CLOSE = (0.55, 0.73)
"""A full hour (a close) comes after so much of a run."""


class Run(NamedTuple):
    """A simulated stretch of the exchange's life. The first `setup` steps open markets and accounts."""

    seed: int
    steps: list[Step]
    setup: int
    episodes: list[Episode]
    relations: list[Relation]
    roles: dict[int, str]
    close: int | None

    def related(self) -> Relations:
        """What the exchange knows of accounts that belong together."""
        return Relations(self.relations)


def simulate(
    *,
    seed: int,
    attacks: Sequence[tuple[str, str]] = (),
    minutes: float = 60,
    take: Callable[[Step], None] | None = None,
) -> Run:
    """The run of a seed with these attacks, each a pattern and a disguise of PATTERNS.

    `take` gets each step as it happens. Raises KeyError for a pattern or disguise that is not there.
    """
    names = ",".join(f"{pattern}.{disguise}" for pattern, disguise in attacks)
    dates = World(seed=f"{seed}", began=0).chance("date")
    began = (FIRST_DAY + dates.randrange(1_000)) * DAY + dates.randrange(1, 24) * HOUR
    close = began
    began -= int(dates.uniform(*CLOSE) * minutes * 60 * SECOND)
    world = World(seed=f"{seed}:{names}", began=began)
    flavours = world.chance("flavours")
    world.open_floor(crowd.busy_flavour(flavours))
    world.open_floor(crowd.quiet_flavour(flavours))
    people = Crowd(world, close=close)
    people.open()
    plan = Plan(world, people, close=close, minutes=minutes)
    for pattern, disguise in attacks:
        PATTERNS[pattern][disguise](plan.attack(pattern, disguise))
    setup = len(world.steps)
    world.run(until=world.now + int(minutes * 60 * SECOND), take=take)
    return Run(seed, world.steps, setup, world.episodes, world.relations, world.roles, close)
