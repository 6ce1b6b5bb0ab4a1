"""Abnormal order-to-trade ratios: many messages and hardly a trade, by number and by volume, next to the market's own.

The ratios are those of Regulation (EU) 2017/566 (orders over transactions, less one; an order and a cancel count one,
a change two), over a sliding window. A market maker passes because it trades; tiny trades help only the first ratio.
"""

from collections import deque
from collections.abc import Mapping
from typing import ClassVar

from risk.surveillance.messages import (
    Alert,
    Books,
    Canceled,
    Moved,
    Observation,
    Parameter,
    Placed,
    Refused,
    Relations,
    SelfTradePrevented,
    Traded,
)

SECOND = 1_000_000
SLICES = 15
"""The window slides in so many steps."""

ACCOUNT_SHARE = 0.02
"""An account is named if so much of the group's messages were its own."""


class Count:
    """What a group did in a slice of the window. Volumes in base units; every match counts as a trade of both sides."""

    __slots__ = (
        "accounts",
        "first_at",
        "first_sequence",
        "last_at",
        "last_sequence",
        "messages",
        "ordered",
        "traded",
        "trades",
    )

    def __init__(self) -> None:
        self.messages = 0
        self.trades = 0
        self.ordered = 0
        self.traded = 0
        self.accounts: dict[int, int] = {}
        self.first_sequence = self.first_at = 0
        self.last_sequence = self.last_at = 0

    def add(self, other: "Count") -> None:
        """Add a later slice."""
        self.messages += other.messages
        self.trades += other.trades
        self.ordered += other.ordered
        self.traded += other.traded
        for account_id, messages in other.accounts.items():
            self.accounts[account_id] = self.accounts.get(account_id, 0) + messages
        if not self.first_sequence:
            self.first_sequence, self.first_at = other.first_sequence, other.first_at
        if other.last_sequence:
            self.last_sequence, self.last_at = other.last_sequence, other.last_at


class OrderToTrade:
    """Finds groups whose ratios are far above their market's."""

    NAME = "order_to_trade"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        Parameter("window", 900, 60, 86_400, "seconds", "Messages and trades so far back count."),
        Parameter("messages", 400, 10, 10**7, "messages", "Fewer messages than this are never too many."),
        Parameter("ratio", 100, 1, 10**6, "messages a trade", "The ratio by number is above this."),
        Parameter("volume_ratio", 100, 1, 10**9, "times", "And the ratio by volume, ordered to traded, above this."),
        Parameter("peers", 5, 1, 1000, "times", "Both are so many times the ratio of everybody else on the market."),
        Parameter("mute", 1800, 0, 86_400, "seconds", "The same group is not reported again for so long."),
    )

    def __init__(self, values: Mapping[str, float], relations: Relations, books: Books) -> None:
        self._values = dict(values)
        self._relations = relations
        self._books = books
        self._slice = int(values["window"] * SECOND) // SLICES
        self._mute = int(values["mute"] * SECOND)
        self._ends_at = 0
        self._now: dict[tuple[int, int], Count] = {}
        self._slices: dict[tuple[int, int], deque[tuple[int, Count]]] = {}
        self._muted: dict[tuple[int, int], int] = {}

    def observe(self, observation: Observation) -> list[Alert]:
        """Take the next observation; the alerts of the slice that it ends."""
        found = self.advance(observation.at) if observation.at >= self._ends_at else []
        kind = type(observation)
        if kind is Traded:
            assert isinstance(observation, Traded)
            for account_id in (observation.maker_account_id, observation.taker_account_id):
                count = self._count(account_id, observation.market_id)
                count.trades += 1
                count.traded += observation.quantity
        elif kind is not SelfTradePrevented:
            assert not isinstance(observation, Traded | SelfTradePrevented)
            self._message(observation)
        return found

    def _message(self, seen: Placed | Moved | Canceled | Refused) -> None:
        count = self._count(seen.account_id, seen.market_id)
        kind = type(seen)
        messages = 1
        if kind is Placed:
            assert isinstance(seen, Placed)
            count.ordered += seen.quantity
        elif kind is Moved:
            assert isinstance(seen, Moved)
            count.ordered += seen.remaining
            messages = 2
        elif kind is Canceled:
            assert isinstance(seen, Canceled)
            if seen.cause != "owner":
                return
        count.messages += messages
        count.accounts[seen.account_id] = count.accounts.get(seen.account_id, 0) + messages
        if not count.first_sequence:
            count.first_sequence, count.first_at = seen.sequence, seen.at
        count.last_sequence, count.last_at = seen.sequence, seen.at

    def _count(self, account_id: int, market_id: int) -> Count:
        key = (self._relations.group_of(account_id), market_id)
        count = self._now.get(key)
        if count is None:
            count = self._now[key] = Count()
        return count

    def advance(self, now: int) -> list[Alert]:
        """Time has come to `now`: when a slice is over, everybody's window is looked at."""
        if now < self._ends_at:
            return []
        ended_at, self._ends_at = self._ends_at, (now // self._slice + 1) * self._slice
        for key, count in self._now.items():
            self._slices.setdefault(key, deque(maxlen=SLICES)).append((ended_at, count))
        self._now = {}
        since = now - SLICES * self._slice
        for key, slices in list(self._slices.items()):
            while slices and slices[0][0] <= since:
                slices.popleft()
            if not slices:
                del self._slices[key]
        self._muted = {key: until for key, until in self._muted.items() if until > now}
        return self._look(now)

    def _look(self, now: int) -> list[Alert]:
        """Compare every group's window with all others' on its market."""
        sums: dict[tuple[int, int], Count] = {}
        markets: dict[int, Count] = {}
        for key, slices in self._slices.items():
            total = sums[key] = Count()
            for _, count in slices:
                total.add(count)
            market = markets.setdefault(key[1], Count())
            market.messages += total.messages
            market.trades += total.trades
            market.ordered += total.ordered
            market.traded += total.traded
        found = []
        for key, total in sums.items():
            if total.messages >= self._values["messages"] and now >= self._muted.get(key, 0):
                alert = self._judged(key[1], total, markets[key[1]])
                if alert is not None:
                    self._muted[key] = now + self._mute
                    found.append(alert)
        return found

    def _judged(self, market_id: int, own: Count, market: Count) -> Alert | None:
        """The alert, if both ratios are too high in themselves and next to everybody else's.

        Without a trade a ratio is undefined: one trade of the usual size is assumed then.
        """
        values = self._values
        ratio = own.messages / max(1, own.trades) - 1
        volume_ratio = own.ordered / max(own.traded, self._books.book(market_id).trade.value, 1) - 1
        peers = (market.messages - own.messages) / max(1, market.trades - own.trades) - 1
        volume_peers = (market.ordered - own.ordered) / max(1, market.traded - own.traded) - 1
        if ratio < values["ratio"] or ratio < values["peers"] * peers:
            return None
        if volume_ratio < values["volume_ratio"] or volume_ratio < values["peers"] * volume_peers:
            return None
        accounts = tuple(sorted(one for one, sent in own.accounts.items() if sent >= ACCOUNT_SHARE * own.messages))
        who = f"Account {accounts[0]}" if len(accounts) == 1 else f"{len(accounts)} tied accounts"
        return Alert(
            detector=self.NAME,
            severity="high" if own.messages >= 10 * values["messages"] else "low",
            account_ids=accounts,
            market_id=market_id,
            first_sequence=own.first_sequence,
            last_sequence=own.last_sequence,
            first_at=own.first_at,
            last_at=own.last_at,
            figures={
                "messages": own.messages,
                "trades": own.trades,
                "ratio": ratio,
                "volume_ratio": volume_ratio,
                "peers_ratio": peers,
                "peers_volume_ratio": volume_peers,
                "message_share": own.messages / max(1, market.messages),
                "traded_share": own.traded / max(1, market.traded),
            },
            thresholds=dict(values),
            text=f"{who} sent {own.messages} messages for {own.trades} trades;"
            f" everybody else on the market {peers + 1:.0f} a trade.",
        )
