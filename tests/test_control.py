"""Who executes a control command when no server runs, and what the asker hears when nobody does."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from marketdata.models import Asset
from matching import store
from matching.models import InboxCommand
from matching.worker import LEADER_LOCK
from tests.builders import running_exchange
from tests.databases import copied_database, default_database
from trading import control

SLOW_SECONDS = 0.5


@pytest.fixture(autouse=True)
def empty_exchange(migrated_database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A migrated database of this test alone, without any worker."""
    with (
        django_db_blocker.unblock(),
        copied_database(source=migrated_database) as name,
        default_database(name=name),
    ):
        yield


class LeaderWithoutHands:
    """Somebody who holds the one worker's lock but takes no commands, as a worker that hangs."""

    def __enter__(self) -> "LeaderWithoutHands":
        self._connection = store.connect()
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", [LEADER_LOCK]).fetchone()
        assert row == (True,)
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def die(self) -> None:
        """Lose the lock."""
        self._connection.close()


def symbols() -> list[str]:
    return list(Asset.objects.order_by("id").values_list("symbol", flat=True))


def create(symbol: str, *options: str) -> None:
    call_command("asset", "create", symbol, symbol.title(), "--scale", "8", *options)


def test_nobody_leads_an_exchange_without_a_worker() -> None:
    assert control.leader() is None
    with running_exchange():
        leader = control.leader()
        assert leader is not None
        assert leader.pid > 0
    assert control.leader() is None


def test_without_a_worker_the_command_runs_one_and_leaves_none_behind() -> None:
    threads = set(threading.enumerate())
    create("BTC")
    assert symbols() == ["BTC"]
    assert control.leader() is None
    assert set(threading.enumerate()) == threads


def test_without_an_answer_the_exit_status_is_3_and_the_command_stays_filed() -> None:
    with LeaderWithoutHands():
        began = time.monotonic()
        with pytest.raises(CommandError) as failed:
            create("BTC", "--timeout", "0.2")
        assert time.monotonic() - began < 2
    assert failed.value.returncode == 3
    assert str(failed.value) == "No answer from the matching worker within 0.2 s; the command stays filed."
    assert InboxCommand.objects.get().done_at is None
    create("ETH")
    assert symbols() == ["BTC", "ETH"]


def test_when_the_leader_dies_the_one_who_waits_steps_in() -> None:
    with LeaderWithoutHands() as leader:
        death = threading.Timer(SLOW_SECONDS, leader.die)
        death.start()
        create("BTC")
        death.join()
    assert symbols() == ["BTC"]


def test_while_another_worker_leads_the_command_leaves_the_work_to_it() -> None:
    with running_exchange():
        before = control.leader()
        create("BTC")
        assert control.leader() == before
    assert symbols() == ["BTC"]


def test_two_commands_at_once_without_a_worker_are_both_executed_once() -> None:
    failures: list[BaseException] = []

    def run(symbol: str) -> None:
        try:
            create(symbol)
        except CommandError as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(symbol,)) for symbol in ("BTC", "ETH")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(symbols()) == ["BTC", "ETH"]
