"""What this process tells Prometheus, and the small listener of processes that serve no HTTP otherwise.

Counters and histograms are those of this process, or of all that share PROMETHEUS_MULTIPROC_DIR; gauges are collectors
in `ASKED`, which look when somebody asks, so that no process that has ended leaves one behind.
"""

import logging
import os
from pathlib import Path

from django.conf import settings

SHARED_FOLDER: Path | None = settings.PROMETHEUS_MULTIPROC_DIR  # first: the library looks at the variable on its import

from prometheus_client import REGISTRY, CollectorRegistry, ProcessCollector, start_http_server  # noqa: E402
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402

logger = logging.getLogger(__name__)

ASKED = CollectorRegistry()
"""Collectors that look when they are asked."""


def registry() -> CollectorRegistry:
    """Everything there is to tell."""
    found = CollectorRegistry()
    if SHARED_FOLDER:
        MultiProcessCollector(found, path=str(SHARED_FOLDER))
        ProcessCollector(registry=found)
    else:
        found.register(REGISTRY)
    found.register(ASKED)
    return found


def listen() -> None:
    """Serve the metrics on METRICS_HOST and METRICS_PORT from a thread of its own; without a port, not at all.

    A port that is taken is no reason not to work: it is logged.
    """
    if not settings.METRICS_PORT:
        return
    try:
        start_http_server(settings.METRICS_PORT, addr=settings.METRICS_HOST, registry=registry())
    except OSError as error:
        logger.error("No metrics on %s:%d: %s", settings.METRICS_HOST, settings.METRICS_PORT, error.strerror)


def forget_other_processes() -> None:
    """Empty PROMETHEUS_MULTIPROC_DIR of what earlier processes counted: for the parent of a pool, as it starts."""
    if SHARED_FOLDER:
        for path in SHARED_FOLDER.glob("*.db"):
            if not path.stem.endswith(f"_{os.getpid()}"):
                path.unlink(missing_ok=True)
