"""Debian's Chromium for the browser tests: where it is, and how it is started. tests/debian.py installs it."""

from pathlib import Path

from tests.debian import path_of

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
    return path_of("chromium")
