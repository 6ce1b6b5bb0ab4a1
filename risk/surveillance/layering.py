"""Layering: orders at several prices of one side that were never meant to trade, pulled when one opposite has traded.

What stands at fewer prices is spoofing; the layers and the trade may be different accounts' of one group.
"""

from typing import ClassVar

from risk.surveillance.bait_patterns import PARAMETERS, BaitDetector
from risk.surveillance.messages import Parameter


class Layering(BaitDetector):
    """Finds groups that repeat it. The parameters: those of `bait_patterns`, and how many prices make layers."""

    NAME = "layering"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        Parameter("layers", 3, 2, 50, "prices", "A bait stands at so many prices or more."),
        *PARAMETERS,
    )
