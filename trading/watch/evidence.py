"""The book at the moment of an alert, replayed from the journal: a frame for every step that belongs to the story.

A replay begins at the checkpoint before the alert and may take seconds, so its frames are kept with the alert.
"""

import zlib
from collections.abc import Iterable

import msgspec

from marketdata.scale import decimals_of, text_from_units
from marketdata.shapes import moment_of, time_text
from matching.engine.messages import (
    AmendOrder,
    AnyEvent,
    CancelOrder,
    CancelOrders,
    OrderPlaced,
    OrderRejected,
    OrderUpdated,
    PlaceOrder,
    Side,
    TradeExecuted,
)
from matching.follower import Follower, Step
from matching.state import State, TradedMarket
from orders.rules import LiveOrder
from risk.models import Alert

FRAMES_MAX = 400
LEVELS = 12

_ORDER_COMMANDS = (PlaceOrder, AmendOrder, CancelOrder, CancelOrders)


class Level(msgspec.Struct, frozen=True):
    """A price level; `accused`: how much of it is the accused accounts'. Decimals."""

    price: str
    quantity: str
    accused: str


class Frame(msgspec.Struct, frozen=True):
    """The book after a command. `kind`: before, placed, amended, canceled, refused, trade, other; `accused`: theirs."""

    sequence: int
    at: str
    kind: str
    account_id: int | None
    accused: bool
    text: str
    bids: list[Level]
    asks: list[Level]


class Evidence(msgspec.Struct, frozen=True):
    """What an alert rests on, replayed. `skipped`: steps left out to keep it short, others' first."""

    market: str
    account_ids: list[int]
    frames: list[Frame]
    skipped: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Evidence).decode


def evidence_of(*, alert: Alert) -> Evidence:
    """The alert's frames: kept ones, or replayed now and then kept."""
    if alert.evidence is not None:
        return _decode(zlib.decompress(alert.evidence))
    found = replay(alert=alert)
    Alert.objects.filter(pk=alert.pk).update(evidence=zlib.compress(_encode(found)))
    return found


def encoded(evidence: Evidence) -> bytes:
    """As JSON."""
    return _encode(evidence)


def replay(*, alert: Alert) -> Evidence:
    """Replay the journal over the alert's range, from the book right before it."""
    follower = Follower(sequence=alert.first_sequence - 1)
    try:
        return _Replay(follower.state, alert).run(follower.steps(until=alert.last_sequence))
    finally:
        follower.close()


class _Replay:
    def __init__(self, state: State, alert: Alert) -> None:
        self.state = state
        self.accused = frozenset(alert.account_ids)
        self.alert = alert
        self.market = self._market(alert)

    def run(self, steps: Iterable[Step]) -> Evidence:
        """Frames of the steps on the market; when there are many, only of those in which the accused act or trade."""
        found = [self._frame(self.alert.first_sequence - 1, self.state.now, "before", None, "The book before it.")]
        spare = 0
        for step in steps:
            kind, account_id, text = self._told(step)
            if text is None:
                continue
            theirs = account_id in self.accused or self._met(step.events)
            if len(found) < FRAMES_MAX // 2 or (theirs and len(found) < FRAMES_MAX):
                found.append(self._frame(step.sequence, step.received_at, kind, account_id, text, theirs))
            else:
                spare += 1
        return Evidence(self.market.symbol, sorted(self.accused), found, spare)

    def _market(self, alert: Alert) -> TradedMarket:
        """The alert's market, or the first for an alert over all."""
        return self.state.markets[alert.market_id or min(self.state.markets)]

    def _met(self, events: list[AnyEvent]) -> bool:
        """Whether an accused account's resting order traded."""
        return any(type(event) is TradeExecuted and event.maker_account_id in self.accused for event in events)

    def _told(self, step: Step) -> tuple[str, int | None, str | None]:
        """A step in words; None: it has nothing to do with the market."""
        command, events = step.command, step.events
        if not isinstance(command, _ORDER_COMMANDS):
            return "other", None, None
        trades = [event for event in events if type(event) is TradeExecuted and event.market_id == self.market.id]
        for event in events:
            if type(event) is OrderPlaced and event.order.market_id == self.market.id:
                order = event.order
                text = f"{order.side}s {self._quantity(order.quantity)} at {self._price(order.price)}"
                if trades:
                    filled = sum(trade.quantity for trade in trades)
                    text += f": {self._quantity(filled)} trade at once, in {len(trades)} fills"
                return ("trade" if trades else "placed"), order.account_id, text
            if type(event) is OrderRejected and event.order.market_id == self.market.id:
                return "refused", event.order.account_id, f"is refused: {event.order.reason}"
        updated = [event for event in events if type(event) is OrderUpdated and event.market_id == self.market.id]
        if not updated:
            return "other", None, None
        first = updated[0]
        if isinstance(command, AmendOrder):
            rest = f"{self._quantity(first.remaining)} at {self._price(first.price)}"
            return "amended", command.account_id, f"amends {first.side} order {first.id} to {rest}"
        more = "" if len(updated) == 1 else f" and {len(updated) - 1} more"
        text = f"cancels {first.side} {self._quantity(first.remaining)} at {self._price(first.price)}{more}"
        return "canceled", command.account_id, text

    def _frame(
        self, sequence: int, at: int, kind: str, account_id: int | None, text: str, accused: bool = False
    ) -> Frame:
        return Frame(
            sequence,
            time_text(moment_of(at)),
            kind,
            account_id,
            accused,
            text,
            self._levels("buy"),
            self._levels("sell"),
        )

    def _levels(self, side: Side) -> list[Level]:
        """The best levels of a side, best first."""
        found: list[Level] = []
        for level in self.market.book.side_of(side).in_order():
            if len(found) == LEVELS:
                break
            theirs = 0
            for order in level:
                assert isinstance(order, LiveOrder)
                if order.account_id in self.accused:
                    theirs += order.remaining
            found.append(Level(self._price(level.price), self._quantity(level.quantity), self._quantity(theirs)))
        return found

    def _price(self, price: int | None) -> str:
        scale = self.market.quote.scale
        decimals = decimals_of(self.market.parameters.tick_size, scale)
        return "the market's price" if price is None else text_from_units(price, scale, decimals)

    def _quantity(self, quantity: int | None) -> str:
        scale = self.market.base.scale
        decimals = decimals_of(self.market.parameters.lot_size, scale)
        return "an amount" if quantity is None else text_from_units(quantity, scale, decimals)
