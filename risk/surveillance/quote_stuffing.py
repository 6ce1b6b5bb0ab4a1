"""Quote stuffing: bursts of orders that are taken back, moved on or refused before anybody could trade with them.

A burst is a short window in which a group of tied accounts sends many messages, nearly all of them about orders of
tiny lives, and hardly trades. One burst is an accident; several, or a very large one, are not.
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
BURSTS_MAX = 128
MOVED_MAX = 100_000
ACCOUNT_SHARE = 0.02
"""An account is named if so much of the group's hasty messages were its own."""


class Burst:
    """What a group did on a market in one window. `hasty`: its messages about orders that lived too short a time."""

    __slots__ = (
        "accounts",
        "fills",
        "first_at",
        "first_sequence",
        "hasty",
        "last_at",
        "last_sequence",
        "messages",
        "venue",
    )

    def __init__(self) -> None:
        self.messages = 0
        self.hasty = 0
        self.fills = 0
        self.venue = 0
        self.accounts: dict[int, int] = {}
        self.first_sequence = self.first_at = 0
        self.last_sequence = self.last_at = 0

    def add_hasty(self, account_id: int, messages: int, sequence: int, at: int) -> None:
        """More messages about orders nobody could trade with."""
        self.hasty += messages
        self.accounts[account_id] = self.accounts.get(account_id, 0) + messages
        if not self.first_sequence:
            self.first_sequence, self.first_at = sequence, at
        self.last_sequence, self.last_at = sequence, at


class QuoteStuffing:
    """Finds groups that flood a market with orders of tiny lives."""

    NAME = "quote_stuffing"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        Parameter("window", 5, 1, 60, "seconds", "A burst is looked at in windows so long."),
        Parameter("messages", 60, 10, 100_000, "messages", "A burst has so many messages about short-lived orders."),
        Parameter("life_share", 0.02, 0.001, 1, "of usual lives", "Short-lived: less than this share of a usual life."),
        Parameter("life_least", 0.02, 0, 10, "seconds", "A life this short is short on every market."),
        Parameter("life_most", 0.05, 0, 60, "seconds", "A life this long is short on no market."),
        Parameter("hasty_share", 0.7, 0, 1, "of messages", "So much of what the group sends is about such orders."),
        Parameter("fill_share", 0.02, 0, 1, "of messages", "The group trades no more often."),
        Parameter("venue_share", 0.1, 0, 1, "of messages", "So much of the whole market's messages are the group's."),
        Parameter("bursts", 2, 1, 100, "bursts", "So many bursts are a pattern."),
        Parameter("total", 200, 10, 10**6, "messages", "All bursts together have so many messages."),
        Parameter("at_once", 500, 10, 10**6, "messages", "A single burst with so many is one, too."),
        Parameter("horizon", 900, 10, 86_400, "seconds", "Bursts this far back count together."),
        Parameter("mute", 600, 0, 86_400, "seconds", "The same group is not reported again for so long."),
    )

    def __init__(self, values: Mapping[str, float], relations: Relations, books: Books) -> None:
        self._values = dict(values)
        self._relations = relations
        self._books = books
        self._window = int(values["window"] * SECOND)
        self._horizon = int(values["horizon"] * SECOND)
        self._mute = int(values["mute"] * SECOND)
        self._ends_at = 0
        self._short: dict[int, float] = {}
        self._now: dict[tuple[int, int], Burst] = {}
        self._venue: dict[int, int] = {}
        self._moved: dict[int, int] = {}
        self._bursts: dict[tuple[int, int], deque[Burst]] = {}
        self._muted: dict[tuple[int, int], int] = {}

    def observe(self, observation: Observation) -> list[Alert]:
        """Take the next observation; the alerts of the window that it ends."""
        found = self.advance(observation.at) if observation.at >= self._ends_at else []
        kind = type(observation)
        if kind is Traded:
            assert isinstance(observation, Traded)
            self._moved.pop(observation.maker_order_id, None)
            for account_id in (observation.maker_account_id, observation.taker_account_id):
                self._burst(account_id, observation.market_id).fills += 1
        elif kind is not SelfTradePrevented:
            assert not isinstance(observation, Traded | SelfTradePrevented)
            self._message(observation)
        return found

    def _message(self, seen: Placed | Moved | Canceled | Refused) -> None:
        market_id = seen.market_id
        self._venue[market_id] = self._venue.get(market_id, 0) + 1
        burst = self._burst(seen.account_id, market_id)
        burst.messages += 1
        kind = type(seen)
        if kind is Canceled:
            assert isinstance(seen, Canceled)
            moved_at = self._moved.pop(seen.order_id, None)
            if seen.cause == "owner" and not seen.filled and seen.at - seen.placed_at <= self._short_life(market_id):
                burst.add_hasty(seen.account_id, 2 if moved_at is None else 1, seen.sequence, seen.at)
        elif kind is Moved:
            assert isinstance(seen, Moved)
            since = self._moved.get(seen.order_id, seen.placed_at)
            if len(self._moved) >= MOVED_MAX:
                self._moved.clear()
            self._moved[seen.order_id] = seen.at
            if seen.at - since <= self._short_life(market_id):
                burst.add_hasty(seen.account_id, 1, seen.sequence, seen.at)
        elif kind is Refused:
            burst.add_hasty(seen.account_id, 1, seen.sequence, seen.at)

    def _burst(self, account_id: int, market_id: int) -> Burst:
        key = (self._relations.group_of(account_id), market_id)
        burst = self._now.get(key)
        if burst is None:
            burst = self._now[key] = Burst()
        return burst

    def _short_life(self, market_id: int) -> float:
        """Microseconds: how short a life is short on the market, in this window."""
        short = self._short.get(market_id)
        if short is None:
            values = self._values
            life = self._books.book(market_id).life
            usual = values["life_share"] * life.value if life.count else 0.0
            short = max(values["life_least"] * SECOND, min(usual, values["life_most"] * SECOND))
            self._short[market_id] = short
        return short

    def advance(self, now: int) -> list[Alert]:
        """Time has come to `now`: if the window is over, what of it was a burst, and whose bursts are a pattern."""
        if now < self._ends_at:
            return []
        self._ends_at = (now // self._window + 1) * self._window
        values, found = self._values, list[Alert]()
        for key, burst in self._now.items():
            burst.venue = self._venue.get(key[1], 0)
            if (
                burst.hasty >= values["messages"]
                and burst.hasty >= values["hasty_share"] * burst.messages
                and burst.messages >= values["venue_share"] * burst.venue
                and burst.fills <= values["fill_share"] * burst.messages
            ):
                found += self._pattern(key, burst, now)
        self._now, self._venue, self._short = {}, {}, {}
        if found or not self._bursts:
            return found
        self._forget(now)
        return found

    def _pattern(self, key: tuple[int, int], burst: Burst, now: int) -> list[Alert]:
        """Another burst of a group: the alert, if it makes a pattern that was not reported lately."""
        bursts = self._bursts.setdefault(key, deque(maxlen=BURSTS_MAX))
        bursts.append(burst)
        while now - bursts[0].last_at > self._horizon:
            bursts.popleft()
        values = self._values
        total = sum(one.hasty for one in bursts)
        several = len(bursts) >= values["bursts"] and total >= values["total"]
        if not several and burst.hasty < values["at_once"]:
            return []
        if now < self._muted.get(key, 0):
            return []
        self._muted[key] = now + self._mute
        return [self._alert(key[1], bursts, total)]

    def _alert(self, market_id: int, bursts: deque[Burst], total: int) -> Alert:
        hasty: dict[int, int] = {}
        for burst in bursts:
            for account_id, messages in burst.accounts.items():
                hasty[account_id] = hasty.get(account_id, 0) + messages
        accounts = tuple(sorted(one for one, messages in hasty.items() if messages >= ACCOUNT_SHARE * total))
        messages = sum(burst.messages for burst in bursts)
        rate = max(burst.hasty for burst in bursts) / (self._window / SECOND)
        who = f"Account {accounts[0]}" if len(accounts) == 1 else f"{len(accounts)} tied accounts"
        return Alert(
            detector=self.NAME,
            severity="high" if total >= 10 * self._values["total"] else "medium",
            account_ids=accounts,
            market_id=market_id,
            first_sequence=bursts[0].first_sequence,
            last_sequence=bursts[-1].last_sequence,
            first_at=bursts[0].first_at,
            last_at=bursts[-1].last_at,
            figures={
                "bursts": len(bursts),
                "messages": total,
                "rate": rate,
                "hasty_share": total / messages,
                "fills": sum(burst.fills for burst in bursts),
                "venue_share": messages / max(1, sum(burst.venue for burst in bursts)),
                "short_life": self._short_life(market_id) / SECOND,
            },
            thresholds=dict(self._values),
            text=f"{who} sent {total} messages about orders that nobody could trade with, in {len(bursts)} bursts of up"
            f" to {rate:.0f} a second.",
        )

    def _forget(self, now: int) -> None:
        """Forget what is too long ago to matter."""
        self._bursts = {
            key: bursts for key, bursts in self._bursts.items() if now - bursts[-1].last_at <= self._horizon
        }
        self._muted = {key: until for key, until in self._muted.items() if until > now}
