"""The feed of this process: follows what was committed, through the channel layer, and tells every subscriber.

The database is read at the start and whenever a message is missing (a hole in the sequences); changes are absolute, so
what is loaded and what arrives join without locks. One hub lives on the process's event loop.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from channels.layers import get_channel_layer

from marketdata.candles import INTERVALS
from matching import announcements, committed, redis_url
from matching.committed import GROUP, Committed
from matching.engine.messages import BreakerTripped, ExchangeStateChanged, MarketChanged
from matching.publisher import PUBLISHER
from trading.gateway.database import READERS
from trading.gateway.encode import time_text
from trading.gateway.errors import ApiError, unavailable
from trading.metrics import instruments
from trading.stream.channels import AnnouncementsChannel, Channel
from trading.stream.loading import Loaded, load_candle, load_public, load_sequence
from trading.stream.market import MarketStream

TICK_SECONDS = 1.0
RELOAD_PAUSE_SECONDS = 0.5
JOIN_SECONDS = 3_600
WATCH_SECONDS = 3.0
"""How often the database is asked whether something was committed of which nothing was heard."""
WAITING_MAX = 10_000
"""Batches kept while the database is read; if there are more, it is read again."""

_logger = logging.getLogger(__name__)


class Private(Protocol):
    """Who follows what happens to accounts."""

    def take(self, batch: Committed) -> None:
        """A batch was committed."""

    def missed(self) -> None:
        """Something may have been missed."""

    def heartbeat(self, now: float) -> None:
        """Let quiet channels say so."""


class Hub:
    """Channels by name, and how far this process has followed: `sequence`, committed `at` (microseconds)."""

    def __init__(self) -> None:
        self.sequence = 0
        self.at = 0
        self.private: Private | None = None
        self.announcements: AnnouncementsChannel | None = None
        self._markets: dict[str, MarketStream] = {}
        self._by_id: dict[int, MarketStream] = {}
        self._waiting: deque[Committed] = deque(maxlen=WAITING_MAX)
        self._loaded = asyncio.Event()
        self._hole = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._name = ""

    def start(self) -> None:
        """Begin to follow, on the running event loop."""
        self._hole.set()
        PUBLISHER.start()
        works = (self._follow, self._heal, self._watch, self._tick)
        self._tasks = [asyncio.create_task(lasting(work)) for work in works]

    async def stop(self) -> None:
        """Follow no more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await PUBLISHER.stop()
        for market in self._markets.values():
            market.close()

    async def channel(self, name: str) -> Channel | None:
        """The public channel of that name, None: there is none. Raises ApiError 503 while nothing is loaded."""
        if not self._loaded.is_set():
            raise unavailable("The feed is not ready yet. Try again.")
        kind, _, rest = name.partition(".")
        if kind == "announcements":
            return None if rest else self.announcements
        symbol, _, interval = rest.partition(".")
        market = self._markets.get(symbol)
        if market is None:
            return None
        if kind == "candles":
            return await self._candles(market, interval)
        channels: dict[str, Channel] = {"depth": market.depth, "trades": market.trades, "ticker": market.ticker}
        return None if interval else channels.get(kind)

    # ------------------------------------------------------------------------------------------ following

    async def _follow(self) -> None:
        layer = get_channel_layer()
        told = False
        while True:
            try:
                name = await layer.new_channel()
                try:
                    await self._listen(layer, name)
                finally:
                    told = told and not self._name
                    self._name = ""
                    with contextlib.suppress(*redis_url.ERRORS):
                        await layer.group_discard(GROUP, name)
            except redis_url.ERRORS as error:
                if not told:
                    _logger.warning("The feed cannot listen to what is committed: %s", error)
                told = True
            await asyncio.sleep(TICK_SECONDS)

    async def _listen(self, layer: Any, name: str) -> None:
        await layer.group_add(GROUP, name)
        self._name = name
        while True:  # never with a timeout: for channels_redis, who stops waiting has left
            message = await layer.receive(name)
            for data in message["batches"]:
                self._take(committed.decode(data))

    async def _watch(self) -> None:
        """Messages get lost while Redis is away, or another takes over; nobody may have to wait for the next."""
        layer = get_channel_layer()
        joined = time.monotonic()
        stored = seen = 0
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if stored > self.sequence == seen:
                self._hole.set()
            seen = self.sequence
            with contextlib.suppress(ApiError):
                stored = await READERS.run(load_sequence)
            if self._name and time.monotonic() - joined > JOIN_SECONDS:  # layers forget members after a day
                await layer.group_add(GROUP, self._name)
                joined = time.monotonic()

    def _take(self, batch: Committed) -> None:
        if self._hole.is_set():
            self._waiting.append(batch)
        elif batch.first_sequence > self.sequence + 1:
            self._waiting.append(batch)
            self._hole.set()
        elif batch.last_sequence > self.sequence:
            self._apply(batch)

    def _apply(self, batch: Committed) -> None:
        self.sequence, self.at = batch.last_sequence, batch.received_at
        instruments.FEED_LAG.observe(max(0.0, time.time() - batch.received_at / 1_000_000))
        for change in batch.markets:
            self._by_id[change.market_id].apply(change)
        if batch.news:
            self._announce(batch)
        if self.private is not None:
            self.private.take(batch)

    def _announce(self, batch: Committed) -> None:
        told: list[dict[str, Any]] = []
        for event in batch.news:
            market = None
            if isinstance(event, ExchangeStateChanged):
                kind, text, at = "exchange_changed", announcements.exchange_text(event), event.changed_at
            elif isinstance(event, BreakerTripped):
                market = self._by_id[event.market_id]
                text = announcements.breaker_text(event, quote_scale=market.format.quote_scale)
                kind, at = "breaker_tripped", event.tripped_at
            else:
                assert isinstance(event, MarketChanged)
                kind, text, at = "market_changed", announcements.market_text(event), event.changed_at
                market = self._by_id.get(event.market_id)
                if market is not None:
                    market.state = event.state
                    market.ask()
                self._hole.set()  # it may be new, or written in another way: the database says how
            symbol = (
                event.symbol if isinstance(event, MarketChanged) else None if market is None else market.format.symbol
            )
            told.append({"market": symbol, "type": kind, "text": text, "announced_at": time_text(at)})
        assert self.announcements is not None
        self.announcements.announce(told)

    # ------------------------------------------------------------------------------------------ loading

    async def _heal(self) -> None:
        """Whenever there is a hole, read the database, tell the difference, and go on with what has arrived since."""
        while True:
            await self._hole.wait()
            try:
                loaded = await READERS.run(load_public, announcements=AnnouncementsChannel.RECENT_MAX)
            except ApiError:
                await asyncio.sleep(RELOAD_PAUSE_SECONDS)
                continue
            if loaded.sequence < self.sequence:  # a replica, or a snapshot from before the last message
                await asyncio.sleep(RELOAD_PAUSE_SECONDS)
                continue
            self._replace(loaded)
            for market in self._markets.values():
                for interval in list(market.candles):
                    await self._load_candle(market, interval)
            if self.private is not None:
                self.private.missed()
            self._hole.clear()
            waiting = list(self._waiting)
            self._waiting.clear()
            for batch in waiting:
                self._take(batch)
            self._loaded.set()

    def _replace(self, loaded: Loaded) -> None:
        self.sequence, self.at = loaded.sequence, loaded.at
        for found in loaded.markets:
            market = self._by_id.get(found.id)
            if market is not None and market.format == found.format:
                market.catch_up(found)
                continue
            fresh = self._by_id[found.id] = self._markets[found.format.symbol] = MarketStream(found, self)
            if market is not None:
                market.hand_over(fresh)
        if self.announcements is None:
            self.announcements = AnnouncementsChannel(loaded.announcements, self)

    async def _candles(self, market: MarketStream, interval: str) -> Channel | None:
        if interval not in INTERVALS:
            return None
        if interval not in market.candles:
            await self._load_candle(market, interval)
        return market.candles[interval]

    async def _load_candle(self, market: MarketStream, interval: str) -> None:
        while True:
            sequence, candle = await READERS.run(load_candle, market_id=market.id, interval=interval)
            if market.take_candle(interval, candle, sequence):
                return

    # ------------------------------------------------------------------------------------------ the clock

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS - loop.time() % TICK_SECONDS)
            for market in self._markets.values():
                market.roll()
                for channel in market.channels:
                    channel.heartbeat(loop.time())
            if self.announcements is not None:
                self.announcements.heartbeat(loop.time())
            if self.private is not None:
                self.private.heartbeat(loop.time())


async def lasting(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do something for as long as the process lives: a fault of ours in it is logged, and it begins again."""
    while True:
        try:
            await work()
        except Exception:
            _logger.exception("The feed begins again after a fault of ours")
            await asyncio.sleep(TICK_SECONDS)
