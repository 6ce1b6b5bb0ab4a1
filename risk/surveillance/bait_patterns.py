"""When pulled baits are a pattern: how often, how much larger than what was offered, how surely for its sake.

Spoofing (one or two orders) and layering (a ladder) differ in how many prices the baits stand at; whatever else they
have in common is here.
"""

from collections.abc import Mapping
from typing import ClassVar

from risk.surveillance.baits import SECOND, Baits, Party
from risk.surveillance.messages import Alert, Books, Observation, Parameter, Relations, Severity

PARAMETERS = (
    Parameter("cycles", 3, 2, 64, "cycles", "So many times a bait was pulled while a smaller order stood opposite."),
    Parameter(
        "linked_cycles", 3, 0, 64, "cycles", "In so many the small order traded, or came together with the bait."
    ),
    Parameter("cycle_share", 0.1, 0, 1, "of baits", "The share of baits in whose place nothing came."),
    Parameter("bait_share", 0.5, 0, 1, "of large pulls", "The share of pulls with a small order on the other side."),
    Parameter("size_ratio", 3, 1, 100, "times", "The bait is so many times as large as what was really offered."),
    Parameter("depth_share", 0.1, 0, 10, "of depth", "The bait is this share of the usual depth near the touch."),
    Parameter("near", 2, 0.1, 100, "reaches", "The bait is no further from the touch: times the usual ten levels."),
    Parameter("bait_age", 120, 1, 86_400, "seconds", "The bait was pulled no later after it was placed."),
    Parameter("together", 3, 0, 3600, "seconds", "Together: no further apart than this,"),
    Parameter(
        "together_lives", 0.5, 0, 100, "usual lives", "and no further than so many of the usual lives of orders."
    ),
    Parameter("pull_lead", 2, 0, 60, "seconds", "What is pulled within so long is one bait."),
    Parameter("settle", 1, 0, 60, "seconds", "So long after the pull nothing has come in the bait's place."),
    Parameter("pulled_share", 0.6, 0.1, 1, "of the bait", "At least so much of the bait was pulled."),
    Parameter("bait_filled", 0.4, 0, 1, "of the baits", "No more of all baits was filled."),
    Parameter("horizon", 1800, 60, 86_400, "seconds", "Cycles this far back count together."),
    Parameter("mute", 600, 0, 86_400, "seconds", "The same group is not reported again for so long."),
)
"""What spoofing and layering have in common."""


class BaitDetector:
    """A detector of pulled baits: finds groups that repeat it. `PARAMETERS`: its own and the common ones."""

    NAME: str
    PARAMETERS: ClassVar[tuple[Parameter, ...]]

    def __init__(self, values: Mapping[str, float], relations: Relations, books: Books) -> None:
        self._values = dict(values)
        self._baits = Baits(values, relations, books)

    def observe(self, observation: Observation) -> list[Alert]:
        """Take the next observation; the alerts it completes."""
        found = self._baits.observe(observation)
        return self._alerts(found, observation.at) if found else []

    def advance(self, now: int) -> list[Alert]:
        """Time has come to `now`: baits pulled a moment ago are gone for good."""
        return self._alerts(self._baits.advance(now), now)

    def _alerts(self, parties: list[Party], now: int) -> list[Alert]:
        judgements = (judged(self.NAME, party, self._values, now) for party in parties)
        return [alert for alert in judgements if alert is not None]


def judged(detector: str, party: Party, values: Mapping[str, float], now: int) -> Alert | None:
    """The alert about a party that has completed a cycle, if that makes it a pattern, and the detector's own.

    Layering is what is done with ladders more often than not; everything else is spoofing.
    """
    since = now - int(values["horizon"] * SECOND)
    cycles = [cycle for cycle in party.cycles if cycle.last_at >= since]
    kept = sum(at >= since for at in party.kept)
    share = len(cycles) / (len(cycles) + kept)
    baits = len(cycles) + kept
    bait_share = baits / (baits + sum(at >= since for at in party.others))
    bait = sum(cycle.bait for cycle in cycles)
    filled = sum(cycle.filled for cycle in cycles) / bait
    linked = sum(cycle.linked for cycle in cycles)
    traded = sum(cycle.traded > 0 for cycle in cycles)
    if (
        now < party.muted_until
        or (2 * sum(len(cycle.prices) >= values["layers"] for cycle in cycles) > len(cycles))
        != (detector == "layering")
        or len(cycles) < values["cycles"]
        or linked < values["linked_cycles"]
        or share < values["cycle_share"]
        or bait_share < values["bait_share"]
        or filled > values["bait_filled"]
    ):
        return None
    party.muted_until = now + int(values["mute"] * SECOND)
    accounts = sorted(set().union(*(cycle.accounts for cycle in cycles)))
    ratios = sorted(cycle.bait / cycle.offered for cycle in cycles)
    ratio = ratios[len(ratios) // 2]
    severity: Severity = "high" if len(cycles) >= 2 * values["cycles"] else "medium"
    what = "layers of orders" if detector == "layering" else "a large order"
    who = f"account {accounts[0]}" if len(accounts) == 1 else f"{len(accounts)} tied accounts"
    return Alert(
        detector=detector,
        severity=severity,
        account_ids=tuple(accounts),
        market_id=party.market_id,
        first_sequence=min(cycle.first_sequence for cycle in cycles),
        last_sequence=max(cycle.last_sequence for cycle in cycles),
        first_at=min(cycle.first_at for cycle in cycles),
        last_at=max(cycle.last_at for cycle in cycles),
        figures={
            "cycles": len(cycles),
            "linked_cycles": linked,
            "traded_cycles": traded,
            "cycle_share": share,
            "bait_share": bait_share,
            "size_ratio": ratio,
            "depth_share": bait / max(1.0, sum(cycle.depth for cycle in cycles)),
            "pulled_share": sum(cycle.pulled for cycle in cycles) / bait,
            "bait_filled": filled,
            "prices": max(len(cycle.prices) for cycle in cycles),
            "bait_quantity": bait / len(cycles),
            "offered_quantity": sum(cycle.offered for cycle in cycles) / len(cycles),
        },
        thresholds=dict(values),
        text=f"{who[0].upper()}{who[1:]} pulled {what} {len(cycles)} times, {ratio:.1f} times as large as what stood or"
        f" traded on the other side; that traded {traded} times.",
    )
