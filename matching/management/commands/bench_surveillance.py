"""`manage.py bench_surveillance`: how good and how fast surveillance is, in one table.

With --pattern, a quick look at one pattern for those who tune it: misses and false cases with their figures.
"""

import os
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from matching.attack.plan import PATTERNS
from matching.bench.surveillance import HELD_OUT, Score, Task, carry_out, precision, recall, tasks
from matching.bench.surveillance_runs import Outcome


class Command(BaseCommand):
    """Measures and prints."""

    help = "Measure surveillance on seeded runs with labelled attacks, on honest hours and on the recorded flow."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to measure, on which seeds."""
        parser.add_argument("--pattern", help=f"Only some of {','.join(PATTERNS)}, or crowd; prints details.")
        parser.add_argument("--disguise", help="Only this disguise.")
        parser.add_argument("--tuning", action="store_true", help="Tuning seeds instead of those kept for measuring.")
        parser.add_argument("--seeds", type=int, default=None, metavar="N", help="How many runs (20).")
        parser.add_argument("--first-seed", type=int, default=1, metavar="N", help="Where the seeds begin (1).")
        parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
        parser.add_argument("--quick", action="store_true", help="A minute that only shows that everything works.")

    def handle(self, *args: Any, **options: Any) -> None:
        """The look at some patterns, or the whole table."""
        first = options["first_seed"] + (0 if options["tuning"] else HELD_OUT)
        count = options["seeds"] or (4 if options["pattern"] else 20)
        seeds = range(first, first + count)
        if options["pattern"]:
            self._look(options, seeds)

    def _look(self, options: dict[str, Any], seeds: range) -> None:
        names = options["pattern"].split(",")
        if unknown := set(names) - {*PATTERNS, "crowd"}:
            raise CommandError(f"There is no {', '.join(sorted(unknown))}; there are {', '.join(PATTERNS)}, crowd.")
        todo = tasks(seeds=seeds, groups=[[name] for name in names if name != "crowd"], disguise=options["disguise"])
        if "crowd" in names:
            todo += [Task(seed, ()) for seed in seeds]
        outcomes = []
        for task, outcome in zip(todo, carry_out(todo, processes=options["processes"]), strict=True):
            outcomes.append(outcome)
            self._details(task, outcome)
        score = Score.of(outcomes)
        for name in names:
            for disguise in PATTERNS.get(name, ()):
                found = score.episodes_of(name, disguise)
                if found:
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

    def _details(self, task: Task, outcome: Outcome) -> None:
        """The misses and false cases of a run."""
        for episode in outcome.episodes:
            if episode.delay is None:
                self.stdout.write(f"MISSED seed {task.seed}: {episode.pattern} {episode.disguise}")
        for case in outcome.cases:
            if case.episode is None:
                alert = case.alerts[0]
                figures = " ".join(f"{name}={value:.4g}" for name, value in alert.figures.items())
                self.stdout.write(
                    f"FALSE seed {task.seed}: {'+'.join(sorted(case.detectors))} accuses {', '.join(case.roles)} "
                    f"in market {case.market_id} ({len(case.alerts)} alerts): {alert.text} {figures}"
                )
