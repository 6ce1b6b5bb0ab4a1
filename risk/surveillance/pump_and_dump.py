"""Pump and dump: what was gathered quietly is driven up in a rush and sold to those who come late.

Accused are the early buyers who are the late sellers; latecomers, who bought during the rush and lost, are the victims.
"""

from typing import ClassVar

from risk.surveillance.messages import Parameter
from risk.surveillance.prices import SECOND
from risk.surveillance.push_detector import PushDetector
from risk.surveillance.pushes import Part, Push


class PumpAndDump(PushDetector):
    """Finds accounts that gather, drive the price up, and sell into the rush."""

    NAME = "pump_and_dump"
    HORIZONS = (60, 120, 240, 400)
    PLATEAU = 0.3
    RISES_ONLY = True
    LOOK_EVERY = 10 * SECOND
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        Parameter("sigmas", 2, 1, 50, "times", "The price rose so many times its usual move, within 400 seconds."),
        Parameter("share", 0.2, 0.05, 1, "of volume", "They took this share of all that was bought in the rush."),
        Parameter("minutes", 0.3, 0, 100, "minutes", "As much as is usually taken by everybody in this time."),
        Parameter("member", 0.06, 0.01, 1, "of volume", "A group with less than this share is not one of them."),
        Parameter("orders", 6, 3, 100, "orders", "Each group took and gave back with so many orders or more."),
        Parameter("size", 3, 0, 100, "times", "Its orders are so many times as large as the usual one."),
        Parameter("against", 0.15, 0, 1, "of volume", "It sold no more than this during the rush."),
        Parameter("quiet", 3, 0, 100, "of volume", "It gained no more than this in the time before."),
        Parameter("gathered", 0.1, 0, 10, "of volume", "It bought at least this much in the time before."),
        Parameter("one_way", 0.85, 0, 1, "of volume", "This part of what it traded before, less sold, was bought."),
        Parameter("rushes", 4, 1, 100, "orders", "It bought with so many orders or more in the rush."),
        Parameter("sales", 3, 1, 100, "orders", "It sold with so many orders or more."),
        Parameter("before", 1200, 60, 7200, "seconds", "The time before the rush that is looked at."),
        Parameter("lasting", 480, 30, 3600, "seconds", "A rush lasts no longer than this."),
        Parameter("exit", 0.3, 0.1, 1, "of volume", "It sold this part of what it had bought, and not much more."),
        Parameter("exit_start", 120, 1, 3600, "seconds", "It began to so soon after its last order of the rush."),
        Parameter("exit_time", 900, 60, 7200, "seconds", "So soon after the peak it had sold."),
        Parameter("reversal", 0.15, 0, 1, "of the rise", "This part of the rise was undone by then."),
        Parameter("mute", 1800, 0, 86_400, "seconds", "The same accounts are not reported again for so long."),
    )

    def _fits(self, part: Part, push: Push) -> bool:
        return (
            push.up
            and part.before >= self._values["gathered"] * part.pushed
            and part.before >= self._values["one_way"] * part.before_gross
            and len(part.orders) >= self._values["rushes"]
            and len(part.exits) >= self._values["sales"]
        )

    def _text(self, who: str, share: float, push: Push, seconds: float) -> str:
        return (
            f"{who} gathered quietly, bought {share:.0%} of what drove the price up, and sold to latecomers within "
            f"{seconds:.0f} seconds of its peak."
        )
