"""`manage.py replay DIR`: a recorded order flow through the whole system, compared with what was recorded."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from matching.recording import RecordingError
from matching.replay import Replayed, ReplayError, replay


class Command(BaseCommand):
    """Exit status 0 if everything is as recorded, else 1. Works with and without a running server."""

    help = "Feed a recorded order flow through the exchange and compare the outcome with the recording."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The recording, where to, how fast and how much."""
        parser.add_argument(
            "folder", metavar="DIR", type=Path, help="replay.csv, truth_fills.csv, truth_final_book.csv"
        )
        parser.add_argument("--market", metavar="NAME", help="an existing market (default: a new scratch market)")
        parser.add_argument(
            "--speed", type=_positive, metavar="X", help="times real time (default: as fast as possible)"
        )
        parser.add_argument("--limit", type=int, metavar="N", help="only the first N steps")

    def handle(self, *args: Any, **options: Any) -> None:
        """Replay with a progress bar, and print the comparison."""
        with tqdm(unit=" commands", unit_scale=True, desc="Replaying", file=sys.stderr, disable=None) as bar:
            try:
                replayed = replay(
                    folder=options["folder"],
                    market=options["market"],
                    speed=options["speed"],
                    limit=options["limit"],
                    progress=lambda done: bar.update(done - bar.n),
                )
            except (ReplayError, RecordingError) as error:
                bar.close()
                raise CommandError(str(error)) from error
        self.stdout.write(report(replayed))
        if not replayed.same:
            raise CommandError("The replay is not as recorded.")


def report(replayed: Replayed) -> str:
    """The comparison as a table, and how fast it went."""
    counts = [f"{row.matched:,}/{row.expected:,}" for row in replayed.rows]
    width = max(map(len, counts))
    lines = [
        f"{count:>{width}} {row.name}{'' if row.difference is None else f'  DIFFERS: {row.difference}'}"
        for count, row in zip(counts, replayed.rows, strict=True)
    ]
    rate = replayed.commands / replayed.seconds
    lines.append(
        f"{replayed.commands:,} commands on {replayed.market} in {replayed.seconds:.1f} s: {rate:,.0f} a second"
    )
    return "\n".join(lines)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value
