"""API keys over REST: a signed-in user makes, lists and revokes them; what they sign is believed."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.api import ApiClient, BrowserClient, Scene, SignedClient, make_scene
from tests.builders import running_exchange
from trading.api.keys import KEYS_PER_USER_MAX
from trading.models import ApiKey


@pytest.fixture(scope="module")
def scene(fresh_database: str) -> Iterator[Scene]:
    with running_exchange() as exchange:
        yield make_scene(exchange)


@pytest.fixture
def alice(scene: Scene) -> BrowserClient:
    return BrowserClient("alice")


class KeyClient(SignedClient):
    """Signs with a key that REST has made."""

    def __init__(self, made: dict[str, Any]) -> None:
        ApiClient.__init__(self)
        self.key, self.secret, self.late_ms = made["key"], made["secret"], 0


def test_a_new_key_signs_until_it_is_revoked(alice: BrowserClient):
    made = alice.post("/api-keys", {"scopes": ["trade", "read"], "label": "my bot"})
    assert made.status == 201
    assert (made.body["scopes"], made.body["label"], made.body["type"]) == (["read", "trade"], "my bot", "hmac")
    signed = KeyClient(made.body)
    assert signed.get("/balances").status == 200
    shown = {name: value for name, value in made.body.items() if name != "secret"}
    assert alice.get("/api-keys").body[0] == shown
    revoked = alice.delete(f"/api-keys/{made.body['id']}")
    assert (revoked.status, revoked.body["revoked_at"] is None) == (200, False)
    assert alice.delete(f"/api-keys/{made.body['id']}").body == revoked.body
    assert (signed.get("/balances").status, signed.get("/balances").code) == (401, "key_revoked")


def test_an_ed25519_key_has_no_secret_to_show(alice: BrowserClient):
    private = Ed25519PrivateKey.generate()
    public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
    made = alice.post("/api-keys", {"scopes": ["read"], "public_key": public})
    assert (made.status, made.body["type"], made.body["secret"]) == (201, "ed25519", None)


def test_secrets_are_encrypted_at_rest(alice: BrowserClient):
    made = alice.post("/api-keys", {"scopes": ["read"]}).body
    stored = bytes(ApiKey.objects.get(id=made["id"]).secret_encrypted or b"")
    assert stored
    assert made["secret"].encode() not in stored


def test_a_key_belongs_to_the_account_named(scene: Scene, alice: BrowserClient):
    scene.exchange.open_account("alice", {scene.usdt: 5 * 10**6}, name="bot")
    made = BrowserClient("alice", account="bot").post("/api-keys", {"scopes": ["read"]}).body
    assert made["account"] == "bot"
    bot = KeyClient(made)
    assert bot.get("/balances").body[1]["balance"] == "5.000000"
    assert bot.get("/orders").body["results"] == []
    assert {key["account"] for key in bot.get("/api-keys").body} == {"bot"}
    assert {key["account"] for key in alice.get("/api-keys").body} == {"main", "bot"}


def test_expiry_and_networks(alice: BrowserClient):
    made = alice.post(
        "/api-keys", {"scopes": ["read"], "networks": ["10.0.0.0/8"], "expires_at": "2099-01-01T00:00:00+02:00"}
    )
    assert (made.status, made.body["expires_at"]) == (201, "2098-12-31T22:00:00.000000Z")
    refused = KeyClient(made.body).get("/balances")
    assert (refused.status, refused.code) == (403, "ip_not_allowed")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"scopes": []}, "invalid_field", "scopes"),
        ({"scopes": ["admin"]}, "invalid_field", "scopes"),
        ({"scopes": "read"}, "invalid_field", "scopes"),
        ({"label": "x" * 65}, "invalid_field", "label"),
        ({"label": "a\0"}, "invalid_field", "label"),
        ({"networks": ["somewhere"]}, "invalid_networks", "networks"),
        ({"networks": ["10.0.0.1/8"]}, "invalid_networks", "networks"),
        ({"networks": ["10.0.0.1"] * 33}, "invalid_field", "networks"),
        ({"expires_at": "2099-01-01"}, "invalid_field", "expires_at"),
        ({"expires_at": "2099-01-01T00:00:00"}, "invalid_field", "expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "invalid_field", "expires_at"),
        ({"public_key": "no key"}, "invalid_public_key", "public_key"),
        ({"secret": "mine"}, "unknown_field", "secret"),
    ],
)
def test_wrong_fields_are_named(alice: BrowserClient, change: dict[str, Any], code: str, field: str):
    answer = alice.post("/api-keys", {"scopes": ["read"]} | change)
    assert (answer.status, answer.code, answer.field) == (422, code, field)


def test_scopes_are_required(alice: BrowserClient):
    answer = alice.post("/api-keys", {})
    assert (answer.status, answer.code, answer.field) == (422, "missing_field", "scopes")


def test_a_key_neither_makes_nor_revokes_keys(scene: Scene):
    signed = SignedClient(scene.alice)
    own = ApiKey.objects.get(key=signed.key)
    for answer in [signed.post("/api-keys", {"scopes": ["read"]}), signed.delete(f"/api-keys/{own.pk}")]:
        assert (answer.status, answer.code) == (403, "session_required")
    assert signed.get("/api-keys").status == 200


def test_somebody_elses_key_is_not_there(scene: Scene, alice: BrowserClient):
    other = ApiKey.objects.get(key=SignedClient(scene.bob).key)
    for key_id in [other.pk, 0, 10**30]:
        answer = alice.delete(f"/api-keys/{key_id}")
        assert (answer.status, answer.code) == (404, "unknown_api_key")
    other.refresh_from_db()
    assert other.revoked_at is None


def test_keys_have_a_bound(scene: Scene):
    carol = scene.exchange.open_account("carol")
    for _ in range(KEYS_PER_USER_MAX):
        SignedClient(carol, "read")
    browser = BrowserClient("carol")
    answer = browser.post("/api-keys", {"scopes": ["read"]})
    assert (answer.status, answer.code) == (422, "too_many_api_keys")
    browser.delete(f"/api-keys/{browser.get('/api-keys').body[0]['id']}")
    assert browser.post("/api-keys", {"scopes": ["read"]}).status == 201
