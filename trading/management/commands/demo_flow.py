"""`manage.py demo_flow`: the demo's market makers and takers, an ordinary client of the public API.

Started by `up`, which sends it the API keys as one line of JSON on its standard input and keeps that open: when it
closes, because the server has ended in whatever way, this ends too.
"""

import os
import select
import sys
from argparse import ArgumentParser
from random import Random
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError

from trading.demo_flow.client import Key
from trading.demo_flow.flow import run

LINE_BYTES_MAX = 65_536


class Command(BaseCommand):
    """Runs until its standard input ends."""

    help = "Quote and trade on the demo's markets; the API keys come as a line of JSON on standard input."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where the exchange is."""
        parser.add_argument("--url", required=True, help="the exchange, for instance http://127.0.0.1:8000")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read the keys, then keep the market alive."""
        try:
            keys = msgspec.json.decode(sys.stdin.buffer.readline(LINE_BYTES_MAX), type=list[Key])
        except msgspec.DecodeError as error:
            raise CommandError(f"The first line of standard input is no list of keys: {error}") from error
        run(url=options["url"], keys=keys, rng=Random(), wait=_wait)  # noqa: S311 - a demo's prices are no secret


def _wait(seconds: float) -> bool:
    """Wait; True as soon as standard input has ended."""
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(readable) and not os.read(sys.stdin.fileno(), LINE_BYTES_MAX)
