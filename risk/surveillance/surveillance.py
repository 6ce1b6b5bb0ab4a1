"""Surveillance as a whole: every command goes on the tape, every observation to every detector.

Pure, and the same for the same journal: time is the commands', nothing is drawn, nothing is stored.
"""

from collections.abc import Iterable, Mapping

from matching.engine.messages import AnyCommand, AnyEvent, OrderState
from risk.surveillance.front_running import FrontRunning
from risk.surveillance.layering import Layering
from risk.surveillance.marking_the_close import MarkingTheClose
from risk.surveillance.messages import Alert, Detector, Relations
from risk.surveillance.momentum_ignition import MomentumIgnition
from risk.surveillance.order_to_trade import OrderToTrade
from risk.surveillance.pump_and_dump import PumpAndDump
from risk.surveillance.quote_stuffing import QuoteStuffing
from risk.surveillance.spoofing import Spoofing
from risk.surveillance.tape import Tape
from risk.surveillance.wash_trading import WashTrading

_DETECTORS: tuple[type[Detector], ...] = (
    Spoofing,
    Layering,
    QuoteStuffing,
    OrderToTrade,
    WashTrading,
    MarkingTheClose,
    FrontRunning,
    MomentumIgnition,
    PumpAndDump,
)

DETECTORS: dict[str, type[Detector]] = {detector.NAME: detector for detector in _DETECTORS}
"""Every detector by its name."""

ADVANCE_MICROSECONDS = 1_000_000
"""Time is told to the detectors this often while commands come."""


class Surveillance:
    """All detectors over one journal. `values`: detector -> parameter -> value; what it lacks has its default."""

    def __init__(
        self,
        values: Mapping[str, Mapping[str, float]],
        relations: Relations,
        open_orders: Iterable[OrderState] = (),
    ) -> None:
        self.tape = Tape.of(open_orders)
        self.detectors: list[Detector] = []
        for name, detector in DETECTORS.items():
            complete = {one.name: one.default for one in detector.PARAMETERS} | dict(values.get(name, {}))
            self.detectors.append(detector(complete, relations, self.tape))
        self._observers = [detector.observe for detector in self.detectors]
        self._next_advance = 0

    def observe(self, sequence: int, at: int, command: AnyCommand, events: list[AnyEvent]) -> list[Alert]:
        """Take the journal's next command with the exchange's events for it; the alerts that this completes."""
        alerts: list[Alert] = []
        if at >= self._next_advance:
            alerts += self.advance(at)
        for observation in self.tape.observe(sequence, at, command, events):
            for observe in self._observers:
                if found := observe(observation):
                    alerts += found
        return alerts

    def advance(self, now: int) -> list[Alert]:
        """Time has come to `now` (microseconds); the alerts of windows that have ended."""
        self._next_advance = now + ADVANCE_MICROSECONDS
        return [alert for detector in self.detectors for alert in detector.advance(now)]
