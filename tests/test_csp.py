"""What browsers are told about every kind of answer: nothing inline, nothing from elsewhere, in nobody's frame."""

import pytest

from tests.harness import ServerProcess

POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "worker-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
}
KINDS = {
    "home page": ("/", 200),
    "trading floor": ("/trade/BTC-USDT", 200),
    "sign-in": ("/login", 200),
    "offline page": ("/offline", 200),
    "service worker": ("/sw.js", 200),
    "manifest": ("/manifest.webmanifest", 200),
    "redirect": ("/admin/", 302),
    "documentation": ("/api/docs/", 200),
    "script of the documentation": ("/api/docs/?script=", 200),
    "schema": ("/api/schema/", 200),
    "public API": ("/api/v1/time", 200),
    "refused API": ("/api/v1/balances", 401),
    "health": ("/healthz", 200),
    "missing page": ("/no-such-page", 404),
    "missing file": ("/static/no-such-file.js", 404),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_bears_the_whole_policy(server: ServerProcess, kind: str) -> None:
    path, status = KINDS[kind]
    answer = server.get(path)
    assert answer.status_code == status
    assert set(answer.headers["Content-Security-Policy"].split("; ")) == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in answer.headers["Permissions-Policy"].split(", ")


@pytest.mark.parametrize("path", ["/", "/trade/BTC-USDT", "/login", "/status", "/offline", "/api/docs/"])
def test_no_page_relies_on_what_the_policy_forbids(server: ServerProcess, path: str) -> None:
    html = server.get(path).text
    assert "<style" not in html
    assert " style=" not in html
    assert "<script>" not in html
    assert " onclick=" not in html
    assert "javascript:" not in html
