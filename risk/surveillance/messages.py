"""What detectors read and what they say: observations of the order flow, relations of accounts, alerts.

Amounts are integers as in `matching.engine.messages`: quantities in units of the base asset, prices in quote units per
whole base, notionals in quote units; times in microseconds since 1970 UTC. Nothing here knows a database or a clock.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal, Protocol

import msgspec

from matching.engine.messages import Side

Severity = Literal["low", "medium", "high"]
RelationKind = Literal["owner", "address", "device", "funding", "withdrawal_target"]
CancelCause = Literal["owner", "time_in_force", "self_trade", "system"]


class Placed(msgspec.Struct, frozen=True, gc=False):
    """An order was accepted: `filled` of it traded at once, `resting` is in the book now (0: none of it).

    `price` None: a market order. `best_bid` and `best_ask`: the touch right before it, None: an empty side.
    """

    sequence: int
    at: int
    order_id: int
    account_id: int
    market_id: int
    side: Side
    price: int | None
    quantity: int
    filled: int
    resting: int
    post_only: bool
    best_bid: int | None
    best_ask: int | None


class Moved(msgspec.Struct, frozen=True, gc=False):
    """A resting order was amended by its owner: its price, what remains of it, or both."""

    sequence: int
    at: int
    order_id: int
    account_id: int
    market_id: int
    side: Side
    old_price: int
    price: int
    old_remaining: int
    remaining: int
    placed_at: int


class Canceled(msgspec.Struct, frozen=True, gc=False):
    """An order left without being filled completely: `remaining` of it, after `filled` of it had traded."""

    sequence: int
    at: int
    order_id: int
    account_id: int
    market_id: int
    side: Side
    price: int | None
    remaining: int
    filled: int
    placed_at: int
    cause: CancelCause
    best_bid: int | None
    best_ask: int | None


class Refused(msgspec.Struct, frozen=True, gc=False):
    """An order was refused before the book (a post-only order that would have traded, say)."""

    sequence: int
    at: int
    account_id: int
    market_id: int
    side: Side
    price: int | None
    reason: str


class Traded(msgspec.Struct, frozen=True, gc=False):
    """One match. `maker_remaining`: left of the maker's order; `best_bid`, `best_ask`: before the taker came."""

    sequence: int
    at: int
    trade_id: int
    market_id: int
    price: int
    quantity: int
    notional: int
    taker_side: Side
    maker_order_id: int
    taker_order_id: int
    maker_account_id: int
    taker_account_id: int
    maker_placed_at: int
    maker_remaining: int
    best_bid: int | None
    best_ask: int | None


class SelfTradePrevented(msgspec.Struct, frozen=True, gc=False):
    """An order met one of the same owner, and self-trade prevention kept `quantity` from trading."""

    sequence: int
    at: int
    market_id: int
    account_id: int
    quantity: int


Observation = Placed | Moved | Canceled | Refused | Traded | SelfTradePrevented


class Relation(msgspec.Struct, frozen=True):
    """Two accounts have something in common; `evidence` says what, for people ("203.0.113.7 on 2026-11-23")."""

    kind: RelationKind
    account_id: int
    other_id: int
    evidence: str


class Relations:
    """Who belongs together: accounts of one owner, and accounts tied by address, device, funding or withdrawal."""

    def __init__(self, relations: Iterable[Relation] = ()) -> None:
        self._of: dict[int, dict[int, list[Relation]]] = {}
        self._groups: dict[int, frozenset[int]] = {}
        for relation in relations:
            self.add(relation)

    def add(self, relation: Relation) -> None:
        """Learn of another relation."""
        self._groups.clear()
        for one, other in ((relation.account_id, relation.other_id), (relation.other_id, relation.account_id)):
            self._of.setdefault(one, {}).setdefault(other, []).append(relation)

    def replace(self, other: "Relations") -> None:
        """Know what `other` knows, and no more; for detectors that hold this object."""
        self._of = other._of
        self._groups = {}

    def between(self, one: int, other: int) -> list[Relation]:
        """What ties two accounts directly."""
        return self._of.get(one, {}).get(other, [])

    def related(self, account_id: int) -> frozenset[int]:
        """Every account tied to this one, directly or through others, itself included. Remembered: asking is cheap."""
        if (group := self._groups.get(account_id)) is not None:
            return group
        if account_id not in self._of:
            return frozenset((account_id,))
        found, waiting = {account_id}, [account_id]
        while waiting:
            for other in self._of.get(waiting.pop(), ()):
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        group = frozenset(found)
        self._groups.update(dict.fromkeys(group, group))
        return group

    def group_of(self, account_id: int) -> int:
        """One number for all accounts tied together: the smallest of their ids; an account by itself is its own."""
        return min(self.related(account_id)) if account_id in self._of else account_id


class Estimate(Protocol):
    """What is usual, as a running median of `count` numbers; at 0 `value` means nothing."""

    count: int
    value: float


class BookSide(Protocol):
    """One side of a book."""

    def best(self) -> int | None:
        """The best price, or None."""
        ...

    def within(self, distance: int) -> int:
        """The quantity that rests no further than `distance` (quote units per whole base) behind the best price."""
        ...

    def top(self, levels: int) -> list[tuple[int, int]]:
        """The best levels as (price, quantity), best first."""
        ...


class MarketView(Protocol):
    """A market's book as after the command whose observations are at hand, and what is usual there.

    `depth`: base units in the ten best levels of a side; `reach`: from the best of them to the worst (quote units per
    whole base); `spread`: between the best prices; `life`: microseconds from placing to cancel or complete fill;
    `trade`: base units of a match; `order`: base units of an order that rests.
    """

    @property
    def bids(self) -> BookSide: ...
    @property
    def asks(self) -> BookSide: ...
    @property
    def depth(self) -> Estimate: ...
    @property
    def reach(self) -> Estimate: ...
    @property
    def spread(self) -> Estimate: ...
    @property
    def life(self) -> Estimate: ...
    @property
    def trade(self) -> Estimate: ...
    @property
    def order(self) -> Estimate: ...

    def side(self, side: Side) -> BookSide:
        """Where an order of `side` rests."""
        ...


class Books(Protocol):
    """Every market's book (`risk.surveillance.tape.Tape`)."""

    def book(self, market_id: int) -> MarketView:
        """The market's; empty for one that has seen no order. The same object for ever: keep it if you like."""
        ...


class Alert(msgspec.Struct, frozen=True):
    """A detector's finding: who did what where, the journal's range that shows it, and the numbers it rests on.

    `detector`: its name. `account_ids`: those accused, ascending; victims and bystanders are not among them.
    `market_id` None: over all markets. `figures` are what was measured, `thresholds` the parameters that were crossed,
    as they were then. `text`: one sentence for people.
    """

    detector: str
    severity: Severity
    account_ids: tuple[int, ...]
    market_id: int | None
    first_sequence: int
    last_sequence: int
    first_at: int
    last_at: int
    figures: dict[str, float]
    thresholds: dict[str, float]
    text: str


class Parameter(msgspec.Struct, frozen=True):
    """A threshold or window that operators may change: `unit` and `text` tell them what it means."""

    name: str
    default: float
    minimum: float
    maximum: float
    unit: str
    text: str


class Detector(Protocol):
    """One pattern. It remembers what it needs, within bounds, and says each finding once.

    `PARAMETERS` belongs to the class; an instance is made with `Detector(values, relations, books)`, `values` holding
    every parameter by name, `books` the tape's. What it says depends only on what it has observed, in order.
    """

    NAME: str
    PARAMETERS: ClassVar[tuple[Parameter, ...]]

    def __init__(self, values: Mapping[str, float], relations: Relations, books: Books) -> None: ...

    def observe(self, observation: Observation) -> list[Alert]:
        """Take the next observation; the alerts it completes."""
        ...

    def advance(self, now: int) -> list[Alert]:
        """Time has come to `now`, with or without orders; the alerts of windows that ended."""
        ...
