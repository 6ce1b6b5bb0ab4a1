"""`manage.py prove`: replays the journal and compares it with everything that is stored."""

import gc
import sys
import time
from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from matching.models import ProveRun
from matching.prove import Differs, Proof, prove_database
from matching.session import GC_THRESHOLDS

PROGRESS_SECONDS = 1.0


class Command(BaseCommand):
    """Exit status 0 and a short report, or 1 and the first command that differs. The server may run meanwhile."""

    help = "Prove that everything stored follows from the journal: orders, trades, entries, balances, books."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """No arguments."""

    def handle(self, *args: object, **options: object) -> None:
        """Prove, and report."""
        began = time.monotonic()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        with tqdm(
            unit=" commands", unit_scale=True, desc="Replaying", mininterval=PROGRESS_SECONDS, file=sys.stderr,
            delay=PROGRESS_SECONDS, leave=False, disable=None,
        ) as bar:  # fmt: skip

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            try:
                proof = prove_database(progress=progress)
            except Differs as differs:
                bar.close()
                ProveRun.objects.create(
                    proved=False, commands=0, seconds=time.monotonic() - began, finding=str(differs)
                )
                raise CommandError(f"NOT PROVED. {differs}") from differs
        ProveRun.objects.create(proved=True, commands=proof.commands, seconds=proof.seconds)
        self.stdout.write(report(proof))


def report(proof: Proof) -> str:
    """The proof in a few lines."""
    rate = proof.commands / proof.seconds if proof.seconds else 0
    lines = [
        f"Proved: {proof.commands:,} commands replayed in {proof.seconds:.1f} s ({rate:,.0f} a second).",
        f"The same {proof.orders:,} orders, {proof.trades:,} trades, {proof.entries:,} entries, "
        f"{proof.deposits:,} deposits and {proof.withdrawals:,} withdrawals,",
        "the same balances, rules and books in the same order; entries and balances sum to zero, holds are covered,",
        "the candles are what the trades make, and the fees account has the fees on the trades.",
    ]
    if proof.assets:
        widths = [max(len(row[column]) for row in proof.assets) for column in range(4)]
        for symbol, users, fees, external in proof.assets:
            lines.append(
                f"  {symbol:<{widths[0]}}  users {users:>{widths[1]}}  fees {fees:>{widths[2]}}  "
                f"outside {external:>{widths[3]}}"
            )
    return "\n".join(lines)
