"""Every pattern with its disguises, and where in a run an attack takes place."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from matching.attack import closing, front_running, ignition, spoofing, stuffing, wash
from matching.attack.attacker import Attack
from matching.attack.crowd import Crowd
from matching.attack.world import Episode, Floor, World

Launch = Callable[[Attack], None]


def _disguises(launch: Callable[..., None], styles: Mapping[str, Any]) -> dict[str, Launch]:
    return {name: partial(launch, style=style) for name, style in styles.items()}


PATTERNS: dict[str, dict[str, Launch]] = {
    "wash_trading": _disguises(wash.wash_trading, wash.STYLES),
    "spoofing": _disguises(spoofing.spoof, spoofing.SPOOFING),
    "layering": _disguises(spoofing.spoof, spoofing.LAYERING),
    "quote_stuffing": _disguises(stuffing.stuff, stuffing.STUFFING),
    "momentum_ignition": _disguises(ignition.ignite, ignition.IGNITION),
    "pump_and_dump": _disguises(ignition.ignite, ignition.PUMPING),
    "marking_the_close": _disguises(closing.mark, closing.STYLES),
    "front_running": _disguises(front_running.run_ahead, front_running.STYLES),
    "order_to_trade": _disguises(stuffing.stuff, stuffing.ORDER_TO_TRADE),
}
"""By pattern and disguise how an attack begins."""

SMALL_ONLY = frozenset({"pump_and_dump"})
"""Patterns that need a market which a few can move."""


class Plan:
    """Gives each attack of a run its floor and its episode."""

    def __init__(self, world: World, people: Crowd, *, close: int, minutes: float) -> None:
        self._world = world
        self._people = people
        self._close = close
        self._minutes = minutes
        self._chance = world.chance("plan")

    def attack(self, pattern: str, disguise: str, *, floor: Floor | None = None) -> Attack:
        """The attack, ready to be launched, on the floor or on one that suits it."""
        floors = self._world.floors
        if floor is None:
            floor = floors[1] if pattern in SMALL_ONLY or self._chance.random() < 0.25 else floors[0]
        episode = Episode(len(self._world.episodes) + 1, pattern, disguise, floor.id, ())
        self._world.episodes.append(episode)
        return Attack(
            world=self._world, people=self._people, episode=episode, floor=floor, close=self._close,
            minutes=self._minutes,
        )  # fmt: skip
