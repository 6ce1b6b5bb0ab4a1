"""What this web process is doing at the moment: its sockets, its end of the order lane, its feed."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from matching.redis_lane import RedisLane
from matching.worker import order_lane, status
from trading.gateway.database import READERS
from trading.stream.consumer import Sockets


class WebProcess(Collector):
    """Gauges of the process whose sockets these are."""

    def __init__(self, *, sockets: Sockets) -> None:
        self._sockets = sockets

    def collect(self) -> Iterator[Metric]:
        """As of now."""
        lane = order_lane()
        available = lane.available if isinstance(lane, RedisLane) else status().books_loaded
        text = "Requests in this process's end of the order lane: not taken, or (through Redis) not answered."
        yield GaugeMetricFamily("bourse_lane_depth", text, lane.depth)
        yield GaugeMetricFamily("bourse_lane_capacity", "Requests that this end of the lane takes.", lane.commands_max)
        yield GaugeMetricFamily("bourse_lane_available", "1: a worker takes orders from here.", int(available))
        yield GaugeMetricFamily("bourse_sockets", "Open WebSockets.", len(self._sockets.connections))
        yield GaugeMetricFamily(
            "bourse_feed_sequence", "The last command that the feed has.", self._sockets.hub.sequence
        )
        text = "Calls that wait for the database threads or are in one."
        yield GaugeMetricFamily("bourse_readers_pending", text, READERS.pending)
