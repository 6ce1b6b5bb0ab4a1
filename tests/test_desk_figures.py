"""What the dashboard learns from the workers, the proof and the cases: latency, a standby, findings."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from fees.models import FeeDay
from matching import commit_times, worker
from matching.models import ProveRun
from risk.models import Alert, Case
from tests.api import Scene, make_scene
from tests.builders import running_exchange
from trading.desk import figures

WAIT_SECONDS_MAX = 10


@pytest.fixture(scope="module")
def scene(fresh_database: str) -> Iterator[Scene]:
    with running_exchange() as exchange:
        yield make_scene(exchange)


def test_percentiles_are_of_the_last_commits_only():
    for _ in range(commit_times.REMEMBERED):
        commit_times.add(seconds=9.0)
    for milliseconds in range(commit_times.REMEMBERED):
        commit_times.add(seconds=milliseconds / 1_000)
    middle, most, least = commit_times.percentiles(50, 100, 0)
    assert (least, most) == (0.0, (commit_times.REMEMBERED - 1) / 1_000)
    assert middle == (commit_times.REMEMBERED // 2 - 1) / 1_000


def test_a_worker_that_waits_for_the_lock_is_a_standby(scene: Scene):
    assert figures._worker()["standbys"] == 0
    standby = worker.Worker(lane=None)
    standby.start()
    try:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while figures._worker()["standbys"] != 1:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        standby.stop()
    assert figures._worker()["leads"]


def test_alerts_are_counted_by_severity_until_their_case_is_closed(scene: Scene):
    now = datetime.now(UTC)
    for severity, closed in (("high", False), ("high", False), ("low", False), ("medium", True)):
        case = Case.objects.create(
            detector="wash_trading",
            severity=severity,
            account_ids=[scene.alice],
            first_at=now,
            last_at=now,
            opened_at=now,
            **({"state": "no_action", "closed_at": now, "outcome": "nothing"} if closed else {}),
        )
        Alert.objects.create(
            case=case,
            detector="wash_trading",
            severity=severity,
            account_ids=[scene.alice],
            first_sequence=case.pk,
            last_sequence=case.pk,
            first_at=now,
            last_at=now,
            figures={},
            thresholds={},
            text="a test",
            raised_at=now,
        )
    assert figures.alerts_by_severity() == {"high": 2, "medium": 0, "low": 1}


def test_fees_of_a_day_are_worth_so_much_of_one_asset(scene: Scene):
    today = datetime.now(UTC).date()
    for day, value in ((today, "1.5"), (today - timedelta(days=1), "2"), (today - timedelta(days=99), "4")):
        FeeDay.objects.create(
            day=day, market_id=scene.market, role="maker", asset_id=scene.usdt, rate=1_000, fees=value, value=value,
            notional="1000", trades=3,
        )  # fmt: skip
    days = figures._days(datetime.now(UTC))
    assert (days["asset"], days["days"][-1]) == ("USDT", today.isoformat())
    assert days["fees"][-2:] == [2.0, 1.5]
    assert sum(days["fees"]) == 3.5


def test_a_proof_is_remembered_whatever_it_says(scene: Scene):
    call_command("prove")
    run = ProveRun.objects.latest("id")
    assert run.proved
    assert run.commands > 0
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders_order SET price = price + 1 WHERE status = 'open'")
    with pytest.raises(CommandError):
        call_command("prove")
    run = ProveRun.objects.latest("id")
    assert not run.proved
    assert run.finding
    shown = figures._proof()
    assert shown is not None
    assert shown["finding"] == run.finding
