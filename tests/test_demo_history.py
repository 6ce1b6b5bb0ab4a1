"""The demo's past: real commands with times that lie back, in a journal that proves, by the labelled accounts alone."""

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django.fixtures import Settings

from marketdata.models import Market, Trade
from matching.models import EngineState, JournalEntry
from notifications.models import Announcement
from orders.models import Order
from risk.models import Account
from trading import demo
from trading.demo_flow.history import HISTORY_DAYS, make_history
from trading.demo_flow.rules import LEVELS
from trading.models import ApiKey

MARKETS = ("BTC-USDT", "ETH-USDT", "ETH-BTC")


@pytest.fixture(scope="module")
def past(fresh_database: str) -> list[str]:
    """A new demo's history; what was said while it was made."""
    said: list[str] = []
    make_history(say=said.append)
    return said


def rows(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def test_it_goes_back_thirty_days_and_ends_now_in_every_market(past: list[str]) -> None:
    now = datetime.now(UTC)
    for symbol in MARKETS:
        times = Trade.objects.filter(market__symbol=symbol).order_by("id").values_list("executed_at", flat=True)
        assert now - times[0] > timedelta(days=HISTORY_DAYS - 1)
        assert now - times[len(times) - 1] < timedelta(minutes=5)
        hours = {moment.replace(minute=0, second=0, microsecond=0) for moment in times}
        assert len(hours) >= HISTORY_DAYS * 24 - 1  # the first one may have begun before
        minutes = {moment.replace(second=0, microsecond=0) for moment in times if now - moment < timedelta(hours=20)}
        assert len(minutes) > 20 * 60 * 0.8


def test_the_journal_s_time_never_goes_back_and_the_proof_holds(past: list[str]) -> None:
    assert rows(
        "SELECT count(*) FROM (SELECT received_at, lag(received_at) OVER (ORDER BY sequence) AS before"
        " FROM matching_journalentry) j WHERE received_at < before"
    ) == [(0,)]
    oldest = JournalEntry.objects.earliest("sequence").received_at
    assert datetime.now(UTC) - oldest > timedelta(days=HISTORY_DAYS)
    call_command("prove")


def test_only_the_labelled_accounts_have_traded_and_nothing_was_refused(past: list[str]) -> None:
    ids = set(Order.objects.values_list("account_id", flat=True).distinct())
    accounts = Account.objects.filter(id__in=ids).select_related("user")
    assert {account.name for account in accounts} == {"demo-flow"}
    assert {account.user.username for account in accounts if account.user} == set(demo.FLOW)
    assert set(Order.objects.values_list("status", flat=True).distinct()) == {"filled", "open"}


def test_no_circuit_breaker_tripped(past: list[str]) -> None:
    assert set(Market.objects.values_list("state", "reopens_at")) == {("open", None)}
    assert Announcement.objects.filter(text__contains="open").count() == len(MARKETS)
    assert not Announcement.objects.filter(text__startswith="Circuit breaker").exists()


def test_it_ends_at_the_reference_prices_with_quotes_on_both_sides(past: list[str]) -> None:
    for market in Market.objects.all():
        assert market.reference_price is not None
        last = Trade.objects.filter(market=market).latest("id").price
        assert abs(last / market.reference_price - 1) < 0.005
        bids, asks = (
            [order.price or 0 for order in Order.objects.filter(market=market, side=side, status="open")]
            for side in ("buy", "sell")
        )
        assert len(bids) == len(asks) == LEVELS
        assert max(bids) < market.reference_price < min(asks)
        assert (min(asks) - max(bids)) / market.reference_price < 0.002


def test_the_three_markets_agree_with_each_other_and_move_like_markets_do(past: list[str]) -> None:
    closes = {
        symbol: rows(
            "SELECT (array_agg(t.price ORDER BY t.id DESC))[1]::float FROM marketdata_trade t"
            f" JOIN marketdata_market m ON m.id = t.market_id WHERE m.symbol = '{symbol}'"
            " GROUP BY date_trunc('day', executed_at) ORDER BY date_trunc('day', executed_at)"
        )
        for symbol in MARKETS
    }
    for (btc,), (eth,), (cross,) in zip(*closes.values(), strict=True):
        assert cross == pytest.approx(eth / btc, rel=0.03)  # the last trades of a day are not at the same moment
    bitcoins = [price for (price,) in closes["BTC-USDT"]]
    moves = [abs(after / before - 1) for before, after in pairwise(bitcoins)]
    assert 0.002 < sum(moves) / len(moves) < 0.04
    assert max(moves) < 0.15


def test_it_is_made_once_and_the_seed_only_adds_the_keys(past: list[str]) -> None:
    before = EngineState.objects.get().sequence
    assert len(past) == 2
    demo.seed_demo(base_url="http://127.0.0.1:8000")
    assert ApiKey.objects.count() == len(demo.TRADERS) + len(demo.FLOW)
    said: list[str] = []
    make_history(say=said.append)
    assert said == []
    assert EngineState.objects.get().sequence == before


def test_one_that_was_cut_short_is_taken_up_where_the_journal_ends(past: list[str]) -> None:
    """The same as killing a start in the midst of it: no keys yet, and a journal that is not at its end."""
    ApiKey.objects.all().delete()
    trades, began = Trade.objects.count(), time.time()
    make_history(say=lambda line: None)
    new = Trade.objects.order_by("id")[trades:]
    last = Trade.objects.order_by("id")[trades - 1].executed_at
    assert all(trade.executed_at > last for trade in new)
    assert len(new) <= (time.time() - began + 120) * len(MARKETS)
    assert Order.objects.filter(status="open").count() == 2 * LEVELS * len(MARKETS)
    call_command("prove")


def test_without_the_demo_flow_there_is_none(past: list[str], settings: Settings) -> None:
    ApiKey.objects.all().delete()
    settings.DEMO_FLOW = False
    before = EngineState.objects.get().sequence
    make_history(say=pytest.fail)
    assert EngineState.objects.get().sequence == before
