"""Those who follow the journal: what each makes of it is in its own module."""

from collections.abc import Callable

from matching.follower import Consumer
from trading.books.consumer import FeeBooks
from trading.notify.consumer import NotificationConsumer
from trading.watch.consumer import SurveillanceConsumer

CONSUMERS: tuple[Callable[[], Consumer], ...] = (
    SurveillanceConsumer,
    NotificationConsumer,
    FeeBooks,
)
