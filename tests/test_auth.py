"""Who may speak for an account: signatures, sessions, and what is told to whom when something is wrong."""

import base64
import hmac
import ipaddress
import json
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.middleware.csrf import get_token
from django.test import Client, RequestFactory
from django.utils import timezone

from matching import worker
from risk.models import Account
from tests.gateway_client import LIMIT_BUY, ORDERS, Answer, Floor, Signer, trading_floor
from trading.api_keys import InvalidApiKey, decrypted, issue_api_key, public_key_bytes
from trading.gateway.app import Gateway
from trading.gateway.auth import Credentials, authenticate, client_address, verify
from trading.gateway.errors import ApiError
from trading.gateway.keys import CACHE, Entry, KeyRecord, Principal
from trading.gateway.limits import Unlimited
from trading.models import ApiKey, User

NOW = 1_760_000_000_000


@pytest.fixture(scope="module")
def floor(fresh_database: str) -> Iterator[Floor]:
    with trading_floor() as floor:
        yield floor


# ---------------------------------------------------------------------------------------------- the signature itself


def known(**fields: Any) -> Entry:
    """What memory holds of a key with the secret "secret"."""
    record: dict[str, Any] = {
        "principal": Principal(3, 7, frozenset({"trade"}), "k"), "secret": b"secret", "public_key": None,
        "networks": (), "expires_at": None, "revoked": False,
    }  # fmt: skip
    return Entry(KeyRecord(**record | fields), time.monotonic())


def check(entry: Entry, *, timestamp: bytes | None, signature: bytes | None, window: bytes | None = None) -> Principal:
    credentials = Credentials(b"k", timestamp, signature, window)
    return verify(
        entry=entry, credentials=credentials, method="POST", target=b"/api/v1/orders?a=b%20c", body=b'{"x":"y"}',
        address="10.0.0.1", scope="trade", now_ms=NOW,
    )  # fmt: skip


def failure(entry: Entry, **fields: Any) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        check(entry, **fields)
    return caught.value.status, caught.value.code


# Made with: printf '%s' '1760000000000POST/api/v1/orders?a=b%20c{"x":"y"}' | openssl dgst -sha256 -hmac secret
HMAC_VECTOR = b"3ed97080b5168967def49e08eb91a1f0871662e68a2ff71e25b471becb060a75"
# RFC 8032, section 7.1, test 1 has this key pair.
RFC_SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RFC_PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
TIME = str(NOW).encode()


def test_hmac_signatures_follow_the_vector() -> None:
    assert check(known(), timestamp=TIME, signature=HMAC_VECTOR).account_id == 3
    assert check(known(), timestamp=TIME, signature=HMAC_VECTOR.upper()).user_id == 7
    for wrong in (b"", b"0" * 64, HMAC_VECTOR[:-1], HMAC_VECTOR + b"0", b"\xff" * 64, HMAC_VECTOR[::-1]):
        assert failure(known(), timestamp=TIME, signature=wrong) == (401, "invalid_credentials")


def test_ed25519_signatures_follow_the_rfc_key() -> None:
    private = Ed25519PrivateKey.from_private_bytes(RFC_SECRET)
    assert private.public_key().public_bytes_raw() == RFC_PUBLIC
    signature = base64.b64encode(private.sign(TIME + b'POST/api/v1/orders?a=b%20c{"x":"y"}'))
    entry = known(secret=None, public_key=private.public_key())
    assert check(entry, timestamp=TIME, signature=signature).account_id == 3
    for wrong in (b"", b"!", base64.b64encode(b"short"), base64.b64encode(b"0" * 64), HMAC_VECTOR):
        assert failure(entry, timestamp=TIME, signature=wrong) == (401, "invalid_credentials")


def test_an_unknown_key_is_told_the_same_as_a_wrong_signature() -> None:
    unknown = Entry(None, time.monotonic())
    messages = set()
    for entry, signature in ((unknown, HMAC_VECTOR), (known(), b"0" * 64)):
        with pytest.raises(ApiError) as caught:
            check(entry, timestamp=TIME, signature=signature)
        messages.add((caught.value.status, caught.value.code, caught.value.message))
    nobody = hmac.new(b"the secret that unknown keys are compared with", b"", "sha256")
    nobody.update(TIME + b'POST/api/v1/orders?a=b%20c{"x":"y"}')
    assert failure(unknown, timestamp=TIME, signature=nobody.hexdigest().encode()) == (401, "invalid_credentials")
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("timestamp", "window", "code"),
    [
        (NOW - 5_001, None, "timestamp_out_of_window"),
        (NOW + 5_001, None, "timestamp_out_of_window"),
        (NOW - 5_000, None, "invalid_credentials"),
        (NOW + 5_000, None, "invalid_credentials"),
        (NOW - 59_999, b"60000", "invalid_credentials"),
        (NOW - 101, b"100", "timestamp_out_of_window"),
        (NOW, b"60001", "invalid_window"),
        (NOW, b"0", "invalid_window"),
        (NOW, b"-1", "invalid_window"),
        (NOW, b"1e3", "invalid_window"),
        (NOW, b"", "invalid_window"),
        ("", None, "timestamp_out_of_window"),
        ("now", None, "timestamp_out_of_window"),
        ("9" * 400, None, "timestamp_out_of_window"),
        (f"{NOW}.5", None, "timestamp_out_of_window"),
        ("\u0663" * 13, None, "timestamp_out_of_window"),
    ],
)
def test_the_timestamp_must_lie_within_the_window(timestamp: int | str, window: bytes | None, code: str) -> None:
    """A signature that is wrong anyhow is looked at only when the time is right."""
    assert failure(known(), timestamp=str(timestamp).encode(), signature=b"0", window=window) == (401, code)


def test_all_three_headers_are_needed() -> None:
    assert failure(known(), timestamp=None, signature=b"0") == (401, "authentication_required")
    assert failure(known(), timestamp=TIME, signature=None) == (401, "authentication_required")


def test_only_the_owner_of_a_key_is_told_what_is_wrong_with_it() -> None:
    genuine: dict[str, Any] = {"timestamp": TIME, "signature": HMAC_VECTOR}
    forged: dict[str, Any] = {"timestamp": TIME, "signature": b"0" * 64}
    networks = (ipaddress.ip_network("192.168.0.0/16"), ipaddress.ip_network("::1"))
    for fields, told in (
        ({"revoked": True}, (401, "key_revoked")),
        ({"expires_at": NOW}, (401, "key_expired")),
        ({"networks": networks}, (403, "ip_not_allowed")),
        ({"principal": Principal(3, 7, frozenset({"read"}), "k")}, (403, "scope_missing")),
    ):
        assert failure(known(**fields), **genuine) == told
        assert failure(known(**fields), **forged) == (401, "invalid_credentials")
    assert check(known(expires_at=NOW + 1, networks=(ipaddress.ip_network("10.0.0.0/8"),)), **genuine).account_id == 3


def test_the_client_address_is_found_behind_trusted_proxies_only() -> None:
    def client(peer: str, forwarded_for: str, *trusted: str) -> str:
        return client_address(peer=peer, forwarded_for=forwarded_for, trusted=trusted)

    assert client("1.1.1.1", "2.2.2.2") == "1.1.1.1"
    assert client("1.1.1.1", "2.2.2.2", "9.9.9.9") == "1.1.1.1"
    assert client("1.1.1.1", "6.6.6.6, 2.2.2.2", "1.1.1.1") == "2.2.2.2"
    assert client("1.1.1.1", "6.6.6.6, 2.2.2.2,10.0.0.7", "1.1.1.1", "10.0.0.0/8") == "2.2.2.2"
    assert client("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.0/8") == "10.0.0.3"
    assert client("::ffff:10.0.0.1", "2.2.2.2", "10.0.0.0/8") == "2.2.2.2"
    assert client("10.0.0.1", "6.6.6.6, nonsense", "10.0.0.0/8") == "nonsense"


# ---------------------------------------------------------------------------------------------- keys in use


def buy(floor: Floor, signer: Signer, **options: Any) -> Answer:
    return floor.call("POST", ORDERS, LIMIT_BUY, signer=signer, **options)


def test_the_whole_request_is_signed(floor: Floor) -> None:
    body = json.dumps(LIMIT_BUY).encode()
    headers = floor.alice.headers("POST", ORDERS, body)

    def code(method: str, target: str, body: bytes) -> str:
        return floor.send(method, target, [body], headers=headers).code

    assert code("POST", ORDERS, body.replace(b"0.5", b"0.6")) == "invalid_credentials"
    assert code("DELETE", ORDERS, body) == "invalid_credentials"
    assert code("POST", ORDERS + "/test", body) == "invalid_credentials"
    assert code("POST", ORDERS + "?a=b", body) == "invalid_credentials"
    changed = headers | {"X-Timestamp": str(int(headers["X-Timestamp"]) + 1)}
    assert floor.send("POST", ORDERS, [body], headers=changed).code == "invalid_credentials"
    assert floor.send("POST", ORDERS, [body], headers=headers | {"X-API-Key": floor.bob.key}).status == 401
    assert floor.send("POST", ORDERS, [body], headers=headers).status == 201


def test_the_query_is_signed_as_it_was_sent(floor: Floor) -> None:
    assert floor.call("DELETE", ORDERS + "?market=BTC%2DUSDT", signer=floor.alice).status == 200


def test_keys_that_do_not_exist_are_refused(floor: Floor) -> None:
    for key in ("bk_0", "", "x" * 500, "bk_\xff"):
        answer = buy(floor, Signer(key, 0, "secret"))
        assert (answer.status, answer.code) == (401, "invalid_credentials"), key
        assert "www-authenticate" in answer.headers


def test_an_ed25519_key_trades(floor: Floor) -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    account = Account.objects.get(id=floor.alice.account_id)
    api_key, secret = issue_api_key(account=account, scopes=["trade"], public_key=public)
    assert secret is None
    assert api_key.secret_encrypted is None
    signer = Signer(api_key.key, account.id, private_key=private)
    assert buy(floor, signer).status == 201
    assert buy(floor, Signer(api_key.key, account.id, private_key=Ed25519PrivateKey.generate())).status == 401


def test_a_key_needs_the_scope_trade(floor: Floor) -> None:
    reader = floor.signer(floor.alice.account_id, scopes=["read", "withdraw"])
    assert (buy(floor, reader).status, buy(floor, reader).code) == (403, "scope_missing")
    body = b""
    principal = authenticate(
        credentials=credentials_of(reader.headers("GET", ORDERS, body)), method="GET", target=ORDERS.encode(),
        body=body, address="127.0.0.1", scope="read",
    )  # fmt: skip
    assert (principal.account_id, principal.key) == (floor.alice.account_id, reader.key)


def credentials_of(headers: dict[str, str]) -> Credentials:
    return Credentials(
        headers["X-API-Key"].encode(), headers["X-Timestamp"].encode(), headers["X-Signature"].encode(), None
    )


def test_changes_of_a_key_are_seen_at_once(floor: Floor) -> None:
    signer = floor.signer(floor.alice.account_id)
    assert buy(floor, signer).status == 201
    row = ApiKey.objects.get(key=signer.key)
    row.networks = ["192.168.0.0/16"]
    row.save()
    assert (buy(floor, signer).code, buy(floor, signer, address="192.168.3.4").status) == ("ip_not_allowed", 201)
    row.networks, row.expires_at = [], timezone.now() - timedelta(seconds=1)
    row.save()
    assert buy(floor, signer).code == "key_expired"
    row.expires_at, row.revoked_at = None, timezone.now()
    row.save()
    assert buy(floor, signer).code == "key_revoked"
    row.delete()
    assert buy(floor, signer).code == "invalid_credentials"


def test_changes_made_elsewhere_are_seen_within_two_seconds(floor: Floor) -> None:
    steady, seldom = floor.signer(floor.alice.account_id), floor.signer(floor.alice.account_id)
    assert (buy(floor, steady).status, buy(floor, seldom).status) == (201, 201)
    with connection.cursor() as cursor:  # as another process does
        cursor.execute("UPDATE trading_apikey SET revoked_at = now() WHERE key IN (%s, %s)", [steady.key, seldom.key])
    began = time.monotonic()
    while buy(floor, steady).status == 201:
        assert time.monotonic() - began < 2.5
        time.sleep(0.05)
    assert buy(floor, steady).code == "key_revoked"
    time.sleep(max(0.0, began + 2.1 - time.monotonic()))
    assert buy(floor, seldom).code == "key_revoked"


def test_a_user_who_may_no_longer_sign_in_has_no_keys(floor: Floor) -> None:
    signer = floor.signer(floor.account("eve"))
    User.objects.filter(username="eve").update(is_active=False)
    assert buy(floor, signer).code == "invalid_credentials"


def test_secrets_are_stored_encrypted(floor: Floor) -> None:
    row = ApiKey.objects.get(key=floor.alice.key)
    assert floor.alice.secret is not None
    stored = bytes(row.secret_encrypted or b"")
    assert floor.alice.secret.encode() not in stored
    assert decrypted(stored) == floor.alice.secret.encode()


def test_a_secret_of_another_secret_key_is_no_key(floor: Floor, settings: Any) -> None:
    signer = floor.signer(floor.alice.account_id)
    settings.SECRET_KEY = "another key " * 5
    CACHE.clear()
    try:
        assert buy(floor, signer).code == "invalid_credentials"
    finally:
        CACHE.clear()


def test_behind_a_trusted_proxy_the_forwarded_address_counts(floor: Floor, settings: Any) -> None:
    signer = floor.signer(floor.alice.account_id, networks=["203.0.113.0/24"])
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    gateway = Gateway(lane=worker.order_lane(), limits=Unlimited())
    forwarded = {"X-Forwarded-For": "8.8.8.8, 203.0.113.9"}
    assert buy(floor, signer, headers=forwarded).code == "ip_not_allowed"  # nobody is trusted there
    assert buy(floor, signer, headers=forwarded, gateway=gateway).status == 201
    assert buy(floor, signer, headers={"X-Forwarded-For": "203.0.113.9, 8.8.8.8"}, gateway=gateway).status == 403


def test_the_database_refuses_keys_of_no_kind_or_scope(floor: Floor) -> None:
    row = ApiKey.objects.get(key=floor.alice.key)
    for change in ({"secret_encrypted": None}, {"public_key": b"0" * 32}, {"scopes": ["admin"]}):
        with pytest.raises(IntegrityError):
            ApiKey.objects.filter(pk=row.pk).update(**change)


# ---------------------------------------------------------------------------------------------- making keys


def made(*args: str) -> dict[str, Any]:
    out = StringIO()
    call_command("create_api_key", *args, "--json", stdout=out)
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


def test_the_command_prints_a_key_that_works(floor: Floor) -> None:
    told = made("alice", "--scopes", "read,trade", "--ips", "127.0.0.1,10.0.0.0/8", "--expires", "2100-01-01")
    assert told["scopes"] == ["read", "trade"]
    assert told["ips"] == ["127.0.0.1/32", "10.0.0.0/8"]
    assert told["expires_at"] == "2100-01-01T00:00:00+00:00"
    assert buy(floor, Signer(told["key"], floor.alice.account_id, told["secret"])).status == 201


def test_the_command_takes_public_keys_of_every_common_form(floor: Floor, tmp_path: Any) -> None:
    path = tmp_path / "key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", f"{path}.pem"], check=True)
    subprocess.run(["openssl", "pkey", "-in", f"{path}.pem", "-pubout", "-out", f"{path}.pub"], check=True)
    told = made("alice", "--ed25519", f"{path}.pub")
    assert told["secret"] is None
    private = serialization.load_pem_private_key((tmp_path / "key.pem").read_bytes(), None)
    assert isinstance(private, Ed25519PrivateKey)
    assert buy(floor, Signer(told["key"], floor.alice.account_id, private_key=private)).status == 201
    raw = private.public_key().public_bytes_raw()
    openssh = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert public_key_bytes(base64.b64encode(raw) + b"\n") == public_key_bytes(openssh) == raw
    for wrong in (b"", b"nonsense", b"ssh-ed25519 nonsense", b"-----BEGIN PUBLIC KEY-----\n", base64.b64encode(b"1")):
        with pytest.raises(InvalidApiKey):
            public_key_bytes(wrong)


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["nobody"], "unknown_user"),
        (["alice", "--account", "second"], "unknown_account"),
        (["alice", "--scopes", "read,admin"], "invalid_scopes"),
        (["alice", "--scopes", ""], "invalid_scopes"),
        (["alice", "--ips", "10.0.0.1/8"], "invalid_networks"),
        (["alice", "--expires", "soon"], "invalid_expires"),
        (["alice", "--ed25519", "/nowhere"], "invalid_public_key"),
    ],
)
def test_the_command_fails_with_the_reason(floor: Floor, args: list[str], reason: str) -> None:
    with pytest.raises(CommandError, match=f"^{reason}: "):
        call_command("create_api_key", *args)


# ---------------------------------------------------------------------------------------------- browser sessions


class Browser:
    """A signed-in browser: its cookies, and the CSRF token that its pages have."""

    def __init__(self, username: str) -> None:
        client = Client()
        client.force_login(User.objects.get(username=username))
        request = RequestFactory().get("/")
        self.token = get_token(request)
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        self.cookie = f"{settings.SESSION_COOKIE_NAME}={session}; csrftoken={request.META['CSRF_COOKIE']}"

    def headers(self, **more: str) -> dict[str, str]:
        return {"Cookie": self.cookie, "X-CSRFToken": self.token} | {
            name.replace("_", "-"): value for name, value in more.items()
        }


def post(floor: Floor, headers: dict[str, str]) -> Answer:
    return floor.call("POST", ORDERS, LIMIT_BUY | {"price": "90.00"}, headers=headers)


def test_a_signed_in_browser_trades_for_the_main_account(floor: Floor) -> None:
    browser = Browser("alice")
    answer = post(floor, browser.headers())
    assert answer.status == 201
    same = floor.call("DELETE", f"{ORDERS}/{answer.json['id']}", signer=floor.alice)
    assert same.json["status"] == "canceled"


def test_a_browser_names_its_other_accounts(floor: Floor) -> None:
    second = floor.signer(floor.account("alice", "second"))
    floor.account("bob", "bobs")
    browser = Browser("alice")
    answer = post(floor, browser.headers(X_Account="second"))
    assert floor.call("DELETE", f"{ORDERS}/{answer.json['id']}", signer=second).status == 200
    for other in ("bobs", "nothing", "x\0y"):
        answer = post(floor, browser.headers(X_Account=other))
        assert (answer.status, answer.code) == (404, "unknown_account")


def test_a_browser_needs_the_csrf_token_and_the_right_origin(floor: Floor) -> None:
    browser = Browser("alice")
    for headers in (
        {"Cookie": browser.cookie},
        browser.headers() | {"X-CSRFToken": "x" * 64},
        browser.headers(Origin="https://evil.example"),
        browser.headers() | {"Cookie": browser.cookie.split(";")[0]},
    ):
        answer = post(floor, headers)
        assert (answer.status, answer.code) == (403, "csrf_failed")
    assert post(floor, browser.headers(Origin="http://localhost")).status == 201
    assert post(floor, browser.headers(Host="evil.example", Origin="http://localhost")).code == "invalid_host"


def test_nobody_is_asked_to_sign_in(floor: Floor) -> None:
    for headers in ({}, {"Cookie": "sessionid=nothing"}, {"Cookie": "other=1", "X-CSRFToken": "x"}, {"Cookie": "\0"}):
        answer = post(floor, headers)
        assert (answer.status, answer.code) == (401, "authentication_required")
    browser = Browser("alice")
    User.objects.filter(username="alice").update(is_active=False)
    try:
        assert post(floor, browser.headers()).code == "authentication_required"
    finally:
        User.objects.filter(username="alice").update(is_active=True)
