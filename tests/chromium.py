"""Debian's Chromium for the browser tests: where it is, and how it gets there.

`python -m tests.chromium` (part of `make test`) installs it with apt-get where it is missing and we are root.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium_path() -> Path | None:
    """The browser's executable, None when there is none on the PATH."""
    return next((Path(found) for name in NAMES if (found := shutil.which(name))), None)


def install() -> str:
    """Install Chromium unless it is there; returns what stands in the way, or an empty text."""
    if chromium_path() is not None:
        return ""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return "The browser tests need Chromium: install it (on Debian, as root: apt-get install chromium), run again."
    print("Installing Chromium for the browser tests ...", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        if subprocess.run(["apt-get", "-qq", *command], env=environment, check=False).returncode != 0:
            return f"apt-get {command[0]} failed; the browser tests need Chromium."
    return "" if chromium_path() else "apt-get has installed Chromium, but it is not on the PATH."


if __name__ == "__main__":
    sys.exit(install() or 0)
