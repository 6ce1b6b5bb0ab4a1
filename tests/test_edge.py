"""nginx in front of web servers that note what they get: what it sends on, twice or never, and what it says itself."""

import base64
import gzip
import hashlib
import json
import re
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import LazySettings

from tests.edge import POLL_SECONDS, Got, Nginx, Upstream, told
from tests.harness import free_port

HASHED = "trading/page.0123456789ab.mjs"
SCRIPT = "export const answer = 42;\n" * 100
ORDERS = "/api/v1/orders"


@pytest.fixture(scope="module")
def upstreams() -> Iterator[tuple[Upstream, Upstream]]:
    with Upstream() as one, Upstream() as two:
        yield one, two


@pytest.fixture
def edge(upstreams: tuple[Upstream, Upstream], tmp_path: Path) -> Iterator[Nginx]:
    """A new nginx: it remembers no failures of other tests."""
    with nginx_before(upstreams, tmp_path / "an edge") as running:
        yield running


def nginx_before(upstreams: tuple[Upstream, ...], folder: Path, **options: Any) -> Nginx:
    for upstream in upstreams:
        upstream.requests.clear()
    return Nginx(folder=folder, webs=tuple(upstream.address for upstream in upstreams), **options)


def all_requests(upstreams: tuple[Upstream, ...]) -> list[Got]:
    return [request for upstream in upstreams for request in upstream.requests]


def error_code(answer: httpx.Response) -> str:
    """The code of an error in the API's shape."""
    assert answer.headers["Content-Type"].startswith("application/json"), answer.text
    body = answer.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message"}
    return str(body["error"]["code"])


# ------------------------------------------------------------------------------------------ what is sent on


def test_requests_are_spread_over_the_web_processes(edge: Nginx, upstreams: tuple[Upstream, Upstream]) -> None:
    for number in range(10):
        told(edge.get(f"/api/v1/time?n={number}"))
    assert [len(upstream.requests) for upstream in upstreams] == [5, 5]


def test_a_client_cannot_pretend_to_be_somebody_else(edge: Nginx) -> None:
    pretended = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Port": "1",
        "X-Real-IP": "203.0.113.7",
        "Forwarded": "for=203.0.113.7",
        "X_Forwarded_For": "203.0.113.7",
    }
    headers = told(edge.get("/api/v1/time", **pretended))["headers"]
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "https"
    assert headers["host"] == f"127.0.0.1:{edge.port}"
    rest = {"x-forwarded-host", "x-forwarded-port", "x-real-ip", "forwarded", "x_forwarded_for"}
    assert not headers.keys() & rest


def test_a_proxy_in_front_is_believed_if_it_is_named(upstreams: tuple[Upstream, Upstream], tmp_path: Path) -> None:
    with nginx_before(upstreams, tmp_path, tls=False, behind=("127.0.0.1", "198.51.100.0/24")) as edge:
        chain = {"X-Forwarded-For": "192.0.2.1, 203.0.113.7, 198.51.100.20", "X-Forwarded-Proto": "https"}
        headers = told(edge.get("/api/v1/time", **chain))["headers"]
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("203.0.113.7", "https")


def test_a_path_is_passed_on_as_it_was_signed(edge: Nginx, upstreams: tuple[Upstream, Upstream]) -> None:
    target = f"{ORDERS}/by-client-id/over%2Fthe:wire%20/?a=%2F&b=a+b"
    with edge.client() as client:
        for method in ("GET", "DELETE", "PATCH"):
            client.request(method, target)
    assert [(got.method, got.target) for upstream in upstreams for got in upstream.requests] == [
        ("GET", target), ("PATCH", target), ("DELETE", target),
    ]  # fmt: skip


def test_a_request_id_is_kept_or_made_and_told_once(edge: Nginx) -> None:
    kept = edge.get("/api/v1/time", **{"X-Request-ID": "client-1.a_b"})
    assert told(kept)["headers"]["x-request-id"] == "client-1.a_b" == kept.headers["X-Request-ID"]
    made = edge.get("/api/v1/time", **{"X-Request-ID": 'x" , "forged": "'})
    assert re.fullmatch("[0-9a-f]{32}", made.headers["X-Request-ID"])
    assert told(made)["headers"]["x-request-id"] == made.headers["X-Request-ID"]


def test_only_the_websocket_api_is_upgraded(edge: Nginx) -> None:
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    wanted = told(edge.get("/api/v1/ws", **upgrade))["headers"]
    assert (wanted["upgrade"], wanted["connection"]) == ("websocket", "upgrade")
    assert "upgrade" not in told(edge.get("/api/v1/time", **upgrade))["headers"]
    assert "upgrade" not in told(edge.get("/api/v1/ws", **upgrade | {"Upgrade": "h2c"}))["headers"]


# ------------------------------------------------------------------------------------------ what is sent again


def test_a_read_that_breaks_is_asked_of_another(edge: Nginx, upstreams: tuple[Upstream, Upstream]) -> None:
    with upstreams[0].breaking():
        for _ in range(4):
            assert edge.get("/api/v1/time").status_code == 200
    assert upstreams[0].requests
    assert len(upstreams[1].requests) == 4


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "PUT"])
def test_a_change_that_breaks_is_never_sent_again(
    edge: Nginx, upstreams: tuple[Upstream, Upstream], method: str
) -> None:
    with edge.client() as client, upstreams[0].breaking(), upstreams[1].breaking():
        answer = client.request(method, ORDERS, content=b"{}")
    assert (answer.status_code, error_code(answer)) == (502, "outcome_unknown")
    assert "client_order_id" in answer.json()["error"]["message"]
    assert [(got.method, got.body) for got in all_requests(upstreams)] == [(method, b"{}")]


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_what_reached_nobody_goes_to_another(edge: Nginx, upstreams: tuple[Upstream, Upstream], method: str) -> None:
    with edge.client() as client, upstreams[0].away():
        answers = [client.request(method, ORDERS, content=b'{"n":1}') for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 6
    assert [(got.method, got.target, got.body) for got in all_requests(upstreams)] == [(method, ORDERS, b'{"n":1}')] * 6


def test_a_web_process_that_is_back_is_asked_again(edge: Nginx, upstreams: tuple[Upstream, Upstream]) -> None:
    with upstreams[0].away():
        for _ in range(8):
            assert edge.get("/api/v1/time").status_code == 200
    with edge.client() as client:
        while not upstreams[0].requests:  # the test's own time limit ends it
            assert client.get("/api/v1/time").status_code == 200
            time.sleep(POLL_SECONDS)


# ------------------------------------------------------------------------------------------ what nginx says itself


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_with_everyone_away_the_api_says_so_in_its_own_shape(
    edge: Nginx, upstreams: tuple[Upstream, Upstream], method: str
) -> None:
    with edge.client() as client, upstreams[0].away(), upstreams[1].away():
        answer = client.request(method, ORDERS)
    assert (answer.status_code, error_code(answer)) == (502, "unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Request-ID"]


def test_with_everyone_away_people_get_a_page(edge: Nginx, upstreams: tuple[Upstream, Upstream]) -> None:
    with upstreams[0].away(), upstreams[1].away():
        answer = edge.get("/trade/BTC-USDT")
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert "<h1>Bourse is away for a moment</h1>" in answer.text
    assert answer.headers["X-Request-ID"] in answer.text
    assert "$" not in answer.text
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["Content-Security-Policy"]


def test_a_body_that_is_too_large_is_refused_in_the_api_s_shape(
    edge: Nginx, upstreams: tuple[Upstream, Upstream]
) -> None:
    with edge.client() as client:
        assert client.post(ORDERS, content=b"x" * 65_536).status_code == 200
        answer = client.post(ORDERS, content=b"x" * 65_537)
    assert (answer.status_code, error_code(answer)) == (413, "body_too_large")
    assert len(all_requests(upstreams)) == 1


def test_a_head_that_is_too_large_is_refused_in_the_api_s_shape(edge: Nginx) -> None:
    answer = edge.get("/api/v1/time", **{"X-Large": "x" * 9_000})
    assert (answer.status_code, error_code(answer)) == (400, "bad_request")


def test_metrics_are_for_the_inside_only(upstreams: tuple[Upstream, Upstream], tmp_path: Path) -> None:
    with nginx_before(upstreams, tmp_path / "outside") as edge:
        for path in ("/metrics", "//metrics", "/%6detrics", "/x/../metrics", "/metrics?a=b"):
            answer = raw_get(edge, path)
            assert answer.startswith("HTTP/1.1 403 ")
            assert '{"error":{"code":"forbidden",' in answer
        assert not all_requests(upstreams)
        assert edge.get("/readyz").status_code == 200
    with nginx_before(upstreams, tmp_path / "inside", inside=("10.0.0.0/8", "127.0.0.1")) as edge:
        assert told(edge.get("/metrics"))["target"] == "/metrics"


# ------------------------------------------------------------------------------------------ how often


def test_too_many_requests_of_one_address_are_refused(
    upstreams: tuple[Upstream, Upstream], tmp_path: Path, settings: LazySettings
) -> None:
    settings.API_RATE_ADDRESS = "5/10m"
    settings.LOGIN_RATE_ADDRESS = "3/10m"
    with nginx_before(upstreams, tmp_path) as edge, edge.client() as client:
        api = [client.get("/api/v1/time") for _ in range(8)]
        sign_in = [client.post("/login") for _ in range(6)]
        assert client.get("/login").status_code == 200  # only attempts are counted
        assert client.post(ORDERS).status_code == 200  # orders have a limit of their own
    assert [answer.status_code for answer in api] == [200] * 5 + [429] * 3
    assert error_code(api[-1]) == "rate_limited"
    assert api[-1].headers["Retry-After"] == "1"
    assert [answer.status_code for answer in sign_in] == [200] * 3 + [429] * 3
    assert "<h1>Too many requests</h1>" in sign_in[-1].text
    assert len(all_requests(upstreams)) == 5 + 3 + 2


def test_a_network_of_ipv6_is_one_client_and_an_address_of_ipv4_is(
    upstreams: tuple[Upstream, Upstream], tmp_path: Path, settings: LazySettings
) -> None:
    settings.API_RATE_ADDRESS = "2/10m"
    one_network = ["2001:db8:1:2:aaaa::1", "2001:db8:1:2:bbbb:1:2:3", "2001:db8:1:2::9"]
    others = ["2001:db8:1:3::1", "203.0.113.1", "203.0.113.2"]
    with nginx_before(upstreams, tmp_path, behind=("127.0.0.1",)) as edge:
        answers = [edge.get("/api/v1/time", **{"X-Forwarded-For": address}) for address in one_network + others]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200, 200, 200]


# ------------------------------------------------------------------------------------------ static files


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A folder as collectstatic leaves it."""
    folder = tmp_path / "static"
    (folder / "trading").mkdir(parents=True)
    for name in (HASHED, "trading/page.mjs"):
        (folder / name).write_text(SCRIPT)
    (folder / f"{HASHED}.gz").write_bytes(gzip.compress(SCRIPT.encode(), 9))
    (folder / ".collected").write_text("not for everyone")
    return folder


def test_static_files_are_kept_for_ever_under_names_with_a_hash(
    upstreams: tuple[Upstream, Upstream], tmp_path: Path, static: Path
) -> None:
    with nginx_before(upstreams, tmp_path, static=str(static), hsts_seconds=60) as edge:
        hashed = edge.get(f"/static/{HASHED}", **{"Accept-Encoding": "identity"})
        assert hashed.text == SCRIPT
        assert hashed.headers["Cache-Control"] == "max-age=315360000, public, immutable"
        assert hashed.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert hashed.headers["X-Content-Type-Options"] == "nosniff"
        assert hashed.headers["Strict-Transport-Security"] == "max-age=60; includeSubDomains; preload"
        packed = edge.get(f"/static/{HASHED}", **{"Accept-Encoding": "gzip"})
        assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("gzip", "Accept-Encoding")
        assert int(packed.headers["Content-Length"]) == (static / f"{HASHED}.gz").stat().st_size
        plain = edge.get("/static/trading/page.mjs")
        assert (plain.text, plain.headers["Cache-Control"]) == (SCRIPT, "max-age=0, public")
        again = edge.get("/static/trading/page.mjs", **{"If-None-Match": plain.headers["ETag"]})
        assert again.status_code == 304
        assert not all_requests(upstreams)


def test_what_is_no_static_file_is_asked_of_a_web_process_unless_it_is_hidden(
    upstreams: tuple[Upstream, Upstream], tmp_path: Path, static: Path
) -> None:
    with nginx_before(upstreams, tmp_path, static=str(static)) as edge:
        newer = "/static/trading/newer.0123456789ab.css"
        assert told(edge.get(newer))["target"] == newer
        for path in ("/static/.collected", "/static/trading/.hidden", "/static/%2ecollected"):
            assert edge.get(path).status_code == 404
        for path in ("/static/../key.pem", "/static/%2e%2e/key.pem", "/static../key.pem"):
            assert "PRIVATE KEY" not in raw_get(edge, path)
    assert [got.target for got in all_requests(upstreams) if got.target == newer] == [newer]


def raw_get(edge: Nginx, path: str) -> str:
    """The answer to a path that no client would send."""
    with edge.connection() as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            return answer.read().decode()


# ------------------------------------------------------------------------------------------ TLS, names, the log


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_is_modern_and_http_2_is_offered(edge: Nginx, version: ssl.TLSVersion) -> None:
    context = edge.context()
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", edge.port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        assert connection.version() == version.name.replace("_", ".")
        assert connection.selected_alpn_protocol() == "h2"
        cipher = connection.cipher()
        assert cipher is not None
        assert "GCM" in cipher[0] or "CHACHA20" in cipher[0]


def test_http_leads_to_https_and_other_hosts_get_nothing(upstreams: tuple[Upstream, Upstream], tmp_path: Path) -> None:
    http = free_port()
    names = ("127.0.0.1", "exchange.example")
    with nginx_before(upstreams, tmp_path, redirects=(f"127.0.0.1:{http}",), names=names) as edge:
        led = httpx.post(f"http://127.0.0.1:{http}/api/v1/orders?a=b", content=b"{}", trust_env=False)
        assert (led.status_code, led.headers["Location"]) == (308, f"{edge.base_url}/api/v1/orders?a=b")
        wrong = httpx.get(f"http://127.0.0.1:{edge.port}/orders", trust_env=False)
        assert (wrong.status_code, wrong.headers["Location"]) == (308, f"{edge.base_url}/orders")
        assert told(edge.get("/", Host="exchange.example"))["headers"]["host"] == "exchange.example"
        with pytest.raises(httpx.RemoteProtocolError):
            edge.get("/", Host="evil.example")
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"http://127.0.0.1:{http}/", headers={"Host": "evil.example"}, trust_env=False)
    assert len(all_requests(upstreams)) == 1


def test_the_log_tells_a_request_as_json_and_no_secrets(edge: Nginx, upstreams: tuple[Upstream, Upstream]) -> None:
    edge.get("/password/reset/MQ/the-token-itself", **{"X-Request-ID": "reset-00", "User-Agent": 'a "b" \\ c'})
    with upstreams[0].away():
        edge.get("/api/v1/time?a=b", **{"X-Request-ID": "time-000"})
    line = edge.log(request_id="reset-00")
    assert line["uri"] == "/password/reset/-"
    assert line["user_agent"] == 'a "b" \\ c'
    assert "the-token-itself" not in json.dumps(line)
    line = edge.log(request_id="time-000")
    assert (line["uri"], line["status"], line["address"]) == ("/api/v1/time?a=b", 200, "127.0.0.1")
    assert line["upstream"].endswith(upstreams[1].address)
    assert isinstance(line["seconds"], float)
    assert float(line["upstream_seconds"].rpartition(" ")[2]) >= 0
