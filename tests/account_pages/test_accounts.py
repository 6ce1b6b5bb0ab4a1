"""Signing up, signing in and out, on real pages and a real worker."""

import contextlib
import re
import time
from collections.abc import Iterator

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from pytest_django.fixtures import Settings

from matching import worker
from risk.models import Account
from tests.account_pages.people import (
    FLOOR,
    PASSWORD,
    TEST_FUNDS,
    QuickHasher,
    Visitor,
    funds_of,
)
from tests.builders import RunningExchange
from trading import people
from trading.models import Session, User

# ---------------------------------------------------------------------------------------------- signing up


def test_signing_up_opens_an_account_and_signs_in(visitor: Visitor):
    assert visitor.sign_up("ann").to == FLOOR
    assert visitor.is_signed_in()
    assert Account.objects.get(user__username="ann").name == "main"
    assert funds_of("ann") == {}
    user = User.objects.get(username="ann")
    assert user.email == "ann@example.org"
    assert user.password.startswith("argon2$")


def test_signing_up_with_test_funds_takes_one_click(visitor: Visitor):
    visitor.sign_up("beth", funds="on")
    assert funds_of("beth") == TEST_FUNDS


@pytest.mark.parametrize(
    ("fields", "field", "complaint"),
    [
        ({"username": "a b"}, "username", "3 to 32 letters"),
        ({"username": "al"}, "username", "3 to 32 letters"),
        ({"username": "house:fees"}, "username", "3 to 32 letters"),
        ({"username": "аlice"}, "username", "3 to 32 letters"),  # noqa: RUF001 - a Cyrillic a
        ({"username": "carl\n\ncarl"}, "username", "3 to 32 letters"),
        ({"username": ""}, "username", "This field is required."),
        ({"email": "nowhere"}, "email", "Enter a valid email address."),
        ({"password": "password"}, "password", "too common"),
        ({"password": "short"}, "password", "too short"),
        ({"password": "carl-the-great", "username": "carl-the-great"}, "password", "too similar"),
        ({"password": "nul\0in-it-42"}, "password", "Null characters"),
    ],
)
def test_what_is_wrong_with_a_sign_up_is_said_at_its_field(visitor: Visitor, fields, field: str, complaint: str):
    given = {"username": "carl", "email": "carl@example.org", "password": PASSWORD} | fields
    page = visitor.post("/signup", **given)
    assert page.status == 200
    assert complaint in page.errors_of(f"id_{field}")
    inputs = re.findall(r"<(?:input|select|textarea)[^>]*>", page.html)
    wrong = [tag for tag in inputs if 'aria-invalid="true"' in tag]
    assert [re.search(r'name="(\w+)"', tag)[1] for tag in wrong] == [field]  # type: ignore[index]
    assert f'aria-describedby="id_{field}_helptext id_{field}_error"' in wrong[0]
    assert [tag for tag in inputs if " autofocus" in tag] == wrong
    assert not [tag for tag in inputs if 'type="password"' in tag and "value=" in tag]
    assert not User.objects.filter(username__startswith="carl").exists()


def test_a_name_is_taken_in_every_spelling(visitor: Visitor):
    visitor.sign_up("dora")
    for name in ("dora", "DORA", "Dora"):
        assert "That name is taken." in Visitor().sign_up(name).errors_of("id_username")
    assert User.objects.filter(username__iexact="dora").count() == 1


def test_without_a_worker_nothing_is_made_and_a_second_try_works(visitor: Visitor):
    before = User.objects.count()
    with no_worker():
        page = visitor.sign_up("emil")
        assert (page.status, page.headers["retry-after"]) == (503, "10")
        assert "The exchange does not answer just now" in page.words
        assert Visitor().post("/demo/start").status == 503
        assert User.objects.count() == before
    assert visitor.sign_up("emil").to == FLOOR
    assert visitor.is_signed_in()


def test_whoever_was_left_without_an_answer_goes_on_with_the_same_password(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(people, "ANSWER_SECONDS_MAX", 0.1)
    with hung_worker():
        for _ in range(2):
            assert visitor.sign_up("fay").status == 503
            assert not visitor.is_signed_in()
        stranger = Visitor().sign_up("fay", password="another-long-one-9")
        assert "That name is taken." in stranger.words
    monkeypatch.undo()
    assert visitor.sign_up("fay").to == FLOOR or visitor.log_in("fay").to == FLOOR
    assert Account.objects.filter(user__username="fay").count() == 1


@contextlib.contextmanager
def no_worker() -> Iterator[None]:
    """As long as this lasts, nobody leads."""
    worker.stop()
    try:
        yield
    finally:
        worker.start()
        deadline = time.monotonic() + 10
        while not worker.status().books_loaded:
            assert time.monotonic() < deadline, "the worker does not get ready"
            time.sleep(0.005)


@contextlib.contextmanager
def hung_worker() -> Iterator[None]:
    """As long as this lasts, somebody leads and does nothing."""
    with no_worker():
        leader = connection.copy()
        try:
            with leader.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s)", [worker.LEADER_LOCK])
            yield
        finally:
            leader.close()


def test_too_many_sign_ups_from_one_address_have_to_wait(visitor: Visitor, settings: Settings):
    settings.SIGN_UP_RATE = "1/h"
    visitor.sign_up("a b")
    page = visitor.sign_up("gus")
    assert page.status == 429
    assert 0 < int(page.headers["retry-after"]) <= 3600
    assert "Too many tries" in page.words
    assert not User.objects.filter(username="gus").exists()


# ---------------------------------------------------------------------------------------------- signing in and out


def test_signing_in_and_out(visitor: Visitor):
    Visitor().sign_up("hal")
    assert not visitor.is_signed_in()
    assert visitor.get("/account").to == "/login?next=/account"
    page = visitor.log_in("hal", next="/account")
    assert page.to == "/account"
    assert "no-store" in page.headers["cache-control"]
    assert visitor.is_signed_in()
    assert visitor.get("/login", next="/account").to == "/account"
    key = visitor.session_key
    assert visitor.get("/logout").status == 405
    assert visitor.post("/logout").to == "/"
    assert not visitor.is_signed_in()
    assert not Session.objects.filter(session_key=key).exists()


def test_signing_in_makes_a_new_session_and_tells_django(visitor: Visitor):
    Visitor().sign_up("ian")
    User.objects.filter(username="ian").update(last_login=None)
    visitor.client.session.save()
    visitor.log_in("ian")
    first = visitor.session_key
    assert User.objects.get(username="ian").last_login is not None
    visitor.post("/logout")
    visitor.log_in("ian")
    assert visitor.session_key != first


def test_a_form_without_its_token_is_refused(visitor: Visitor):
    assert visitor.client.post("/login", {"username": "hal", "password": PASSWORD}).status_code == 403
    for path in ("/signup", "/logout", "/demo/start", "/demo/funds", "/password/reset", "/account/appearance"):
        assert visitor.client.post(path, {}).status_code == 403, path


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/", "//evil.example/", "///evil.example", "\\\\evil.example", "/\\evil.example",
        "javascript:alert(1)", "http:evil.example", " //evil.example",
        "https://testserver@evil.example/", "\t//evil.example",
    ],
)  # fmt: skip
def test_nobody_is_sent_to_another_host(visitor: Visitor, elsewhere: str):
    assert "evil" not in visitor.get("/login", next=elsewhere).html
    assert "evil" not in visitor.get("/signup", next=elsewhere).html
    User.objects.get_or_create(username="jo", defaults={"password": make_password(PASSWORD)})
    assert visitor.log_in("jo", next=elsewhere).to == FLOOR
    assert visitor.get("/login", next=elsewhere).to == FLOOR
    assert visitor.get("/signup", next=elsewhere).to == FLOOR
    assert visitor.post("/demo/start", next=elsewhere).to == FLOOR


def test_a_wrong_name_and_a_wrong_password_look_the_same(visitor: Visitor):
    Visitor().sign_up("kim")
    User.objects.create_user("locked-out", password=PASSWORD, is_active=False)
    answers = {
        re.sub(r'value="[^"]*"', "", visitor.log_in(name, password).html)
        for name, password in (("kim", "wrong-password"), ("nobody-here", PASSWORD), ("locked-out", PASSWORD))
    }
    assert len(answers) == 1
    assert "The username or the password is wrong." in answers.pop()


def test_a_name_that_nobody_has_costs_as_much_work_as_a_wrong_password(visitor: Visitor, settings: Settings):
    User.objects.create_user("lea", password=PASSWORD)
    trial = User.objects.create_user("lea-on-trial")
    assert not trial.has_usable_password()
    hashed = CountingHasher.hashed
    for name in ("lea", "nobody-here", "lea-on-trial"):
        before = len(hashed)
        settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
        visitor.log_in(name, "wrong-password")
        assert len(hashed) == before + 1, name
        del settings.PASSWORD_HASHERS


class CountingHasher(QuickHasher):
    """Notes what it was given to work on."""

    hashed: list[str] = []

    def encode(self, password: str, salt: str) -> str:
        self.hashed.append(password)
        return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        self.hashed.append(password)
        return super().verify(password, encoded)


@pytest.mark.parametrize("same", ["address", "username"])
def test_too_many_tries_have_to_wait(exchange: RunningExchange, settings: Settings, same: str):
    settings.LOGIN_RATE_ADDRESS, settings.LOGIN_RATE_USERNAME = ("2/m", "9/m") if same == "address" else ("9/m", "2/m")
    tries = [("10.9.0.1", "may"), ("10.9.0.1", "nora"), ("10.9.0.1", "otto")]
    if same == "username":
        tries = [("10.9.0.2", "mia"), ("10.9.0.3", "MIA"), ("10.9.0.4", "mia")]
    pages = [Visitor(address=address).log_in(name, "wrong-password") for address, name in tries]
    assert [page.status for page in pages] == [200, 200, 429]
    page = pages[-1]
    assert 0 < int(page.headers["retry-after"]) <= 60
    assert "Too many tries" in page.words


def test_the_limit_counts_the_client_behind_a_trusted_proxy(exchange: RunningExchange, settings: Settings):
    settings.LOGIN_RATE_ADDRESS = "1/m"
    settings.TRUSTED_PROXIES = ["10.8.0.1"]
    statuses = [
        Visitor(address="10.8.0.1", **{"X-Forwarded-For": client}).log_in(f"ned-{n}", "wrong-password").status
        for n, client in enumerate(["203.0.113.7", "203.0.113.8", "203.0.113.7"])
    ]
    assert statuses == [200, 200, 429]


def test_operators_come_in_by_the_same_door(visitor: Visitor):
    User.objects.create_superuser("oscar", password=PASSWORD)
    assert visitor.get("/admin/").to == "/admin/login/?next=/admin/"
    assert visitor.get("/admin/login/", next="/admin/").to == "/login?next=/admin/"
    refused = visitor.post("/admin/login/", username="oscar", password=PASSWORD)
    assert refused.to == "/login?next=/admin/"
    assert not visitor.is_signed_in()
    assert visitor.log_in("oscar", next="/admin/").to == "/admin/"
    assert visitor.get("/admin/").status == 200
    assert visitor.get("/admin/login/", next="https://evil.example/").to == FLOOR


def test_the_desk_is_closed_to_everybody_else(visitor: Visitor):
    visitor.sign_up("pat")
    page = visitor.get("/admin/login/", next="/admin/")
    assert page.status == 403
    assert "For operators only" in page.words
