"""`manage.py bench_surveillance`: how good and how fast surveillance is, in one table.

With --pattern, a look at some patterns for those who tune them: misses and false cases with their figures.
"""

import os
import shutil
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from matching.attack import recorded
from matching.attack.plan import PATTERNS
from matching.bench import report, surveillance_speed, surveillance_table
from matching.bench.report import Row
from matching.bench.surveillance import HELD_OUT, SEEDS_APART, Score, Task, carry_out, precision, recall, tasks
from matching.bench.surveillance_runs import Outcome, judge
from matching.recording import RecordingError

TABLE_WIDTH_MIN = 150
QUICK_SEEDS = 2
QUICK_MINUTES = 30


class Command(BaseCommand):
    """Exit status 1 if something does not reach what it must."""

    help = "Measure surveillance on seeded runs with labelled attacks, on honest hours and on a recorded flow."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to measure, on which seeds."""
        parser.add_argument("--pattern", help=f"Only some of {','.join(PATTERNS)}, or crowd; prints details.")
        parser.add_argument("--disguise", help="With --pattern, only this disguise.")
        parser.add_argument("--tuning", action="store_true", help="Tuning seeds instead of those kept for measuring.")
        parser.add_argument("--seeds", type=int, metavar="N", help="How many runs of each disguise (20).")
        parser.add_argument("--first-seed", type=int, default=1, metavar="N", help="Where the seeds begin (1).")
        parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="All cores.")
        parser.add_argument("--recording", type=Path, metavar="DIR", help="A recorded order flow, as of replay.")
        parser.add_argument("--details", action="store_true", help="Print every miss and every false case.")
        parser.add_argument("--quick", action="store_true", help="A minute that only shows that everything works.")
        parser.add_argument("--json", type=Path, metavar="FILE", help="Write machine and rows there as well.")

    def handle(self, *args: Any, **options: Any) -> None:
        """The look at some patterns, or the whole table."""
        first = options["first_seed"] + (0 if options["tuning"] else HELD_OUT)
        if options["pattern"]:
            self._look(options, range(first, first + (options["seeds"] or 4)))
            return
        count = options["seeds"] or (QUICK_SEEDS if options["quick"] else 20)
        self._table(options, range(first, first + count))

    # ------------------------------------------------------------------------------------------ some patterns

    def _look(self, options: dict[str, Any], seeds: range) -> None:
        names = options["pattern"].split(",")
        if unknown := set(names) - {*PATTERNS, "crowd"}:
            raise CommandError(f"There is no {', '.join(sorted(unknown))}; there are {', '.join(PATTERNS)}, crowd.")
        patterns = [name for name in names if name != "crowd"]
        todo = tasks(seeds=seeds, patterns=patterns, disguise=options["disguise"])
        if "crowd" in names:
            todo += [Task(seed, ()) for seed in seeds]
        outcomes = list(self._carried_out(todo, options["processes"], details=True))
        score = Score.of(outcomes)
        for name in names:
            for disguise in PATTERNS.get(name, ()):
                if found := score.episodes_of(name, disguise):
                    self.stdout.write(f"recall {name:18} {disguise:14} {recall(found):.2f} of {len(found)}")
        counted = Counter(detector for case in score.cases for detector in case.detectors)
        for detector in sorted(counted):
            cases = score.cases_of(detector)
            false = sum(case.episode is None for case in cases)
            self.stdout.write(
                f"cases of {detector:18} {len(cases):4}  precision {precision(cases):.2f}  "
                f"false per hour {false / score.hours:.2f}"
            )
        self.stdout.write(f"{score.hours:.1f} hours of market time")

    # ------------------------------------------------------------------------------------------ everything

    def _table(self, options: dict[str, Any], seeds: range) -> None:
        quick = options["quick"]
        machine = report.machine(disk=Path.cwd())
        self.stdout.write(report.machine_text(machine))
        rows = [surveillance_speed.measure(seed=seeds[0], minutes=10 if quick else 60)]
        todo = tasks(seeds=seeds, patterns=list(PATTERNS), disguises_max=1 if quick else None)
        honest = [Task(seed, ()) for seed in seeds]
        if quick:
            todo = [task._replace(minutes=QUICK_MINUTES) for task in todo]
        outcomes = list(self._carried_out(todo + honest, options["processes"], details=options["details"]))
        attacked, crowd = Score.of(outcomes[: len(todo)]), Score.of(outcomes[len(todo) :])
        rows += surveillance_table.quality_rows(attacked)
        rows += surveillance_table.honest_rows(crowd=crowd, attacked=attacked)
        if options["recording"] is not None:
            rows += self._recorded(options["recording"], limit=20_000 if quick else None, details=options["details"])
        if quick:
            rows = [report.unjudged(row) for row in rows]
        width = max(shutil.get_terminal_size((150, 0)).columns, TABLE_WIDTH_MIN)
        self.stdout.write(surveillance_table.disguises_text(score=attacked, width=width))
        self.stdout.write(report.table_text(rows=rows, width=width))
        kind = "tuning" if options["tuning"] else "held-out"
        self.stdout.write(f"{kind} seeds {seeds[0]:,} to {seeds[-1]:,}, further disguises {SEEDS_APART:,} higher each")
        if options["json"] is not None:
            options["json"].write_bytes(msgspec.json.format(msgspec.json.encode({"machine": machine, "rows": rows})))
        if report.missed(rows):
            sys.exit(1)

    def _recorded(self, folder: Path, *, limit: int | None, details: bool) -> Iterator[Row]:
        """The recorded flow, dealt by either rule."""
        try:
            recording = recorded.load(folder=folder, limit=limit)
        except RecordingError as error:
            raise CommandError(str(error)) from error
        for what, by_size in (("dealt by order", False), ("dealt by size", True)):
            outcome = judge(recorded.watched(recording=recording, by_size=by_size))
            right = [case for case in outcome.cases if case.roles == (recorded.PROBE,) and case.family == "messages"]
            for case in outcome.cases:
                if case not in right and details:
                    self.stdout.write(f"FALSE in the recording, {what}: {case.told()}")
            yield surveillance_table.recorded_row(
                what=what,
                false=len(outcome.cases) - len(right),
                probe=bool(right),
                commands=outcome.commands,
                judged=not by_size,
            )

    def _carried_out(self, todo: Sequence[Task], processes: int, *, details: bool) -> Iterator[Outcome]:
        """All runs with a progress bar; with `details` their misses and false cases are printed."""
        runs = tqdm(
            carry_out(todo, processes=processes), total=len(todo), desc="Watching", unit=" runs", file=sys.stderr,
            disable=None,
        )  # fmt: skip
        for task, outcome in zip(todo, runs, strict=True):
            yield outcome
            if not details:
                continue
            for episode in outcome.episodes:
                if episode.delay is None:
                    self.stdout.write(f"MISSED seed {task.seed}: {episode.pattern} {episode.disguise}")
            for case in outcome.cases:
                if case.episode is None:
                    self.stdout.write(f"FALSE seed {task.seed}: {case.told()}")
