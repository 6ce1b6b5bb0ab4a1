"""What every process can tell, whatever else it does: the database's figures, the brokers', the disk's."""

import shutil
from collections.abc import Iterator

from django.conf import settings
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from matching import exposition
from trading.metrics.brokers import BrokerFigures
from trading.metrics.database import DatabaseFigures


class Disk(Collector):
    """The disk that holds DATA_DIR."""

    def collect(self) -> Iterator[Metric]:
        """As of now; nothing where there is no such folder."""
        try:
            found = shutil.disk_usage(settings.DATA_DIR)
        except OSError:
            return
        yield GaugeMetricFamily("bourse_disk_free_bytes", "Free on the disk of DATA_DIR.", found.free)
        yield GaugeMetricFamily("bourse_disk_size_bytes", "The size of the disk of DATA_DIR.", found.total)


def register() -> None:
    """Tell all of it from now on; once in a process."""
    for collector in (DatabaseFigures(), BrokerFigures(), Disk()):
        exposition.ASKED.register(collector)
