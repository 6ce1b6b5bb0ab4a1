"""Alert rules, dashboards and runbooks speak of metrics, labels, commands, pages and settings that exist.

Prometheus's own promtool reads the rules and every expression, and plays the rules' unit tests.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands
from django.urls import Resolver404, resolve
from prometheus_client import Counter, Histogram

from matching.instruments import BATCHES
from tests.debian import path_of
from trading import environment
from trading.metrics import database, instruments

ROOT = environment.PROJECT_ROOT
ALERTS = ROOT / "deploy" / "alerts.yml"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana").glob("*.json"))
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text()
UNIT_TESTS = ROOT / "tests" / "data" / "alert_rules.yml"

OF_PROMETHEUS: dict[str, set[str]] = {
    "up": set(),
    "process_cpu_seconds_total": set(),
    "process_resident_memory_bytes": set(),
}
ON_EVERYTHING = {"job", "instance"}
WORDS = {"and", "or", "unless", "on", "by", "without", "group_left", "group_right", "offset", "bool", "ignoring"}
CLAUSE = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"\b([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(?!\s*\()(?![\w:])")
PARTS = ("**It means:**", "**Look at:**", "**Do:**", "**Do not:**")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["panels"]
    return found


def dashboard_expressions() -> Iterator[str]:
    for path in DASHBOARDS:
        for panel in panels(path):
            yield from (target["expr"].replace("$__rate_interval", "5m") for target in panel["targets"])


def described() -> dict[str, set[str]]:
    """Every sample that docs/metrics.md describes, with its labels."""
    found: dict[str, set[str]] = dict(OF_PROMETHEUS)
    page = (ROOT / "docs" / "metrics.md").read_text()
    for name, labels, text in re.findall(r"^\| `(bourse_\w+)` \| (.*?) ?\| (.*) \|$", page, re.MULTILINE):
        own = set(re.findall(r"`(\w+)`", labels))
        if text.startswith("histogram"):
            found |= {f"{name}_bucket": own | {"le"}, f"{name}_sum": own, f"{name}_count": own}
        else:
            found[name] = own
    return found


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """The metrics of an expression, each with the labels it is chosen by."""
    bare = CLAUSE.sub("", re.sub(r"\[[^\]]*\]", "", expression))
    return [
        (name, set(re.findall(r'(\w+)\s*[=!]~?"', matchers)))
        for name, matchers in SELECTOR.findall(bare)
        if name not in WORDS
    ]


def faults(expression: str) -> list[str]:
    """What the expression speaks of that is not there."""
    known = described()
    found = []
    labels = set(ON_EVERYTHING)
    for name, chosen in selectors(expression):
        if name not in known:
            found.append(f"metric {name}")
            continue
        labels |= known[name]
        found += [f"label {label} of {name}" for label in chosen - known[name] - ON_EVERYTHING]
    for clause in CLAUSE.findall(expression):
        found += [f"label {label}" for label in re.findall(r"\w+", clause) if label not in labels]
    return found


def promtool(*arguments: str | Path) -> None:
    program = path_of("prometheus")
    assert program is not None, "The tests need promtool; `make test` says how to get it."
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_labels_described_are_those_of_the_code() -> None:
    known = described()
    for found in vars(instruments).values():
        if isinstance(found, Counter | Histogram):
            suffix, more = ("_total", set()) if isinstance(found, Counter) else ("_bucket", {"le"})
            assert known[found._name + suffix] == set(found._labelnames) | more, found._name
    for figure in database.FIGURES:
        assert known[figure.name] == set(figure.labels), figure.name
    for family in BATCHES.collect():
        if family.type == "counter":
            assert known[family.name + "_total"] == set(getattr(family, "_labelnames", ())), family.name


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_asks_for_what_is_there_and_leads_to_its_runbook(rule: dict[str, Any]) -> None:
    assert selectors(rule["expr"])
    assert not faults(rule["expr"])
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
    section = re.search(rf"^### {rule['alert']}\n(.*?)(?=^##|\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL)
    assert section is not None
    assert [RUNBOOKS.count(f"### {rule['alert']}\n"), *map(section[1].count, PARTS)] == [1] * (1 + len(PARTS))


def test_every_runbook_has_its_alert_and_what_it_names_exists() -> None:
    alerts = {rule["alert"] for rule in rules()}
    assert set(re.findall(r"^### (\w+)$", RUNBOOKS, re.MULTILINE)) == alerts
    assert set(re.findall(r"\bBourse[A-Z]\w+", RUNBOOKS)) == alerts
    metrics = {re.sub(r"_(bucket|sum|count)$", "", name) for name in described()}
    assert set(re.findall(r"\bbourse_\w\w+", RUNBOOKS)) <= metrics
    commands = set(re.findall(r"manage\.py ([a-z]\w+)", RUNBOOKS))
    assert commands >= {"status", "prove", "matching_worker"}
    assert commands <= get_commands().keys()
    capitals = set(re.findall(r"`([A-Z][A-Z_]{3,})`", RUNBOOKS))
    assert capitals - {"ANALYZE"} <= environment.variables_read()
    for path in set(re.findall(r"`(/[\w/]+)`", RUNBOOKS)):
        try:
            resolve(path)
        except Resolver404:
            pytest.fail(f"there is no page {path}")


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: str(path.stem))
def test_a_dashboard_asks_for_what_is_there_from_the_source_that_was_chosen(path: Path) -> None:
    dashboard = json.loads(path.read_text())
    (source,) = dashboard["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    assert dashboard["uid"] == f"bourse-{path.stem}"
    assert dashboard["schemaVersion"] >= 38  # Grafana 10
    found = panels(path)
    assert len({panel["id"] for panel in found}) == len(found)
    used = [panel["datasource"] for panel in found] + [t["datasource"] for panel in found for t in panel["targets"]]
    assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in used)
    for panel in found:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["title"]
        assert panel["targets"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for target in panel["targets"]:
            assert not faults(target["expr"].replace("$__rate_interval", "5m")), panel["title"]


def test_every_metric_of_bourse_is_shown_or_watched() -> None:
    asked = " ".join([*dashboard_expressions(), *(rule["expr"] for rule in rules())])
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name, _ in selectors(asked)}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in described()} - shown == set()


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rate(bourse_trade_total[5m])", "metric bourse_trade_total"),
        ('bourse_trades_total{side="buy"}', "label side of bourse_trades_total"),
        ("sum by (severity) (bourse_sockets)", "label severity"),
        ("bourse_batch_commands_totl > 1 and on (job) up", "metric bourse_batch_commands_totl"),
    ],
)
def test_a_wrong_expression_would_be_found(expression: str, fault: str) -> None:
    assert faults(expression) == [fault]


def test_prometheus_takes_the_rules_the_configuration_and_every_expression(tmp_path: Path) -> None:
    promtool("check", "config", ROOT / "deploy" / "prometheus.yml")  # with the rules it names
    asked = [{"record": f"expression:{number}", "expr": expr} for number, expr in enumerate(dashboard_expressions())]
    (tmp_path / "asked.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": asked}]}))
    promtool("check", "rules", "--lint=none", tmp_path / "asked.yml")


def test_the_rules_fire_when_they_should() -> None:
    promtool("test", "rules", UNIT_TESTS)
