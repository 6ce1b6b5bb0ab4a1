"""What can be subscribed to: each channel knows its readers, and renders what is new once for all of them.

Who joins gets what was told so far, never what is still to be told, so that updates always join on to it; while
something is still to be told, he waits for that moment (at most 50 ms).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from marketdata.feed import CandleFeed, DepthFeed, DepthUpdate, TradesFeed
from marketdata.queries import MarketFormat
from trading.stream import render
from trading.stream.outbox import Outbox

HEARTBEAT_SECONDS = 5.0
NOTHING = -1
"""The sequence of somebody who has seen nothing yet."""


class Reader(Protocol):
    """A connection as channels see it."""

    @property
    def outbox(self) -> Outbox:
        """Where its messages go."""


class Position(Protocol):
    """How far the process has followed: the last command's sequence, and when it was committed (microseconds)."""

    sequence: int
    at: int


class Channel:
    """The readers of one channel. `told`: the sequence of its last message."""

    def __init__(self, name: str, told: int) -> None:
        self.name = name
        self.told = told
        self.readers: set[Reader] = set()
        self._joining: dict[Reader, int | None] = {}
        self._sent_at = 0.0

    def join(self, reader: Reader, from_sequence: int | None = None) -> None:
        """Begin, or begin again, to tell a reader; `from_sequence`: the last one he has seen, to go on after it."""
        self._remove(reader)
        if self.pending():
            self._joining[reader] = from_sequence
        else:
            self._welcome(reader, from_sequence)

    def leave(self, reader: Reader) -> None:
        """Tell a reader no more."""
        self._remove(reader)

    def heartbeat(self, now: float) -> None:
        """Tell that there was nothing to tell, when it has been quiet; `now`: the event loop's time."""
        if self.readers and now - self._sent_at >= HEARTBEAT_SECONDS:
            self._broadcast(render.heartbeat(self.name, self.told), self.told)

    def pending(self) -> bool:
        """Whether something is still to be told."""
        return False

    def snapshot(self) -> str:
        """Everything, as of `told`."""
        raise NotImplementedError

    def missed(self, since: int) -> str:
        """What was told after the sequence `since`, as one message."""
        return self.snapshot()

    def everyone(self) -> list[Reader]:
        """All readers, those who wait for their first message too."""
        return [*self.readers, *self._joining]

    def _remove(self, reader: Reader) -> None:
        self.readers.discard(reader)
        self._joining.pop(reader, None)
        reader.outbox.forget(self)

    def _broadcast(self, text: str, since: int) -> None:
        self._sent_at = asyncio.get_running_loop().time()
        for reader in self.readers:
            reader.outbox.push_mergeable(text, self, since)

    def _welcome(self, reader: Reader, from_sequence: int | None) -> None:
        self.readers.add(reader)
        since = NOTHING if from_sequence is None else from_sequence
        reader.outbox.push_mergeable(self.missed(since), self, since)

    def _welcome_joining(self) -> None:
        joining, self._joining = self._joining, {}
        for reader, from_sequence in joining.items():
            self._welcome(reader, from_sequence)


class Collecting(Protocol):
    """A feed that knows whether something in it was not told yet."""

    @property
    def pending(self) -> bool:
        """Whether there is."""


Feed = TypeVar("Feed", bound=Collecting)


class FeedChannel(Channel, Generic[Feed]):
    """A channel of a feed that collects what is new until it is told."""

    def __init__(self, name: str, market: MarketFormat, feed: Feed, position: Position) -> None:
        super().__init__(name, position.sequence)
        self._market = market
        self._feed = feed
        self._position = position

    def tell(self) -> None:
        """Tell what is new, if anything is."""
        if not self._feed.pending:
            return
        since, self.told = self.told, self._position.sequence
        told = self._take(since)
        if self.readers:
            self._broadcast(told(), since)
        self._welcome_joining()

    def pending(self) -> bool:
        """Whether there is something that was not told."""
        return self._feed.pending

    def _take(self, since: int) -> Callable[[], str]:
        """Take what is new, which counts as told from now on; what is returned renders it."""
        raise NotImplementedError


class DepthChannel(FeedChannel[DepthFeed]):
    """The levels of a market."""

    def __init__(self, market: MarketFormat, feed: DepthFeed, position: Position) -> None:
        super().__init__(f"depth.{market.symbol}", market, feed, position)
        self._at = position.at
        self._checksum = render.checksum_of(feed.depth, market)
        self._snapshot: str | None = None

    def snapshot(self) -> str:
        """Every level; rendered once for all who join between two updates."""
        if self._snapshot is None:
            self._snapshot = render.depth_snapshot(self.name, self._market, self._feed.depth, self.told, self._at)
        return self._snapshot

    def missed(self, since: int) -> str:
        """One update, or a snapshot when that is too long ago."""
        update = self._feed.since(since)
        if update is not None:
            return self._render(update)
        self.tell()
        return self.snapshot()

    def _take(self, since: int) -> Callable[[], str]:
        update = self._feed.tell(self.told)
        self._at = self._position.at
        self._checksum = render.checksum_of(self._feed.depth, self._market)
        self._snapshot = None
        return partial(self._render, update)

    def _render(self, update: DepthUpdate) -> str:
        return render.depth_update(self.name, self._market, update, self._checksum, self._at)


class TradesChannel(FeedChannel[TradesFeed]):
    """The trades of a market."""

    def __init__(self, market: MarketFormat, feed: TradesFeed, position: Position) -> None:
        super().__init__(f"trades.{market.symbol}", market, feed, position)

    def snapshot(self) -> str:
        """The latest trades told."""
        return render.trades_snapshot(self.name, self._market, self._feed.recent, self.told)

    def missed(self, since: int) -> str:
        """One update, or a snapshot when that is too long ago."""
        update = self._feed.since(since)
        return self.snapshot() if update is None else render.trades_update(self.name, self._market, update)

    def _take(self, since: int) -> Callable[[], str]:
        return partial(render.trades_update, self.name, self._market, self._feed.tell(self.told))


class CandlesChannel(FeedChannel[CandleFeed]):
    """The candles of one interval of a market."""

    def __init__(self, market: MarketFormat, feed: CandleFeed, position: Position) -> None:
        super().__init__(f"candles.{market.symbol}.{feed.interval}", market, feed, position)

    def snapshot(self) -> str:
        """The current candle."""
        current = self._feed.current
        return render.candles(self.name, self._market, [] if current is None else [current], self.told, None)

    def _take(self, since: int) -> Callable[[], str]:
        return partial(render.candles, self.name, self._market, self._feed.tell(), self.told, since)


class TickerChannel(Channel):
    """A market at a glance: always whole, so what was missed is what is."""

    def __init__(self, market: MarketFormat, show: Callable[[str, int], str], position: Position) -> None:
        super().__init__(f"ticker.{market.symbol}", position.sequence)
        self._show = show
        self._position = position

    def tell(self) -> None:
        """Tell how the market stands."""
        since, self.told = self.told, self._position.sequence
        if self.readers:
            self._broadcast(self.snapshot(), since)

    def snapshot(self) -> str:
        """How the market stands."""
        return self._show(self.name, self.told)


class AnnouncementsChannel(Channel):
    """What everyone is told in words; `recent` are the latest, oldest first, as JSON objects."""

    RECENT_MAX = 20

    def __init__(self, recent: Iterable[dict[str, Any]], position: Position) -> None:
        super().__init__("announcements", position.sequence)
        self._recent = deque(recent, maxlen=self.RECENT_MAX)
        self._position = position

    def announce(self, announcements: list[dict[str, Any]]) -> None:
        """Tell new announcements."""
        since, self.told = self.told, self._position.sequence
        self._recent.extend(announcements)
        fields = {"first_sequence": since + 1, "last_sequence": self.told, "announcements": announcements}
        self._broadcast(render.message(self.name, "update", **fields), since)

    def snapshot(self) -> str:
        """The latest announcements."""
        return render.message(self.name, "snapshot", last_sequence=self.told, announcements=list(self._recent))
