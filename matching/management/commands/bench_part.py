"""`manage.py bench_part NAME OPTIONS`: a measurement with a database; `manage.py bench` runs it on a scratch one."""

from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand

from matching.bench.parts import PARTS


class Command(BaseCommand):
    """Prints what it found as one line of JSON."""

    help = "A part of bench, not for use by hand: it writes test data into the database it is given."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which part, and its arguments."""
        parser.add_argument("part", choices=sorted(PARTS))
        parser.add_argument("options", type=lambda text: msgspec.json.decode(text, type=dict[str, Any]))

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it."""
        found = PARTS[options["part"]](**options["options"])
        self.stdout.write(msgspec.json.encode(found).decode())
