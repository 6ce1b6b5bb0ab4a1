"""What the tests need from Debian: Chromium for the browser, Redis, nginx and pgbouncer for the exchange spread out.

`python -m tests.debian` (part of `make test`) installs with apt-get what is missing, if we are root.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAMS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "redis-server": ("redis-server",),
    "nginx": ("nginx",),
    "prometheus": ("promtool",),
    "pgbouncer": ("pgbouncer",),
}
"""Debian's package -> names its program may have."""


def path_of(package: str) -> Path | None:
    """The program's executable, None when it is not installed. Servers lie where an ordinary user's PATH ends."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
    return next((Path(found) for name in PROGRAMS[package] if (found := shutil.which(name, path=path))), None)


def install() -> str:
    """Install what is missing; returns what stands in the way, or an empty text."""
    missing = [package for package in PROGRAMS if path_of(package) is None]
    if not missing:
        return ""
    names = " ".join(missing)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return f"The tests need {names}: install it (on Debian, as root: apt-get install {names}), run again."
    print(f"Installing {names} for the tests ...", flush=True)
    # A service that Debian starts by itself would only be in the way.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        if subprocess.run(["apt-get", "-qq", *command], env=environment, check=False).returncode != 0:
            return f"apt-get {command[0]} failed; the tests need {names}."
    missing = [package for package in missing if path_of(package) is None]
    return f"apt-get has installed {' '.join(missing)}, but it is not on the PATH." if missing else ""


if __name__ == "__main__":
    sys.exit(install() or 0)
