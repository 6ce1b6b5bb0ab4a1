"""`manage.py status`: the exchange on one screen, once or, with --watch, for as long as somebody looks."""

import io
import sys
import time
from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.live import Live

from trading.status.gathering import Gathering
from trading.status.screen import screen
from trading.status.shapes import Status

REFRESH_SECONDS = 1.0
PLAIN_COLUMNS = 100
WITHOUT_UNICODE = str.maketrans({"●": "*", "○": "o", "·": "-", "…": "~"})


class Command(BaseCommand):
    """Asks only: the database, Redis and the broker in a few milliseconds, so it may stay open on a busy exchange."""

    help = "Show the exchange on one screen: workers, markets, rates, services, what waits, what is wrong."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The form of the answer."""
        parser.add_argument("--json", action="store_true", help="one JSON object instead of a screen")
        parser.add_argument("--watch", action="store_true", help="again every second, until Ctrl-C")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask, show, and with --watch again."""
        gathering = Gathering()
        try:
            if options["watch"]:
                self._watch(gathering, as_json=options["json"])
            else:
                self._show(gathering.status(), as_json=options["json"])
        except (KeyboardInterrupt, BrokenPipeError):
            pass
        finally:
            gathering.close()

    def _show(self, status: Status, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(msgspec.json.encode(status).decode())
            self.stdout.flush()
        elif self.stdout.isatty():
            console = Console(file=sys.stdout)
            console.print(screen(status, width=console.width, height=console.height - 1))
        else:
            self.stdout.write(plain(status).translate({} if _has_unicode(self.stdout) else WITHOUT_UNICODE))

    def _watch(self, gathering: Gathering, *, as_json: bool) -> None:
        if as_json:
            while True:
                self._show(gathering.status(), as_json=True)
                time.sleep(REFRESH_SECONDS)
        if not self.stdout.isatty():
            raise CommandError("--watch needs a terminal, or --json.")
        console = Console(file=sys.stdout)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                found = gathering.status()
                live.update(screen(found, width=console.width, height=console.height), refresh=True)
                time.sleep(REFRESH_SECONDS)


def plain(status: Status, *, width: int = PLAIN_COLUMNS) -> str:
    """The status as text without colours, as long as it is."""
    text = io.StringIO()
    console = Console(file=text, width=width, color_system=None, force_terminal=False)
    console.print(screen(status, width=width, height=None))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _has_unicode(stream: Any) -> bool:
    return "utf" in (getattr(stream, "encoding", None) or "utf-8").lower()
