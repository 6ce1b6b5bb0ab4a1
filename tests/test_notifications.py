"""Recording events for people: once, by the channels they chose, in sequences that a reader can follow."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection, transaction

import notifications
from notifications import upkeep
from notifications.models import Delivery, Notification, Preference, Recipient
from notifications.recording import News, record_all
from tests.notifying import AT, NOW, listens_at, new_person, order_news, record_deposit
from trading.models import User

pytestmark = pytest.mark.usefixtures("fresh_database")


@pytest.fixture
def ann() -> Iterator[User]:
    user = new_person()
    yield user
    user.delete()


def outbox(user: User) -> list[tuple[str, str]]:
    return sorted(Delivery.objects.filter(user=user).values_list("channel", "kind"))


def test_an_event_is_recorded_once(ann):
    assert record_deposit(ann)
    assert not record_deposit(ann)
    assert Notification.objects.filter(user=ann).count() == 1
    assert outbox(ann) == [("email", "deposit_credited")]


def test_different_events_and_people_are_told_separately(ann):
    bob = new_person()
    assert record_deposit(ann, 1)
    assert record_deposit(ann, 2)
    assert record_deposit(bob, 1)
    assert Notification.objects.filter(user=ann).count() == 2


def test_nothing_is_recorded_when_the_cause_is_undone(ann):
    with transaction.atomic():
        record_deposit(ann)
        transaction.set_rollback(True)
    assert not Notification.objects.filter(user=ann).exists()
    assert outbox(ann) == []


def test_who_does_not_exist_is_told_nothing(ann):
    news = News(user_id=2**31, kind="deposit_credited", key="deposit 1", figures={}, at=AT)
    assert record_all([news, order_news(ann, "order_filled")]) == 1


def test_an_order_has_one_notification_that_goes_from_partly_filled_to_filled(ann):
    assert record_all([order_news(ann, "order_partly_filled", filled="0.1")]) == 1
    assert record_all([order_news(ann, "order_partly_filled", filled="0.2")]) == 1
    assert record_all([order_news(ann, "order_filled", filled="0.5")]) == 1
    assert record_all([order_news(ann, "order_partly_filled", filled="0.2")]) == 0, "what is final stays"
    row = Notification.objects.get(user=ann)
    assert (row.kind, row.figures["filled"], row.sequence) == ("order_filled", "0.5", 3)


def test_a_change_makes_a_notification_unread_again(ann):
    record_all([order_news(ann, "order_partly_filled")])
    Notification.objects.filter(user=ann).update(read_at=NOW)
    record_all([order_news(ann, "order_filled")])
    assert Notification.objects.get(user=ann).read_at is None


def test_of_several_about_one_order_the_last_one_is_told(ann):
    assert (
        record_all(
            [order_news(ann, "order_partly_filled", filled="0.1"), order_news(ann, "order_filled", filled="0.5")]
        )
        == 1
    )
    assert Notification.objects.get(user=ann).kind == "order_filled"


def test_preferences_say_by_which_channels(ann):
    Preference.objects.create(user=ann, kind="deposit_credited", channel="email", on=False)
    Preference.objects.create(user=ann, kind="deposit_credited", channel="in_app", on=False)
    record_deposit(ann)
    assert outbox(ann) == []
    assert not Notification.objects.get(user=ann).shown


def test_security_cannot_be_switched_off(ann):
    for channel in ("email", "in_app"):
        Preference.objects.create(user=ann, kind="two_factor_changed", channel=channel, on=False)
    notifications.record(user_id=ann.pk, kind="two_factor_changed", key="1", figures={}, at=AT)
    assert outbox(ann) == [("email", "two_factor_changed")]
    assert Notification.objects.get(user=ann).shown


def test_the_webhook_is_told_when_it_has_an_address(ann):
    record_deposit(ann, 1)
    Recipient.objects.filter(user=ann).update(webhook_url="https://example.org/hook")
    record_deposit(ann, 2)
    assert outbox(ann) == [
        ("email", "deposit_credited"),
        ("email", "deposit_credited"),
        ("webhook", "deposit_credited"),
    ]


def test_who_has_no_address_gets_no_email(ann):
    User.objects.filter(pk=ann.pk).update(email="")
    record_deposit(ann)
    assert outbox(ann) == []


def test_fills_share_one_email(ann):
    for first in range(0, 300, 50):
        record_all([order_news(ann, "order_filled", number) for number in range(first, first + 50)], now=NOW)
    (digest,) = Delivery.objects.filter(user=ann, channel="email")
    assert digest.digest
    assert digest.next_at == NOW + timedelta(minutes=1)
    assert digest.gathered.count() == 300


def test_fills_that_come_while_a_digest_is_sent_wait_for_the_next(ann):
    record_all([order_news(ann, "order_filled", 1)], now=NOW)
    Delivery.objects.filter(user=ann).update(attempts=1)
    record_all([order_news(ann, "order_filled", 2)], now=NOW)
    assert [delivery.gathered.count() for delivery in Delivery.objects.filter(user=ann).order_by("id")] == [1, 1]


def test_a_delivery_takes_later_figures_along_until_it_has_set_out(ann):
    Preference.objects.create(user=ann, kind="order_partly_filled", channel="email", on=False)
    Recipient.objects.create(user=ann, webhook_url="https://example.org/hook")
    record_all([order_news(ann, "order_partly_filled", filled="0.1")])
    record_all([order_news(ann, "order_partly_filled", filled="0.2")])
    delivery = Delivery.objects.get(user=ann)
    assert delivery.figures["filled"] == "0.2"
    Delivery.objects.filter(user=ann).update(attempts=1)
    record_all([order_news(ann, "order_partly_filled", filled="0.3")])
    assert Delivery.objects.get(user=ann).figures["filled"] == "0.2"


def test_sequences_count_up_in_the_order_of_commits(ann):
    """Somebody who reads up to the recipient's sequence never finds something later that was before it."""
    record_deposit(ann, 0)

    def record_many(first: int) -> None:
        for number in range(first, first + 20):
            record_deposit(ann, number)
        connection.close()

    writers = [threading.Thread(target=record_many, args=[1 + 20 * index]) for index in range(3)]
    for writer in writers:
        writer.start()
    seen: set[int] = set()
    upto = 0
    while len(seen) < 61:
        with transaction.atomic():
            sequence = Recipient.objects.get(user=ann).sequence
            found = set(
                Notification.objects.filter(user=ann, sequence__gt=upto, sequence__lte=sequence).values_list(
                    "sequence", flat=True
                )
            )
        assert found == set(range(upto + 1, sequence + 1))
        seen |= found
        upto = sequence
    for writer in writers:
        writer.join()
    assert upto == 61


def test_old_news_is_forgotten_and_security_is_kept_longer(ann):
    notifications.record(user_id=ann.pk, kind="login_new_address", key="1", figures={}, at=AT)
    record_all([order_news(ann, "order_filled", number) for number in range(upkeep.KEPT_CHANGES + 50)], now=NOW)
    Delivery.objects.filter(user=ann).update(state="sent", done_at=NOW)
    upkeep.tidy(now=NOW + timedelta(days=1))
    kinds = list(Notification.objects.filter(user=ann).order_by("id").values_list("kind", flat=True))
    assert kinds[0] == "login_new_address"
    assert len(kinds) == 1 + upkeep.KEPT_CHANGES
    upkeep.tidy(now=NOW + timedelta(days=upkeep.SENT_DAYS + 1))
    assert outbox(ann) == []
    upkeep.tidy(now=NOW + timedelta(days=upkeep.KEPT_DAYS + 1))
    assert not Notification.objects.filter(user=ann).exists()


def test_what_waits_for_a_digest_is_not_forgotten(ann):
    record_all([order_news(ann, "order_filled", number) for number in range(upkeep.KEPT_CHANGES + 50)], now=NOW)
    upkeep.tidy(now=NOW)
    assert Delivery.objects.get(user=ann).gathered.count() == upkeep.KEPT_CHANGES + 50


def test_the_outbox_of_a_webhook_has_an_end(ann):
    listens_at(ann, "https://example.org/hook")
    User.objects.filter(pk=ann.pk).update(email="")
    record_all([order_news(ann, "order_filled", number) for number in range(upkeep.WAITING_MAX + 3)], now=NOW)
    upkeep.tidy(now=NOW)
    dead = Delivery.objects.filter(user=ann, state="dead").order_by("id")
    assert list(dead) == list(Delivery.objects.filter(user=ann).order_by("id")[:3])
