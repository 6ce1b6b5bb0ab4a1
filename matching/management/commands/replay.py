"""`manage.py replay DIR`: a recorded order flow through the whole system, compared with what was recorded.

With --speed it is played into a market while people watch, and nothing is compared: they may trade along.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from matching.recording import RecordingError
from matching.replay import Replayed, replay
from matching.replay_feed import ReplayError
from matching.replay_live import MARKET, Played, play


class Command(BaseCommand):
    """Exit status 0 if everything is as recorded, else 1. Works with and without a running server."""

    help = "Feed a recorded order flow through the exchange and compare the outcome with the recording."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The recording, where to, how fast and how much."""
        parser.add_argument(
            "folder", metavar="DIR", type=Path, help="replay.csv, truth_fills.csv, truth_final_book.csv"
        )
        parser.add_argument(
            "--speed", type=_positive, metavar="X",
            help="play it to those who watch, at X times its own pace (default: as fast as possible, and compare)",
        )  # fmt: skip
        parser.add_argument(
            "--market", metavar="NAME",
            help=f"an existing market (default: a new scratch market; with --speed {MARKET}, made if it is not there)",
        )  # fmt: skip
        parser.add_argument("--limit", type=int, metavar="N", help="only the first N steps")

    def handle(self, *args: Any, **options: Any) -> None:
        """Replay or play with a progress bar, and print what came of it."""
        with tqdm(unit=" commands", unit_scale=True, desc="Replaying", file=sys.stderr, disable=None) as bar:
            asked = {name: options[name] for name in ("folder", "limit")}
            asked["progress"] = lambda done: bar.update(done - bar.n)
            try:
                if options["speed"] is not None:
                    played = play(market=options["market"] or MARKET, speed=options["speed"], **asked)
                else:
                    replayed = replay(market=options["market"], **asked)
            except (ReplayError, RecordingError) as error:
                bar.close()
                raise CommandError(str(error)) from error
        if options["speed"] is not None:
            self.stdout.write(summary(played))
            return
        self.stdout.write(report(replayed))
        if not replayed.same:
            raise CommandError("The replay is not as recorded.")


def summary(played: Played) -> str:
    """What was played, in a line."""
    return (
        f"{'Interrupted: ' if played.interrupted else ''}{played.commands:,} commands and {played.trades:,} trades on "
        f"{played.market} in {played.seconds:.1f} s; {played.canceled:,} resting orders canceled."
    )


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
