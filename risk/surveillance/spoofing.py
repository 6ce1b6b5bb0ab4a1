"""Spoofing: a large order near the touch that was never meant to trade, pulled when a small one opposite has traded.

The bait of a spoofer is one or two orders, of whichever of the tied accounts; a ladder of them is layering.
"""

from typing import ClassVar

from risk.surveillance.bait_patterns import PARAMETERS, BaitDetector
from risk.surveillance.messages import Parameter


class Spoofing(BaitDetector):
    """Finds groups that repeat it. The parameters: those of `bait_patterns`, and how many prices make layers."""

    NAME = "spoofing"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        Parameter("layers", 3, 2, 50, "prices", "A bait at so many prices or more is layering."),
        *PARAMETERS,
    )
