"""The pages and the API of notifications, what people are told of their account's safety, and the operators' list."""

import re
import time
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

import notifications
from notifications import queries, secrecy
from notifications.models import Delivery, Notification, Preference, Recipient
from notifications.recording import record_all
from tests.account_pages.people import PASSWORD, Visitor, app_code
from tests.api import BrowserClient, SignedClient
from tests.builders import RunningExchange, running_exchange
from tests.notifying import AT, NOW, listens_at, new_person, order_news, receiving, record_deposit
from trading.models import User

PAGE = "/account/notifications"


@pytest.fixture(scope="module")
def exchange(fresh_database: str) -> Iterator[RunningExchange]:
    with running_exchange() as running:
        yield running


@pytest.fixture(autouse=True)
def _settings(settings: Settings, exchange: RunningExchange) -> None:
    settings.PASSWORD_HASHERS = ["tests.account_pages.people.QuickHasher"]
    settings.RATE_LIMITS = settings.RATELIMIT_ENABLE = False
    settings.WEBHOOK_PRIVATE_ADDRESSES = True


@pytest.fixture
def ann() -> User:
    return new_person()


@pytest.fixture
def browser(ann: User) -> Client:
    client = Client()
    client.force_login(ann)
    return client


def words(page: bytes) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.decode()).split())


def told(user: User) -> list[tuple[str, bool]]:
    return list(Notification.objects.filter(user=user).order_by("id").values_list("kind", "shown"))


# ---------------------------------------------------------------------------------------------- the list


def test_the_list_and_the_bell_show_what_is_unread(ann, browser):
    assert "No notifications yet" in words(browser.get("/notifications").content)
    record_deposit(ann)
    record_all([order_news(ann, "order_filled")])
    page = browser.get("/notifications").content
    assert "Bought 0.5 BTC at 43,000.00 USDT" in words(page)
    assert b'<notification-bell unread="2">' in page
    assert 'href="/orders/7"' in page.decode()
    browser.post("/notifications/read")
    assert b'<notification-bell unread="0">' in browser.get("/notifications").content


def test_the_list_can_be_narrowed_down_and_has_pages(ann, browser):
    record_all([order_news(ann, "order_filled", number) for number in range(60)])
    record_deposit(ann)
    page = browser.get("/notifications").content.decode()
    assert page.count("news-item") == 50
    older = re.search(r'href="(\?cursor=\d+)">Older', page)
    assert older is not None
    assert browser.get(f"/notifications{older[1]}").content.decode().count("news-item") == 11
    money = browser.get("/notifications", {"about": "Money"}).content.decode()
    assert money.count("news-item") == 1
    queries.mark_read(user_id=ann.pk, now=NOW)
    assert "Nothing fits" in words(browser.get("/notifications", {"show": "unread"}).content)


def test_nobody_sees_the_notifications_of_another(ann, browser):
    record_deposit(new_person())
    assert "No notifications yet" in words(browser.get("/notifications").content)
    assert Client().get("/notifications").status_code == 302


# ---------------------------------------------------------------------------------------------- the API


def test_the_api_of_an_account(exchange):
    account = exchange.open_account("carol")
    carol = User.objects.get(username="carol")
    for number in range(3):
        notifications.record(
            user_id=carol.pk,
            account_id=account if number else None,
            kind="deposit_credited",
            key=str(number),
            figures={"amount": str(number + 1), "asset": "ETH"},
            at=AT,
        )
    api = BrowserClient("carol")
    first = api.get("/notifications", limit=2).body
    assert [each["title"] for each in first["results"]] == ["3 ETH was deposited", "2 ETH was deposited"]
    assert first["unread"] == 3
    second = api.get("/notifications", limit=2, cursor=first["next"]).body
    assert ([each["title"] for each in second["results"]], second["next"]) == (["1 ETH was deposited"], None)
    ids = [first["results"][0]["id"], 10**12]
    assert api.post("/notifications/read", {"ids": ids}).body == {"unread": 2}
    assert [each["read"] for each in api.get("/notifications").body["results"]] == [True, False, False]
    assert len(api.get("/notifications", show="unread").body["results"]) == 2
    assert api.post("/notifications/read", {"ids": []}).status == 422
    assert api.get("/notifications", show="none").code == "invalid_field"

    key = SignedClient(account, "read")
    assert {each["account_id"] for each in key.get("/notifications").body["results"]} == {account}
    key.post("/notifications/read", {})
    assert api.get("/notifications").body["unread"] == 1


# ---------------------------------------------------------------------------------------------- choices


def switches(page: bytes) -> dict[str, tuple[bool, bool]]:
    """The matrix: name -> on, fixed."""
    found = re.findall(r'<input type="checkbox" name="(\w+\.\w+)"( checked)?( disabled)?>', page.decode())
    return {name: (bool(on), bool(fixed)) for name, on, fixed in found}


def test_switches_are_kept(ann, browser):
    before = switches(browser.get(PAGE).content)
    assert before["order_filled.email"] == (True, False)
    assert before["two_factor_changed.email"] == (True, True)
    assert "risk_alert.email" not in before
    browser.post(PAGE, {"order_filled.in_app": "on", "market_halted.email": "on"})
    after = switches(browser.get(PAGE).content)
    assert {name for name, (on, fixed) in after.items() if on and not fixed} == {
        "order_filled.in_app",
        "market_halted.email",
    }
    assert all(after[name] == (True, True) for name, (_, fixed) in before.items() if fixed)
    record_deposit(ann)
    assert told(ann) == [("deposit_credited", False)]


def test_who_wants_to_hear_of_every_market_says_so(ann, browser):
    on = {name: "on" for name, (is_on, _) in switches(browser.get(PAGE).content).items() if is_on}
    browser.post(PAGE, on)
    assert not Preference.objects.filter(user=ann).exists(), "what is as by default needs no row"
    browser.post(PAGE, on | {"every_market": "on"})
    rows = Preference.objects.filter(user=ann, on=True).values_list("kind", "channel")
    assert set(rows) == {("market_halted", "in_app"), ("market_reopened", "in_app")}
    assert 'name="every_market" checked' in browser.get(PAGE).content.decode()


def test_quiet_hours_and_digests_are_kept(ann, browser):
    given = {"quiet_begin": "22:30", "quiet_end": "07:00", "time_zone": "Europe/Berlin", "digest_minutes": "15"}
    assert browser.post(f"{PAGE}/timing", given).status_code == 302
    recipient = Recipient.objects.get(user=ann)
    assert (recipient.quiet_begin, recipient.quiet_end) == (22 * 60 + 30, 7 * 60)
    assert (recipient.time_zone, recipient.digest_minutes) == ("Europe/Berlin", 15)
    page = browser.get(PAGE).content.decode()
    assert 'value="22:30"' in page
    browser.post(f"{PAGE}/timing", given | {"quiet_begin": "", "quiet_end": ""})
    assert Recipient.objects.get(user=ann).quiet_hours.until(NOW) is None


@pytest.mark.parametrize(
    "wrong", [{"quiet_end": ""}, {"quiet_begin": "25:00"}, {"time_zone": "Mars/Base"}, {"digest_minutes": "2"}]
)
def test_times_that_make_no_sense_are_refused(ann, browser, wrong):
    given = {"quiet_begin": "22:30", "quiet_end": "07:00", "time_zone": "UTC", "digest_minutes": "15"} | wrong
    answer = browser.post(f"{PAGE}/timing", given)
    assert answer.status_code == 200
    assert b"errorlist" in answer.content
    assert not Recipient.objects.filter(user=ann, digest_minutes=15).exists()


def test_a_webhook_is_set_tested_and_removed(ann, browser):
    with receiving() as receiver:
        page = browser.post(f"{PAGE}/webhook", {"url": receiver.url}).content.decode()
        shown = re.search(r'id="webhook-secret">(whsec_[\w-]+)<', page)
        assert shown is not None
        stored = Recipient.objects.get(user=ann)
        assert stored.webhook_secret_encrypted is not None
        assert secrecy.decrypted(stored.webhook_secret_encrypted).decode() == shown[1]
        assert shown[1] not in browser.get(PAGE).content.decode()
        assert "The test arrived" in words(browser.post(f"{PAGE}/webhook/test", follow=True).content)
        receiver.status = 500
        refused = words(browser.post(f"{PAGE}/webhook/test", follow=True).content)
        assert "The test did not arrive: The answer was 500." in refused

        again = browser.post(f"{PAGE}/webhook", {"url": receiver.url, "new_secret": "on"}).content.decode()
        assert "whsec_" in again
        assert shown[1] not in again
    record_deposit(ann)
    browser.post(f"{PAGE}/webhook/remove")
    assert Delivery.objects.get(user=ann, channel="webhook", kind="deposit_credited").state == "dead"
    assert Recipient.objects.get(user=ann).webhook_secret_encrypted is None


def test_the_inside_is_no_address_for_a_webhook(ann, browser, settings):
    settings.WEBHOOK_PRIVATE_ADDRESSES = False
    answer = browser.post(f"{PAGE}/webhook", {"url": "https://169.254.169.254/latest"})
    assert "Private, local and reserved addresses are not allowed." in words(answer.content)
    assert not Recipient.objects.filter(user=ann).exclude(webhook_url="").exists()


def test_what_was_given_up_can_be_sent_again_by_its_owner(ann, browser):
    listens_at(ann, "https://example.org/hook")
    record_deposit(ann)
    dead = Delivery.objects.filter(user=ann, channel="webhook")
    dead.update(state="dead", attempts=12, done_at=timezone.now(), last_error="The answer was 410.")
    row = dead.get()
    page = words(browser.get(PAGE).content)
    assert "The answer was 410." in page
    assert "Send again" in page
    stranger = Client()
    stranger.force_login(new_person())
    assert stranger.post(f"{PAGE}/deliveries/{row.pk}/again").status_code == 404
    assert browser.post(f"{PAGE}/deliveries/{row.pk}/again").status_code == 302
    assert dead.get().state == "failed"


# ---------------------------------------------------------------------------------------------- safety


def test_a_login_from_a_new_address_is_told_once(exchange):
    Visitor(address="10.9.0.1").sign_up("dora")
    dora = User.objects.get(username="dora")
    assert told(dora) == [("login_new_address", False)], "the first one is only remembered"
    Visitor(address="10.9.0.1").log_in("dora")
    assert len(told(dora)) == 1
    for _ in range(2):
        Visitor(address="10.9.0.2").log_in("dora")
    assert told(dora) == [("login_new_address", False), ("login_new_address", True)]
    row = Notification.objects.filter(user=dora).latest("id")
    assert row.figures == {"address": "10.9.0.2", "device": "Firefox on Windows"}
    assert Delivery.objects.filter(user=dora, channel="email").count() == 1


def test_addresses_of_one_ipv6_network_are_one_place(exchange):
    Visitor(address="2001:db8:1:1::1").sign_up("emil")
    Visitor(address="2001:db8:1:1::2").log_in("emil")
    Visitor(address="2001:db8:1:2::1").log_in("emil")
    assert [shown for _, shown in told(User.objects.get(username="emil"))] == [False, True]


def test_two_factor_and_keys_are_told(exchange):
    browser = Visitor()
    browser.sign_up("fred")
    fred = User.objects.get(username="fred")
    browser.turn_on_two_factor()
    browser.post("/account/security/recovery-codes", password=PASSWORD)
    browser.post("/account/security/two-factor/off", password=PASSWORD)
    assert browser.post("/account/api-keys", label="bot", account="main", scopes=["read"], networks="").status == 200
    rows = Notification.objects.filter(user=fred, shown=True).order_by("id")
    assert [queries.told(row).title for row in rows] == [
        "Two-factor was turned on",
        "New recovery codes",
        "Two-factor was turned off",
        "API key bot created",
    ]


def test_the_password_alone_is_no_login_where_a_code_is_owed(exchange):
    browser = Visitor(address="10.9.1.1")
    browser.sign_up("gina")
    secret, _ = browser.turn_on_two_factor()
    other = Visitor(address="10.9.1.2")
    other.log_in("gina")
    gina = User.objects.get(username="gina")
    assert ("login_new_address", True) not in told(gina)
    other.post("/login/code", code=app_code(secret, steps=1))
    assert ("login_new_address", True) in told(gina)


# ---------------------------------------------------------------------------------------------- operators


def test_operators_see_what_was_given_up_and_send_it_again(ann):
    record_deposit(ann)
    Delivery.objects.filter(user=ann).update(state="dead", done_at=timezone.now(), last_error="nobody there")
    row = Delivery.objects.get(user=ann)
    operator = User.objects.create_superuser(f"operator-{time.monotonic_ns()}")
    client = Client()
    client.force_login(operator)
    address = reverse("admin:notifications_delivery_changelist")
    assert "nobody there" in words(client.get(address, {"state": "dead"}).content)
    assert "1.5" not in words(client.get(reverse("admin:notifications_delivery_change", args=[row.pk])).content)
    done = client.post(address, {"action": "again", "_selected_action": [row.pk]}, follow=True)
    assert "1 of 1 are sent again" in words(done.content)
    row.refresh_from_db()
    assert row.state == "failed"
