"""The ticket's exact arithmetic and its estimates: the cases are in floor_js.mjs, run by Node."""

import subprocess

from tests.node import node_path
from trading import environment


def test_the_ticket_computes_exactly_what_the_exchange_would() -> None:
    run = subprocess.run(
        [str(node_path()), "--test", "--test-reporter=tap", "tests/floor_js.mjs"],
        cwd=environment.PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# pass 12" in run.stdout
    assert "# skipped 0" in run.stdout
