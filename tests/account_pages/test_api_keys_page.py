"""The page of API keys: the key that it shows signs requests, within what was allowed, until it is revoked."""

import base64
import html
import re
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.utils import timezone

from matching.engine.messages import OpenAccount
from tests.account_pages.people import Page, Visitor
from tests.api import SignedClient
from tests.builders import RunningExchange
from trading.api.keys import KEYS_PER_USER_MAX
from trading.models import ApiKey, User

PATH = "/account/api-keys"


@pytest.fixture
def visitor(exchange: RunningExchange) -> Visitor:
    visitor = Visitor()
    visitor.post("/demo/start")
    return visitor


def user_of(visitor: Visitor) -> User:
    return User.objects.get(pk=visitor.client.session["_auth_user_id"])


def make(visitor: Visitor, *scopes: str, **fields: str) -> Page:
    return visitor.post(PATH, **({"account": "main", "scopes": scopes or ("read",)} | fields))


class KeyFromPage(SignedClient):
    """Signs with the key and secret that a page shows."""

    def __init__(self, page: Page) -> None:
        super(SignedClient, self).__init__()
        self.key, self.secret, self.late_ms = page.text_of("key"), page.text_of("key-secret"), 0


def test_a_new_key_signs_requests_and_its_secret_is_shown_once(visitor: Visitor):
    assert "No API keys yet" in visitor.get(PATH).words
    page = make(visitor, "read", label="laptop bot")
    assert "no-store" in page.headers["cache-control"]
    client = KeyFromPage(page)
    assert client.get("/balances").status == 200
    listed = visitor.get(PATH)
    assert "laptop bot" in listed.words
    assert client.key in listed.html
    assert client.secret not in listed.html


def test_the_line_to_paste_is_signed_rightly(visitor: Visitor):
    page = make(visitor, "read")
    client = KeyFromPage(page)
    line = page.text_of("command-1").replace("curl -sS", "echo")
    shown = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout
    sent = re.search(r"(\S+) -H X-API-Key: (\S+) -H X-Timestamp: (\d+) -H X-Signature: ([0-9a-f]{64})", shown)
    assert sent is not None, shown
    assert sent[1] == "http://testserver/api/v1/balances"
    headers = {"X-API-Key": sent[2], "X-Timestamp": sent[3], "X-Signature": sent[4]}
    assert client.client.get("/api/v1/balances", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("scopes", "commands"), [(("read",), 1), (("trade",), 1), (("read", "trade"), 2), (("withdraw",), 0)]
)
def test_only_lines_that_the_key_may_send_are_shown(visitor: Visitor, scopes: tuple[str, ...], commands: int):
    page = make(visitor, *scopes)
    assert len(re.findall(r'id="command-\d"', page.html)) == commands
    assert ApiKey.objects.get(key=page.text_of("key")).scopes == list(scopes)
    assert html.unescape(page.html).count("/api/v1/orders ") == ("trade" in scopes)


def test_a_key_works_only_from_where_it_was_allowed(visitor: Visitor):
    page = make(visitor, "read", networks="203.0.113.0/24, 10.0.0.1\n2001:db8::/32")
    key = ApiKey.objects.get(key=page.text_of("key"))
    assert key.networks == ["203.0.113.0/24", "10.0.0.1/32", "2001:db8::/32"]
    assert KeyFromPage(page).get("/balances").code == "ip_not_allowed"


def test_a_key_works_until_the_end_of_its_last_day(visitor: Visitor):
    today = timezone.now().date()
    page = make(visitor, "read", expires_on=today.isoformat())
    key = ApiKey.objects.get(key=page.text_of("key"))
    assert key.expires_at == datetime(today.year, today.month, today.day, 23, 59, 59, 999_999, tzinfo=UTC)
    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert KeyFromPage(page).get("/balances").code == "key_expired"
    assert re.search(rf"<details.*{key.key}.*expired", visitor.get(PATH).html, re.DOTALL)


def test_a_key_acts_for_the_account_it_was_made_for(visitor: Visitor, exchange: RunningExchange):
    exchange.execute(OpenAccount(user_of(visitor).pk, "bot"))
    page = make(visitor, "read", account="bot")
    assert ApiKey.objects.get(key=page.text_of("key")).account.name == "bot"
    assert [account["name"] for account in KeyFromPage(page).get("/accounts").body] == ["bot"]


def test_an_ed25519_key_has_no_secret(visitor: Visitor):
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    page = make(visitor, "read", public_key=base64.b64encode(public).decode())
    assert 'id="key-secret"' not in page.html
    assert 'id="command-' not in page.html
    assert bytes(ApiKey.objects.get(key=page.text_of("key")).public_key or b"") == public


@pytest.mark.parametrize(
    ("fields", "field", "complaint"),
    [
        ({"scopes": ()}, "scopes", "This field is required."),
        ({"scopes": ("admin",)}, "scopes", "admin is not one of the available choices."),
        ({"networks": "203.0.113.1/24"}, "networks", "has host bits set"),
        ({"networks": "example.org"}, "networks", "does not appear to be an IPv4 or IPv6 network"),
        ({"networks": " ".join(f"10.0.0.{n}" for n in range(33))}, "networks", "At most 32 networks."),
        ({"expires_on": "2020-01-01"}, "expires_on", "That day is over already."),
        ({"expires_on": "soon"}, "expires_on", "Enter a valid date."),
        ({"public_key": "abc"}, "public_key", "This is no Ed25519 public key"),
        ({"label": "x" * 65}, "label", "at most 64 characters"),
        ({"account": "elsewhere"}, "account", "not one of the available choices"),
    ],
)
def test_what_cannot_be_a_key_is_said_at_its_field(visitor: Visitor, fields, field: str, complaint: str):
    page = visitor.post(PATH, **({"account": "main", "scopes": ("read",)} | fields))
    assert complaint in page.errors_of(f"id_{field}")
    assert not ApiKey.objects.filter(user=user_of(visitor)).exists()


def test_the_account_of_somebody_else_cannot_be_chosen(visitor: Visitor, exchange: RunningExchange):
    exchange.open_account("somebody", name="theirs")
    assert make(visitor, "read", account="theirs").errors_of("id_account")
    assert not ApiKey.objects.filter(account__name="theirs").exists()


def test_there_are_no_more_keys_than_the_api_allows(visitor: Visitor):
    user = user_of(visitor)
    account = user.accounts.get()
    ApiKey.objects.bulk_create(
        ApiKey(key=f"bk_{user.pk}_{n}", user=user, account=account, scopes=["read"], public_key=bytes(32))
        for n in range(KEYS_PER_USER_MAX)
    )
    assert "You have 50 keys, which is as many as there can be." in make(visitor, "read").words
    assert ApiKey.objects.filter(user=user).count() == KEYS_PER_USER_MAX


def test_a_revoked_key_signs_nothing(visitor: Visitor):
    client = KeyFromPage(make(visitor, "read", label="old bot"))
    assert client.get("/balances").status == 200
    key_id = ApiKey.objects.get(key=client.key).pk
    stranger = Visitor()
    stranger.post("/demo/start")
    assert stranger.post(f"{PATH}/{key_id}/revoke").status == 404
    assert client.get("/balances").status == 200
    assert visitor.post(f"{PATH}/{key_id}/revoke").to == PATH
    assert client.get("/balances").code == "key_revoked"
    page = visitor.get(PATH)
    assert "old bot is revoked" in page.words
    assert re.search(rf"<details.*{client.key}.*revoked", page.html, re.DOTALL)
    assert visitor.post(f"{PATH}/{key_id}/revoke").to == PATH
