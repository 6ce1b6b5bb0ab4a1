"""The second factor: codes of an app that knows what the page shows, recovery codes, and who is nobody until then."""

import base64
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.tokens import default_token_generator
from django.db import connection
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from pytest_django.fixtures import Settings

from tests.account_pages.people import FLOOR, PASSWORD, Visitor, app_code
from tests.builders import RunningExchange
from trading import two_factor
from trading.models import Authenticator, Session, User
from trading.pages import accounts


class Careful:
    """A person with two-factor: name, the app's secret, recovery codes, and the browser it was set up in."""

    _made = 0

    def __init__(self) -> None:
        Careful._made += 1
        self.username = f"careful-{Careful._made}"
        self.browser = Visitor()
        self.browser.sign_up(self.username)
        self.secret, self.recovery_codes = self.browser.turn_on_two_factor()

    @property
    def user(self) -> User:
        return User.objects.get(username=self.username)

    def after_password(self, **fields: str) -> Visitor:
        """Another browser in which the password was given, and no code yet."""
        browser = Visitor()
        assert browser.log_in(self.username, **fields).to == "/login/code"
        return browser

    def next_code(self) -> str:
        """A code that was not used when two-factor was turned on."""
        return app_code(self.secret, steps=1)

    def wait_out(self, **span: float) -> None:
        """As if time had passed since the last wrong code."""
        for device in (Authenticator.objects.get(user=self.user), StaticDevice.objects.get(user=self.user)):
            if device.throttling_failure_timestamp is not None:
                device.throttling_failure_timestamp -= timedelta(**span)
                device.save()


@pytest.fixture
def careful(exchange: RunningExchange) -> Careful:
    return Careful()


# ---------------------------------------------------------------------------------------------- turning it on and off


def test_the_picture_says_what_the_app_must_know(visitor: Visitor):
    visitor.sign_up("ann")
    page = visitor.get("/account/security/two-factor")
    user, key = User.objects.get(username="ann"), visitor.client.session["two_factor_key"]
    secret = page.text_of("secret").replace(" ", "")
    assert two_factor.app_url(user=user, key=key) == (
        f"otpauth://totp/Bourse%3Aann?secret={secret}&algorithm=SHA1&digits=6&period=30&issuer=Bourse"
    )
    assert len(secret) == 32
    assert two_factor.app_picture(user=user, key=key) in page.html
    assert not re.search(r"<svg[^>]*style=|<script(?![^>]*src=)|src=\"http", page.html)
    assert visitor.get("/account/security/two-factor").text_of("secret").replace(" ", "") == secret


@pytest.mark.parametrize(
    ("code", "password", "field", "complaint"),
    [
        ("wrong", PASSWORD, "code", "This is not the code that the app shows now."),
        ("", PASSWORD, "code", "This field is required."),
        ("right", "wrong-password", "password", "The password is wrong."),
        ("old", PASSWORD, "code", "This is not the code that the app shows now."),
        ("١٢٣٤٥٦", PASSWORD, "code", "This is not the code that the app shows now."),
    ],
)
def test_it_is_not_turned_on_without_a_code_and_the_password(
    visitor: Visitor, code: str, password: str, field: str, complaint: str
):
    visitor.post("/demo/start")
    visitor.post("/password/change", new_password1=PASSWORD, new_password2=PASSWORD)
    secret = visitor.get("/account/security/two-factor").text_of("secret")
    right = app_code(secret)
    wrong = f"{(int(right) + 1) % 10**6:06}"
    given = {"wrong": wrong, "right": right, "old": app_code(secret, steps=-9)}.get(code, code)
    page = visitor.post("/account/security/two-factor", code=given, password=password)
    assert complaint in page.errors_of(f"id_{field}")
    assert not Authenticator.objects.filter(user_id=visitor.client.session["_auth_user_id"]).exists()


def test_turning_it_on_shows_ten_recovery_codes_once(careful: Careful):
    assert len(set(careful.recovery_codes)) == 10
    assert all(re.fullmatch(r"[a-hj-kmnp-z2-9]{4}(-[a-hj-kmnp-z2-9]{4}){2}", code) for code in careful.recovery_codes)
    assert careful.recovery_codes[0] not in careful.browser.get("/account/security").html
    assert "10 of your recovery codes are unused." in careful.browser.get("/account/security").words
    assert careful.browser.get("/account/security/two-factor").to == "/account/security"


def test_the_database_alone_gives_no_codes_away(careful: Careful):
    stored = Authenticator.objects.get(user=careful.user).key
    assert app_code(careful.secret) != app_code(base64.b32encode(bytes.fromhex(stored)).decode())
    plain = [code.replace("-", "") for code in careful.recovery_codes]
    assert not StaticToken.objects.filter(token__in=plain + careful.recovery_codes).exists()
    data = "".join(Session.objects.filter(user=careful.user).values_list("session_data", flat=True))
    assert stored not in data


@pytest.mark.parametrize("path", ["/account/security/two-factor/off", "/account/security/recovery-codes"])
def test_weakening_it_takes_the_password(careful: Careful, path: str):
    for password in ("wrong-password", ""):
        page = careful.browser.post(path, password=password)
        assert page.errors_of("id_password")
    careful.browser.get(path)
    assert two_factor.is_on(user=careful.user)
    assert careful.after_password().post("/login/code", code=careful.recovery_codes[0]).to == FLOOR


def test_turned_off_the_password_alone_is_enough(careful: Careful):
    assert careful.browser.post("/account/security/two-factor/off", password=PASSWORD).to == "/account/security"
    assert Visitor().log_in(careful.username).to == FLOOR
    assert careful.browser.get("/account/security/recovery-codes").to == "/account/security"
    assert not StaticToken.objects.filter(device__user=careful.user).exists()


def test_new_recovery_codes_replace_the_old_ones(careful: Careful):
    shown = careful.browser.post("/account/security/recovery-codes", password=PASSWORD)
    new = shown.text_of("codes").split()
    assert not set(new) & set(careful.recovery_codes)
    half = careful.after_password()
    assert half.post("/login/code", code=careful.recovery_codes[0]).status == 200
    careful.wait_out(minutes=1)
    assert half.post("/login/code", code=new[0]).to == FLOOR


def test_a_trial_without_a_password_sets_one_first(visitor: Visitor):
    visitor.post("/demo/start")
    assert "Set a password first" in visitor.get("/account/security").words
    assert visitor.get("/account/security/two-factor").to == "/account/security"


# ---------------------------------------------------------------------------------------------- signing in with it


def test_after_the_password_one_is_nobody_until_the_code(careful: Careful):
    half = careful.after_password(next="/account")
    before = half.session_key
    assert not half.is_signed_in()
    assert half.get("/admin/").status == 302
    assert half.get("/login").status == 200
    assert not Session.objects.filter(session_key=before, user__isnull=False).exists()
    assert half.client.post("/api/v1/orders/test", b"{}", content_type="application/json").status_code != 200
    assert half.post("/login/code", code=careful.next_code()).to == "/account"
    assert half.is_signed_in()
    assert half.session_key != before
    assert not Session.objects.filter(session_key=before).exists()
    assert half.client.session.get_expiry_age() > 24 * 3600


def test_a_code_works_once(careful: Careful):
    setup_code = app_code(careful.secret)
    assert careful.after_password().post("/login/code", code=setup_code).status == 200
    careful.wait_out(minutes=1)
    code = careful.next_code()
    assert careful.after_password().post("/login/code", code=code).to == FLOOR
    replayed = careful.after_password()
    page = replayed.post("/login/code", code=code)
    assert "This code is wrong, or was used already." in page.errors_of("id_code")
    assert not replayed.is_signed_in()


def test_a_recovery_code_works_once_however_it_is_typed(careful: Careful):
    code = careful.recovery_codes[3]
    browser = careful.after_password()
    assert "Recovery code" in browser.get("/login/code", recovery="").words
    assert browser.post("/login/code?recovery", code=f" {code.upper().replace('-', ' ')} ").to == FLOOR
    page = browser.get("/account/security").words
    assert "You used a recovery code; 9 are left." in page
    assert "9 of your recovery codes are unused." in page
    again = careful.after_password()
    assert again.post("/login/code?recovery", code=code).errors_of("id_code")
    assert not again.is_signed_in()


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "0" * 33, "nul\0", "-", "-000001"])
def test_what_is_no_code_lets_nobody_in(careful: Careful, code: str):
    half = careful.after_password()
    page = half.post("/login/code", code=code)
    assert page.status == 200
    assert page.errors_of("id_code")
    assert not half.is_signed_in()


def test_another_persons_code_lets_nobody_in(careful: Careful):
    other = Careful()
    half = careful.after_password()
    assert half.post("/login/code", code=other.next_code()).errors_of("id_code")
    assert half.post("/login/code", code=other.recovery_codes[0]).errors_of("id_code")
    assert not half.is_signed_in()


def test_after_wrong_codes_the_right_one_has_to_wait(careful: Careful):
    half = careful.after_password()
    wrong = f"{(int(careful.next_code()) + 1) % 10**6:06}"
    for _ in range(5):
        assert "This code is wrong" in half.post("/login/code", code=wrong).errors_of("id_code")
        careful.wait_out(seconds=20)
    half.post("/login/code", code=wrong)
    page = half.post("/login/code", code=careful.next_code())
    assert re.search(r"Too many wrong codes\. Wait (29|30|31|32) seconds", page.errors_of("id_code"))
    assert not half.is_signed_in()
    careful.wait_out(seconds=33)
    assert half.post("/login/code", code=careful.next_code()).to == FLOOR


def test_codes_are_limited_by_user_from_wherever_they_come(careful: Careful, settings: Settings):
    settings.CODE_RATE = "2/m"
    statuses = [careful.after_password().post("/login/code", code=code).status for code in ("000000", "a-b-c", "00")]
    assert statuses == [200, 200, 429]


def test_the_code_has_to_come_soon(careful: Careful, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(accounts, "HALF_LOGIN_SECONDS", 0)
    half = careful.after_password()
    page = half.post("/login/code", code=careful.next_code())
    assert page.to == "/login"
    assert "Sign in with your password first." in half.get("/login").words
    assert not half.is_signed_in()


def test_a_password_that_was_changed_meanwhile_ends_the_half_login(careful: Careful):
    half = careful.after_password()
    user = careful.user
    user.set_password("even-better-8")
    user.save()
    assert half.post("/login/code", code=careful.next_code()).to == "/login"
    assert not half.is_signed_in()


def test_who_was_shut_out_meanwhile_stays_out(careful: Careful):
    half = careful.after_password()
    User.objects.filter(username=careful.username).update(is_active=False)
    assert half.post("/login/code", code=careful.next_code()).to == "/login"


def test_without_a_password_before_it_a_code_is_worth_nothing(visitor: Visitor, careful: Careful):
    assert visitor.get("/login/code").to == "/login"
    assert visitor.post("/login/code", code=careful.next_code()).to == "/login"
    assert not visitor.is_signed_in()


def test_nobody_is_sent_to_another_host_after_the_code(careful: Careful):
    half = careful.after_password(next="https://evil.example/")
    assert half.post("/login/code?next=https://evil.example/", code=careful.next_code()).to == FLOOR


def test_operators_with_two_factor_need_it_for_their_desk(careful: Careful):
    User.objects.filter(username=careful.username).update(is_staff=True, is_superuser=True)
    half = careful.after_password(next="/admin/")
    assert half.get("/admin/").to == "/admin/login/?next=/admin/"
    assert half.post("/admin/login/", username=careful.username, password=PASSWORD).status == 302
    assert not half.is_signed_in()
    assert half.post("/login/code", code=careful.next_code()).to == "/admin/"
    assert half.get("/admin/").status == 200
    assert not re.search(r"totpdevice|staticdevice", half.get("/admin/").html)


def test_an_operator_lets_in_again_who_has_lost_everything(careful: Careful):
    User.objects.create_superuser("operator", password=PASSWORD)
    desk = Visitor()
    desk.log_in("operator")
    desk.post(
        "/admin/trading/user/", action="turn_off_two_factor", _selected_action=str(careful.user.pk), reason="lost phone"
    )
    assert f"Two-factor of {careful.username} is off." in desk.get("/admin/").words
    assert LogEntry.objects.get(object_id=str(careful.user.pk)).change_message == "two-factor turned off"
    assert Visitor().log_in(careful.username).to == FLOOR


def test_a_new_password_by_e_mail_does_not_go_around_it(careful: Careful):
    user = careful.user
    link = f"/password/reset/{urlsafe_base64_encode(force_bytes(user.pk))}/{default_token_generator.make_token(user)}"
    thief = Visitor()
    form = thief.get(link).to
    assert form is not None
    thief.post(form, new_password1="stolen-mail-4", new_password2="stolen-mail-4")
    assert not thief.is_signed_in()
    assert thief.log_in(careful.username, "stolen-mail-4").to == "/login/code"
    assert not thief.is_signed_in()


def test_one_code_sent_twice_at_once_is_used_once(careful: Careful):
    code, user = careful.next_code(), careful.user

    def check(_: int) -> bool:
        try:
            return two_factor.check(user=user, code=code).right
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(check, range(6))) == 1
