"""What the matching worker counts for Prometheus: a few observations a batch, made when its replies are out.

Counters and histograms only, which several processes can share (PROMETHEUS_MULTIPROC_DIR); what stands at a moment is
asked of the worker when somebody looks. Everything here is safe to call from any thread.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import prometheus_client
from django.conf import settings
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from matching.engine import messages
from matching.engine.messages import AnyCommand, AnyEvent
from matching.exposition import ASKED

prometheus_client.disable_created_metrics()  # a series for each counter's birth, which nobody asks for

logger = logging.getLogger(__name__)

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 2.5, 10.0)
"""The buckets of everything that has to be quick."""

COMMANDS = prometheus_client.Counter("bourse_commands", "Commands committed, by kind.", ["kind"])
PLACED = prometheus_client.Counter("bourse_orders_placed", "Orders that were accepted and committed.", ["market"])
REFUSALS = prometheus_client.Counter(
    "bourse_refusals", "Commands that the exchange refused, by kind of command and reason.", ["kind", "reason"]
)
DUPLICATES = prometheus_client.Counter("bourse_order_duplicates", "Orders answered with the one placed before.")
TRADES = prometheus_client.Counter("bourse_trades", "Trades.", ["market"])
BREAKER_TRIPS = prometheus_client.Counter("bourse_breaker_trips", "Times a circuit breaker tripped.", ["market"])
SESSIONS = prometheus_client.Counter("bourse_worker_sessions", "Times this worker became leader and loaded the books.")
BATCH_COMMANDS = prometheus_client.Histogram(
    "bourse_batch_commands", "Commands of a batch.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
)
WAITED = prometheus_client.Histogram(
    "bourse_batch_lane_wait_seconds", "Time in the order lane of the first request of a batch.", buckets=SECONDS
)
APPLIED = prometheus_client.Histogram(
    "bourse_batch_apply_seconds", "Applying a batch in memory and writing its statements.", buckets=SECONDS
)
COMMITTED = prometheus_client.Histogram(
    "bourse_batch_commit_seconds", "The transaction of a batch, from its first statement to its end.", buckets=SECONDS
)
PUBLISHED = prometheus_client.Histogram(
    "bourse_publish_seconds", "Giving what has gathered of committed batches to the channel layer.", buckets=SECONDS
)

_KINDS: dict[type, str] = {kind: str(kind.__struct_config__.tag) for kind in messages.AnyCommand.__args__}
_COUNTED = frozenset(
    {
        messages.OrderPlaced,
        messages.OrderRejected,
        messages.OrderDuplicated,
        messages.TradeExecuted,
        messages.CommandRefused,
        messages.BreakerTripped,
    }
)


class Named(Protocol):
    """A market, as far as it matters here."""

    symbol: str


class Batches:
    """What the session calls."""

    def observe(
        self,
        *,
        first_sequence: int,
        commands: Sequence[AnyCommand],
        events: Iterable[list[AnyEvent]],
        markets: Mapping[int, Named],
        waited: float | None,
        applied: float,
        committed: float,
    ) -> None:
        """Count a batch that is on disk, and log it if it was slow (SLOW_BATCH_MS).

        `first_sequence`: of its first command; `events`: one list a command; `markets`: by id, for their symbols. In
        seconds: how long its first request `waited` in the order lane (None: it had none), how long it took to be
        `applied` and encoded, and to be `committed`.
        """
        BATCH_COMMANDS.observe(len(commands))
        if waited is not None:
            WAITED.observe(waited)
        APPLIED.observe(applied)
        COMMITTED.observe(committed)
        for kind, count in Counter(map(type, commands)).items():
            COMMANDS.labels(_KINDS[kind]).inc(count)
        _count_events(commands, events, markets)
        if (applied + committed) * 1000 >= settings.SLOW_BATCH_MS:
            logger.warning(
                "Slow batch: %d commands from sequence %d, applied in %.1f ms, committed in %.1f ms",
                len(commands), first_sequence, applied * 1000, committed * 1000,
            )  # fmt: skip


BATCHES = Batches()


def _count_events(
    commands: Sequence[AnyCommand], events: Iterable[list[AnyEvent]], markets: Mapping[int, Named]
) -> None:
    placed: Counter[int] = Counter()
    trades: Counter[int] = Counter()
    refusals: Counter[tuple[type, str]] = Counter()
    for command, command_events in zip(commands, events, strict=True):
        for event in command_events:
            if type(event) not in _COUNTED:
                continue
            if isinstance(event, messages.TradeExecuted):
                trades[event.market_id] += 1
            elif isinstance(event, messages.OrderPlaced):
                placed[event.order.market_id] += 1
            elif isinstance(event, messages.OrderRejected):
                assert event.order.reason is not None
                refusals[type(command), event.order.reason] += 1
            elif isinstance(event, messages.CommandRefused):
                refusals[type(command), event.reason] += 1
            elif isinstance(event, messages.BreakerTripped):
                BREAKER_TRIPS.labels(markets[event.market_id].symbol).inc()
            else:
                DUPLICATES.inc()
    for market_id, count in placed.items():
        PLACED.labels(markets[market_id].symbol).inc(count)
    for market_id, count in trades.items():
        TRADES.labels(markets[market_id].symbol).inc(count)
    for (kind, reason), count in refusals.items():
        REFUSALS.labels(_KINDS[kind], str(reason)).inc(count)


class WorkerStatus(Protocol):
    """How a worker is doing (matching.worker.Status)."""

    @property
    def alive(self) -> bool:
        """Its thread runs."""

    @property
    def books_loaded(self) -> bool:
        """It leads."""

    @property
    def standby(self) -> bool:
        """It waits for the lock."""

    @property
    def sequence(self) -> int | None:
        """The last command it applied."""


class _WorkerState(Collector):
    """What the worker of this process is doing at the moment."""

    def __init__(self, status: Callable[[], WorkerStatus]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        """Four gauges, or none in a process without a worker."""
        found = self._status()
        if not found.alive:
            return
        yield GaugeMetricFamily("bourse_worker_alive", "1: this process has a matching worker.", 1)
        yield GaugeMetricFamily("bourse_worker_leads", "1: this worker has the books.", int(found.books_loaded))
        yield GaugeMetricFamily("bourse_worker_standby", "1: this worker waits for the lock.", int(found.standby))
        yield GaugeMetricFamily("bourse_worker_sequence", "The last command that it applied.", found.sequence or 0)


_watched: _WorkerState | None = None


def watch(*, status: Callable[[], WorkerStatus]) -> None:
    """Ask `status` for the worker's gauges from now on, instead of whoever was asked before."""
    global _watched
    if _watched is not None:
        ASKED.unregister(_watched)
    _watched = _WorkerState(status)
    ASKED.register(_watched)
