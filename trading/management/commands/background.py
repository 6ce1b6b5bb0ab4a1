"""`manage.py background`: Celery's worker and beat in one process; `up` runs it as its child."""

import contextlib
import os
import signal
import sys
import threading
import warnings
from argparse import ArgumentParser
from typing import Any

from celery.beat import EmbeddedService, Scheduler
from celery.exceptions import SecurityWarning
from django.core.management.base import BaseCommand

from trading.celery import app, empty_folders

BEAT_LONGEST_SLEEP = 1.0


class Command(BaseCommand):
    """Runs until SIGINT, SIGTERM or, with --with-parent, the end of its standard input."""

    help = "Run Celery's worker and beat: surveillance, notifications, the fee books."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--with-parent."""
        parser.add_argument("--with-parent", action="store_true", help="end when the standard input does")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start both."""
        empty_folders()
        app.loader.import_default_modules()  # beat asks once what its schedule is, and the tasks make it
        warnings.simplefilter("ignore", SecurityWarning)  # in the demo root may well run it
        if options["with_parent"]:
            threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
        beat = EmbeddedService(app, thread=True, max_interval=BEAT_LONGEST_SLEEP, scheduler_cls=Scheduler)
        beat.daemon = True  # it has nothing to finish: the worker alone is waited for
        beat.start()
        with contextlib.suppress(SystemExit):
            app.Worker(
                hostname=f"bourse-{os.getpid()}",
                without_gossip=True,
                without_mingle=True,
                without_heartbeat=True,
                quiet=True,
            ).start()


def _end_with_parent() -> None:
    """The standard input is a pipe from the parent: it ends when the parent does, in whatever way."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
