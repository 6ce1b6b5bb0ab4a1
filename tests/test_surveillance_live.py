"""From a trade to a case: what surveillance finds in the journal becomes alerts in cases, with the book of then."""

import time

import pytest
from django.contrib.auth.models import Permission

from matching.follower import Following
from notifications.models import Notification
from risk import relations
from risk.models import Alert, Case
from tests.builders import RunningExchange, running_exchange
from trading.models import User
from trading.watch import evidence
from trading.watch.consumer import SurveillanceConsumer

pytestmark = pytest.mark.usefixtures("fresh_database")


def operator(username: str = "olga") -> User:
    user = User.objects.create(username=username, is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="change_case"))
    return user


def wash(exchange: RunningExchange, *, rounds: int = 14) -> tuple[int, int]:
    """Two who share a browser trade one quantity to and fro, between others' quotes; their accounts."""
    base, quote = exchange.create_asset("BTC", 0), exchange.create_asset("USD", 2)
    market = exchange.create_market(base, quote)
    funds = {base: 10**6, quote: 10**9}
    one, other = exchange.open_account("wanda", funds), exchange.open_account("walt", funds)
    for user in User.objects.filter(username__in=["wanda", "walt"]):
        relations.note_sighting(user_id=user.pk, kind="device", value="a browser")
    maker = exchange.open_account("mia", funds)
    takers = [exchange.open_account(name, funds) for name in ("ned", "oda", "pia", "quin", "rob")]
    exchange.place(maker, market, "buy", price=9_000, quantity=500)
    exchange.place(maker, market, "sell", price=11_000, quantity=500)
    for number in range(40):
        taker = number % len(takers)  # each of them buys or sells, for good
        exchange.place(takers[taker], market, "buy" if taker % 2 else "sell", quantity=5 + number % 3)
    for number in range(rounds):
        seller, buyer = (one, other) if number % 2 else (other, one)
        exchange.place(seller, market, "sell", price=10_000, quantity=7)
        exchange.place(buyer, market, "buy", price=10_000, quantity=7)
    return one, other


def test_two_who_trade_with_each_other_are_found_once_with_the_book_of_then_and_operators_hear_of_it() -> None:
    olga = operator()
    with running_exchange() as exchange:
        one, other = wash(exchange)
        following = Following(makers=[SurveillanceConsumer])
        deadline = time.monotonic() + 60  # a burst is judged when it is over
        while not Case.objects.exists():
            assert time.monotonic() < deadline, "nothing was found"
            following.run(seconds=10)
            time.sleep(0.1)
        following.close()
    case = Case.objects.get()
    assert (case.detector, case.account_ids) == ("wash_trading", [one, other])
    assert case.alerts.count() == case.alerts_count >= 1
    assert Notification.objects.get(user=olga, kind="risk_alert").figures["case"] == str(case.pk)
    said = list(Alert.objects.values_list("pk", flat=True))
    again = Following(makers=[SurveillanceConsumer])
    again.run(seconds=10)  # made anew: it recalls, and says nothing again
    again.close()
    assert list(Alert.objects.values_list("pk", flat=True)) == said

    alert = Alert.objects.order_by("id")[0]
    found = evidence.evidence_of(alert=alert)
    assert (found.frames[0].sequence, found.account_ids) == (alert.first_sequence - 1, [one, other])
    for frame in found.frames:
        assert [level.price for level in frame.bids][-1:] == ["90.00"]
        assert [level.price for level in frame.asks][-1:] == ["110.00"]
    resting = [frame for frame in found.frames if frame.kind == "placed" and frame.accused]
    assert {frame.account_id for frame in resting} == {one, other}
    assert all((frame.asks[0].price, frame.asks[0].accused) == ("100.00", "7") for frame in resting)
    alert.refresh_from_db()
    assert alert.evidence is not None
    assert evidence.evidence_of(alert=alert) == found


def test_people_are_tied_by_address_browser_and_money_but_crowds_are_not() -> None:
    with running_exchange() as exchange:
        usd = exchange.create_asset("EUR", 2)
        ann, ben, cid = (exchange.open_account(name, {usd: 100}) for name in ("ann", "ben", "cid"))
        second = exchange.open_account("ann", name="second")
    users = {user.username: user.pk for user in User.objects.all()}
    assert relations.note_sighting(user_id=users["ann"], kind="address", value="203.0.113.7")
    assert not relations.note_sighting(user_id=users["ann"], kind="address", value="203.0.113.7")
    relations.note_sighting(user_id=users["ben"], kind="address", value="203.0.113.7")
    for user_id in users.values():
        relations.note_sighting(user_id=user_id, kind="address", value="127.0.0.1")
    for number in range(30):
        crowd = User.objects.create(username=f"crowd{number}")
        relations.note_sighting(user_id=crowd.pk, kind="device", value="shared")
    relations.note_sighting(user_id=users["cid"], kind="device", value="shared")
    found = relations.load()
    assert found.related(ann) == {ann, second, ben}
    assert [tie.evidence for tie in found.between(ann, ben)] == ["address 203.0.113.7"]
    assert found.related(cid) == {cid}
