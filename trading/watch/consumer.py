"""Surveillance as a follower of the journal: what detectors find becomes alerts and cases, and operators hear of it."""

import time
from typing import Literal

from matching.follower import Step
from matching.snapshot import orders_in_book_order
from matching.state import State
from notifications.recording import News, record_all
from risk import cases, relations
from risk.models import Case, DetectorSetting
from risk.surveillance.messages import Alert
from risk.surveillance.surveillance import Surveillance

WARM_UP = 2 * 3600 * 1_000_000
RELATIONS_SECONDS = 60.0


class SurveillanceConsumer:
    """Gives every step to the detectors and stores their alerts."""

    name = "surveillance"
    begins: Literal["start", "end"] = "start"
    warm_up = WARM_UP

    def __init__(self) -> None:
        self._values = settings_of_detectors()
        self._relations = relations.load()
        self._relations_at = time.monotonic()
        self._surveillance = Surveillance(self._values, self._relations)
        self._found: list[Alert] = []

    def begin(self, state: State) -> None:
        """Take over the orders that rest."""
        open_orders = [order.state(order.created_at) for order in orders_in_book_order(state)]
        self._surveillance = Surveillance(self._values, self._relations, open_orders)

    def recall(self, step: Step, state: State) -> None:
        """Fill the windows; what is found was said before."""
        self._surveillance.observe(step.sequence, step.received_at, step.command, step.events)

    def observe(self, step: Step, state: State) -> None:
        """Look at the step."""
        self._found += self._surveillance.observe(step.sequence, step.received_at, step.command, step.events)

    def tick(self, now: int, state: State) -> None:
        """Let windows end without orders, and learn who belongs together."""
        self._found += self._surveillance.advance(now)
        if time.monotonic() - self._relations_at > RELATIONS_SECONDS:
            self._relations_at = time.monotonic()
            self._relations.replace(relations.load())

    def write(self) -> None:
        """Store the alerts, and tell operators of the cases they open."""
        if self._found:
            found, self._found = self._found, []
            for case in cases.store_findings(findings=found, relations=self._relations):
                _tell_operators(case)


def settings_of_detectors() -> dict[str, dict[str, float]]:
    """What operators have set, by detector and parameter."""
    values: dict[str, dict[str, float]] = {}
    for row in DetectorSetting.objects.all():
        values.setdefault(row.detector, {})[row.parameter] = row.value
    return values


def _tell_operators(case: Case) -> None:
    """A new case is news for those who may work on it."""
    figures = {
        "case": str(case.pk),
        "severity": case.severity,
        "detector": case.detector,
        "market": "" if case.market is None else case.market.symbol,
        "text": case.alerts.values_list("text", flat=True)[0],
    }
    record_all(
        News(user_id=user_id, kind="risk_alert", key=f"case {case.pk}", figures=figures, at=time.time_ns() // 1_000)
        for user_id in cases.workers().values_list("pk", flat=True)
    )
