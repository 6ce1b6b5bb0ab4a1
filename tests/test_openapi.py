"""The OpenAPI document tells the truth: it is valid and whole, and schemathesis finds no answer that it does not tell.

schemathesis is the examiner: thousands of requests, good and bad, signed as a program's and as a browser's, to a server
of its own; every answer must be one of the documented ones, in status, content type and shape, and none a 5xx.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.urls import URLPattern
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.api import signed_in_operator
from tests.harness import ServerProcess, new_data_dir, remove_data_dir
from trading import environment
from trading.urls import v1

CONFIGURATION = Path(__file__).parent / "openapi" / "schemathesis.toml"
SESSION_ONLY = "/api/v1/(accounts|api-keys)"
SECONDS_MAX = 900

Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """A server without request limits, which have tests of their own."""
    data_dir = new_data_dir()
    try:
        with ServerProcess(data_dir=data_dir, env={"RATE_LIMITS": "off"}) as running:
            yield running
    finally:
        remove_data_dir(data_dir)


@pytest.fixture(scope="module")
def document(server: ServerProcess) -> dict[str, Any]:
    answer = httpx.get(server.base_url + "/api/schema/")
    assert answer.status_code == 200
    described: dict[str, Any] = answer.json()
    return described


@pytest.fixture(scope="module")
def operations(document: dict[str, Any]) -> list[Operation]:
    """(method, path, operation) of everything."""
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def references(node: Any) -> Iterator[str]:
    """Every $ref at or below a node."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def signed(server: ServerProcess) -> dict[str, str]:
    """The credentials of a new key of alice's with all scopes."""
    made = server.manage("create_api_key", "alice", "--scopes", "read,trade,withdraw", "--json")
    assert made.returncode == 0, made.stderr
    found = re.search(r'"key": "(\w+)", "secret": "([\w-]+)"', made.stdout)
    assert found is not None
    return {"BOURSE_TEST_KEY": found[1], "BOURSE_TEST_SECRET": found[2]}


def signed_in(server: ServerProcess) -> dict[str, str]:
    """The cookies of a browser in which the operator has signed in."""
    with signed_in_operator(base_url=server.base_url) as browser:
        return {"BOURSE_TEST_SESSION": browser.cookies["sessionid"], "BOURSE_TEST_CSRF": browser.cookies["csrftoken"]}


def examine(server: ServerProcess, credentials: dict[str, str], folder: Path, *options: str) -> str:
    """Let schemathesis loose; its report, or a failure with it."""
    examiner = [str(Path(sys.executable).parent / "st"), "--config-file", str(CONFIGURATION), "--no-color", "run"]
    address = [f"{server.base_url}/api/schema/", "--url", server.base_url]
    ran = subprocess.run(
        [*examiner, *address, "--continue-on-failure", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(environment.PROJECT_ROOT), "SCHEMATHESIS_HOOKS": "tests.openapi.hooks"}
        | credentials,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"\b\d{2,} passed", ran.stdout), ran.stdout
    assert "Traceback" not in server.log()
    return ran.stdout


def test_the_document_is_openapi_3_1(document: dict[str, Any]):
    assert document["openapi"] == "3.1.0"
    assert document["info"]["title"] == "Bourse"
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in references(document):
        kind, name = reference.removeprefix("#/components/").split("/")
        assert name in document["components"][kind], reference


def test_every_endpoint_is_described(operations: list[Operation]):
    described = {path for _, path, _ in operations}
    served = set()
    for pattern in v1:
        assert isinstance(pattern, URLPattern)
        served.add("/api/v1/" + re.sub(r"<\w+:(\w+)>", r"{\1}", str(pattern.pattern)))
    assert described == served
    order_entry = {(method, path) for method, path, operation in operations if operation["tags"] == ["order entry"]}
    assert order_entry == {
        ("post", "/api/v1/orders"),
        ("delete", "/api/v1/orders"),
        ("post", "/api/v1/orders/batch"),
        ("post", "/api/v1/orders/test"),
        ("patch", "/api/v1/orders/{order_id}"),
        ("delete", "/api/v1/orders/{order_id}"),
        ("patch", "/api/v1/orders/by-client-id/{client_order_id}"),
        ("delete", "/api/v1/orders/by-client-id/{client_order_id}"),
    }


def test_every_operation_is_whole(operations: list[Operation]):
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(names) == len(set(names))
    for method, path, operation in operations:
        assert operation["summary"], (method, path)
        statuses = set(operation["responses"])
        assert statuses & {"200", "201"}, (method, path)
        assert {"429", "503"} <= statuses, (method, path)
        if operation.get("security"):
            assert {"401", "403"} <= statuses, (method, path)
        for status, answer in operation["responses"].items():
            if status >= "400":
                (schema,) = (content["schema"]["$ref"] for content in answer["content"].values())
                assert schema.endswith(("/ErrorResponse", "/ErrorAnswer")), (method, path, status)


def test_private_endpoints_take_a_signature_or_a_session(document: dict[str, Any], operations: list[Operation]):
    assert set(document["components"]["securitySchemes"]) == {"apiKey", "apiTimestamp", "apiSignature", "session"}
    either: list[dict[str, list[str]]] = [{"apiKey": [], "apiTimestamp": [], "apiSignature": []}, {"session": []}]
    for method, path, operation in operations:
        public = operation["tags"] == ["public"]
        assert (operation.get("security") or None) == (None if public else either), (method, path)


def test_swagger_ui_comes_from_here_alone(server: ServerProcess):
    page = httpx.get(server.base_url + "/api/docs/")
    assert page.status_code == 200
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert any("swagger-ui-bundle" in file for file in files)
    for file in files:
        assert file.startswith(("/static/", "/api/docs/")), file
        assert httpx.get(server.base_url + file).status_code == 200, file


def test_no_answer_to_a_program_is_undocumented(server: ServerProcess, tmp_path: Path):
    examine(server, signed(server), tmp_path, "--generation-deterministic", "-n", "10")


def test_no_answer_to_a_browser_is_undocumented(server: ServerProcess, tmp_path: Path):
    options = ["--generation-deterministic", "-n", "10", "--include-path-regex", SESSION_ONLY]
    assert "Authentication failed" not in examine(server, signed_in(server), tmp_path, *options)


@pytest.mark.slow
def test_no_answer_is_undocumented_however_long_one_asks(server: ServerProcess, tmp_path: Path):
    examine(server, signed(server), tmp_path, "-n", "50")
    examine(server, signed_in(server), tmp_path, "-n", "50", "--exclude-path-regex", "/api-keys")
