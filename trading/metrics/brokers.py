"""Whether Redis answers, and how many messages wait for Celery in whatever broker it has."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from kombu import Connection
from kombu.exceptions import ChannelError
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from matching import redis_url
from trading.celery import app
from trading.metrics.kept import Kept


class BrokerFigures(Collector):
    """`bourse_redis_up`, where there is a REDIS_URL, and `bourse_celery_queue`, when the broker answers."""

    def __init__(self) -> None:
        self._redis = Kept(name="Redis", ask=_RedisAnswers())
        self._queue = Kept(name="broker", ask=QueueLength())

    def collect(self) -> Iterator[Metric]:
        """What is known."""
        if settings.REDIS_URL:
            answers = self._redis.get() is not None
            yield GaugeMetricFamily("bourse_redis_up", "1: Redis answers.", int(answers))
        length = self._queue.get()
        family = GaugeMetricFamily("bourse_celery_queue", "Messages that wait for Celery.", labels=())
        if length is not None:
            family.add_metric([], length)
        yield family


class _RedisAnswers:
    """Keeps a client. Called in one thread; raises what redis-py does."""

    def __init__(self) -> None:
        self._client: Any = None

    def __call__(self) -> bool:
        try:
            if self._client is None:
                self._client = redis_url.connect(settings.REDIS_URL)
            return bool(self._client.ping())
        except redis_url.ERRORS:
            self._client = None
            raise


class QueueLength:
    """Keeps a connection. Called in one thread; raises what kombu does."""

    def __init__(self) -> None:
        self._connection: Connection | None = None

    def __call__(self) -> int:
        connection = self._connection or app.connection_for_read()
        self._connection = None
        try:
            with connection.channel() as channel:
                declared = channel.queue_declare(queue=settings.CELERY_TASK_DEFAULT_QUEUE, passive=True)
                length = int(declared.message_count)
        except ChannelError:  # in Redis an empty queue is none
            length = 0
        except BaseException:
            connection.release()
            raise
        self._connection = connection
        return length
