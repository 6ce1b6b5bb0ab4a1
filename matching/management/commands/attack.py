"""`manage.py attack NAME --seed N`: labelled abuse inside an honest crowd, as lines of JSON or in the running exchange.

The lines are the run's commands with their times and, where one belongs to the attack, its episode's number; after them
come the accounts that have something in common, the roles of all accounts, and the truth about each episode.
"""

import contextlib
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from matching.attack import live
from matching.attack.plan import PATTERNS
from matching.attack.scenario import Run, simulate
from matching.replay_feed import ReplayError

LIVE_MINUTES = 15.0


class Command(BaseCommand):
    """The same seed gives the same run for ever."""

    help = "Generate labelled abuse inside realistic flow; with --live, place it into the running exchange."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which attack, how long, and where to."""
        parser.add_argument("name", choices=[*PATTERNS, "none"], help="The pattern; none: the crowd alone.")
        parser.add_argument("--seed", type=int, default=1, metavar="N", help="Another seed, another run (1).")
        parser.add_argument("--disguise", metavar="D", help="How it hides (default: the pattern's plainest).")
        parser.add_argument(
            "--minutes", type=float, metavar="M", help=f"How much market time (60; with --live {LIVE_MINUTES:g})."
        )
        parser.add_argument("--output", type=Path, metavar="FILE", help="Where the lines go (standard output).")
        parser.add_argument("--live", action="store_true", help="Place the run into the running exchange instead.")
        parser.add_argument(
            "--speed", type=float, default=1.0, metavar="X",
            help="With --live, times its own pace; detectors see the faster time (1).",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        """Simulate, then write or place."""
        name, disguise = options["name"], options["disguise"]
        attacks: tuple[tuple[str, str], ...] = ()
        if name != "none":
            disguises = PATTERNS[name]
            disguise = disguise or next(iter(disguises))
            if disguise not in disguises:
                raise CommandError(f"{name} has no disguise {disguise}; it has {', '.join(disguises)}.")
            attacks = ((name, disguise),)
        minutes = options["minutes"] or (LIVE_MINUTES if options["live"] else 60.0)
        if options["speed"] <= 0 or minutes <= 0:
            raise CommandError("Speed and minutes are above zero.")
        run = simulate(seed=options["seed"], attacks=attacks, minutes=minutes)
        if options["live"]:
            self._place(run, options["speed"])
            return
        with _opened(options["output"], self.stdout) as file:
            for line in lines(run):
                file.write(line + "\n")
        self.stderr.write(summary(run))

    def _place(self, run: Run, speed: float) -> None:
        total = len(run.steps) - run.setup
        with tqdm(total=total, unit=" commands", desc="Placing", file=sys.stderr, disable=None) as bar:
            try:
                placed = live.place(run=run, speed=speed, progress=lambda done: bar.update(done - bar.n))
            except ReplayError as error:
                bar.close()
                raise CommandError(str(error)) from error
        self.stdout.write(
            f"{'Interrupted: ' if placed.interrupted else ''}{placed.commands:,} commands in {placed.seconds:.1f} s."
        )
        for episode in run.episodes:
            accounts = ", ".join(str(placed.accounts[account_id]) for account_id in episode.guilty)
            self.stdout.write(
                f"{episode.pattern}, {episode.disguise}: accounts {accounts} in market "
                f"{placed.markets[episode.market_id]}, {episode.commands:,} commands"
            )


def lines(run: Run) -> Iterator[str]:
    """A run as lines of JSON."""
    for step in run.steps:
        yield _json(
            {
                "sequence": step.sequence,
                "at": step.at,
                "command": step.command,
                "episode": None if step.episode is None else step.episode.id,
            }
        )
    for relation in run.relations:
        yield _json({"relation": relation})
    yield _json({"roles": run.roles})
    for episode in run.episodes:
        yield _json({"truth": episode})


def summary(run: Run) -> str:
    """A run in a few lines, for people."""
    hours = (run.steps[-1].at - run.steps[run.setup].at) / 3.6e9
    told = [f"seed {run.seed}: {len(run.steps) - run.setup:,} commands in {hours * 60:.0f} minutes"]
    for episode in run.episodes:
        seconds = (episode.last_at - episode.first_at) / 1e6
        told.append(
            f"{episode.pattern}, {episode.disguise}: accounts {', '.join(map(str, episode.guilty))} in market "
            f"{episode.market_id}, sequences {episode.first_sequence} to {episode.last_sequence}, "
            f"{episode.commands:,} commands in {seconds:.0f} s"
        )
    return "\n".join(told)


def _json(found: dict[str, Any]) -> str:
    return msgspec.json.encode(found).decode()


@contextlib.contextmanager
def _opened(path: Path | None, standard: Any) -> Iterator[IO[str]]:
    if path is None:
        yield standard
        return
    with path.open("w") as file:
        yield file
