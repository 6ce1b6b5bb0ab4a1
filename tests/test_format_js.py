"""Numbers and times as the browser shows them: the cases are in format_js.mjs, run by Node."""

import os
import subprocess

from tests.node import node_path
from trading import environment


def test_numbers_and_times_are_formatted_as_documented():
    run = subprocess.run(
        [str(node_path()), "--test", "--test-reporter=tap", "tests/format_js.mjs"],
        cwd=environment.PROJECT_ROOT,
        env={**os.environ, "TZ": "Europe/Berlin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# pass 8" in run.stdout
    assert "# skipped 0" in run.stdout
