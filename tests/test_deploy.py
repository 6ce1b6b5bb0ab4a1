"""What deploy/ says about us is true: commands, options, variables, files and addresses exist, and agree.

Nothing of it is started here but what needs no container and no root: `systemd-analyze` where there is one.
"""

import http.server
import ipaddress
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from celery.bin.beat import beat
from celery.bin.worker import worker
from django.core.management import get_commands, load_command_class

from tests.harness import free_port
from trading import environment, processes

ROOT = environment.PROJECT_ROOT
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "bourse"}
VARIABLES = set(re.findall(r"(?m)^([A-Z_]+)=", (ROOT / ".env.example").read_text()))
CELERY = {"worker": worker, "beat": beat}
SECRETS_OF_COMPOSE = {"POSTGRES_PASSWORD"}


def understood(words: list[str]) -> dict[str, Any]:
    """The options of a command of ours, as it would understand them; it ends the test if it does not."""
    program = Path(words[0]).name
    if program == "celery":
        assert words[1:4] == ["--quiet", "--app", "trading"]
        command = CELERY[words[4]]
        context = click.Context(command, obj=None, resilient_parsing=True)
        found, rest, _ = command.make_parser(context).parse_args(list(words[5:]))
        assert not rest
        return dict(found)
    assert program == "python"
    assert words[1] == "manage.py"
    app = get_commands()[words[2]]
    command = load_command_class(app, words[2]) if isinstance(app, str) else app
    return vars(command.create_parser("manage.py", words[2]).parse_args(words[3:]))


def lines_of(unit: Path, name: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.read_text().splitlines() if line.startswith(f"{name}=")]


def started_by(unit: Path) -> tuple[dict[str, str], list[str]]:
    """The variables that a unit adds, and its command."""
    (start,) = lines_of(unit, "ExecStart")
    words = shlex.split(start)
    assert words.pop(0) == "/usr/bin/env"
    added = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        added[name] = value
    return added, words


@pytest.mark.parametrize("name", OURS)
def test_the_command_of_a_container_is_one_of_ours(name: str) -> None:
    assert understood(OURS[name]["command"])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_command_of_a_unit_is_one_of_ours(unit: Path) -> None:
    added, words = started_by(unit)
    assert set(added) <= VARIABLES
    assert words[0].startswith("/opt/bourse/.venv/bin/")
    understood(words)


def test_the_procfile_the_units_and_the_containers_start_the_same_processes() -> None:
    def plain(words: list[str]) -> list[str]:
        return [Path(words[0]).name, *words[1:]]

    procfile = dict(
        line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines() if not line.startswith("#")
    )
    said = {name: shlex.split(text) for name, text in procfile.items()}
    assert [understood(words) is not None for words in said.values()] == [True] * 4
    units = {unit.name: plain(started_by(unit)[1]) for unit in UNITS}
    assert units == {
        "bourse-beat.service": said["beat"],
        "bourse-celery.service": said["celery"],
        "bourse-web@.service": said["web"],
        "bourse-worker@.service": said["worker"],
    }
    in_containers = {name: service["command"] for name, service in OURS.items() if name not in ("migrate", "edge")}
    kinds = {
        "web-1": "web",
        "web-2": "web",
        "worker": "worker",
        "standby": "worker",
        "celery": "celery",
        "beat": "beat",
    }
    assert in_containers == {name: said[kind] for name, kind in kinds.items()}
    assert processes.commands().keys() == said.keys()


@pytest.mark.parametrize("name", OURS)
def test_the_variables_of_a_container_are_those_of_the_example_file(name: str) -> None:
    assert set(OURS[name]["environment"]) <= VARIABLES


def test_compose_asks_for_nothing_but_the_password_that_is_explained() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{([A-Z_]+)", text)) == SECRETS_OF_COMPOSE
    guide = (ROOT / "docs" / "deploy.md").read_text()
    assert all(name in guide for name in SECRETS_OF_COMPOSE)


def test_the_containers_know_each_other() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        volumes = {volume.partition(":")[0] for volume in service.get("volumes", ()) if volume[0] not in "./"}
        assert volumes <= set(COMPOSE["volumes"])
        for wanted, condition in service.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[wanted]
    database = SERVICES["postgres"]["environment"]
    url = OURS["web-1"]["environment"]["DATABASE_URL"]
    assert url.startswith(f"postgresql://{database['POSTGRES_USER']}:")
    assert url.endswith(f"@postgres:5432/{database['POSTGRES_DB']}")


def test_nginx_in_its_container_finds_the_web_processes_and_they_believe_it() -> None:
    (network,) = (ipaddress.ip_network(each["subnet"]) for each in COMPOSE["networks"]["default"]["ipam"]["config"])
    address = {name: SERVICES[name]["networks"]["default"]["ipv4_address"] for name in ("nginx", "web-1", "web-2")}
    assert all(ipaddress.ip_address(each) in network for each in address.values())
    environment_of_web = SERVICES["web-1"]["environment"]
    assert environment_of_web["TRUSTED_PROXIES"] == address["nginx"]
    assert str(network) in environment_of_web["METRICS_ALLOW"]
    edge = understood(OURS["edge"]["command"])
    port = environment_of_web["PORT"]
    assert edge["web"] == [f"{address['web-1']}:{port}", f"{address['web-2']}:{port}"]
    mounted = {volume.split(":")[0]: volume.split(":")[1] for volume in SERVICES["nginx"]["volumes"]}
    assert Path(edge["output"]).parent == Path(mounted["edge"])
    assert Path(edge["certificate"]).parent == Path(mounted["./certificates"])
    assert Path(edge["static"]) == Path(mounted["state"]) / "static"
    assert environment_of_web["DATA_DIR"] == mounted["state"]
    assert edge["output"] in SERVICES["nginx"]["command"][-1]


# ------------------------------------------------------------------------------------------ the image


def test_the_image_has_everything_that_is_not_for_development() -> None:
    copied = set(re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text()))
    sources = {source for line in copied for source in line.split()}
    assert all((ROOT / source).exists() for source in sources)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert sources >= packages | {"manage.py", "templates", "deploy", "Procfile", "requirements.txt"}
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == sources


def test_the_image_runs_as_nobody_special_and_serves() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    last_stage = lines[max(place for place, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert last_stage[0] == "FROM python:3.11-slim"
    assert "USER bourse" in last_stage
    assert last_stage[-1] == 'CMD ["python", "manage.py", "web"]'
    named = set(re.findall(r"([A-Z_]+)=\S+(?: \\)?$", "\n".join(last_stage), re.MULTILINE))
    assert named - {"PATH", "PYTHONUNBUFFERED"} <= VARIABLES


# ------------------------------------------------------------------------------------------ systemd


def test_every_unit_is_hardened_alike_and_ends_with_the_target() -> None:
    hardening = {
        unit.read_text().partition("# A process that is taken over")[2].partition("[Install]")[0] for unit in UNITS
    }
    (same,) = hardening
    assert {"NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet="} <= set(same.splitlines())
    for unit in UNITS:
        assert lines_of(unit, "EnvironmentFile") == ["/etc/bourse/bourse.env"]
        assert lines_of(unit, "User") == ["bourse"]
        assert lines_of(unit, "PartOf") == lines_of(unit, "WantedBy") == ["bourse.target"]


def test_systemd_understands_the_units(tmp_path: Path) -> None:
    for file in (DEPLOY / "systemd").iterdir():
        name = file.name.replace("web@", "web@8001").replace("worker@", "worker@1")
        text = file.read_text()
        assert text.isascii()
        (tmp_path / name).write_text(text)
    analyze = shutil.which("systemd-analyze")
    if analyze is not None:
        units = sorted(str(path) for path in tmp_path.iterdir())
        found = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, timeout=60)
        complaints = [line for line in found.stderr.splitlines() if "bourse" in line]
        assert complaints == []


def test_what_systemd_waits_for_is_longer_than_what_a_web_process_takes_to_end() -> None:
    from trading import serving
    from trading.stream import consumer

    (unit,) = (unit for unit in UNITS if unit.name.startswith("bourse-web@"))
    (stop,) = lines_of(unit, "TimeoutStopSec")
    longest = consumer.ANSWERS_SECONDS_MAX + consumer.GOODBYE_SECONDS_MAX + serving.REMOTE_GRACE_SECONDS
    longest += consumer.FAREWELL_SECONDS_MAX
    assert int(stop) > longest + 3  # DRAIN_SECONDS unless it is set otherwise
    assert SERVICES["web-1"]["stop_grace_period"] == f"{stop}s"


# ------------------------------------------------------------------------------------------ the health check


class _Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.headers["Host"] == "bourse.example"
        self.send_response(200 if known and self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def asked(port: int, path: str, hosts: str) -> int:
    command = [sys.executable, "deploy/healthcheck.py", str(port), path]
    return subprocess.run(command, cwd=ROOT, env={"ALLOWED_HOSTS": hosts}, capture_output=True, timeout=30).returncode


def test_the_health_check_of_a_container(port: int) -> None:
    assert asked(port, "/healthz", "bourse.example") == 0
    assert asked(port, "/healthz", ".bourse.example, other.example") == 0
    assert asked(port, "/healthz", "other.example") == 1
    assert asked(port, "/readyz", "bourse.example") == 1
    assert asked(free_port(), "/healthz", "bourse.example") == 1
    for service in OURS.values():
        test = service.get("healthcheck", {}).get("test")
        assert test is None or (ROOT / test[2]).is_file()
