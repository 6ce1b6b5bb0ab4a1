"""Alerts become cases: what one group did of one kind, in one market and without a long pause, is one case.

Pure: `Cases` holds the open cases and decides; who stores them says which are open, and which are closed.
"""

from collections.abc import Iterable

import msgspec

from risk.surveillance.messages import Alert, Relations

QUIET_MICROSECONDS = 15 * 60 * 1_000_000
"""An alert that begins later than this after a case's last one is a case of its own."""

FAMILIES: dict[str, str] = {
    "wash_trading": "wash trades",
    "spoofing": "false depth",
    "layering": "false depth",
    "quote_stuffing": "messages",
    "order_to_trade": "messages",
    "momentum_ignition": "pushed prices",
    "pump_and_dump": "pushed prices",
    "marking_the_close": "marked closes",
    "front_running": "front-running",
}
"""What kind of thing a detector finds; a detector that is not here is a kind of its own."""


class Case(msgspec.Struct):
    """What is known of a case while it is open. Times in microseconds since 1970 UTC.

    `account_ids`: everybody its alerts accused. `market_id` None: over all markets.
    """

    id: int
    family: str
    market_id: int | None
    account_ids: frozenset[int]
    first_at: int
    last_at: int
    first_sequence: int
    last_sequence: int
    detectors: frozenset[str]
    alerts: int


def family_of(detector: str) -> str:
    """The kind of thing that a detector finds."""
    return FAMILIES.get(detector, detector)


def belongs(*, alert: Alert, case: Case, relations: Relations) -> bool:
    """Whether an alert is part of a case: its kind, its market, its time, and somebody of its group."""
    if family_of(alert.detector) != case.family:
        return False
    if alert.market_id != case.market_id:
        return False
    if alert.first_at > case.last_at + QUIET_MICROSECONDS or alert.last_at < case.first_at - QUIET_MICROSECONDS:
        return False
    if not case.account_ids.isdisjoint(alert.account_ids):
        return True
    return any(
        relations.between(account_id, accused) for account_id in alert.account_ids for accused in case.account_ids
    )


def joined(*, case: Case, alert: Alert) -> None:
    """Add an alert to a case."""
    case.account_ids |= frozenset(alert.account_ids)
    case.first_at, case.last_at = min(case.first_at, alert.first_at), max(case.last_at, alert.last_at)
    case.first_sequence = min(case.first_sequence, alert.first_sequence)
    case.last_sequence = max(case.last_sequence, alert.last_sequence)
    case.detectors |= {alert.detector}
    case.alerts += 1


def opened(*, id: int, alert: Alert) -> Case:
    """The case that an alert begins."""
    return Case(
        id, family_of(alert.detector), alert.market_id, frozenset(alert.account_ids), alert.first_at, alert.last_at,
        alert.first_sequence, alert.last_sequence, frozenset({alert.detector}), 1,
    )  # fmt: skip


class Cases:
    """The open cases, and which of them an alert belongs to. `open_cases`: those that are open at the beginning."""

    def __init__(self, relations: Relations, open_cases: Iterable[Case] = ()) -> None:
        self.relations = relations
        self.open: dict[int, Case] = {case.id: case for case in open_cases}
        self._last_id = max(self.open, default=0)

    def find(self, alert: Alert) -> Case | None:
        """The open case that the alert belongs to; of several the one that was busy last."""
        found = [case for case in self.open.values() if belongs(alert=alert, case=case, relations=self.relations)]
        return max(found, key=lambda case: (case.last_at, case.id), default=None)

    def take(self, alert: Alert) -> Case:
        """Put the alert into its case, or open one for it (ids count up)."""
        case = self.find(alert)
        if case is None:
            self._last_id += 1
            case = self.open[self._last_id] = opened(id=self._last_id, alert=alert)
        else:
            joined(case=case, alert=alert)
        return case
