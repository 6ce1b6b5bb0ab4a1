"""Static files: what is served and what is not, how it may be kept, and how production names it."""

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.harness import ServerProcess, clean_env
from trading import environment

CHART = "vendor/lightweight-charts/lightweight-charts.standalone.production.mjs"
PRODUCTION = {
    "BOURSE_ENV": "production",
    "SECRET_KEY": "k9" * 32 + "unlike-any-other",
    "ALLOWED_HOSTS": "bourse.example",
}
MakeServer = Callable[..., ServerProcess]
IMPORT = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["']([./][^"']+)["']""")


def chart_on_disk() -> bytes:
    package = environment.PROJECT_ROOT / "node_modules" / "lightweight-charts"
    return (package / "dist" / Path(CHART).name).read_bytes()


def test_the_chart_library_is_a_module_served_compressed(server: ServerProcess) -> None:
    with httpx.stream("GET", f"{server.base_url}/static/{CHART}", headers={"Accept-Encoding": "gzip"}) as answer:
        body = b"".join(answer.iter_raw())
    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert int(answer.headers["Content-Length"]) == len(body) < 70_000
    assert gzip.decompress(body) == chart_on_disk()


def test_whoever_takes_no_gzip_gets_the_file_as_it_is(server: ServerProcess) -> None:
    answer = server.get(f"/static/{CHART}", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.content == chart_on_disk()
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_part_of_a_file_is_a_part_of_the_file_itself(server: ServerProcess) -> None:
    answer = server.get(f"/static/{CHART}", headers={"Range": "bytes=10-19", "Accept-Encoding": "gzip"})
    assert answer.status_code == 206
    assert answer.content == chart_on_disk()[10:20]


def test_browsers_ask_each_time_and_are_told_that_nothing_has_changed(server: ServerProcess) -> None:
    first = server.get(f"/static/{CHART}")
    assert first.headers["Cache-Control"] == "max-age=0, public"
    again = server.get(f"/static/{CHART}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_changed_file_is_sent_as_it_is_now(server: ServerProcess) -> None:
    name = f"changing-{os.getpid()}.txt"
    file = environment.PROJECT_ROOT / "trading" / "static" / "trading" / name
    try:
        file.write_text("before " * 500)
        before = server.get(f"/static/trading/{name}")
        file.write_text("and after " * 500)
        after = server.get(f"/static/trading/{name}", headers={"If-None-Match": before.headers["ETag"]})
    finally:
        file.unlink(missing_ok=True)
    assert (before.text, after.text) == ("before " * 500, "and after " * 500)
    assert before.headers["Content-Encoding"] == after.headers["Content-Encoding"] == "gzip"
    assert server.get(f"/static/trading/{name}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "vendor/lightweight-charts/package.json",
        "vendor/lightweight-charts/lightweight-charts.development.mjs",
        "vendor/fancy-canvas/package.json",
        "../manage.py",
        "%2e%2e/%2e%2e/manage.py",
        "trading/..%2f..%2f..%2fmanage.py",
        "%00",
        "trading",
        "",
    ],
)
def test_nothing_else_can_be_had(server: ServerProcess, path: str) -> None:
    result = subprocess.run(
        ["curl", "-s", "--path-as-is", "-o", "-", "-w", "\n%{http_code}", f"{server.base_url}/static/{path}"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert result.stdout.rsplit("\n", 1)[1] == "404"


def test_a_static_file_can_be_read_only(server: ServerProcess) -> None:
    head = httpx.head(f"{server.base_url}/static/{CHART}", headers={"Accept-Encoding": "identity"})
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) == len(chart_on_disk())
    assert httpx.post(f"{server.base_url}/static/{CHART}").status_code == 405


def test_a_production_server_collects_by_itself_and_lets_browsers_keep_files(make_server: MakeServer) -> None:
    server = make_server(env=PRODUCTION | {"ALLOWED_HOSTS": "127.0.0.1", "TRUSTED_PROXIES": "127.0.0.1"})
    server.start()
    server.wait_ready(timeout=240)
    page = server.get("/", headers={"X-Forwarded-Proto": "https"})
    assert page.status_code == 200
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    assert any(path.endswith(".css") for path in files)
    assert any(path.endswith(".js") for path in files)
    for path in files:
        assert re.search(r"\.[0-9a-f]{12}\.", path), path
        answer = server.get(path)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "max-age=315360000, public, immutable")
        assert "max-age=" in answer.headers["Strict-Transport-Security"]
    collected = (server.data_dir / "static" / "staticfiles.json").stat().st_mtime_ns

    assert server.terminate() == 0
    server.start()
    server.wait_ready()
    assert (server.data_dir / "static" / "staticfiles.json").stat().st_mtime_ns == collected


def test_production_collects_everything_under_names_that_follow_the_content(tmp_path: Path) -> None:
    env = clean_env() | PRODUCTION | {"DATA_DIR": str(tmp_path)}
    command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
    result = subprocess.run(command, cwd=environment.PROJECT_ROOT, env=env, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stderr
    static = tmp_path / "static"
    names: dict[str, str] = json.loads((static / "staticfiles.json").read_text())["paths"]
    assert re.fullmatch(r".*\.production\.[0-9a-f]{12}\.mjs", names[CHART])
    assert (static / f"{names[CHART]}.gz").is_file()
    modules = [static / hashed for name, hashed in names.items() if name.startswith("trading/") and name.endswith("js")]
    assert modules
    for module in modules:
        for target in IMPORT.findall(module.read_text()):
            path = target.removeprefix("/static/") if target.startswith("/") else f"{module.parent}/{target}"
            found = (static / path).resolve()
            assert str(found.relative_to(static)) in names.values(), (
                f"{module.name} imports {target}, which has no hash"
            )
