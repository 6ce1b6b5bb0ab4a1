"""The fee books are what trades, entries and orders make them, whenever the follower stops and starts."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from fees.models import AccountDay, FeeDay, LedgerDay, RateChange
from matching import audit, follower, store
from matching.engine.messages import FEES_ACCOUNT_ID, CorrectBalance, FeeTier, SetFeeTiers
from matching.follower import Following
from matching.models import FollowerCursor
from notifications.models import Notification
from tests.builders import running_exchange
from tests.databases import copied_database, default_database
from tests.random_journal import write_journal
from trading.books.check import check_books
from trading.books.consumer import FeeBooks


@pytest.fixture
def database(migrated_database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """An empty exchange for every test."""
    with (
        django_db_blocker.unblock(),
        copied_database(source=migrated_database) as name,
        default_database(name=name),
    ):
        yield


@pytest.fixture(scope="module")
def traded(fresh_database: str) -> Iterator[psycopg.Connection[Any]]:
    """A random journal with a correction on the fees account, and a connection."""
    write_journal(seed=6, commands=200)
    with running_exchange() as exchange:
        exchange.execute(CorrectBalance(FEES_ACCOUNT_ID, 2, -5, "rounding of a partner"))
    with closing(store.connect()) as connection:
        yield connection


def follow() -> None:
    """A follower that starts, comes to the journal's end, and stops."""
    with closing(Following(makers=(FeeBooks,))) as following:
        following.run(seconds=60)


def changed(table: str, change: str) -> str | None:
    """What the check finds while every row of a table is changed."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE kept AS SELECT * FROM {table}")
        cursor.execute(f"UPDATE {table} SET {change}")
        found = check_books().finding
        cursor.execute(f"DELETE FROM {table}")
        cursor.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM kept")
        cursor.execute("DROP TABLE kept")
    return found


@pytest.mark.parametrize("seed", [1, 3])
def test_the_books_of_any_journal_are_what_its_trades_entries_and_orders_make_them(
    seed: int, database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_journal(seed=seed, commands=700)
    monkeypatch.setattr(follower, "STRETCH_COMMANDS", 97)
    follow()
    checked = check_books()
    assert checked.finding is None
    assert checked.cursor == checked.journal_end > 700
    assert FeeDay.objects.count() > 10
    assert set(RateChange.objects.values_list("reason", flat=True)) >= {"opened", "volume", "tier_table", "override"}
    assert {"deposit", "trade", "fee"} <= set(LedgerDay.objects.values_list("entry_type", flat=True))


def test_books_kept_by_followers_that_come_and_go_are_the_same(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    write_journal(seed=5, commands=500)
    tables = (FeeDay, LedgerDay, RateChange)
    columns = [[field.attname for field in table._meta.concrete_fields if field.name != "id"] for table in tables]

    def books() -> list[list[tuple[object, ...]]]:
        return [
            sorted(table._default_manager.values_list(*names), key=repr)
            for table, names in zip(tables, columns, strict=True)
        ]

    monkeypatch.setattr(follower, "STRETCH_COMMANDS", 37)
    while (checked := check_books()).cursor < checked.journal_end:
        with closing(Following(makers=(FeeBooks,))) as following:
            following.run(seconds=0)
        assert check_books().finding is None
    in_parts = books()
    for table in (*tables, AccountDay, FollowerCursor):
        table._default_manager.all().delete()
    follow()
    assert books() == in_parts


def test_the_check_finds_what_was_tampered_with(database: None) -> None:
    write_journal(seed=4, commands=300)
    follow()
    assert check_books().finding is None
    for table, change, finding in (
        ("fees_feeday", "fees = fees + 1", "trades in the books"),
        ("fees_feeday", "trades = trades + 1", "trades in the books"),
        ("fees_accountday", "taker_notional = taker_notional + 1", "is not what the trades say"),
        ("fees_ledgerday", "credits = credits + 1", "entries in the books"),
        ("fees_ratechange", "maker_rate = 77, taker_rate = 77", "in the books"),
    ):
        found = changed(table, change)
        assert found is not None, (table, change)
        assert finding in found


def test_people_are_told_once_of_a_new_tier_but_not_of_old_ones(database: None) -> None:
    write_journal(seed=3, commands=200)
    follow()
    assert RateChange.objects.exclude(reason="opened").filter(tier__isnull=False).exists()
    assert not Notification.objects.filter(kind="fee_tier_changed").exists(), "that was years ago"
    with running_exchange() as exchange:
        exchange.execute(SetFeeTiers((FeeTier(0, 1_000, 1_500), FeeTier(500, 500, 1_200)), 2))
        btc, usdt = exchange.create_asset("GOLD", 4), 2
        market = exchange.create_market(btc, usdt, tick_size=100, lot_size=100)
        alice = exchange.open_account("alice", {btc: 10**6})
        bob = exchange.open_account("bob", {usdt: 10**6})
        follow()
        exchange.place(alice, market, "sell", price=10_000, quantity=1_000)
        exchange.place(bob, market, "buy", price=10_000, quantity=1_000)
        follow()
        follow()
    told = Notification.objects.filter(kind="fee_tier_changed", user__username__in=("alice", "bob"))
    assert sorted(told.values_list("user__username", "account_id")) == [("alice", alice), ("bob", bob)]
    assert told[0].figures == {"tier": "tier 1", "maker_rate": "0.05 %", "taker_rate": "0.12 %"}


@pytest.mark.parametrize(
    ("tampering", "finding"),
    [
        ("UPDATE marketdata_trade SET taker_fee = taker_fee + 0.01 WHERE id = 1", "but the fees on trades"),
        ("UPDATE marketdata_trade SET maker_fee = maker_fee - 0.01 WHERE id = 2", "but the fees on trades"),
        ("DELETE FROM risk_entry WHERE account_id = 2 AND entry_type = 'correction'", "the entries of asset"),
        ("UPDATE risk_entry SET entry_type = 'trade' WHERE entry_type = 'correction'", "but the fees on trades"),
    ],
)
def test_the_proof_holds_the_fees_account_against_the_fees_of_trades(
    traded: psycopg.Connection[Any], tampering: str, finding: str
) -> None:
    with traded.transaction(force_rollback=True):
        assert audit.first_finding(traded) is None
        traded.execute("SET LOCAL session_replication_role = replica")
        traded.execute(tampering)
        assert finding in (audit.first_finding(traded) or "")
