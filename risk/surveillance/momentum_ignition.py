"""Momentum ignition: a burst that pushes the price so that others join, and the way out through them.

A push is watched until it is over: who took the largest part in it from its beginning, and was out again within
minutes while the price came back, lit it. Followers come later, whales stay in, and after news the price stays.
"""

from typing import ClassVar

from risk.surveillance.messages import Parameter
from risk.surveillance.push_detector import PushDetector
from risk.surveillance.pushes import Part, Push


class MomentumIgnition(PushDetector):
    """Finds accounts that push a price and leave through those who follow."""

    NAME = "momentum_ignition"
    HORIZONS = (3, 8, 20, 45, 90)
    PLATEAU = 0
    RISES_ONLY = False
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        Parameter("sigmas", 2, 1, 50, "times", "The price moved so many times its usual move, within 90 seconds."),
        Parameter("share", 0.2, 0.05, 1, "of volume", "They took this share of all that was taken along the move."),
        Parameter("minutes", 0.4, 0, 100, "minutes", "As much as is usually taken by everybody in this time."),
        Parameter("member", 0.1, 0.01, 1, "of volume", "A group with less than this share is not one of them."),
        Parameter("orders", 6, 3, 100, "orders", "Each group took and gave back with so many orders or more."),
        Parameter("size", 2.5, 0, 100, "times", "Its orders are so many times as large as the usual one."),
        Parameter("against", 0.15, 0, 1, "of volume", "It took no more than this against the move meanwhile."),
        Parameter("quiet", 1.2, 0, 100, "of volume", "It gained no more than this in the time before."),
        Parameter("before", 420, 0, 3600, "seconds", "The time before the push that is looked at."),
        Parameter("lasting", 150, 5, 3600, "seconds", "A push lasts no longer than this."),
        Parameter("exit", 0.35, 0.1, 1, "of volume", "It gave back this part of what it got, and not much more."),
        Parameter("exit_start", 40, 1, 600, "seconds", "It began to so soon after its last order of the push."),
        Parameter("exit_time", 300, 10, 3600, "seconds", "So soon after the move's peak it was out."),
        Parameter("reversal", 0.15, 0, 1, "of the move", "This part of the move was undone by then."),
        Parameter("mute", 60, 0, 86_400, "seconds", "The same accounts are not reported again for so long."),
    )

    def _fits(self, part: Part, push: Push) -> bool:
        return True

    def _text(self, who: str, share: float, push: Push, seconds: float) -> str:
        return (
            f"{who} took {share:.0%} of what pushed the price {'up' if push.up else 'down'}, and left through "
            f"those who followed within {seconds:.0f} seconds of its peak."
        )
