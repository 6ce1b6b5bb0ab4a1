"""Whoever follows the journal sees every command once, with what the exchange made of it, whatever is killed."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Literal

import pytest
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from matching import follower, snapshot, store
from matching.engine.messages import AmendOrder, CancelOrders, Side
from matching.follower import Consumer, Follower, Following, Step
from matching.models import Checkpoint, FollowerCursor
from matching.state import State
from notifications.models import Announcement
from tests.builders import RunningExchange, running_exchange
from tests.databases import copied_database, default_database
from trading import environment


@pytest.fixture(autouse=True)
def database(migrated_database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """An empty exchange for every test: its journal begins at 1, nobody follows it yet."""
    with (
        django_db_blocker.unblock(),
        copied_database(source=migrated_database) as name,
        default_database(name=name),
    ):
        yield


@pytest.fixture
def follow() -> Iterator[Callable[..., Following]]:
    """Makes followings, which are closed at the end."""
    with ExitStack() as stack:

        def make(*makers: Callable[[], Consumer]) -> Following:
            following = Following(makers=makers)
            stack.callback(following.close)
            return following

        yield make


class Scribe:
    """A consumer that writes the sequences of what it has observed, a row each."""

    warm_up = 0

    def __init__(
        self,
        *,
        name: str = "scribe",
        begins: Literal["start", "end"] = "start",
        warm_up: int = 0,
        before_write: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.begins: Literal["start", "end"] = begins
        self.warm_up = warm_up
        self.recalled: list[int] = []
        self.ticks = 0
        self._found: list[Step] = []
        self._before_write = before_write

    def begin(self, state: State) -> None:
        assert not self.recalled
        assert not self._found

    def recall(self, step: Step, state: State) -> None:
        self.recalled.append(step.sequence)

    def observe(self, step: Step, state: State) -> None:
        assert state.sequence == step.sequence
        self._found.append(step)

    def tick(self, now: int, state: State) -> None:
        self.ticks += 1

    def write(self) -> None:
        found, self._found = self._found, []
        for step in found:
            Announcement.objects.create(
                sequence=step.sequence, announcement_type=self.name, text="", announced_at="2026-01-01T00:00:00Z"
            )
        self._before_write()


def written(name: str = "scribe") -> list[int]:
    rows = Announcement.objects.filter(announcement_type=name).order_by("id")
    return list(rows.values_list("sequence", flat=True))


def cursor_of(name: str = "scribe") -> int:
    return FollowerCursor.objects.values_list("sequence", flat=True).get(name=name)


def trade_for_a_while(exchange: RunningExchange, *, seed: int = 1, orders: int = 60) -> int:
    """A little market with fills, amends, cancels and client order ids used twice; the last sequence."""
    chance = random.Random(seed)
    base, quote = exchange.create_asset(f"B{seed}", 0), exchange.create_asset(f"Q{seed}", 2)
    market = exchange.create_market(base, quote)
    accounts = [exchange.open_account(f"user{seed}{n}", {base: 10**9, quote: 10**9}) for n in range(3)]
    last = 0
    for number in range(orders):
        account = chance.choice(accounts)
        side: Side = "buy" if chance.random() < 0.5 else "sell"
        reply = exchange.place(
            account,
            market,
            side,
            price=10_000 + 100 * chance.randint(-3, 3),
            quantity=chance.randint(1, 9),
            client_order_id=f"id{number - number % 7 // 6}",  # every seventh uses the one before it again
        )
        last = reply.sequence
        if chance.random() < 0.2:
            last = exchange.send(AmendOrder(account, order_id=last, quantity=chance.randint(1, 12)))[0].sequence
    return exchange.send(CancelOrders(accounts[0]))[0].sequence or last


def stored_snapshot() -> snapshot.Snapshot:
    with store.connect() as reading:
        return store.load(reading)


def test_the_follower_comes_to_the_state_that_the_worker_has_stored() -> None:
    with running_exchange() as exchange:
        last = trade_for_a_while(exchange)
    behind = Follower(sequence=0)
    sequences = [step.sequence for step in behind.steps(until=last)]
    behind.close()
    assert sequences == list(range(1, last + 1))
    stored, followed = stored_snapshot(), snapshot.take(behind.state)
    assert [order.id for order in followed.orders] == [order.id for order in stored.orders]
    for part in ("sequence", "trade_id", "entry_id", "accounts", "balances", "volumes", "markets", "last_prices"):
        assert getattr(followed, part) == getattr(stored, part), part


def test_a_client_order_id_that_memory_has_let_go_is_still_a_duplicate_behind_the_worker(
    follow: Callable[..., Following], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "CHECKPOINT_COMMANDS", 1)
    with running_exchange() as exchange:
        base, quote = exchange.create_asset("BTC", 0), exchange.create_asset("USD", 2)
        market = exchange.create_market(base, quote)
        alice = exchange.open_account("alice", {quote: 10**9})
        fields = {"price": 100, "quantity": 1, "client_order_id": "once", "order_type": "limit"}
        first = exchange.place(alice, market, "buy", **fields)
        exchange.cancel(alice, first.sequence)
        follow(Scribe).run(seconds=5)  # leaves a checkpoint in which the order has ended
        again = exchange.place(alice, market, "buy", **fields)
    assert Checkpoint.objects.latest("sequence").sequence == first.sequence + 1
    behind = Follower(sequence=first.sequence + 1)
    (step,) = behind.steps(until=again.sequence)
    behind.close()
    assert [type(event).__name__ for event in step.events] == ["OrderDuplicated"]


def test_a_consumer_sees_every_command_once_however_often_it_is_made_anew(follow: Callable[..., Following]) -> None:
    with running_exchange() as exchange:
        first = trade_for_a_while(exchange, seed=1)
        follow(Scribe).run(seconds=5)
        second = trade_for_a_while(exchange, seed=2)
        following = follow(Scribe)
        following.run(seconds=5)
        last = trade_for_a_while(exchange, seed=3)
        following.run(seconds=5)
    assert first < second < last
    assert written() == list(range(1, last + 1))
    assert cursor_of() == last


def test_a_consumer_that_begins_at_the_end_hears_only_of_what_comes(follow: Callable[..., Following]) -> None:
    following = follow(lambda: Scribe(begins="end"))
    with running_exchange() as exchange:
        past = trade_for_a_while(exchange, seed=1)
        following.run(seconds=5)
        last = trade_for_a_while(exchange, seed=2)
        following.run(seconds=5)
    assert written() == list(range(past + 1, last + 1))


def test_a_consumer_with_windows_recalls_what_was_before_its_cursor(follow: Callable[..., Following]) -> None:
    with running_exchange() as exchange:
        past = trade_for_a_while(exchange, seed=1)
        follow(Scribe).run(seconds=5)
        last = trade_for_a_while(exchange, seed=2)
    scribe = Scribe(warm_up=3_600_000_000)
    follow(lambda: scribe).run(seconds=5)
    assert scribe.recalled == list(range(1, past + 1))
    assert written() == list(range(1, last + 1))
    assert scribe.ticks == 1


def test_a_consumer_that_fails_stays_behind_and_holds_nobody_up(
    follow: Callable[..., Following], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "RETRY_SECONDS", 0.0)
    broken = [True]

    def fail_at_first() -> None:
        if broken[0]:
            raise ValueError("out of ink")

    following = follow(Scribe, lambda: Scribe(name="unlucky", before_write=fail_at_first))
    with running_exchange() as exchange:
        last = trade_for_a_while(exchange)
        following.run(seconds=5)
        assert (cursor_of(), cursor_of("unlucky")) == (last, 0)
        assert written("unlucky") == []
        assert FollowerCursor.objects.get(name="unlucky").failure == "ValueError: out of ink"
        broken[0] = False
        following.run(seconds=5)
    assert written("unlucky") == written() == list(range(1, last + 1))
    assert FollowerCursor.objects.get(name="unlucky").failure == ""


def test_only_one_follows_at_a_time(follow: Callable[..., Following]) -> None:
    with running_exchange() as exchange:
        last = trade_for_a_while(exchange)
    inside, done = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        assert done.wait(10)

    slow = follow(lambda: Scribe(before_write=wait))

    def run() -> None:
        try:
            slow.run(seconds=5)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert inside.wait(10)
    assert follow(Scribe).run(seconds=5) == 0
    done.set()
    thread.join()
    assert written() == list(range(1, last + 1))


def test_one_that_finds_the_cursors_moved_by_another_stays_away_and_then_begins_anew(
    follow: Callable[..., Following], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs, now = follow(Scribe), follow(Scribe), time.monotonic
    with running_exchange() as exchange:
        trade_for_a_while(exchange, seed=1)
        mine.run(seconds=5)
        trade_for_a_while(exchange, seed=2)
        theirs.run(seconds=5)
        last = trade_for_a_while(exchange, seed=3)
        assert mine.run(seconds=5) == 0
        assert mine.run(seconds=5) == 0
        monkeypatch.setattr(time, "monotonic", lambda: now() + follower.AWAY_SECONDS)
        mine.run(seconds=5)
    assert written() == list(range(1, last + 1))


def test_a_process_killed_after_writing_leaves_nothing_half_done(follow: Callable[..., Following]) -> None:
    with running_exchange() as exchange:
        last = trade_for_a_while(exchange)
    name = connection.settings_dict["NAME"]
    program = f"""
import django; django.setup()
from django.conf import settings; settings.DATABASES["default"]["NAME"] = {name!r}
import os, signal
from matching.follower import Following
from tests.test_follower import Scribe
Following(makers=[lambda: Scribe(before_write=lambda: os.kill(os.getpid(), signal.SIGKILL))]).run(seconds=5)
"""
    killed = subprocess.run(
        [sys.executable, "-c", program],
        cwd=environment.PROJECT_ROOT,
        env=environment_of_tests(),
        check=False,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -9, killed.stderr
    assert written() == []
    follow(Scribe).run(seconds=5)
    assert written() == list(range(1, last + 1))


def environment_of_tests() -> dict[str, str]:
    """This process's environment, with the server that the tests' databases are on."""
    settings = connection.settings_dict
    url = f"postgresql://{settings['USER']}@/{settings['NAME']}?host={settings['HOST']}&port={settings['PORT']}"
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "trading.settings", "DATABASE_URL": url}


def test_old_checkpoints_are_let_go_but_for_a_few(
    follow: Callable[..., Following], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "CHECKPOINT_COMMANDS", 10)
    monkeypatch.setattr(follower, "CHECKPOINTS_ALL_COMMANDS", 40)
    monkeypatch.setattr(follower, "CHECKPOINT_SPARSE_COMMANDS", 50)
    following = follow(Scribe)
    with running_exchange() as exchange:
        for seed in range(1, 9):
            last = trade_for_a_while(exchange, seed=seed, orders=8)
            following.run(seconds=5)
    kept = list(Checkpoint.objects.order_by("sequence").values_list("sequence", flat=True))
    old = [sequence for sequence in kept if sequence < kept[-1] - 40]
    assert len({sequence // 50 for sequence in old}) == len(old) >= 2
    assert len(kept) - len(old) >= 2
    nearest = Follower(sequence=last)
    assert snapshot.take(nearest.state).balances == stored_snapshot().balances
    nearest.close()
