"""`manage.py matching_worker`: the worker in a process of its own, or a hot standby beside the one that leads."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from matching.worker import Worker


class Command(BaseCommand):
    """Runs until SIGINT or SIGTERM, then finishes its batch and exits with status 0."""

    help = "Run the matching worker on the control lane; stands by while another worker leads."

    def handle(self, *args: Any, **options: Any) -> None:
        """Start the worker and wait for a signal."""
        stop = threading.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: stop.set())
        worker = Worker(lane=None)
        worker.start()
        self.stdout.write("Matching worker started.")
        stop.wait()
        worker.stop()
        self.stdout.write("Matching worker stopped.")
