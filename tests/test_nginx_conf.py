"""The configuration of nginx: what the command writes, what it takes from the settings, and what it refuses."""

import contextlib
import dataclasses
import getpass
import io
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from tests import debian
from tests.edge import POLL_SECONDS, START_SECONDS_MAX, Upstream, make_certificate, told
from tests.harness import clean_env, free_port
from trading import environment, nginx


def test_the_configuration_in_deploy_is_what_the_command_writes() -> None:
    written = io.StringIO()
    words = ["--name", "exchange.example", "--static", "/var/lib/bourse/static", "--inside", "127.0.0.1"]
    call_command("nginx_conf", *words, stdout=written)
    assert (environment.PROJECT_ROOT / "deploy" / "nginx.conf").read_text() == written.getvalue()


def test_a_site_fits_into_debian_s_own_configuration(tmp_path: Path) -> None:
    options = make_certificate(folder=tmp_path)
    site = nginx.Edge(
        webs=("127.0.0.1:1", "[::1]:2"), listens=("127.0.0.1:443",), redirects=("127.0.0.1:80",), site_only=True,
        names=("exchange.example", ".exchange.example", "[::1]"), folder=str(tmp_path), static="/srv/static", **options,
    )  # fmt: skip
    (tmp_path / "site.conf").write_text(nginx.configuration(edge=site))
    debian_s = (
        f"pid {tmp_path}/nginx.pid; error_log stderr; events {{ worker_connections 768; }} http {{ sendfile on; "
        "tcp_nopush on; types_hash_max_size 2048; default_type application/octet-stream; ssl_protocols TLSv1.2 TLSv1.3;"
        f"ssl_prefer_server_ciphers on; access_log off; gzip on; include {tmp_path}/site.conf; }}"
    )
    (tmp_path / "nginx.conf").write_text(debian_s)
    command = [str(nginx.executable()), "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "warn" not in result.stderr


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"webs": ()}, "a web process at least"),
        ({"webs": ("127.0.0.1",)}, "no address with a port"),
        ({"listens": ("127.0.0.1:70000",)}, "no address with a port"),
        ({"names": ("a.example; return 200",)}, "nginx would misread"),
        ({"static": "/srv/$static"}, "nginx would misread"),
        ({"user": ""}, "nginx would misread"),
        ({"inside": ("10.0.0.0/33",)}, "neither an address nor a network"),
        ({"certificate": "/c.pem"}, "go together"),
        ({"redirects": ("80",)}, "no HTTPS to lead to"),
    ],
)
def test_what_nginx_would_misread_is_refused(options: dict[str, object], refusal: str) -> None:
    good: dict[str, object] = {"webs": ("127.0.0.1:1",), "listens": ("127.0.0.1:2",)}
    with pytest.raises(nginx.EdgeError, match=refusal):
        nginx.Edge(**(good | options))  # type: ignore[arg-type]


def test_the_command_needs_a_certificate_or_to_be_told_that_there_is_none(settings: LazySettings) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    with pytest.raises(CommandError, match="Which certificate"):
        call_command("nginx_conf", stdout=io.StringIO())
    written = io.StringIO()
    call_command("nginx_conf", "--plain", "--listen", "127.0.0.1:8000", "--web", "127.0.0.1:8003", stdout=written)
    assert "listen 127.0.0.1:8000 backlog" in written.getvalue()
    assert "ssl_" not in written.getvalue().replace("$ssl_protocol", "").replace("ssl_early_data", "")


def test_the_command_runs_nginx_itself_if_it_is_asked_to(tmp_path: Path) -> None:
    port = free_port()
    address = f"127.0.0.1:{port}"
    web = Upstream()
    words = ["--plain", "--web", web.address, "--listen", address, "--name", "127.0.0.1"]
    started = [*words, "--user", getpass.getuser(), "--start", str(tmp_path / "run")]
    command = [sys.executable, "manage.py", "nginx_conf", *started]
    with web, subprocess.Popen(command, cwd=environment.PROJECT_ROOT, env=clean_env()) as process:
        try:
            wait_until_it_listens(process, port)
            assert told(httpx.get(f"http://{address}/", trust_env=False))["headers"]["x-forwarded-proto"] == "http"
            assert int((tmp_path / "run" / "nginx.pid").read_text()) == process.pid
        finally:
            process.send_signal(signal.SIGQUIT)
    assert process.returncode == 0
    call_command("nginx_conf", *words, "--output", str(tmp_path / "written.conf"))
    assert f"listen {address} default_server" in (tmp_path / "written.conf").read_text()


def wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        assert process.poll() is None
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < deadline
        time.sleep(POLL_SECONDS)


def test_the_tests_know_where_debian_keeps_nginx() -> None:
    assert debian.path_of("nginx") == nginx.executable()


def test_the_limits_are_those_of_the_settings(settings: LazySettings) -> None:
    settings.RATE_LIMIT_ADDRESS = 1_234
    edge = nginx.Edge(webs=("127.0.0.1:1",), listens=("127.0.0.1:2",))
    text = nginx.configuration(edge=edge)
    assert "zone=bourse_orders:10m rate=1234r/s" in text
    assert "limit_req zone=bourse_orders burst=1233 nodelay" in text
    assert not re.search("limit_(req|conn)", nginx.configuration(edge=dataclasses.replace(edge, limits=False)))


@pytest.mark.parametrize(
    ("rate", "expected"),
    [("200/s", ("200r/s", 199)), ("60/10m", ("6r/m", 59)), ("20/h", ("1r/m", 19)), ("1/s", ("1r/s", 1))],
)
def test_a_rate_is_written_as_nginx_takes_it(rate: str, expected: tuple[str, int]) -> None:
    found = nginx.limit(rate=rate)
    assert (found.rate, found.burst) == expected
