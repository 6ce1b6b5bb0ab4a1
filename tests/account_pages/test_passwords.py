"""Changing a password, and resetting one by e-mail: nobody is told who is here, and no session outlives the old one."""

import re
import time

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from pytest_django.fixtures import Settings

from tests.account_pages.people import FLOOR, PASSWORD, Visitor
from tests.builders import RunningExchange
from trading.models import Session, User


@pytest.fixture
def outbox(exchange: RunningExchange) -> list[EmailMessage]:
    mail.outbox.clear()
    return mail.outbox


def the_email(outbox: list[EmailMessage]) -> EmailMessage:
    deadline = time.monotonic() + 10
    while not outbox:
        assert time.monotonic() < deadline, "no e-mail came"
        time.sleep(0.01)
    return outbox.pop()


def link_in(email: EmailMessage) -> str:
    found = re.search(r"http://testserver(/password/reset/\S+)", str(email.body))
    assert found is not None, email.body
    return found[1]


def test_changing_the_password_ends_all_other_sessions(visitor: Visitor):
    visitor.sign_up("quinn")
    other = Visitor()
    other.log_in("quinn")
    page = visitor.post(
        "/password/change", old_password=PASSWORD, new_password1="even-better-8", new_password2="even-better-8"
    )
    assert page.to == "/account/security"
    assert "1 other session was signed out." in visitor.get("/account/security").words
    assert visitor.is_signed_in()
    assert not other.is_signed_in()
    assert Visitor().log_in("quinn").status == 200
    assert Visitor().log_in("quinn", "even-better-8").to == FLOOR


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"old_password": "wrong-password"}, "Your old password was entered incorrectly."),
        ({"new_password2": "even-better-9"}, "The two password fields"),
        ({"new_password1": "password", "new_password2": "password"}, "This password is too common."),
    ],
)
def test_a_password_is_not_changed_by_mistake(visitor: Visitor, fields: dict[str, str], complaint: str):
    visitor.post("/demo/start")
    username = User.objects.get(pk=visitor.client.session["_auth_user_id"]).username
    visitor.post("/password/change", new_password1=PASSWORD, new_password2=PASSWORD)
    given = {"old_password": PASSWORD, "new_password1": "even-better-8", "new_password2": "even-better-8"} | fields
    page = visitor.post("/password/change", **given)
    assert page.status == 200
    assert complaint in page.words
    assert Visitor().log_in(username).to == FLOOR


def test_a_reset_link_sets_a_new_password_once_and_signs_everybody_out(visitor: Visitor, outbox: list[EmailMessage]):
    visitor.sign_up("rosa")
    lost = Visitor()
    assert lost.post("/password/reset", email="ROSA@example.org").to == "/password/reset/sent"
    email = the_email(outbox)
    assert email.to == ["rosa@example.org"]
    link = link_in(email)
    form = lost.get(link).to
    assert form is not None
    assert "Choose a new password" in lost.get(form).words
    page = lost.post(form, new_password1="found-again-5", new_password2="found-again-5")
    assert page.to == "/login"
    assert not lost.is_signed_in()
    assert not visitor.is_signed_in()
    assert not Session.objects.filter(user__username="rosa").exists()
    assert "This link works no more" in Visitor().get(link).words
    assert lost.log_in("rosa", "found-again-5").to == FLOOR


def test_the_answer_does_not_tell_whether_anybody_has_an_address(visitor: Visitor, outbox: list[EmailMessage]):
    visitor.sign_up("sue")
    Visitor().post("/demo/start")  # has neither address nor password
    asking = Visitor()
    for address in ("nobody@example.org", "sue@example.org"):
        page = asking.post("/password/reset", email=address)
        assert (page.status, page.to, page.html) == (302, "/password/reset/sent", "")
    assert the_email(outbox).to == ["sue@example.org"]
    assert not outbox


@pytest.mark.parametrize("same", ["address", "email"])
def test_resets_are_limited(exchange: RunningExchange, outbox: list[EmailMessage], settings: Settings, same: str):
    settings.RESET_RATE_ADDRESS, settings.RESET_RATE_EMAIL = ("1/h", "9/h") if same == "address" else ("9/h", "1/h")
    asking = Visitor(), Visitor()
    emails = ("a1@example.org", "a2@example.org") if same == "address" else ("a3@example.org", "A3@EXAMPLE.org")
    first, second = (asking[0], asking[0]) if same == "address" else asking
    assert first.post("/password/reset", email=emails[0]).status == 302
    assert second.post("/password/reset", email=emails[1]).status == 429
