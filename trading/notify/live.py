"""The private channel "notifications": what is recorded is told to the sockets of this process, whoever recorded it.

Recording notifies through PostgreSQL, because Celery is another process and the channel layer may be in memory; who
listens reads what has changed from the database. The sequences are the person's own, not the journal's.
"""

import asyncio
import logging
from typing import Any

import psycopg

from matching import store
from notifications import queries
from notifications.queries import Changes, Told
from notifications.recording import NEWS_CHANNEL
from trading.gateway.database import READERS
from trading.gateway.errors import ApiError, unavailable
from trading.gateway.keys import Principal
from trading.stream import render
from trading.stream.channels import Channel, Reader

SHOWN = 20
RETRY_SECONDS = 1.0
LOAD_SECONDS_MAX = 5.0
LINGER_SECONDS = 10.0
HEARTBEAT_SECONDS = 1.0
LOOK_SECONDS = 15.0

_logger = logging.getLogger(__name__)

Whose = tuple[int, int | None]
"""A user, and the account to which a program's key limits what it hears (None: a person, who hears all)."""


class NotificationChannel(Channel):
    """One person's notifications, followed while somebody listens."""

    def __init__(self, whose: Whose, streams: "NotificationStreams") -> None:
        super().__init__("notifications", 0)
        self.whose = whose
        self.ready = asyncio.Event()
        self._streams = streams
        self._latest: list[Told] = []
        self._unread = 0
        self._news = asyncio.Event()
        self._whole = True
        self._task = asyncio.create_task(self._follow())
        self._news.set()

    def look(self) -> None:
        """Something has changed, or may have."""
        self._news.set()

    def close(self) -> None:
        """Follow no more."""
        self._task.cancel()

    def leave(self, reader: Reader) -> None:
        """Tell a reader no more; who has no readers is soon forgotten."""
        super().leave(reader)
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._streams.release, self)

    def snapshot(self) -> str:
        """The latest, oldest first, and how many are unread."""
        fields: dict[str, Any] = {"notifications": self._latest, "unread": self._unread}
        return render.message(self.name, "snapshot", last_sequence=self.told, **fields)

    async def _follow(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._take_news()
            except ApiError:  # the database is away: look again when it may be back
                await asyncio.sleep(RETRY_SECONDS)
                self._news.set()
            except Exception:
                _logger.exception("The notifications of user %d begin again after a fault of ours", self.whose[0])
                await asyncio.sleep(RETRY_SECONDS)
                self._whole = True
                self._news.set()

    async def _take_news(self) -> None:
        user_id, account_id = self.whose
        found = await READERS.run(queries.changes, user_id=user_id, account_id=account_id, since=self.told)
        if self._whole or found.notifications is None:
            await self._begin(found)
        elif found.notifications:
            self._tell(found, found.notifications)
        elif found.unread != self._unread:  # some were read: which, is told by all that is shown
            await self._begin(found)

    async def _begin(self, found: Changes) -> None:
        """Read the latest and tell all of it; what changes meanwhile is news afterwards, told twice at worst."""
        user_id, account_id = self.whose
        latest = await READERS.run(queries.listed, user_id=user_id, account_id=account_id, limit=SHOWN)
        since, self.told = self.told, found.sequence
        self._latest, self._unread, self._whole = latest[::-1], found.unread, False
        self._broadcast(self.snapshot(), since)
        self.ready.set()

    def _tell(self, found: Changes, news: list[Told]) -> None:
        since, self.told = self.told, found.sequence
        changed = {told.id for told in news}
        kept = [told for told in self._latest if told.id not in changed]
        self._latest, self._unread = [*kept, *news][-SHOWN:], found.unread
        fields: dict[str, Any] = {"first_sequence": since + 1, "last_sequence": self.told}
        fields |= {"notifications": news, "unread": found.unread}
        self._broadcast(render.message(self.name, "update", **fields), since)


class NotificationStreams:
    """The people whom this process tells of their notifications."""

    def __init__(self) -> None:
        self._channels: dict[Whose, NotificationChannel] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Listen to what is recorded, on the running event loop."""
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._keep_alive())]

    async def stop(self) -> None:
        """Listen no more."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    async def channel(self, principal: Principal) -> NotificationChannel:
        """The channel of the one who asks, once it is loaded. Raises ApiError 503 when that takes too long."""
        whose = (principal.user_id, principal.account_id if principal.key else None)
        channel = self._channels.get(whose)
        if channel is None:
            channel = self._channels[whose] = NotificationChannel(whose, self)
        try:
            async with asyncio.timeout(LOAD_SECONDS_MAX):
                await channel.ready.wait()
        except TimeoutError:
            raise unavailable("The notifications cannot be read at the moment. Try again.") from None
        return channel

    def release(self, channel: NotificationChannel) -> None:
        """Forget somebody to whom nobody listens."""
        if not channel.everyone() and self._channels.get(channel.whose) is channel:
            del self._channels[channel.whose]
            channel.close()

    async def _listen(self) -> None:
        """Hear of what is recorded; after a lost connection everybody looks, as something may have been missed."""
        while True:
            try:
                async with await _connected() as listening:
                    await listening.execute(f"LISTEN {NEWS_CHANNEL}")
                    for channel in self._channels.values():
                        channel.look()
                    async for news in listening.notifies():
                        self._heard({int(user_id) for user_id in news.payload.split(",")})
            except (psycopg.Error, OSError) as error:
                _logger.warning("Notifications are not heard of: %s", " ".join(str(error).split()))
            await asyncio.sleep(RETRY_SECONDS)

    def _heard(self, user_ids: set[int]) -> None:
        for (user_id, _), channel in self._channels.items():
            if user_id in user_ids:
                channel.look()

    async def _keep_alive(self) -> None:
        """Heartbeats; and now and then a look for its own sake, should a notification have gone astray."""
        loop = asyncio.get_running_loop()
        looked_at = loop.time()
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            everybody = list(self._channels.values())
            for channel in everybody:
                channel.heartbeat(loop.time())
            if loop.time() - looked_at >= LOOK_SECONDS:
                looked_at = loop.time()
                for channel in everybody:
                    channel.look()


async def _connected() -> psycopg.AsyncConnection[Any]:
    """A connection of our own to the database."""
    return await psycopg.AsyncConnection.connect(**store.connection_parameters(), autocommit=True)
