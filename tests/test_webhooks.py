"""Webhooks to a real receiver: signed, repeated until they are taken, given up in the end, and never to the inside."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from pytest_django.fixtures import Settings

from notifications import rules
from notifications.delivery import deliver_due, send_again, send_test
from notifications.models import Delivery, Recipient
from notifications.webhook import InvalidUrl, checked_url
from tests.notifying import NOW, Receiver, is_signed, listens_at, new_person, receiving, record_deposit
from trading.models import User

pytestmark = pytest.mark.usefixtures("fresh_database")
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _loopback_is_allowed(settings: Settings) -> None:
    settings.WEBHOOK_PRIVATE_ADDRESSES = True


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def ann(receiver: Receiver) -> Iterator[User]:
    user = new_person(is_active=True)
    User.objects.filter(pk=user.pk).update(email="")
    listens_at(user, receiver.url)
    yield user
    user.delete()


def only_delivery(user: User) -> Delivery:
    return Delivery.objects.get(user=user, channel="webhook")


def deliver_until_dead(user: User) -> None:
    now = Delivery.objects.get(user=user).next_at
    for _ in range(rules.ATTEMPTS_MAX):
        deliver_due(now=now)
        now += 2 * HOUR


def test_an_event_is_posted_once_with_a_signature(receiver, ann):
    record_deposit(ann)
    now = only_delivery(ann).next_at
    assert deliver_due(now=now) == 1
    assert deliver_due(now=now + 24 * HOUR) == 0
    ((headers, body),) = receiver.requests
    assert is_signed(headers, body)
    assert not is_signed(headers, body + b" ")
    assert headers["content-type"] == "application/json"
    (told,) = receiver.bodies
    assert told["id"] == headers["idempotency-key"] == only_delivery(ann).key
    assert (told["kind"], told["title"]) == ("deposit_credited", "1.5 ETH was deposited")
    assert told["figures"] == {"amount": "1.5", "asset": "ETH"}


def test_what_is_not_taken_is_posted_again_later_and_later_with_the_same_key(receiver, ann):
    record_deposit(ann)
    receiver.status = 500
    now, waits = only_delivery(ann).next_at, []
    for _ in range(4):
        assert deliver_due(now=now) == 1
        delivery = only_delivery(ann)
        assert (delivery.state, delivery.last_error) == ("failed", "The answer was 500.")
        waits.append((delivery.next_at - now).total_seconds())
        now = delivery.next_at
    for number, wait in enumerate(waits):
        longest = rules.RETRY_SECONDS * 2**number
        assert longest / 2 <= wait <= longest
    receiver.status = 200
    assert deliver_due(now=now) == 1
    assert only_delivery(ann).state == "sent"
    assert len(receiver.requests) == 5
    assert len(set(receiver.keys)) == 1
    assert len({body for _, body in receiver.requests}) == 1


def test_while_a_receiver_fails_its_other_events_wait(receiver, ann):
    for number in range(3):
        record_deposit(ann, number)
    receiver.status = 503
    first = Delivery.objects.filter(user=ann).earliest("id")
    Delivery.objects.filter(user=ann).exclude(pk=first.pk).update(next_at=first.next_at + timedelta(seconds=1))
    deliver_due(now=first.next_at)
    assert len(receiver.requests) == 1
    first.refresh_from_db()
    assert set(Delivery.objects.filter(user=ann).values_list("next_at", flat=True)) == {first.next_at}


def test_who_never_answers_is_given_up_and_can_be_sent_again(receiver, ann):
    record_deposit(ann)
    receiver.status = 404
    deliver_until_dead(ann)
    dead = only_delivery(ann)
    assert (dead.state, dead.attempts) == ("dead", rules.ATTEMPTS_MAX)
    assert len(receiver.requests) == rules.ATTEMPTS_MAX
    assert deliver_due(now=dead.next_at + 100 * HOUR) == 0

    stranger = new_person()
    now = dead.next_at + 100 * HOUR
    assert send_again(deliveries=[dead.pk], now=now, user_id=stranger.pk) == 0
    receiver.status = 200
    assert send_again(deliveries=[dead.pk], now=now, user_id=ann.pk) == 1
    assert deliver_due(now=now) == 1
    assert only_delivery(ann).state == "sent"
    assert set(receiver.keys) == {dead.key}


def test_redirects_are_not_followed(receiver, ann):
    with receiving() as elsewhere:
        receiver.status, receiver.headers = 307, {"Location": elsewhere.url}
        record_deposit(ann)
        deliver_due(now=only_delivery(ann).next_at)
        assert only_delivery(ann).last_error == "The answer was 307."
        assert elsewhere.requests == []


def test_an_endless_answer_is_not_read_to_its_end(receiver, ann):
    receiver.answer = b"x" * 5_000_000
    record_deposit(ann)
    deliver_due(now=only_delivery(ann).next_at)
    assert only_delivery(ann).state == "sent"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_inside_is_not_reached_by_address_or_by_name(receiver, ann, settings, name):
    record_deposit(ann)
    settings.WEBHOOK_PRIVATE_ADDRESSES = False
    url = receiver.url.replace("127.0.0.1", name).replace("http:", "https:")
    Recipient.objects.filter(user=ann).update(webhook_url=url)
    deliver_due(now=only_delivery(ann).next_at)
    assert "private" in only_delivery(ann).last_error.lower()
    assert receiver.requests == []


INSIDE = {
    "loopback": "https://127.0.0.1/",
    "another loopback": "https://127.9.9.9/",
    "private": "https://10.1.2.3/",
    "private too": "https://192.168.0.10:8443/hook",
    "carrier's": "https://100.64.0.1/",
    "metadata": "https://169.254.169.254/latest/meta-data",
    "unspecified": "https://0.0.0.0/",
    "multicast": "https://224.0.0.1/",
    "broadcast": "https://255.255.255.255/",
    "IPv6 loopback": "https://[::1]/",
    "IPv6 private": "https://[fd00::1]/",
    "IPv6 link": "https://[fe80::1]/",
    "IPv4 in IPv6": "https://[::ffff:127.0.0.1]/",
    "IPv4 behind NAT64": "https://[64:ff9b::a00:1]/",
    "IPv4 behind 6to4": "https://[2002:7f00:1::]/",
}


@pytest.mark.parametrize("kind", INSIDE)
def test_addresses_of_the_inside_are_refused(settings, kind):
    settings.WEBHOOK_PRIVATE_ADDRESSES = False
    with pytest.raises(InvalidUrl, match="not allowed"):
        checked_url(INSIDE[kind])


@pytest.mark.parametrize(
    "url", ["https://8.8.8.8/hook", "https://example.org:8443/a?b=c", "https://[2606:4700::1111]/"]
)
def test_public_addresses_are_taken(settings, url):
    settings.WEBHOOK_PRIVATE_ADDRESSES = False
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "url",
    ["", "example.org", "http://example.org/", "ftp://example.org/", "https://", "https://user:word@example.org/",
     "https://example.org:0/", "https://example.org:99999/", "https://exa mple.org/", "https://example.org/\r\nX: y",
     "https://bücher.example/", "https://example.org/" + "x" * 500, "javascript:alert(1)", "https://[::1"],
)  # fmt: skip
def test_what_is_no_public_address_is_refused(settings, url):
    settings.WEBHOOK_PRIVATE_ADDRESSES = False
    with pytest.raises(InvalidUrl):
        checked_url(url)


def test_a_test_says_at_once_what_became_of_it(receiver, ann):
    assert send_test(user_id=ann.pk, now=NOW).state == "sent"
    assert receiver.bodies[0]["kind"] == "test"
    assert is_signed(*receiver.requests[0])
    receiver.status = 401
    failed = send_test(user_id=ann.pk, now=NOW)
    assert (failed.state, failed.last_error) == ("dead", "The answer was 401.")
