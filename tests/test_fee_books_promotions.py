"""Promotions set overrides when they start and take them back when they end, once, whatever happens in between."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from fees.models import FeeOverride, Promotion, PromotionStep, RateChange
from matching import inbox
from matching.engine.messages import SetFeeOverride
from matching.follower import Following
from matching.models import InboxCommand
from tests.builders import RunningExchange, running_exchange
from trading import environment
from trading.books.consumer import FeeBooks
from trading.books.promotions import (
    Plan,
    PromotionRefused,
    approve_promotion,
    cancel_promotion,
    plan_promotion,
    run_due_promotions,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
KILLED = """
import os, signal, sys
import django
django.setup()
from datetime import datetime
from matching import inbox
from trading.books import promotions
file_command = inbox.file_command
def killed(**arguments):
    file_command(**arguments)
    os.kill(os.getpid(), signal.SIGKILL)
inbox.file_command = killed
promotions.run_due_promotions(now=datetime.fromisoformat(sys.argv[1]))
"""


class Floor:
    """Two markets and an account."""

    def __init__(self, exchange: RunningExchange) -> None:
        self.exchange = exchange
        btc, eth, usd = (exchange.create_asset(symbol, scale) for symbol, scale in (("BTC", 8), ("ETH", 8), ("USD", 2)))
        self.btc_usd = exchange.create_market(btc, usd, tick_size=100, lot_size=1_000_000)
        self.eth_usd = exchange.create_market(eth, usd, tick_size=100, lot_size=1_000_000)
        self.alice = exchange.open_account("alice")

    def plan(self, *, starts: int = 0, ends: int = 2, waits: bool = False, **changes: object) -> Promotion:
        """A promotion from so many hours after NOW to so many hours after it: everyone, every market."""
        fields = {"account_id": None, "market_id": None, "maker_rate": 0, "taker_rate": 500, "note": "winter"}
        plan = Plan(starts_at=NOW + starts * HOUR, ends_at=NOW + ends * HOUR, **(fields | changes))  # type: ignore[arg-type]
        return plan_promotion(plan=plan, actor="olga", now=timezone.now(), waits=waits)

    def override(self, account: int | None, market: int | None, maker: int | None, taker: int | None) -> None:
        """An operator's own word."""
        self.exchange.execute(SetFeeOverride(account, market, maker, taker))

    def at(self, hours: float) -> int:
        """A pass so many hours after NOW, and everybody who waits for what it filed; how many promotions changed."""
        changed = run_due_promotions(now=NOW + hours * HOUR)
        executed()
        self.follow()
        return changed

    def follow(self) -> None:
        """A follower comes to the journal's end."""
        with closing(Following(makers=(FeeBooks,))) as following:
            following.run(seconds=60)

    def overrides(self) -> set[tuple[int | None, int | None, int, int]]:
        """Account, market and rates of each override in force."""
        return set(FeeOverride.objects.values_list("account_id", "market_id", "maker_rate", "taker_rate"))


def executed() -> None:
    """Wait for everything that was filed."""
    for row in InboxCommand.objects.filter(done_at=None):
        inbox.wait_for(inbox_id=row.id)


@pytest.fixture(scope="module")
def shared_floor(fresh_database: str) -> Iterator[Floor]:
    """One exchange for all tests."""
    with running_exchange() as exchange:
        yield Floor(exchange)


@pytest.fixture
def floor(shared_floor: Floor) -> Floor:
    """The exchange without promotions, overrides or a history of rates."""
    for account, market, _, _ in shared_floor.overrides():
        shared_floor.override(account, market, None, None)
    shared_floor.follow()
    for table in (Promotion, RateChange, InboxCommand):
        table._default_manager.all().delete()
    return shared_floor


def test_a_promotion_for_all_sets_every_market_and_takes_it_back(floor: Floor) -> None:
    floor.override(None, floor.eth_usd, 300, 600)
    promotion = floor.plan()
    assert floor.at(-1) == 0
    assert floor.at(0) == 1
    assert floor.overrides() == {(None, floor.btc_usd, 0, 500), (None, floor.eth_usd, 0, 500)}
    assert floor.at(1) == 0
    assert floor.at(2) == 1
    assert floor.overrides() == {(None, floor.eth_usd, 300, 600)}
    promotion.refresh_from_db()
    assert (promotion.state, promotion.result) == ("ended", "")
    assert floor.at(3) == 0
    assert PromotionStep.objects.count() == 2
    assert list(RateChange.objects.filter(tier=None).order_by("id").values_list("reason", flat=True)) == [
        "override",
        *["promotion"] * 4,
    ]


def test_a_promotion_of_an_account_on_a_market_touches_nothing_else(floor: Floor) -> None:
    floor.plan(account_id=floor.alice, market_id=floor.btc_usd, maker_rate=-100)
    floor.plan(account_id=floor.alice, maker_rate=50)
    assert floor.at(1) == 2
    assert floor.overrides() == {(floor.alice, floor.btc_usd, -100, 500), (floor.alice, None, 50, 500)}
    assert floor.at(2) == 2
    assert floor.overrides() == set()


def test_what_an_operator_changes_during_a_promotion_stays(floor: Floor) -> None:
    promotion = floor.plan(market_id=floor.btc_usd)
    floor.at(0)
    floor.override(None, floor.btc_usd, 1, 2)
    floor.at(2)
    assert floor.overrides() == {(None, floor.btc_usd, 1, 2)}
    promotion.refresh_from_db()
    assert promotion.state == "ended"
    assert promotion.result == "The rates on BTC-USD were changed meanwhile and left as they are."


def test_what_was_before_is_what_was_before_the_very_command(floor: Floor) -> None:
    floor.plan(market_id=floor.btc_usd)
    run_due_promotions(now=NOW)
    executed()
    assert run_due_promotions(now=NOW + 2 * HOUR) == 0, "the books have not come so far: nobody knows what was before"
    floor.at(0)
    assert floor.at(2) == 1
    assert floor.overrides() == set()


def test_one_follows_upon_the_other_and_both_are_taken_back(floor: Floor) -> None:
    floor.override(None, floor.btc_usd, 900, 900)
    floor.plan(market_id=floor.btc_usd, ends=2)
    floor.plan(market_id=floor.btc_usd, starts=2, ends=4, maker_rate=7)
    floor.at(0)
    assert floor.at(3) == 2, "the pass came late: the first one ends and the second starts"
    assert floor.overrides() == {(None, floor.btc_usd, 7, 500)}
    assert floor.at(4) == 1
    assert floor.overrides() == {(None, floor.btc_usd, 900, 900)}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"starts": 1, "ends": 3}, "overlapping"),
        ({"starts": -5, "ends": 9, "market": "eth_usd"}, "overlapping"),
        ({"starts": 2, "ends": 3}, None),
        ({"starts": -2, "ends": 0}, None),
        ({"account": "alice"}, None),
        ({"account": "alice", "market": "btc_usd"}, None),
        ({"market": 99}, "unknown_market"),
        ({"account": 99}, "unknown_account"),
        ({"account": 2}, "unknown_account"),
        ({"starts": 2, "ends": 2}, "invalid_time"),
        ({"starts": 2, "ends": 9_999}, "invalid_time"),
        ({"starts": 5, "ends": 6, "maker_rate": -501}, "invalid_rates"),
        ({"starts": 5, "ends": 6, "taker_rate": 100_001}, "invalid_rates"),
        ({"starts": 5, "ends": 6, "note": "  "}, "invalid_note"),
    ],
)
def test_promotions_of_one_target_do_not_overlap_and_make_sense(
    floor: Floor, changes: dict[str, object], code: str | None
) -> None:
    floor.plan()
    fields = {name: value for name, value in changes.items() if name not in ("account", "market")}
    for name in ("account", "market"):
        if name in changes:
            fields[f"{name}_id"] = getattr(floor, str(changes[name]), changes[name])
    if code is None:
        assert floor.plan(**fields).state == "planned"  # type: ignore[arg-type]
    else:
        with pytest.raises(PromotionRefused) as refused:
            floor.plan(**fields)  # type: ignore[arg-type]
        assert refused.value.code == code
        assert Promotion.objects.count() == 1


def test_a_planned_one_can_be_dropped_and_a_running_one_ended_early(floor: Floor) -> None:
    dropped = cancel_promotion(promotion_id=floor.plan(starts=5, ends=6).id, actor="olga", now=NOW)
    assert (dropped.state, dropped.result) == ("canceled", "Canceled by olga before it started.")
    running = floor.plan(market_id=floor.btc_usd, ends=9)
    floor.at(0)
    cancel_promotion(promotion_id=running.id, actor="olga", now=NOW + HOUR)
    assert floor.at(1) == 1
    assert floor.overrides() == set()
    running.refresh_from_db()
    assert (running.state, running.result) == ("ended", "Ended early by olga.")
    with pytest.raises(PromotionRefused, match="ended already"):
        cancel_promotion(promotion_id=running.id, actor="olga", now=NOW)


def test_what_waits_for_approval_starts_only_when_another_operator_agrees(floor: Floor) -> None:
    waiting = floor.plan(market_id=floor.btc_usd, waits=True)
    assert floor.at(0) == 0
    assert waiting.state == "waiting"
    with pytest.raises(PromotionRefused, match="sets the same rates"):
        floor.plan(market_id=floor.btc_usd)
    with pytest.raises(PromotionRefused, match="Another operator"):
        approve_promotion(promotion_id=waiting.id, actor="olga", now=NOW)
    approved = approve_promotion(promotion_id=waiting.id, actor="oscar", now=NOW)
    assert (approved.state, approved.approved_by) == ("planned", "oscar")
    with pytest.raises(PromotionRefused, match="nobody has to approve"):
        approve_promotion(promotion_id=waiting.id, actor="oscar", now=NOW)
    assert floor.at(0) == 1
    assert floor.overrides() == {(None, floor.btc_usd, 0, 500)}


def test_one_whose_time_passed_while_nobody_looked_does_not_start(floor: Floor) -> None:
    promotion = floor.plan()
    assert floor.at(2) == 1
    promotion.refresh_from_db()
    assert (promotion.state, promotion.result) == ("canceled", "Not started: its time had passed.")
    assert not InboxCommand.objects.filter(actor__startswith="promotion").exists()


def environment_of_tests() -> dict[str, str]:
    """This process's environment, with the server that the tests' databases are on."""
    at = connection.settings_dict
    url = f"postgresql://{at['USER']}@/{at['NAME']}?host={at['HOST']}&port={at['PORT']}"
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "trading.settings", "DATABASE_URL": url}


@pytest.mark.parametrize("hours", [0, 2])
def test_killed_between_filing_and_commit_a_pass_has_done_nothing_and_the_next_does_it_once(
    floor: Floor, hours: int
) -> None:
    promotion = floor.plan(market_id=floor.btc_usd)
    if hours:
        floor.at(0)
    before = InboxCommand.objects.count()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, (NOW + hours * HOUR).isoformat()],
        cwd=environment.PROJECT_ROOT,
        env=environment_of_tests(),
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert InboxCommand.objects.count() == before
    assert floor.at(hours) == 1
    assert floor.at(hours) == 0
    assert InboxCommand.objects.count() == before + 1
    promotion.refresh_from_db()
    assert promotion.state == ("ended" if hours else "running")
    assert floor.overrides() == (set() if hours else {(None, floor.btc_usd, 0, 500)})
