"""One simulated run under surveillance: which cases arose, which of them are true, which episodes they found.

A case is true if it names a guilty account of an episode, overlaps it in time, and its detector fits the pattern. An
episode is found if a true case of the pattern's own family is about it. Pure: seeds in, outcomes out.
"""

from collections.abc import Sequence
from typing import NamedTuple

from matching.attack.scenario import Run, simulate
from matching.attack.world import Episode, Step
from risk.surveillance.cases import Case, Cases, family_of
from risk.surveillance.messages import Alert
from risk.surveillance.surveillance import Surveillance

GRACE_MICROSECONDS = 15 * 60 * 1_000_000
"""A case may speak of what came so long before or after an episode, as detectors' windows are wider than attacks."""

FITS: dict[str, frozenset[str]] = {
    "wash_trading": frozenset({"wash_trading"}),
    "spoofing": frozenset({"spoofing", "layering", "order_to_trade"}),
    "layering": frozenset({"spoofing", "layering", "order_to_trade"}),
    "quote_stuffing": frozenset({"quote_stuffing", "order_to_trade"}),
    "momentum_ignition": frozenset({"momentum_ignition", "pump_and_dump", "marking_the_close"}),
    "pump_and_dump": frozenset({"pump_and_dump", "momentum_ignition", "wash_trading", "marking_the_close"}),
    "marking_the_close": frozenset({"marking_the_close", "momentum_ignition", "pump_and_dump"}),
    "front_running": frozenset({"front_running"}),
    "order_to_trade": frozenset({"order_to_trade", "quote_stuffing"}),
}
"""Which detectors speak the truth about a pattern: a spoofer has an abnormal ratio too, a stuffer as well."""


class FoundCase(NamedTuple):
    """A case of a run. `episode`: the place in the run's list of the episode it is about, None: it is false."""

    family: str
    detectors: frozenset[str]
    account_ids: frozenset[int]
    market_id: int | None
    innocents: frozenset[int]
    roles: tuple[str, ...]
    episode: int | None
    alerts: tuple[Alert, ...]

    def told(self) -> str:
        """The case in a line: who is accused of what, and the first alert's words and figures."""
        alert = self.alerts[0]
        figures = " ".join(f"{name}={value:.4g}" for name, value in alert.figures.items())
        return (
            f"{'+'.join(sorted(self.detectors))} accuses {', '.join(self.roles)} in market {self.market_id} "
            f"({len(self.alerts)} alerts): {alert.text} {figures}"
        )


class FoundEpisode(NamedTuple):
    """What became of an episode. `delay`: seconds from its onset to the first alert that found it, None: missed.

    `named`: how many of the guilty accounts were named, of `guilty`.
    """

    pattern: str
    disguise: str
    delay: float | None
    guilty: int
    named: int


class Outcome(NamedTuple):
    """What came of a run of so many `hours` of market time and `commands`."""

    seed: int
    hours: float
    commands: int
    cases: list[FoundCase]
    episodes: list[FoundEpisode]


class _Watch:
    """Surveillance and cases over one run."""

    def __init__(self, run: Run) -> None:
        relations = run.related()
        surveillance = Surveillance({}, relations)
        self.cases = Cases(relations)
        self.alerts: dict[int, list[tuple[int, Alert]]] = {}
        for step in run.steps:
            for alert in surveillance.observe(step.sequence, step.at, step.command, step.events):
                self._take(step.at, alert)
        end = run.steps[-1].at
        for alert in surveillance.advance(end + 1):
            self._take(end, alert)

    def _take(self, at: int, alert: Alert) -> None:
        self.alerts.setdefault(self.cases.take(alert).id, []).append((at, alert))


def evaluate(*, seed: int, attacks: tuple[tuple[str, str], ...], minutes: float = 60) -> Outcome:
    """Simulate a run, watch it, and compare."""
    run = simulate(seed=seed, attacks=attacks, minutes=minutes)
    return judge(run)


def judge(run: Run) -> Outcome:
    """What surveillance makes of a run, against the truth."""
    watch = _Watch(run)
    cases: list[FoundCase] = []
    first: dict[int, int] = {}
    named: dict[int, set[int]] = {}
    for case in watch.cases.open.values():
        number = matched(run.episodes, case)
        alerts = watch.alerts[case.id]
        guilty: frozenset[int] = frozenset()
        if number is not None:
            episode = run.episodes[number]
            guilty = frozenset(episode.guilty)
            if family_of(episode.pattern) == case.family:
                told = min(at for at, alert in alerts if not guilty.isdisjoint(alert.account_ids))
                first[number] = min(told, first.get(number, told))
            named.setdefault(number, set()).update(guilty & case.account_ids)
        cases.append(
            FoundCase(
                case.family,
                case.detectors,
                case.account_ids,
                case.market_id,
                case.account_ids - guilty,
                tuple(run.roles.get(account_id, "?") for account_id in sorted(case.account_ids)),
                number,
                tuple(alert for _, alert in alerts),
            )
        )
    episodes = [
        FoundEpisode(
            episode.pattern,
            episode.disguise,
            max(0, first[number] - episode.first_at) / 1e6 if number in first else None,
            len(episode.guilty),
            len(named.get(number, ())),
        )
        for number, episode in enumerate(run.episodes)
    ]
    began: Step = run.steps[run.setup]
    hours = (run.steps[-1].at - began.at) / 3.6e9
    return Outcome(run.seed, hours, len(run.steps) - run.setup, cases, episodes)


def matched(episodes: Sequence[Episode], case: Case) -> int | None:
    """The place of the episode that a case is about, None: it is false."""
    for number, episode in enumerate(episodes):
        fits = not FITS[episode.pattern].isdisjoint(case.detectors)
        meets = (
            case.first_at <= episode.last_at + GRACE_MICROSECONDS
            and case.last_at >= episode.first_at - GRACE_MICROSECONDS
        )
        if fits and meets and not case.account_ids.isdisjoint(episode.guilty):
            return number
    return None
