"""`manage.py matching_worker`: the worker in a process of its own, or a hot standby beside the one that leads."""

import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from matching import exposition, vitals
from matching.publisher import PUBLISHER
from matching.redis_worker_lane import RedisWorkerLane
from matching.worker import Worker


class Command(BaseCommand):
    """Runs until SIGINT or SIGTERM, then finishes its batch and exits with status 0."""

    help = (
        "Run the matching worker: orders through Redis where there is a REDIS_URL, and filed commands. Stands by while "
        "another worker leads."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Start the worker and wait for a signal; this thread carries what is published."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        exposition.listen()
        PUBLISHER.start()
        worker = Worker(lane=RedisWorkerLane(url=settings.REDIS_URL) if settings.REDIS_URL else None)
        worker.start()
        vitals.tell(role="matching_worker", facts=lambda: vitals.worker_facts(worker.status()))
        self.stdout.write("Matching worker started.")
        await stop.wait()
        await asyncio.to_thread(worker.stop)
        await PUBLISHER.stop()
        self.stdout.write("Matching worker stopped.")
