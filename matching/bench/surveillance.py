"""How good surveillance is: recall by pattern and disguise, precision, delay, false cases, and how fast it is.

Every figure comes from seeded runs; seeds below HELD_OUT are for tuning, those from it on are not looked at before a
measurement. Two processes share the runs.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from matching.attack.plan import PATTERNS
from matching.bench.surveillance_runs import FoundCase, FoundEpisode, Outcome, evaluate

HELD_OUT = 1_000_000
"""Seeds from here on are for measuring only; tuning uses seeds from 1 on."""

SEEDS_APART = 10_000
"""The seeds of the runs with the next disguises are so much higher."""

ATTACKS_PER_RUN = 7
"""A run holds one episode of so many patterns, each with other accounts."""


class Task(NamedTuple):
    """A run to do."""

    seed: int
    attacks: tuple[tuple[str, str], ...]
    minutes: float = 60


def tasks(
    *, seeds: Sequence[int], patterns: Sequence[str], disguise: str | None = None, disguises_max: int | None = None
) -> list[Task]:
    """Runs in which the disguises of every pattern get an episode for each seed.

    `disguise`: only that one. `disguises_max`: of each pattern only the first so many.
    """
    left = {
        pattern: [name for name in PATTERNS[pattern] if disguise in (None, name)][:disguises_max]
        for pattern in patterns
    }
    found: list[Task] = []
    number = 0
    while any(left.values()):
        fullest = sorted(patterns, key=lambda pattern: -len(left[pattern]))[:ATTACKS_PER_RUN]
        attacks = tuple((pattern, left[pattern].pop(0)) for pattern in fullest if left[pattern])
        found += [Task(seed + SEEDS_APART * number, attacks) for seed in seeds]
        number += 1
    return found


def carry_out(todo: Sequence[Task], *, processes: int) -> Iterator[Outcome]:
    """All runs, as they come out, in order."""
    if processes == 1:
        yield from map(_do, todo)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(_do, todo)


def _do(task: Task) -> Outcome:
    return evaluate(seed=task.seed, attacks=task.attacks, minutes=task.minutes)


class Score(NamedTuple):
    """All episodes and cases of some runs."""

    episodes: list[FoundEpisode]
    cases: list[FoundCase]
    hours: float

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> "Score":
        """Everything together."""
        return cls(
            [episode for outcome in outcomes for episode in outcome.episodes],
            [case for outcome in outcomes for case in outcome.cases],
            sum(outcome.hours for outcome in outcomes),
        )

    def episodes_of(self, pattern: str, disguise: str | None = None) -> list[FoundEpisode]:
        """The episodes of a pattern, of all disguises or one."""
        return [
            episode for episode in self.episodes if episode.pattern == pattern and disguise in (None, episode.disguise)
        ]

    def cases_of(self, pattern: str) -> list[FoundCase]:
        """The cases that a pattern's own detector was part of."""
        return [case for case in self.cases if pattern in case.detectors]


def recall(episodes: Sequence[FoundEpisode]) -> float:
    """The share of the episodes that were found."""
    return sum(episode.delay is not None for episode in episodes) / len(episodes) if episodes else 0.0


def precision(cases: Sequence[FoundCase]) -> float:
    """The share of the cases that are true; 1 if there are none."""
    return sum(case.episode is not None for case in cases) / len(cases) if cases else 1.0


def delays(episodes: Sequence[FoundEpisode]) -> list[float]:
    """Seconds from onset to the first alert of the episodes that were found, sorted."""
    return sorted(episode.delay for episode in episodes if episode.delay is not None)


def named(episodes: Sequence[FoundEpisode]) -> float:
    """The share of the guilty accounts of found episodes that a case names."""
    found = [episode for episode in episodes if episode.delay is not None]
    return sum(episode.named for episode in found) / max(1, sum(episode.guilty for episode in found))
