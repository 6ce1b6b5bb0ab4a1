"""Layering: orders at several prices of one side that were never meant to trade, pulled when one opposite has traded.

What stands at fewer prices is spoofing; the layers and the trade may be different accounts' of one group.
"""

from collections.abc import Mapping
from typing import ClassVar

from risk.surveillance.bait_patterns import PARAMETERS, judged
from risk.surveillance.baits import Baits, Party
from risk.surveillance.messages import Alert, Books, Observation, Parameter, Relations


class Layering:
    """Finds groups that repeat it. The parameters: those of `bait_patterns`, and how many prices make layers."""

    NAME = "layering"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        Parameter("layers", 3, 2, 50, "prices", "A bait stands at so many prices or more."),
        *PARAMETERS,
    )

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
