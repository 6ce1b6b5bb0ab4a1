"""Trial accounts and test funds of the demo, and the account page: e-mail and colours."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from tests.account_pages.people import FLOOR, PASSWORD, TEST_FUNDS, Visitor, funds_of
from trading import people
from trading.models import User


def test_one_click_makes_a_funded_trial_account(visitor: Visitor):
    assert visitor.post("/demo/start").to == FLOOR
    assert visitor.is_signed_in()
    user = User.objects.get(pk=visitor.client.session["_auth_user_id"])
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d{4}", user.username)
    assert funds_of(user.username) == TEST_FUNDS
    before = User.objects.count()
    assert visitor.post("/demo/start").to == FLOOR
    assert User.objects.count() == before


def test_a_trial_is_kept_by_setting_a_password(visitor: Visitor):
    visitor.post("/demo/start")
    username = User.objects.get(pk=visitor.client.session["_auth_user_id"]).username
    assert "This is a trial account" in visitor.get("/account").words
    visitor.post("/password/change", new_password1=PASSWORD, new_password2=PASSWORD)
    assert "This is a trial account" not in visitor.get("/account").words
    assert Visitor().log_in(username).to == FLOOR


def test_test_funds_are_limited_by_the_day(visitor: Visitor):
    visitor.sign_up("tom")
    for n in range(1, people.TEST_FUNDS_PER_DAY_MAX + 1):
        assert visitor.post("/demo/funds", next="/account").to == "/account"
        assert "of test money are in your account." in visitor.get("/account").words
        assert funds_of("tom")["BTC"] == f"{2 * n}.00000000"
    visitor.post("/demo/funds")
    assert "You have had all the test funds of today." in visitor.get("/account").words
    assert funds_of("tom")["BTC"] == "6.00000000"
    people.credit_test_funds(user=User.objects.get(username="tom"), now=timezone.now() + timedelta(days=1, seconds=1))
    assert funds_of("tom")["BTC"] == "8.00000000"


def test_funds_asked_for_many_times_at_once_are_limited_too(visitor: Visitor):
    visitor.sign_up("una")
    user = User.objects.get(username="una")

    def ask(_: int) -> bool:
        try:
            people.credit_test_funds(user=user, now=timezone.now())
        except people.FundsUsedUp:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(ask, range(8))) == people.TEST_FUNDS_PER_DAY_MAX
    assert funds_of("una")["USDT"] == "300000.00000000"


def test_funds_are_for_people_who_are_signed_in(visitor: Visitor):
    assert visitor.post("/demo/funds").to == "/login"
    assert visitor.get("/demo/funds").status == visitor.get("/demo/start").status == 405


def test_elsewhere_than_in_the_demo_there_are_no_test_funds(visitor: Visitor, settings: Settings):
    visitor.sign_up("vic")
    settings.DEMO = False
    assert visitor.post("/demo/start").status == 404
    assert visitor.post("/demo/funds").status == 404
    assert "test money" not in visitor.get("/account").words
    Visitor().sign_up("vera", funds="on")
    assert funds_of("vic") == funds_of("vera") == {}


def test_trials_are_limited_by_address(visitor: Visitor, settings: Settings):
    settings.TRIAL_RATE = "1/h"
    visitor.post("/demo/start")
    visitor.post("/logout")
    assert visitor.post("/demo/start").status == 429


def test_a_new_address_takes_the_password(visitor: Visitor):
    visitor.sign_up("will")
    page = visitor.post("/account", email="will@example.net", password="wrong-password")
    assert "The password is wrong." in page.errors_of("id_password")
    assert User.objects.get(username="will").email == "will@example.org"
    assert visitor.post("/account", email="will@example.net", password=PASSWORD).to == "/account"
    assert User.objects.get(username="will").email == "will@example.net"


def test_passwords_typed_again_are_limited(visitor: Visitor, settings: Settings):
    visitor.sign_up("xena")
    settings.CONFIRM_RATE = "1/m"
    assert visitor.post("/account", email="xena@example.net", password="wrong-password").status == 200
    assert visitor.post("/account", email="xena@example.net", password=PASSWORD).status == 429


def test_colours_go_with_a_person_to_the_next_browser(visitor: Visitor):
    def colours(browser: Visitor) -> str:
        found = re.search(r'<html lang="en"([^>]*)>', browser.get("/account").html)
        assert found is not None
        return found[1].strip()

    visitor.sign_up("yves")
    assert colours(visitor) == 'data-palette="standard"'
    visitor.post("/account/appearance", theme="light", palette="colour-blind")
    other = Visitor()
    other.log_in("yves")
    assert colours(visitor) == colours(other) == 'data-theme="light" data-palette="colour-blind"'
    visitor.post("/account/appearance", theme="system", palette="standard")
    assert colours(visitor) == 'data-palette="standard"'
    assert visitor.post("/account/appearance", theme="pink", palette="standard").status == 200
    assert User.objects.get(username="yves").theme == "system"
