"""Wash trading: accounts that trade with themselves, so that much seems to happen and nobody owns more or less.

Accounts tied to each other are found by meeting more often than chance; strangers, as pairs or rings, only if they
moreover end where they began. Self-trades that were prevented again and again count as the attempts they are.
"""

from collections import defaultdict, deque
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
LOOK_PAUSE = 2 * SECOND
"""No pair is looked at more closely more often than this."""

CANDIDATES_MAX = 12
LINKED_MAX = 50
PREVENTED_MAX = 256
REMEMBERED_MAX = 20_000


class Circle(NamedTuple):
    """What accounts did among themselves. Quantities in base units."""

    accounts: frozenset[int]
    meetings: list[Meeting]
    expected: float
    chance: float
    share: float  # of the volume of the member who trades most with others
    net: float  # of the member who ends furthest from where it began, of what it traded inside
    prompt: float  # share of meetings whose maker order was younger than ten seconds


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
        Parameter("lift", 4, 1, 1000, "times", "Strangers meet at least so many times more often than expected."),
        Parameter("share", 0.15, 0.01, 1, "of volume", "Strangers: each does this share of its volume inside."),
        Parameter("net", 0.25, 0, 1, "of volume", "Strangers: nobody gains or loses more of what it traded inside."),
        Parameter("members", 5, 2, 10, "accounts", "A ring of strangers has at most so many members."),
        Parameter("prevented", 5, 2, 1000, "orders", "Prevented self-trades of one account that are no accident."),
        Parameter("prevented_share", 0.5, 0, 100, "of volume", "They amount to this share of what the account traded."),
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
        self._looked: dict[tuple[int, int, int], int] = {}

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
        """Time alone completes nothing here."""
        return []

    # ------------------------------------------------------------------------------------------ trades

    def _observe_trade(self, trade: Traded) -> list[Alert]:
        table = self._table(trade.market_id)
        taker, maker = trade.taker_account_id, trade.maker_account_id
        count = len(table.add(trade))
        if count < 2:
            return []
        related = self._relations.group_of(taker) == self._relations.group_of(maker)
        if not related and (count < 3 or not self._mutual(table, taker, maker, count)):
            return []
        if self._muted(trade.market_id, (taker, maker), trade.at):
            return []
        pair = (trade.market_id, min(taker, maker), max(taker, maker))
        if self._looked.get(pair, 0) > trade.at - LOOK_PAUSE:
            return []
        if len(self._looked) >= REMEMBERED_MAX:
            self._looked.clear()
        self._looked[pair] = trade.at
        circle = self._linked_circle(table, taker) if related else self._strangers(table, taker, maker)
        if circle is None or self._muted(trade.market_id, circle.accounts, trade.at):
            return []
        return [self._alert(trade.market_id, circle, related, trade.at)]

    def _table(self, market_id: int) -> Meetings:
        table = self._markets.get(market_id)
        if table is None:
            table = self._markets[market_id] = Meetings(self._window)
        return table

    def _mutual(self, table: Meetings, one: int, other: int, count: int) -> bool:
        """Whether two strangers mean something to each other: a ring's member has up to four partners inside."""
        needed = self._values["share"] / 2 * max(table.count(one), table.count(other))
        return count >= needed

    def _linked_circle(self, table: Meetings, account_id: int) -> Circle | None:
        """The accounts tied to this one that trade among themselves, if more often than by chance."""
        tied = sorted(self._relations.related(account_id))[:LINKED_MAX]
        active = {account for account in tied if any(other in table.partners(account) for other in tied)}
        circle = self._circle(table, frozenset(active))
        if len(circle.meetings) < self._values["linked_meetings"] or circle.chance > self._values["linked_chance"]:
            return None
        return circle

    def _strangers(self, table: Meetings, one: int, other: int) -> Circle | None:
        """The ring or pair around two strangers, if there is one."""
        waiting = [frozenset(self._acquaintances(table, one, other))]
        while waiting:
            for component in strongly_connected(self._graph(table, waiting.pop())):
                if len(component) <= self._values["members"]:
                    circle = self._circle(table, component)
                    if self._is_wash(circle):
                        return circle
                if len(component) > 2:
                    waiting.append(component - {self._weakest(table, component)})
        return None

    def _acquaintances(self, table: Meetings, one: int, other: int) -> set[int]:
        """Accounts that mean something to each other, from these two on, the closest first."""
        found = {one, other}
        while len(found) < CANDIDATES_MAX:
            closest = max(
                (
                    (len(pair) / max(table.count(member), table.count(partner)), partner)
                    for member in found
                    for partner, pair in table.partners(member).items()
                    if partner not in found and len(pair) >= 2 and self._mutual(table, member, partner, len(pair))
                ),
                default=None,
            )
            if closest is None:
                break
            found.add(closest[1])
        return found

    def _graph(self, table: Meetings, accounts: Collection[int]) -> dict[int, set[int]]:
        graph: dict[int, set[int]] = {account: set() for account in accounts}
        for one, other, meeting in table.among(accounts):
            graph[meeting.seller_id].add(other if meeting.seller_id == one else one)
        return graph

    def _weakest(self, table: Meetings, accounts: Collection[int]) -> int:
        """Who trades least with the others, for all that it trades."""
        inside: defaultdict[int, int] = defaultdict(int)
        for one, other, meeting in table.among(accounts):
            inside[one] += meeting.quantity
            inside[other] += meeting.quantity
        return min(accounts, key=lambda account: inside[account] / max(1, table.volume(account)))

    def _circle(self, table: Meetings, accounts: frozenset[int]) -> Circle:
        meetings: list[Meeting] = []
        gross: defaultdict[int, int] = defaultdict(int)
        net: defaultdict[int, int] = defaultdict(int)
        for one, other, meeting in table.among(accounts):
            meetings.append(meeting)
            buyer = other if meeting.seller_id == one else one
            gross[one] += meeting.quantity
            gross[other] += meeting.quantity
            net[buyer] += meeting.quantity
            net[meeting.seller_id] -= meeting.quantity
        if not meetings:
            return Circle(accounts, [], 0.0, 1.0, 0.0, 1.0, 0.0)
        expected = table.expected(accounts)
        return Circle(
            accounts,
            meetings,
            expected,
            poisson_tail(count=len(meetings), expected=expected) if expected else 1.0,
            min(gross[account] / max(1, table.volume(account)) for account in accounts),
            max(abs(net[account]) / max(1, gross[account]) for account in accounts),
            sum(meeting.maker_age < 10 * SECOND for meeting in meetings) / len(meetings),
        )

    def _is_wash(self, circle: Circle) -> bool:
        values = self._values
        return (
            len(circle.meetings) >= values["meetings"]
            and circle.net <= values["net"]
            and circle.share >= values["share"]
            and len(circle.meetings) >= values["lift"] * circle.expected
            and circle.chance <= values["chance"]
        )

    # ------------------------------------------------------------------------------------------ prevented

    def _observe_prevented(self, prevented: SelfTradePrevented) -> list[Alert]:
        key = (prevented.market_id, prevented.account_id)
        if len(self._prevented) >= REMEMBERED_MAX and key not in self._prevented:
            self._prevented.clear()
        recent = self._prevented.setdefault(key, deque(maxlen=PREVENTED_MAX))
        while recent and recent[0].at <= prevented.at - self._window:
            recent.popleft()
        recent.append(prevented)
        orders = len({one.sequence for one in recent})
        quantity = sum(one.quantity for one in recent)
        volume = self._table(prevented.market_id).volume(prevented.account_id)
        if orders < self._values["prevented"] or quantity < self._values["prevented_share"] * volume:
            return []
        if self._muted(prevented.market_id, (prevented.account_id,), prevented.at):
            return []
        self._remember(prevented.market_id, (prevented.account_id,), prevented.at)
        return [
            Alert(
                detector=self.NAME,
                severity="medium",
                account_ids=(prevented.account_id,),
                market_id=prevented.market_id,
                first_sequence=recent[0].sequence,
                last_sequence=prevented.sequence,
                first_at=recent[0].at,
                last_at=prevented.at,
                figures={"prevented": orders, "prevented_share": quantity / volume if volume else float(orders)},
                thresholds={name: self._values[name] for name in ("prevented", "prevented_share")},
                text=f"One account sent {orders} orders that would have traded with its own.",
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

    def _alert(self, market_id: int, circle: Circle, related: bool, now: int) -> Alert:
        self._remember(market_id, circle.accounts, now)
        meetings = sorted(circle.meetings, key=lambda meeting: meeting.sequence)
        severity: Severity = "high" if related or len(meetings) >= 3 * self._values["meetings"] else "medium"
        names = ("linked_meetings", "linked_chance") if related else ("meetings", "chance", "lift", "share", "net")
        what = "tied to each other" if related else "that end where they began"
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
                "share": circle.share,
                "net": circle.net,
                "prompt": circle.prompt,
                "quantity": sum(meeting.quantity for meeting in meetings),
            },
            thresholds={name: self._values[name] for name in names},
            text=(
                f"{len(circle.accounts)} accounts {what} traded {len(meetings)} times among themselves, "
                f"where chance would have it {circle.expected:.1f} times."
            ),
        )
