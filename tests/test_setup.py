"""From an empty folder to a running exchange and back: settings, start, health, stop, second start."""

import importlib.metadata
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from tests.harness import ServerProcess, clean_env, free_port
from trading import environment, front_end, settings
from trading.models import User

PRODUCTION = {
    "BOURSE_ENV": "production",
    "SECRET_KEY": "k9" * 32 + "unlike-any-other",
    "ALLOWED_HOSTS": "bourse.example",
}

MakeServer = Callable[..., ServerProcess]


def check(env: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "check", *options]
    return subprocess.run(
        command, cwd=environment.PROJECT_ROOT, env=clean_env() | env, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"SECRET_KEY": ""}, "the demo key is known to everyone"),
        ({"SECRET_KEY": settings.DEMO_SECRET_KEY}, "the demo key is known to everyone"),
        ({"SECRET_KEY": "short"}, "at least 50 characters"),
        ({"DEBUG": "on"}, "Production refuses DEBUG=on"),
        ({"ALLOWED_HOSTS": ""}, "Production needs ALLOWED_HOSTS"),
    ],
)
def test_production_refuses_to_start_unsafely(change: dict[str, str], complaint: str) -> None:
    result = check(PRODUCTION | change)
    assert result.returncode != 0
    assert "ImproperlyConfigured" in result.stderr
    assert complaint in result.stderr


def test_production_with_safe_values_passes_every_deployment_check() -> None:
    result = check(PRODUCTION, "--deploy", "--fail-level", "WARNING")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("env", "complaint"),
    [
        ({"BOURSE_ENV": "staging"}, "BOURSE_ENV must be one of demo, production, not 'staging'."),
        ({"PORT": "eighty"}, "PORT must be a whole number from 1 to 65535, not 'eighty'."),
        ({"PORT": "65536"}, "PORT must be a whole number from 1 to 65535, not '65536'."),
        ({"BATCH_COMMANDS_MAX": "0"}, "BATCH_COMMANDS_MAX must be a whole number from 1 to 10000, not '0'."),
        ({"RATE_LIMITS": "maybe"}, "RATE_LIMITS must be on or off, not 'maybe'."),
        ({"DATABASE_URL": "mysql://host/name"}, "DATABASE_URL must begin with postgresql://"),
        ({"DATABASE_URL": "postgresql://host"}, "DATABASE_URL must end with the name of a database"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(env: dict[str, str], complaint: str) -> None:
    result = check(env)
    assert result.returncode != 0
    assert complaint in result.stderr


def test_the_example_file_lists_exactly_the_variables_that_are_read() -> None:
    lines = (environment.PROJECT_ROOT / ".env.example").read_text().splitlines()
    listed = [line.partition("=")[0] for line in lines if line and not line.startswith("#")]
    assert sorted(listed) == sorted(environment.variables_read())


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://ann:pa%40ss@db.example:6432/bourse", ("db.example", "6432", "ann", "pa@ss", "bourse", {})),
        ("postgres://ann@db.example/b?sslmode=require", ("db.example", "", "ann", "", "b", {"sslmode": "require"})),
        ("postgresql://ann@/bourse?host=/run/postgresql", ("/run/postgresql", "", "ann", "", "bourse", {})),
        ("postgresql:///bourse?host=%2Ftmp%2Fa+b&port=5433", ("/tmp/a b", "5433", "", "", "bourse", {})),
        ("postgresql://%2Frun%2Fpostgresql/bourse", ("/run/postgresql", "", "", "", "bourse", {})),
    ],
)
def test_database_urls_by_network_and_by_unix_socket(url: str, expected: tuple[object, ...]) -> None:
    found = settings.database_from_url(url=url)
    options = {name: value for name, value in found["OPTIONS"].items() if name != "connect_timeout"}
    assert (found["HOST"], found["PORT"], found["USER"], found["PASSWORD"], found["NAME"], options) == expected


def test_the_env_file_gives_what_the_environment_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("# a comment\n\nBOURSE_TEST_A=one\nexport BOURSE_TEST_B = 'two words' \nBOURSE_TEST_C=file\n")
    for name in ("BOURSE_TEST_A", "BOURSE_TEST_B"):
        monkeypatch.setenv(name, "")  # so that the end of the test takes away what the file brings
        monkeypatch.delenv(name)
    monkeypatch.setenv("BOURSE_TEST_C", "environment")

    environment.load_env_file(path=file)

    assert environment.os.environ["BOURSE_TEST_A"] == "one"
    assert environment.os.environ["BOURSE_TEST_B"] == "two words"
    assert environment.os.environ["BOURSE_TEST_C"] == "environment"
    file.write_text("no assignment\n")
    with pytest.raises(ImproperlyConfigured, match="line 1: expected NAME=value"):
        environment.load_env_file(path=file)


@pytest.mark.django_db
def test_tests_have_a_database_of_their_own_and_passwords_are_hashed_with_argon2() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        assert cursor.fetchone()[0].startswith("test_")
    assert not connection.settings_dict["HOST"].startswith(str(settings.DATA_DIR))
    assert User.objects.create_user("dora", password="a good one").password.startswith("argon2$")


def test_a_ready_server_says_so_at_readyz_and_on_its_output(server: ServerProcess) -> None:
    assert httpx.get(server.base_url + "/healthz").json() == {"status": "alive"}
    answer = httpx.get(server.base_url + "/readyz")
    assert answer.status_code == 200
    assert answer.json()["checks"] == {"database": "ok", "worker": "ok", "books": "ok"}
    deadline = time.monotonic() + 5
    while "Bourse is ready\n" not in server.log():
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.02)
    assert f"Bourse serves on {server.base_url}" in server.log()


def test_readyz_is_503_and_names_the_database_while_it_does_not_answer(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    server.wait_alive()
    postgres = psutil.Process(server.postgres_pid())
    postgres.suspend()
    try:
        answer = httpx.get(server.base_url + "/readyz", timeout=20)
    finally:
        postgres.resume()
    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert answer.json()["checks"]["database"] == "unreachable"
    assert httpx.get(server.base_url + "/healthz").status_code == 200
    assert httpx.get(server.base_url + "/readyz", timeout=20).json()["checks"]["database"] == "ok"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_with_all_its_children(make_server: MakeServer, number: signal.Signals) -> None:
    server = make_server()
    server.start()
    server.wait_alive()
    assert server.process is not None
    family = psutil.Process(server.process.pid).children(recursive=True)
    assert any(child.name() == "postgres" for child in family)

    server.process.send_signal(number)

    assert server.process.wait(30) == 0, server.log()
    _, alive = psutil.wait_procs(family, timeout=1)
    assert alive == []
    assert server.postgres_pid() is None
    assert server.log().endswith("Bourse has stopped.\n")


def test_a_second_start_takes_under_5_seconds_and_finds_the_data(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    server.wait_alive()
    create = "from trading.models import User; User.objects.create_user('carol')"
    assert server.manage("shell", "--no-imports", "-c", create).returncode == 0
    assert server.terminate() == 0

    began = time.monotonic()
    server.start()
    server.wait_alive()
    assert time.monotonic() - began < 5

    count = server.manage(
        "shell",
        "--no-imports",
        "-c",
        "from trading.models import User; print(User.objects.filter(username='carol').count())",
    )
    assert count.stdout.strip() == "1", count.stderr


def test_after_kill_9_the_next_start_joins_the_database_and_stops_it_at_its_end(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    server.wait_alive()
    postgres = server.postgres_pid()
    server.kill9()
    assert server.postgres_pid() == postgres

    server.start()
    server.wait_alive()
    assert server.postgres_pid() == postgres
    assert server.terminate() == 0
    assert server.postgres_pid() is None


def test_a_database_that_dies_is_started_again(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    server.wait_alive()
    dead = server.postgres_pid()
    assert dead is not None
    psutil.Process(dead).kill()
    deadline = time.monotonic() + 20
    while server.postgres_pid() in (None, dead):
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.02)
    while httpx.get(server.base_url + "/readyz", timeout=20).json()["checks"]["database"] != "ok":
        assert time.monotonic() < deadline, server.log()
    assert server.terminate() == 0
    assert server.postgres_pid() is None


def test_a_command_joins_the_database_of_a_running_server_and_leaves_it_running(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    server.wait_alive()
    postgres = server.postgres_pid()
    assert server.manage("migrate", "--check").returncode == 0
    assert server.postgres_pid() == postgres


def test_a_command_alone_starts_the_database_and_stops_it(make_server: MakeServer) -> None:
    server = make_server()
    result = server.manage("migrate")
    assert result.returncode == 0, result.stderr
    assert (server.data_dir / "postgres" / "PG_VERSION").exists()
    assert server.postgres_pid() is None


def test_two_servers_on_one_data_folder_or_one_port_are_refused(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    server.wait_alive()

    same_folder = ServerProcess(data_dir=server.data_dir, port=free_port()).manage("up")
    assert same_folder.returncode == 1
    assert f"Bourse already runs on {server.data_dir}" in same_folder.stderr
    assert server.base_url in same_folder.stderr

    same_port = make_server(port=server.port).manage("up")
    assert same_port.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{server.port}" in same_port.stderr
    assert httpx.get(server.base_url + "/healthz").status_code == 200


def test_the_front_end_is_installed_as_locked_and_a_start_needs_no_network(tmp_path: Path) -> None:
    assert front_end.is_installed()
    command = [sys.executable, "-m", "trading.front_end"]
    env = {"PATH": str(tmp_path)}  # no npm, no pip
    assert subprocess.run(command, cwd=environment.PROJECT_ROOT, env=env).returncode == 0


@pytest.mark.parametrize("damage", ["no folder", "other version", "package deleted", "cut short"])
def test_a_front_end_that_differs_from_the_lock_file_is_noticed(tmp_path: Path, damage: str) -> None:
    for name in ("package-lock.json", "node_modules/.package-lock.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(environment.PROJECT_ROOT / name, tmp_path / name)
    for name in ("lightweight-charts", "fancy-canvas"):
        shutil.copytree(environment.PROJECT_ROOT / "node_modules" / name, tmp_path / "node_modules" / name)
    assert front_end.is_installed(root=tmp_path)
    installed = tmp_path / "node_modules" / ".package-lock.json"
    match damage:
        case "no folder":
            shutil.rmtree(tmp_path / "node_modules")
        case "other version":
            installed.write_text(installed.read_text().replace('"version": "2.1.0"', '"version": "2.0.9"'))
        case "package deleted":
            shutil.rmtree(tmp_path / "node_modules" / "fancy-canvas")
        case "cut short":
            installed.write_text(installed.read_text()[:100])
    assert not front_end.is_installed(root=tmp_path)


def test_the_lock_file_names_no_host_and_pins_every_package() -> None:
    lock = (environment.PROJECT_ROOT / "package-lock.json").read_text()
    assert "://" not in lock
    packages = {name: about for name, about in json.loads(lock)["packages"].items() if name}
    assert all(about["integrity"].startswith("sha512-") for about in packages.values())
    wanted = json.loads((environment.PROJECT_ROOT / "package.json").read_text())["dependencies"]
    assert wanted == {name: packages[f"node_modules/{name}"]["version"] for name in wanted}


def test_every_distribution_in_the_requirements_is_pinned_and_installed_as_pinned() -> None:
    for file in ("requirements.txt", "requirements-dev.txt"):
        for line in (environment.PROJECT_ROOT / file).read_text().splitlines():
            if line and not line.startswith(("#", "-r ")):
                name, _, version = line.partition("==")
                assert importlib.metadata.version(name.partition("[")[0]) == version
