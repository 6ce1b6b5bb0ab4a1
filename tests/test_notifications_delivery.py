"""The outbox: e-mails by their rules, quiet hours, digests, and processes that are killed in the middle."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

import pytest
from django.core import mail
from django.db import connections
from pytest_django.fixtures import Settings

import notifications
from notifications.delivery import LEASE_SECONDS, deliver_due
from notifications.models import Delivery, Preference, Recipient
from notifications.recording import record_all
from tests.notifying import AT, listens_at, new_person, order_news, receiving, record_deposit
from trading import environment
from trading.models import User

pytestmark = pytest.mark.usefixtures("fresh_database")

NIGHT = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
MORNING = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
SECONDS_MAX = 60


@pytest.fixture
def ann() -> Iterator[User]:
    user = new_person()
    yield user
    user.delete()


@pytest.fixture(autouse=True)
def _mailbox(settings: Settings) -> None:
    settings.NOTIFICATION_EMAIL_BACKEND = ""  # the one of the tests, which keeps them in memory
    mail.outbox = []


def wants_quiet(user: User) -> None:
    Recipient.objects.create(user=user, quiet_begin=22 * 60, quiet_end=7 * 60, time_zone="UTC")


def test_an_event_is_one_email_in_text_and_html(ann):
    record_deposit(ann)
    now = Delivery.objects.get(user=ann).next_at
    assert deliver_due(now=now) == 1
    assert deliver_due(now=now + timedelta(days=1)) == 0
    (sent,) = mail.outbox
    assert sent.to == [ann.email]
    assert sent.subject == "1.5 ETH was deposited"
    assert sent.extra_headers["Message-ID"] == f"<{Delivery.objects.get(user=ann).key}@localhost>"
    assert isinstance(sent, mail.EmailMultiAlternatives)
    ((page, kind),) = sent.alternatives
    assert kind == "text/html"
    for text in (str(sent.body), str(page)):
        assert "1.5 ETH was deposited" in text
        assert "/account/notifications" in text


def test_what_people_write_is_not_markup_in_an_email(ann):
    figures = {"amount": "1", "asset": "BTC", "note": "<script>alert(1)</script> & so on\r\nBcc: all@example.org"}
    notifications.record(user_id=ann.pk, kind="withdrawal_refused", key="1", figures=figures, at=AT)
    deliver_due(now=Delivery.objects.get(user=ann).next_at)
    (sent,) = mail.outbox
    assert isinstance(sent, mail.EmailMultiAlternatives)
    assert "<script>" not in str(sent.alternatives[0][0])
    assert "& so on" in str(sent.body)
    assert "\n" not in sent.subject


def test_quiet_hours_hold_back_what_can_wait(ann):
    wants_quiet(ann)
    record_deposit(ann)
    Delivery.objects.filter(user=ann).update(next_at=NIGHT)
    assert deliver_due(now=NIGHT) == 0
    assert Delivery.objects.get(user=ann).next_at == MORNING
    assert deliver_due(now=MORNING - timedelta(minutes=1)) == 0
    assert deliver_due(now=MORNING) == 1
    assert len(mail.outbox) == 1


def test_security_does_not_wait_for_the_morning(ann):
    wants_quiet(ann)
    notifications.record(user_id=ann.pk, kind="login_new_address", key="1", figures={"address": "10.0.0.1"}, at=AT)
    Delivery.objects.filter(user=ann).update(next_at=NIGHT)
    assert deliver_due(now=NIGHT) == 1
    assert mail.outbox[0].subject == "Login from a new address"


def test_a_hundred_fills_a_second_are_a_few_emails(ann):
    """Five minutes of them, each order filled by itself, told as somebody tells them who looks once a second."""
    begin = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    for second in range(0, 300, 10):
        now = begin + timedelta(seconds=second)
        record_all([order_news(ann, "order_filled", second * 100 + n) for n in range(1_000)], now=now)
        deliver_due(now=now)
    deliver_due(now=begin + timedelta(hours=2))
    assert 1 <= len(mail.outbox) <= 6
    told = [int(sent.subject.split()[0].replace(",", "")) for sent in mail.outbox]
    assert sum(told) == 30_000
    assert "Bought" in mail.outbox[0].body
    assert len(mail.outbox[0].body) < 5_000


def test_a_single_fill_is_told_by_its_own_words(ann):
    record_all([order_news(ann, "order_filled")])
    deliver_due(now=Delivery.objects.get(user=ann).next_at)
    assert mail.outbox[0].subject == "Bought 0.5 BTC at 43,000.00 USDT"
    assert "for 21,500 USDT on BTC-USDT, 1 order" in mail.outbox[0].body


def test_a_digest_whose_orders_have_moved_on_is_not_sent(ann):
    Preference.objects.create(user=ann, kind="order_partly_filled", channel="email", on=True)
    record_all([order_news(ann, "order_partly_filled", filled="0.1")])
    first = Delivery.objects.get(user=ann)
    Delivery.objects.filter(pk=first.pk).update(attempts=1)
    record_all([order_news(ann, "order_filled")])
    deliver_due(now=first.next_at + timedelta(days=1))
    assert [sent.subject for sent in mail.outbox] == ["Bought 0.5 BTC at 43,000.00 USDT"]


def test_what_a_mail_server_refuses_is_tried_again(ann, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    record_deposit(ann)
    now = Delivery.objects.get(user=ann).next_at
    assert deliver_due(now=now) == 1
    failed = Delivery.objects.get(user=ann)
    assert failed.state == "failed"
    assert "refused" in failed.last_error.lower()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert deliver_due(now=failed.next_at) == 1
    assert len(mail.outbox) == 1


# ---------------------------------------------------------------------------------------------- several processes


def sender(**env: str) -> subprocess.Popen[bytes]:
    """A process of its own that sends what is due, once."""
    database = connections["default"].settings_dict
    user, port = quote(database["USER"]), database["PORT"] or 5432
    place = f"?{urlencode({'host': database['HOST'], 'port': port, **_words(database['PASSWORD'])})}"
    url = f"postgresql://{user}@/{database['NAME']}{place}"
    return subprocess.Popen(
        [sys.executable, "-c", "import django; django.setup(); import notifications.delivery as d; d.deliver_due()"],
        env={
            **os.environ, "DJANGO_SETTINGS_MODULE": "trading.settings", "DATABASE_URL": url,
            "WEBHOOK_PRIVATE_ADDRESSES": "on", **env,
        },
        cwd=environment.PROJECT_ROOT,
    )  # fmt: skip


def _words(password: str) -> dict[str, str]:
    return {"password": password} if password else {}


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    assert process.wait(SECONDS_MAX) == -signal.SIGKILL


def wait_for(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_a_killed_process_had_not_sent_is_sent_by_another(ann):
    """The mail server accepts the connection and says nothing: the process has taken the e-mail, and not sent it."""
    record_deposit(ann)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = sender(EMAIL_HOST="127.0.0.1", EMAIL_PORT=str(silent.getsockname()[1]), EMAIL_USE_TLS="off")
        silent.settimeout(SECONDS_MAX)
        connection, _ = silent.accept()
        kill(process)
        connection.close()
    taken = Delivery.objects.get(user=ann)
    assert (taken.state, taken.attempts) == ("pending", 1)
    assert deliver_due(now=taken.next_at - timedelta(seconds=LEASE_SECONDS / 2)) == 0
    assert mail.outbox == []
    assert deliver_due(now=taken.next_at) == 1
    assert [sent.subject for sent in mail.outbox] == ["1.5 ETH was deposited"]
    assert Delivery.objects.get(user=ann).state == "sent"


def test_what_a_killed_process_had_just_sent_comes_again_under_the_same_key(ann, settings):
    """The receiver has the request and does not answer: the process has sent it, and not written that down."""
    settings.WEBHOOK_PRIVATE_ADDRESSES = True
    User.objects.filter(pk=ann.pk).update(email="")
    with receiving() as receiver:
        listens_at(ann, receiver.url)
        record_deposit(ann)
        receiver.may_answer.clear()
        process = sender()
        wait_for(lambda: bool(receiver.requests))
        kill(process)
        receiver.may_answer.set()
        taken = Delivery.objects.get(user=ann)
        assert (taken.state, taken.attempts) == ("pending", 1)
        assert deliver_due(now=taken.next_at) == 1
        assert receiver.keys == [taken.key] * 2
        assert receiver.bodies[0] == receiver.bodies[1]
        assert Delivery.objects.get(user=ann).state == "sent"


def test_several_processes_send_everything_once(ann):
    User.objects.filter(pk=ann.pk).update(email="")
    with receiving() as receiver:
        listens_at(ann, receiver.url)
        for number in range(200):
            record_deposit(ann, number)
        for process in [sender() for _ in range(2)]:
            assert process.wait(SECONDS_MAX) == 0
        assert len(receiver.keys) == len(set(receiver.keys)) == 200
        assert set(Delivery.objects.filter(user=ann).values_list("state", flat=True)) == {"sent"}
