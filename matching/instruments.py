"""What the matching worker tells Prometheus: a few additions a batch, made when its replies are out.

A batch is counted in plain numbers, which one thread at a time adds to (a fifth of what the library's own counters
would cost); they become Prometheus's families when somebody looks, and so does what the worker is at that moment.
"""

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Protocol

import prometheus_client
from django.conf import settings
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from matching.engine import messages
from matching.engine.messages import AnyCommand, AnyEvent
from matching.exposition import ASKED

prometheus_client.disable_created_metrics()  # a series for each counter's birth, which nobody asks for

logger = logging.getLogger(__name__)

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 2.5, 10.0)
"""The buckets of everything that has to be quick."""

SESSIONS = prometheus_client.Counter("bourse_worker_sessions", "Times this worker became leader and had the books.")
PUBLISHED = prometheus_client.Histogram(
    "bourse_publish_seconds", "Giving what has gathered of committed batches to the channel layer.", buckets=SECONDS
)

_KINDS: dict[type, str] = {kind: str(kind.__struct_config__.tag) for kind in messages.AnyCommand.__args__}
_COUNTED = frozenset(
    {
        messages.TradeExecuted,
        messages.OrderPlaced,
        messages.OrderRejected,
        messages.CommandRefused,
        messages.BreakerTripped,
        messages.OrderDuplicated,
    }
)


class Named(Protocol):
    """A market, as far as it matters here."""

    symbol: str


class Distribution:
    """A histogram of plain numbers, for one writer at a time."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._names = [*(str(float(bound)) for bound in bounds), "+Inf"]
        self._counts = [0] * len(self._names)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count `value` into its bucket."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def family(self, name: str, documentation: str) -> Metric:
        """As Prometheus wants it."""
        buckets = list(zip(self._names, map(float, accumulate(self._counts)), strict=True))
        return HistogramMetricFamily(name, documentation, buckets=buckets, sum_value=self._sum)


class Batches(Collector):
    """All batches of this process so far."""

    def __init__(self) -> None:
        self._commands: dict[type, int] = {}
        self._placed: dict[int, int] = {}
        self._trades: dict[int, int] = {}
        self._trips: dict[int, int] = {}
        self._refusals: dict[tuple[type, str], int] = {}
        self._duplicates = 0
        self._symbols: dict[int, str] = {}
        self._sizes = Distribution((1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096))
        self._waited, self._applied, self._committed = (Distribution(SECONDS) for _ in range(3))

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
        self._sizes.observe(len(commands))
        if waited is not None:
            self._waited.observe(waited)
        self._applied.observe(applied)
        self._committed.observe(committed)
        self._count(commands, events, markets)
        if (applied + committed) * 1000 >= settings.SLOW_BATCH_MS:
            logger.warning(
                "Slow batch: %d commands from sequence %d, applied in %.1f ms, committed in %.1f ms",
                len(commands), first_sequence, applied * 1000, committed * 1000,
            )  # fmt: skip

    def _count(
        self, commands: Sequence[AnyCommand], events: Iterable[list[AnyEvent]], markets: Mapping[int, Named]
    ) -> None:
        event: Any  # told apart by identity of types, as this runs for every event of every order
        for command, command_events in zip(commands, events, strict=True):
            command_kind = type(command)
            self._commands[command_kind] = self._commands.get(command_kind, 0) + 1
            for event in command_events:
                kind = type(event)
                if kind not in _COUNTED:
                    continue
                if kind is messages.TradeExecuted:
                    self._add(self._trades, event.market_id, markets)
                elif kind is messages.OrderPlaced:
                    self._add(self._placed, event.order.market_id, markets)
                elif kind is messages.OrderRejected:
                    self._refuse(command_kind, event.order.reason)
                elif kind is messages.CommandRefused:
                    self._refuse(command_kind, event.reason)
                elif kind is messages.BreakerTripped:
                    self._add(self._trips, event.market_id, markets)
                else:
                    self._duplicates += 1

    def _add(self, counts: dict[int, int], market_id: int, markets: Mapping[int, Named]) -> None:
        counts[market_id] = counts.get(market_id, 0) + 1
        if market_id not in self._symbols:
            self._symbols[market_id] = markets[market_id].symbol

    def _refuse(self, kind: type, reason: str) -> None:
        self._refusals[kind, reason] = self._refusals.get((kind, reason), 0) + 1

    def collect(self) -> Iterator[Metric]:
        """Everything counted, as Prometheus wants it."""
        commands = CounterMetricFamily("bourse_commands", "Commands committed, by kind.", labels=["kind"])
        for kind, count in self._commands.copy().items():
            commands.add_metric([_KINDS[kind]], count)
        yield commands
        text = "Commands that the exchange refused, by kind of command and reason."
        refusals = CounterMetricFamily("bourse_refusals", text, labels=["kind", "reason"])
        for (kind, reason), count in self._refusals.copy().items():
            refusals.add_metric([_KINDS[kind], str(reason)], count)
        yield refusals
        text = "Orders answered with the one that was placed before."
        yield CounterMetricFamily("bourse_order_duplicates", text, value=self._duplicates)
        yield self._by_market("bourse_orders_placed", "Orders that were accepted and committed.", self._placed)
        yield self._by_market("bourse_trades", "Trades.", self._trades)
        trips = dict.fromkeys(self._symbols.copy(), 0) | self._trips  # from 0 on, so that the first one is a change
        yield self._by_market("bourse_breaker_trips", "Times a circuit breaker has tripped.", trips)
        yield self._sizes.family("bourse_batch_commands", "Commands of a batch.")
        text = "Time in the order lane of a batch's first request."
        yield self._waited.family("bourse_batch_lane_wait_seconds", text)
        text = "Applying a batch in memory and writing its statements."
        yield self._applied.family("bourse_batch_apply_seconds", text)
        text = "The transaction of a batch, from its first statement to its end."
        yield self._committed.family("bourse_batch_commit_seconds", text)

    def _by_market(self, name: str, text: str, counts: dict[int, int]) -> Metric:
        family = CounterMetricFamily(name, text, labels=["market"])
        for market_id, count in counts.copy().items():
            family.add_metric([self._symbols[market_id]], count)
        return family


BATCHES = Batches()
ASKED.register(BATCHES)


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

    def collect(self) -> Iterator[Metric]:
        """Four gauges, or none when it has ended."""
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
