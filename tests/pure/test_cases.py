"""Alerts of one group, of one kind, in one market and near in time are one case; any other alert begins one."""

import pytest

from risk.surveillance.cases import QUIET_MICROSECONDS, Case, Cases, family_of
from risk.surveillance.messages import Alert, Relation, Relations

MINUTE = 60_000_000


def alert(
    *accounts: int,
    detector: str = "spoofing",
    market_id: int | None = 1,
    first_at: int = 100 * MINUTE,
    last_at: int | None = None,
    sequence: int = 10,
) -> Alert:
    return Alert(
        detector, "medium", tuple(sorted(accounts)), market_id, sequence, sequence + 5, first_at,
        first_at if last_at is None else last_at, {"cycles": 3.0}, {"cycles": 2.0}, "Somebody did something.",
    )  # fmt: skip


def case_ids(*alerts: Alert, relations: Relations | None = None) -> list[int]:
    cases = Cases(relations or Relations())
    return [cases.take(one).id for one in alerts]


def test_a_second_alert_of_the_same_account_joins_the_case():
    assert case_ids(alert(7), alert(7, first_at=105 * MINUTE)) == [1, 1]


def test_alerts_that_share_one_account_of_several_are_one_case():
    assert case_ids(alert(7, 8), alert(8, 9), alert(9, 10)) == [1, 1, 1]


def test_strangers_are_not_in_one_case():
    assert case_ids(alert(7), alert(8)) == [1, 2]


def test_related_accounts_are_one_group():
    tied = Relations([Relation("device", 7, 8, "device 12")])
    assert case_ids(alert(7), alert(8), alert(9), relations=tied) == [1, 1, 2]


def test_only_a_direct_tie_makes_a_group():
    chain = Relations([Relation("address", 7, 8, "a"), Relation("address", 8, 9, "b")])
    assert case_ids(alert(7), alert(9), relations=chain) == [1, 2]
    assert case_ids(alert(7), alert(8), alert(9), relations=chain) == [1, 1, 1]


def test_spoofing_and_layering_are_one_kind_and_wash_trading_another():
    assert case_ids(alert(7), alert(7, detector="layering"), alert(7, detector="wash_trading")) == [1, 1, 2]


def test_a_detector_without_a_family_is_a_kind_of_its_own():
    assert family_of("something_new") == "something_new"
    assert case_ids(alert(7, detector="something_new"), alert(7)) == [1, 2]


@pytest.mark.parametrize(("first", "second"), [(1, 2), (1, None), (None, 1)])
def test_another_market_is_another_case(first: int | None, second: int | None):
    assert case_ids(alert(7, market_id=first), alert(7, market_id=second)) == [1, 2]


def test_alerts_over_all_markets_are_one_case():
    assert case_ids(alert(7, market_id=None), alert(7, market_id=None)) == [1, 1]


@pytest.mark.parametrize(("late", "expected"), [(0, [1, 1]), (1, [1, 2])])
def test_a_case_is_over_after_a_quiet_while(late: int, expected: list[int]):
    begun = alert(7, first_at=100 * MINUTE, last_at=110 * MINUTE)
    assert case_ids(begun, alert(7, first_at=110 * MINUTE + QUIET_MICROSECONDS + late)) == expected


@pytest.mark.parametrize(("early", "expected"), [(0, [1, 1]), (1, [1, 2])])
def test_what_ended_long_before_a_case_is_another(early: int, expected: list[int]):
    begun = alert(7, first_at=100 * MINUTE)
    ended = 100 * MINUTE - QUIET_MICROSECONDS - early
    assert case_ids(begun, alert(7, first_at=ended - MINUTE, last_at=ended)) == expected


def test_a_case_grows_with_its_alerts():
    cases = Cases(Relations())
    cases.take(alert(7, first_at=100 * MINUTE, sequence=50))
    case = cases.take(alert(7, 8, detector="layering", first_at=95 * MINUTE, last_at=104 * MINUTE, sequence=40))
    assert case == Case(
        id=1, family="false depth", market_id=1, account_ids=frozenset({7, 8}), first_at=95 * MINUTE,
        last_at=104 * MINUTE, first_sequence=40, last_sequence=55, detectors=frozenset({"spoofing", "layering"}),
        alerts=2,
    )  # fmt: skip


def test_an_alert_that_fits_two_cases_goes_to_the_one_that_was_busy_last():
    cases = Cases(Relations())
    cases.take(alert(7, first_at=100 * MINUTE))
    cases.take(alert(8, first_at=101 * MINUTE))
    assert cases.take(alert(7, 8, first_at=102 * MINUTE)).id == 2


def test_finding_a_case_changes_nothing():
    cases = Cases(Relations())
    assert cases.find(alert(7)) is None
    case = cases.take(alert(7))
    found = cases.find(alert(7, 8))
    assert found is case
    assert (case.alerts, case.account_ids) == (1, frozenset({7}))


def test_new_cases_are_numbered_after_those_that_were_open():
    cases = Cases(Relations())
    before = cases.take(alert(7))
    before.id = 41
    after = Cases(Relations(), [before])
    assert after.take(alert(7)).id == 41
    assert after.take(alert(8)).id == 42
