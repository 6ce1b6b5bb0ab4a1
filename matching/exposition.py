"""What this process tells Prometheus, and the small listener of processes that serve no HTTP otherwise.

Counters and histograms are those of this process, or of all that share PROMETHEUS_MULTIPROC_DIR; gauges are collectors
in `ASKED`, which look when somebody asks, so that no process that has ended leaves one behind.
"""

import logging
import os
from pathlib import Path

from django.conf import settings
from prometheus_client import REGISTRY, CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

logger = logging.getLogger(__name__)

ASKED = CollectorRegistry()
"""Collectors that look when they are asked."""


def registry() -> CollectorRegistry:
    """Everything there is to tell."""
    found = CollectorRegistry()
    if settings.PROMETHEUS_MULTIPROC_DIR:
        MultiProcessCollector(found, path=str(settings.PROMETHEUS_MULTIPROC_DIR))  # type: ignore[no-untyped-call]
        ProcessCollector(registry=found)
    else:
        found.register(REGISTRY)  # type: ignore[arg-type]  # it collects like any collector
    found.register(ASKED)  # type: ignore[arg-type]
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
    if settings.PROMETHEUS_MULTIPROC_DIR:
        for path in Path(settings.PROMETHEUS_MULTIPROC_DIR).glob("*.db"):
            if not path.stem.endswith(f"_{os.getpid()}"):
                path.unlink(missing_ok=True)
