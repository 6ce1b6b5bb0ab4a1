"""Node for the tests of JavaScript: the machine's, or the one that pip has installed for `make run`."""

import subprocess
from pathlib import Path

from trading import environment, front_end


def node_path() -> Path:
    """The `node` executable; AssertionError where there is none, since `make` always brings one."""
    found = front_end.node_path()
    assert found is not None, "There is no Node: `make run` or `make test` installs one."
    return found


def run_module(path: Path, *arguments: str, timeout: float = 60) -> str:
    """Run an ES module (a file ending in .mjs, or in .js beside a package.json that says so); returns its output."""
    result = subprocess.run(
        [str(node_path()), str(path), *arguments],
        cwd=environment.PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert result.returncode == 0, f"{path.name} ended with {result.returncode}:\n{result.stdout}{result.stderr}"
    return result.stdout
