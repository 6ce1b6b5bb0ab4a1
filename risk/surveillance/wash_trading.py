"""Wash trading: accounts that trade with themselves, so that much seems to happen and nobody owns more or less.

Accounts tied to each other are found by meeting more often than chance; strangers, as pairs or rings, only if they
moreover end where they began. Self-trades that were prevented again and again count as the attempts they are.
"""

from collections import deque
from collections.abc import Collection, Mapping
from typing import ClassVar, NamedTuple

from risk.surveillance.chance import poisson_tail
from risk.surveillance.meetings import Meeting, Meetings
from risk.surveillance.messages import (
    Alert,
    Books,
    Observation,
    Parameter,
    Relations,
    SelfTradePrevented,
    Severity,
    Traded,
)
from risk.surveillance.rings import strongly_connected

SECOND = 1_000_000
LOOK_PAUSE = 5 * SECOND
"""No pair is looked at more closely more often than this."""

CANDIDATES_MAX = 10
CLOSE_LIFT = 2.0
"""Strangers who mean something to each other meet so many times more often than roughly expected."""

LINKED_MAX = 50
PREVENTED_MAX = 256
REMEMBERED_MAX = 20_000


Pair = tuple[int, int, int]
"""Market, and two accounts, the smaller id first."""


class Circle(NamedTuple):
    """What accounts did among themselves. Quantities in base units."""

    accounts: frozenset[int]
    meetings: list[Meeting]
    graph: dict[int, set[int]]
    """Seller -> buyers."""
    shares: dict[int, float]
    """Of each member's volume, what it did inside."""
    net: float
    """What the member who ends furthest from where it began gained or lost, of what it traded inside."""
    expected: float = 0.0
    chance: float = 1.0

    def against_chance(self, table: Meetings) -> "Circle":
        """With how often they would have met by chance, and how likely as many meetings are."""
        expected = table.expected(self.accounts)
        return self._replace(expected=expected, chance=poisson_tail(count=len(self.meetings), expected=expected))


def _circle(table: Meetings, accounts: frozenset[int]) -> Circle:
    meetings: list[Meeting] = []
    graph: dict[int, set[int]] = {account: set() for account in accounts}
    gross = dict.fromkeys(accounts, 0)
    net = dict.fromkeys(accounts, 0)
    for one, other, pair in table.among(accounts):
        meetings += pair
        for meeting in pair:
            buyer, seller = (other, one) if meeting.seller_id == one else (one, other)
            quantity = meeting.quantity
            graph[seller].add(buyer)
            gross[buyer] += quantity
            gross[seller] += quantity
            net[buyer] += quantity
            net[seller] -= quantity
    return Circle(
        accounts,
        meetings,
        graph,
        {account: gross[account] / max(1, table.volume(account)) for account in accounts},
        max((abs(net[account]) / max(1, gross[account]) for account in accounts), default=1.0),
    )


class WashTrading:
    """Finds accounts that trade among themselves."""

    NAME = "wash_trading"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        Parameter("window", 3600, 300, 86_400, "seconds", "Trades this far back are looked at together."),
        Parameter("linked_meetings", 4, 2, 1000, "meetings", "Tied accounts: at least so many trades with each other."),
        Parameter(
            "linked_chance", 0.001, 0, 0.1, "probability", "Tied accounts: so many by chance is rarer than this."
        ),
        Parameter("meetings", 8, 3, 1000, "meetings", "Strangers: at least so many trades with each other."),
        Parameter("chance", 1e-6, 0, 0.01, "probability", "Strangers: so many by chance is rarer than this."),
        Parameter("lift", 12, 1, 1000, "times", "Strangers meet at least so many times more often than expected."),
        Parameter("share", 0.15, 0.01, 1, "of volume", "Strangers: each does this share of its volume inside."),
        Parameter("net", 0.25, 0, 1, "of volume", "Strangers: nobody gains or loses more of what it traded inside."),
        Parameter("members", 5, 2, 10, "accounts", "A ring of strangers has at most so many members."),
        Parameter("prevented", 6, 2, 1000, "orders", "Prevented self-trades of one owner that are no accident."),
        Parameter("prevented_window", 1200, 60, 86_400, "seconds", "So many prevented self-trades within this time."),
        Parameter("prevented_share", 0.5, 0, 100, "of volume", "They amount to this share of what the owner traded."),
        Parameter("mute", 1800, 0, 86_400, "seconds", "The same accounts are not reported again for so long."),
    )

    def __init__(self, values: Mapping[str, float], relations: Relations, books: Books) -> None:
        self._values = values
        self._relations = relations
        self._window = int(values["window"] * SECOND)
        self._mute = int(values["mute"] * SECOND)
        self._markets: dict[int, Meetings] = {}
        self._prevented: dict[tuple[int, int], deque[SelfTradePrevented]] = {}
        self._said: dict[tuple[int, int], int] = {}
        self._looked: dict[Pair, int] = {}
        self._due: dict[Pair, int] = {}

    def observe(self, observation: Observation) -> list[Alert]:
        """Take the next observation; the alerts it completes."""
        kind = type(observation)
        if kind is Traded:
            assert isinstance(observation, Traded)
            return self._observe_trade(observation)
        if kind is SelfTradePrevented:
            assert isinstance(observation, SelfTradePrevented)
            return self._observe_prevented(observation)
        return []

    def advance(self, now: int) -> list[Alert]:
        """Pairs that met again right after a look are looked at once more when its pause is over."""
        if not self._due:
            return []
        due = [pair for pair, at in self._due.items() if at <= now]
        return [alert for pair in due for alert in self._look(pair, now)]

    # ------------------------------------------------------------------------------------------ trades

    def _observe_trade(self, trade: Traded) -> list[Alert]:
        table = self._table(trade.market_id)
        taker, maker = trade.taker_account_id, trade.maker_account_id
        count = len(table.add(trade))
        if count < 2:
            return []
        tied = self._relations.group_of(taker) == self._relations.group_of(maker)
        if not tied and (count < 3 or not self._close(table, taker, maker, count)):
            return []
        pair = (trade.market_id, min(taker, maker), max(taker, maker))
        looked = self._looked.get(pair, -LOOK_PAUSE)
        if looked > trade.at - LOOK_PAUSE:
            self._due.setdefault(pair, looked + LOOK_PAUSE)
            return []
        return self._look(pair, trade.at)

    def _look(self, pair: Pair, now: int) -> list[Alert]:
        """Look closely at two accounts and those around them."""
        self._due.pop(pair, None)
        market_id, *both = pair
        if self._muted(market_id, both, now):
            return []
        if len(self._looked) >= REMEMBERED_MAX:
            self._looked.clear()
            self._due.clear()
        self._looked[pair] = now
        table = self._table(market_id)
        tied = self._relations.group_of(both[0]) == self._relations.group_of(both[1])
        circle = self._strangers(table, *both)
        if circle is not None:
            return [self._alert(market_id, circle, tied=False, now=now)]
        circle = self._linked_circle(table, both[0]) if tied else None
        if circle is not None and not self._muted(market_id, circle.accounts, now):
            return [self._alert(market_id, circle, tied=True, now=now)]
        return []

    def _table(self, market_id: int) -> Meetings:
        table = self._markets.get(market_id)
        if table is None:
            table = self._markets[market_id] = Meetings(self._window)
        return table

    def _close(self, table: Meetings, one: int, other: int, count: int) -> bool:
        """Whether two strangers mean something to each other: a ring's member may have four partners inside."""
        needed = self._values["share"] / 2 * max(table.count(one), table.count(other))
        return count >= needed and count >= CLOSE_LIFT * table.roughly_expected(one, other, count)

    def _linked_circle(self, table: Meetings, account_id: int) -> Circle | None:
        """The accounts tied to this one that trade among themselves, if more often than by chance."""
        tied = sorted(self._relations.related(account_id))[:LINKED_MAX]
        active = frozenset(account for account in tied if any(other in table.partners(account) for other in tied))
        circle = _circle(table, active)
        if len(circle.meetings) < self._values["linked_meetings"]:
            return None
        circle = circle.against_chance(table)
        return circle if circle.chance <= self._values["linked_chance"] else None

    def _strangers(self, table: Meetings, one: int, other: int) -> Circle | None:
        """The ring or pair around two accounts, if there is one: as large as it may be, without its hangers-on."""
        accounts = frozenset(self._acquaintances(table, one, other))
        while len(accounts) > 1:
            circle = _circle(table, accounts)
            if len(circle.meetings) < self._values["meetings"]:
                return None
            inner = max(strongly_connected(circle.graph), key=len, default=frozenset())
            if inner != accounts:
                accounts = inner
                continue
            if len(accounts) <= self._values["members"] and self._looks_like_wash(circle):
                circle = circle.against_chance(table)
                if self._is_wash(circle):
                    return circle
            accounts -= {min(accounts, key=circle.shares.__getitem__)}
        return None

    def _acquaintances(self, table: Meetings, one: int, other: int) -> set[int]:
        """Accounts that mean something to each other, from these two on."""
        found, waiting = {one, other}, [one, other]
        while waiting and len(found) < CANDIDATES_MAX:
            member = waiting.pop(0)
            for partner, pair in table.partners(member).items():
                if len(pair) < 2 or partner in found or not self._close(table, member, partner, len(pair)):
                    continue
                found.add(partner)
                waiting.append(partner)
                if len(found) == CANDIDATES_MAX:
                    break
        return found

    def _looks_like_wash(self, circle: Circle) -> bool:
        return circle.net <= self._values["net"] and min(circle.shares.values()) >= self._values["share"]

    def _is_wash(self, circle: Circle) -> bool:
        lift = len(circle.meetings) >= self._values["lift"] * circle.expected
        return lift and circle.chance <= self._values["chance"]

    # ------------------------------------------------------------------------------------------ prevented

    def _observe_prevented(self, prevented: SelfTradePrevented) -> list[Alert]:
        """Another self-trade was kept from happening; the accounts of one group count together."""
        values, market_id, now = self._values, prevented.market_id, prevented.at
        key = (market_id, self._relations.group_of(prevented.account_id))
        if len(self._prevented) >= REMEMBERED_MAX and key not in self._prevented:
            self._prevented.clear()
        recent = self._prevented.setdefault(key, deque(maxlen=PREVENTED_MAX))
        while recent and recent[0].at <= now - values["prevented_window"] * SECOND:
            recent.popleft()
        recent.append(prevented)
        orders = len({one.sequence for one in recent})
        accounts = tuple(sorted({one.account_id for one in recent}))
        quantity = sum(one.quantity for one in recent)
        volume = sum(self._table(market_id).volume(account) for account in accounts)
        if orders < values["prevented"] or quantity < values["prevented_share"] * volume:
            return []
        if self._muted(market_id, accounts, now):
            return []
        self._remember(market_id, accounts, now)
        names = ("prevented", "prevented_window", "prevented_share")
        return [
            Alert(
                detector=self.NAME,
                severity="medium",
                account_ids=accounts,
                market_id=market_id,
                first_sequence=recent[0].sequence,
                last_sequence=prevented.sequence,
                first_at=recent[0].at,
                last_at=now,
                figures={"prevented": orders, "quantity": quantity, "volume": volume},
                thresholds={name: values[name] for name in names},
                text=f"One owner sent {orders} orders that would have traded with its own.",
            )
        ]

    # ------------------------------------------------------------------------------------------ saying it

    def _muted(self, market_id: int, accounts: Collection[int], now: int) -> bool:
        return all(self._said.get((market_id, account), -self._mute) > now - self._mute for account in accounts)

    def _remember(self, market_id: int, accounts: Collection[int], now: int) -> None:
        if len(self._said) >= REMEMBERED_MAX:
            self._said.clear()
        for account in accounts:
            self._said[market_id, account] = now

    def _alert(self, market_id: int, circle: Circle, *, tied: bool, now: int) -> Alert:
        self._remember(market_id, circle.accounts, now)
        meetings = sorted(circle.meetings, key=lambda meeting: meeting.sequence)
        severity: Severity = "high" if tied or len(meetings) >= 3 * self._values["meetings"] else "medium"
        names = ("linked_meetings", "linked_chance") if tied else ("meetings", "chance", "lift", "share", "net")
        what = "tied to each other" if tied else "that end where they began"
        return Alert(
            detector=self.NAME,
            severity=severity,
            account_ids=tuple(sorted(circle.accounts)),
            market_id=market_id,
            first_sequence=meetings[0].sequence,
            last_sequence=meetings[-1].sequence,
            first_at=meetings[0].at,
            last_at=meetings[-1].at,
            figures={
                "meetings": len(meetings),
                "expected": circle.expected,
                "chance": circle.chance,
                "share": min(circle.shares.values()),
                "net": circle.net,
                "prompt": sum(meeting.maker_age < 10 * SECOND for meeting in meetings) / len(meetings),
                "quantity": sum(meeting.quantity for meeting in meetings),
            },
            thresholds={name: self._values[name] for name in names},
            text=(
                f"{len(circle.accounts)} accounts {what} traded {len(meetings)} times among themselves, "
                f"where chance would have it {circle.expected:.1f} times."
            ),
        )
