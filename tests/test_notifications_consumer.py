"""What the follower tells people: the real exchange's steps, from the journal through the consumer into their lists."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.db import transaction

from matching import inbox
from matching.engine.messages import (
    AmendOrder,
    Deposit,
    FreezeAccount,
    PlaceOrder,
    RefuseWithdrawal,
    RequestWithdrawal,
    SetMarketParameters,
    SetMarketState,
    UnfreezeAccount,
)
from matching.follower import Following
from matching.models import FollowerCursor, InboxCommand
from notifications.models import Notification, Preference
from notifications.words import words
from tests.builders import RunningExchange, running_exchange
from trading.models import User
from trading.notify.consumer import NotificationConsumer

BTC_UNIT, USD_UNIT = 10**8, 10**2


@dataclass(frozen=True)
class Scene:
    """A market of BTC and USD (tick 0.01), alice and bob with funds, and somebody who has nothing."""

    exchange: RunningExchange
    btc: int
    usd: int
    market: int
    alice: int
    bob: int
    poor: int

    def told(self) -> list[tuple[str, str, str]]:
        """Who has been told what since the last time: (user, kind, title), oldest first."""
        follow()
        rows = Notification.objects.select_related("user").order_by("id")
        found = [(row.user.username, row.kind, words(kind=row.kind, figures=row.figures)[0]) for row in rows]
        rows.delete()
        return found


def follow() -> None:
    following = Following(makers=(NotificationConsumer,))
    following.run(seconds=30)
    following.close()
    assert not FollowerCursor.objects.exclude(failure="").exists()


@pytest.fixture(scope="module")
def scene(fresh_database: str) -> Iterator[Scene]:
    with running_exchange() as exchange:
        btc, usd = exchange.create_asset("BTC", 8), exchange.create_asset("USD", 2)
        market = exchange.create_market(btc, usd, tick_size=100, lot_size=10**6, price_band=100_000)
        funds = {btc: 10 * BTC_UNIT, usd: 100_000 * USD_UNIT}
        alice, bob = (exchange.open_account(name, funds) for name in ("alice", "bob"))
        poor = exchange.open_account("poor")
        exchange.place(alice, market, "sell", price=100_00, quantity=10**6)
        exchange.place(bob, market, "buy", price=100_00, quantity=10**6)
        scene = Scene(exchange, btc, usd, market, alice, bob, poor)
        assert scene.told() == [], "who begins now is not told of the past"
        yield scene


def test_an_order_is_told_as_it_stands_at_the_end_of_a_pass(scene):
    exchange = scene.exchange
    exchange.place(scene.alice, scene.market, "sell", price=100_00, quantity=BTC_UNIT)
    for _ in range(3):
        exchange.place(scene.bob, scene.market, "buy", price=100_00, quantity=BTC_UNIT // 10)
    assert sorted(scene.told()) == [
        ("alice", "order_partly_filled", "Sold 0.3 of 1 BTC at 100 USD"),
        *[("bob", "order_filled", "Bought 0.1 BTC at 100 USD")] * 3,
    ]
    exchange.place(scene.bob, scene.market, "buy", price=100_00, quantity=BTC_UNIT * 7 // 10)
    assert ("alice", "order_filled", "Sold 1 BTC at 100 USD") in scene.told()


def test_a_market_order_by_amount_and_the_rest_of_an_immediate_one(scene):
    exchange = scene.exchange
    exchange.place(scene.alice, scene.market, "sell", price=100_00, quantity=BTC_UNIT // 2)
    exchange.place(scene.bob, scene.market, "buy", quote_amount=30 * USD_UNIT)
    exchange.place(scene.bob, scene.market, "buy", price=100_00, quantity=BTC_UNIT, time_in_force="ioc")
    found = [each for each in scene.told() if each[0] == "bob"]
    assert found == [
        ("bob", "order_filled", "Bought 0.3 BTC at 100 USD"),
        ("bob", "order_partly_filled", "Bought 0.2 of 1 BTC at 100 USD"),
    ]


def test_what_an_owner_does_himself_is_not_told(scene):
    exchange = scene.exchange
    placed = exchange.place(scene.alice, scene.market, "sell", price=101_00, quantity=BTC_UNIT)
    exchange.send(AmendOrder(scene.alice, placed.sequence, price=102_00))
    exchange.cancel(scene.alice, placed.sequence)
    exchange.place(scene.bob, scene.market, "buy", price=99_00, quantity=BTC_UNIT, time_in_force="ioc")
    exchange.place(scene.bob, scene.market, "buy", price=99_00, quantity=1)
    assert scene.told() == []


def test_ends_that_the_exchange_decided_are_told_with_the_reason(scene):
    exchange = scene.exchange
    exchange.place(scene.alice, scene.market, "sell", price=103_00, quantity=BTC_UNIT)
    exchange.place(scene.alice, scene.market, "buy", price=103_00, quantity=BTC_UNIT)
    follow()
    (row,) = Notification.objects.all()
    assert row.kind == "order_canceled"
    title, text = words(kind=row.kind, figures=row.figures)
    assert title == "Your buy order on BTC-USD was canceled"
    assert text == "The order met another order of the same owner."
    scene.told()
    exchange.execute(FreezeAccount(scene.alice, cancel_orders=True, note="asked by the police"))
    exchange.execute(UnfreezeAccount(scene.alice))
    assert [kind for _, kind, _ in scene.told()] == ["account_frozen", "order_canceled", "account_unfrozen"]


def test_money_that_moves_is_told(scene):
    exchange = scene.exchange
    exchange.execute(Deposit(scene.bob, scene.btc, BTC_UNIT * 3 // 2))
    asked = exchange.execute(RequestWithdrawal(scene.bob, scene.btc, BTC_UNIT, "there"))
    assert [title for _, _, title in scene.told()] == [
        "1.5 BTC was deposited",
        "Withdrawal of 1 BTC requested",
    ]
    exchange.execute(RefuseWithdrawal(asked.sequence, "no such address"))
    exchange.execute(RequestWithdrawal(scene.bob, scene.btc, BTC_UNIT, "there", approved=True))
    assert [kind for _, kind, _ in scene.told()] == ["withdrawal_refused", "withdrawal_paid"]


def test_a_refusal_is_told_when_nobody_waited_for_the_answer_any_more(scene):
    too_much = RequestWithdrawal(scene.bob, scene.btc, 1_000 * BTC_UNIT, "there")
    for late in (False, True):
        filed = inbox.file_command(command=too_much, actor="user 1")
        with pytest.raises(inbox.Refused):
            inbox.wait_for(inbox_id=filed)
        if late:
            row = InboxCommand.objects.get(id=filed)
            InboxCommand.objects.filter(id=filed).update(created_at=row.created_at - timedelta(minutes=1))
        told = scene.told()
        assert told == ([("bob", "command_refused", "Your withdrawal of 1000 BTC was refused")] if late else [])


def test_halts_are_told_to_those_whom_they_concern_and_to_those_who_ask(scene):
    exchange = scene.exchange
    exchange.execute(SetMarketState("halted", scene.market, "maintenance"))
    assert scene.told() == [(name, "market_halted", "BTC-USD is halted") for name in ("alice", "bob")]
    poor = User.objects.get(username="poor")
    Preference.objects.create(user=poor, kind="market_reopened", channel="in_app", on=True)
    exchange.execute(SetMarketState("open", scene.market))
    assert [(who, kind) for who, kind, _ in scene.told()] == [
        (name, "market_reopened") for name in ("alice", "bob", "poor")
    ]
    exchange.execute(SetMarketState("halted"))
    exchange.execute(SetMarketState("open"))
    halted, reopened = "Trading is halted on every market", "Trading is open again on every market"
    assert [title for _, _, title in scene.told()] == [halted] * 2 + [reopened] * 3


def test_a_tripped_breaker_is_told_with_its_numbers(scene):
    exchange = scene.exchange
    market = exchange.create_market(
        scene.usd, scene.btc, tick_size=100, breaker_move=50_000, breaker_window=60, breaker_pause=60
    )
    exchange.place(scene.alice, market, "sell", price=1_000, quantity=100)
    exchange.place(scene.bob, market, "buy", price=1_000, quantity=100)
    exchange.place(scene.alice, market, "sell", price=2_000, quantity=100)
    scene.told()
    exchange.place(scene.bob, market, "buy", price=2_000, quantity=100)
    follow()
    rows = {row.kind: row for row in Notification.objects.filter(user__username="bob")}
    assert rows["order_canceled"].figures["note"].startswith("The rest would have moved the price")
    title, text = words(kind="market_halted", figures=rows["market_halted"].figures)
    assert title == "USD-BTC is cancel only"
    assert "Circuit breaker: a trade at" in text
    assert "It reopens at" in text
    scene.told()


def test_new_parameters_are_no_halt(scene):
    exchange = scene.exchange
    events = exchange.execute(SetMarketState("open", scene.market)).events
    scene.told()
    exchange.execute(SetMarketParameters(scene.market, events[0].parameters))
    assert scene.told() == []


def test_what_a_failed_pass_saw_is_told_by_the_next(scene):
    """The pass is rolled back before its commit; the one after it begins at the same place."""
    scene.exchange.execute(Deposit(scene.bob, scene.btc, BTC_UNIT))
    with transaction.atomic():
        following = Following(makers=(NotificationConsumer,))
        following.run(seconds=30)
        assert Notification.objects.count() == 1
        transaction.set_rollback(True)
    following.close()
    assert Notification.objects.count() == 0
    assert [kind for _, kind, _ in scene.told()] == ["deposit_credited"]


def test_orders_of_the_house_are_nobodys_news(scene):
    reply = scene.exchange.send(PlaceOrder(2, scene.market, "buy", price=100_00, quantity=10**6))
    assert reply
    assert scene.told() == []
