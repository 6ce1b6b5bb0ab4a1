"""What goes wrong on the way to a view: who asks, how, how often; and every answer has the one error shape."""

import threading
from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.db import connection

from matching import inbox, worker
from matching.models import InboxCommand
from tests.api import ApiClient, BrowserClient, Scene, SignedClient, make_scene
from tests.builders import running_exchange
from trading.api import money
from trading.models import ApiKey, User

PRIVATE = [
    "/orders",
    "/orders/1",
    "/orders/by-client-id/x",
    "/fills",
    "/balances",
    "/entries",
    "/deposits",
    "/withdrawals",
    "/fees",
    "/accounts",
    "/api-keys",
]


@pytest.fixture(scope="module")
def scene(fresh_database: str) -> Iterator[Scene]:
    with running_exchange() as exchange:
        yield make_scene(exchange)


@pytest.fixture(autouse=True)
def _no_requests_counted() -> None:
    cache.clear()


@pytest.mark.parametrize("path", PRIVATE)
def test_private_reads_want_to_know_who_asks(scene: Scene, path: str):
    answer = ApiClient().get(path)
    assert (answer.status, answer.code) == (401, "authentication_required")
    assert answer.headers["www-authenticate"].startswith("Signature")
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", PRIVATE)
def test_private_reads_need_the_scope_read(scene: Scene, path: str):
    answer = SignedClient(scene.alice, "trade").get(path)
    assert (answer.status, answer.code) == (403, "scope_missing")


@pytest.mark.parametrize("path", PRIVATE)
def test_unknown_parameters_are_refused(scene: Scene, path: str):
    answer = SignedClient(scene.alice, "read").get(path, account_id=1)
    assert (answer.status, answer.code, answer.field) == (422, "unknown_parameter", "account_id")


def test_a_signature_covers_path_query_and_body(scene: Scene):
    client = SignedClient(scene.alice)

    class Forger(SignedClient):
        """Sends a signature of something else."""

        def __init__(self, method: str, target: str, body: bytes) -> None:
            ApiClient.__init__(self)
            self.signed = client.headers(method, target, body)

        def headers(self, method: str, target: str, body: bytes) -> dict[str, str]:
            return self.signed

    assert Forger("GET", "/api/v1/orders?limit=5", b"").get("/orders", limit=5).status == 200
    for method, target, body in [
        ("POST", "/api/v1/orders?limit=5", b""),
        ("GET", "/api/v1/orders?limit=6", b""),
        ("GET", "/api/v1/orders", b""),
        ("GET", "/api/v1/fills?limit=5", b""),
        ("GET", "/api/v1/orders?limit=5", b"{}"),
    ]:
        answer = Forger(method, target, body).get("/orders", limit=5)
        assert (answer.status, answer.code) == (401, "invalid_credentials")


def test_late_and_unknown_keys(scene: Scene):
    late = SignedClient(scene.alice)
    late.late_ms = 6_000
    assert late.get("/balances").code == "timestamp_out_of_window"
    assert late.get("/balances", headers={"X-Window": "10000"}).status == 200
    assert late.get("/balances", headers={"X-Window": "60001"}).code == "invalid_window"
    unknown = SignedClient(scene.alice)
    unknown.key = "bk_nobody"
    assert (unknown.get("/balances").status, unknown.get("/balances").code) == (401, "invalid_credentials")
    assert late.get("/balances", headers={"X-Signature": "é"}).status == 401


def test_a_key_of_a_user_who_left_signs_nothing(scene: Scene):
    account = scene.exchange.open_account("leaver")
    client = SignedClient(account)
    User.objects.filter(username="leaver").update(is_active=False)
    ApiKey.objects.get(key=client.key).save()
    assert client.get("/balances").code == "invalid_credentials"


def test_a_session_changes_nothing_without_csrf_token(scene: Scene):
    browser = BrowserClient("alice", csrf=False)
    assert browser.get("/balances").status == 200
    answer = browser.post("/deposits", {"asset": "BTC", "amount": "1"})
    assert (answer.status, answer.code) == (403, "csrf_failed")


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/orders/x", "/orders/1/2", "/markets/", "/../orders", "/api-keys/x"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_unknown_paths(scene: Scene, path: str, method: str):
    answer = ApiClient().request(method, path)
    assert (answer.status, answer.code) == (404, "not_found")


def test_other_api_versions_do_not_exist(scene: Scene):
    response = ApiClient().client.get("/api/v2/orders")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/balances", "GET, HEAD, OPTIONS"),
        ("DELETE", "/deposits", "GET, POST, HEAD, OPTIONS"),
        ("TRACE", "/fees", "GET, HEAD, OPTIONS"),
        ("GET", "/orders/batch", "OPTIONS, POST"),
        ("GET", "/orders/test", "OPTIONS, POST"),
        ("PUT", "/orders", "GET, HEAD, OPTIONS, POST, DELETE"),
        ("PUT", "/orders/1", "GET, HEAD, OPTIONS, PATCH, DELETE"),
    ],
)
def test_methods_that_are_not_allowed(scene: Scene, method: str, path: str, allowed: str):
    answer = SignedClient(scene.alice).request(method, path)
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method_not_allowed", allowed)


def test_options_tells_the_methods(scene: Scene):
    answer = ApiClient().request("OPTIONS", "/markets")
    assert (answer.status, answer.body, answer.headers["allow"]) == (200, None, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"{", 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        (b'{"amount": NaN}', 400, "malformed_json"),
        (b"[" * 50_000, 422, "invalid_body"),
        (b"[]", 422, "invalid_body"),
        (b"null", 422, "invalid_body"),
        (b'"text"', 422, "invalid_body"),
        (b"{" + b" " * 70_000 + b"}", 413, "body_too_large"),
    ],
)
def test_bodies_that_are_none(scene: Scene, raw: bytes, status: int, code: str):
    answer = SignedClient(scene.alice).request("POST", "/deposits", raw=raw)
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_bodies_must_say_that_they_are_json(scene: Scene, content_type: str):
    answer = SignedClient(scene.alice).request(
        "POST", "/deposits", raw=b'{"asset":"BTC","amount":"1"}', content_type=content_type
    )
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


def test_a_nul_in_the_path(scene: Scene):
    answer = ApiClient().get("/markets/%00")
    assert (answer.status, answer.code) == (400, "malformed_path")


def test_a_wrong_host(scene: Scene):
    answer = ApiClient().get("/markets", headers={"Host": "evil.example"})
    assert (answer.status, answer.code) == (400, "bad_request")


def test_limits_are_told_and_kept(scene: Scene, settings):
    settings.API_RATE_CALLER = "3/m"
    client = SignedClient(scene.alice)
    answers = [client.get("/balances") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert answers[0].headers["x-ratelimit-limit"] == "3"
    assert answers[3].code == "rate_limited"
    assert 1 <= int(answers[3].headers["retry-after"]) <= 60
    assert SignedClient(scene.alice).get("/balances").status == 200, "another key has a count of its own"


def test_changes_have_a_tighter_limit(scene: Scene, settings):
    settings.API_RATE_CHANGES = "1/h"
    client = SignedClient(scene.alice)
    statuses = [client.post("/deposits", {"asset": "BTC", "amount": "1"}).status for _ in range(2)]
    assert statuses == [201, 429]
    assert client.get("/balances").status == 200


def test_addresses_have_a_limit_before_anything_else(scene: Scene, settings):
    settings.API_RATE_ADDRESS = "2/h"
    assert [ApiClient().get("/time").status for _ in range(3)] == [200, 200, 429]
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    assert ApiClient().get("/time", headers={"X-Forwarded-For": "203.0.113.9"}).status == 200


def test_limits_can_be_switched_off(scene: Scene, settings):
    settings.API_RATE_ADDRESS, settings.RATELIMIT_ENABLE = "1/h", False
    answers = [ApiClient().get("/time") for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert "x-ratelimit-limit" not in answers[0].headers


def test_no_worker_means_503_and_the_request_is_carried_out_later(fresh_database: str, scene: Scene, monkeypatch):
    client = SignedClient(scene.alice)
    before = client.get("/deposits", limit=500).body["results"]
    worker.stop()
    try:
        monkeypatch.setattr(money, "ANSWER_SECONDS_MAX", 0.2)
        answer = client.post("/deposits", {"asset": "BTC", "amount": "0.125"})
        assert (answer.status, answer.code) == (503, "no_answer")
        assert "stays filed" in answer.body["error"]["message"]
        assert answer.headers["retry-after"]
        assert client.get("/deposits", limit=500).body["results"] == before
    finally:
        worker.start()
    inbox.wait_for(inbox_id=InboxCommand.objects.latest("id").id)
    after = client.get("/deposits", limit=500).body["results"]
    assert ([row["amount"] for row in after[:1]], after[1:]) == (["0.12500000"], before)


def test_a_lost_database_means_503(scene: Scene, monkeypatch):
    """A new thread opens a new connection, to a port where nobody listens."""
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ApiClient().get("/markets")))
    thread.start()
    thread.join()
    (answer,) = answers
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "1")
