"""Pushes: moves of a price far beyond the usual, who made them, and who got out again on the other side.

A push is noticed by the price alone. What every group of accounts did before, in and after it is added up only when
somebody asks, from the trades that are remembered.
"""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence

from risk.surveillance.messages import Placed, Relations, Traded
from risk.surveillance.prices import SECOND, Prices

TRADES_MAX = 50_000
OPEN_MAX = 8
LEARNING_MOVES = 30
"""Nothing is unusual before so many moves have been seen."""

SLACK = 2 * SECOND
MINUTE = 60 * SECOND

ORDERS_MIN = 2
"""Who pushed with a single order is not one of those who made it."""

TURNED = 1.3
"""Who gave back so many times what it got did not leave but turn."""

BUSY = 2.5
"""Who traded more than so many times the push in the time before is busy anyway."""

LOST = 0.1
"""Who gave more than this part of the push away before it closes a position with it."""

EARLY = 0.7
"""Who only began when the price had gone more than this part of its way followed others."""

BEGUN = 0.1
"""A push begins where the price had gone this part of the way for the last time."""


OVER = 0.6
"""A push is over when more than this part of it is undone."""


class Push:
    """A move from `start` (price, at `first_at`) to its furthest point so far, `peak` at `peak_at`.

    It lasts until `end_at`, when no more than `plateau` of it was undone for the last time.
    """

    __slots__ = ("checked_at", "end_at", "first_at", "made_by", "noticed_at", "over", "peak", "peak_at",
                 "plateau", "sigmas", "start", "taken", "told", "up")  # fmt: skip

    def __init__(
        self, *, up: bool, start: float, first_at: int, peak: float, peak_at: int, sigmas: float, plateau: float
    ) -> None:
        self.up = up
        self.start = start
        self.first_at = first_at
        self.peak = peak
        self.peak_at = self.end_at = self.noticed_at = peak_at
        self.plateau = plateau
        self.sigmas = sigmas
        self.checked_at = 0
        self.made_by: frozenset[int] = frozenset()
        """The groups that may have made it, and `taken`, what was taken in its direction, as of `checked_at`."""
        self.taken = 0
        self.over = False
        """Whether most of it was undone once: what comes then is another push."""
        self.told = False
        """Whether somebody was reported for it."""

    def follow(self, price: float, at: int) -> None:
        """The price is here now, in the push's time: further than before, or not."""
        if self.over:
            return
        if (price > self.peak) if self.up else (price < self.peak):
            self.peak, self.peak_at = price, at
        if self.undone(price) <= self.plateau:
            self.end_at = at
        self.over = self.undone(price) > OVER

    def undone(self, price: float) -> float:
        """Which part of the move is undone at a price."""
        return (self.peak - price) / (self.peak - self.start)


class Part:
    """What a group of accounts did around a push. Quantities in base units, notionals in quote units.

    `before`: what it gained, less what it lost, before the push began, `before_gross` their sum; `pushed`: what it took
    in the push's direction, `against` what it took against it before the last of that, `turned` after it; `bought`: all
    it got in that direction, `sold`: what it gave back after its last take.
    """

    __slots__ = ("accounts", "against", "before", "before_gross", "bought", "bought_for", "exits", "first_at",
                 "first_push_at", "first_sequence", "last_at", "last_push_at", "last_sequence", "left_at",
                 "orders", "pushed", "sold", "sold_for", "turned")  # fmt: skip

    def __init__(self) -> None:
        self.accounts: set[int] = set()
        self.orders: set[int] = set()
        self.exits: set[int] = set()
        self.before = self.before_gross = self.pushed = self.against = 0
        self.bought = self.bought_for = self.sold = self.sold_for = 0
        self.first_at = self.first_sequence = self.first_push_at = self.last_at = self.last_sequence = 0
        self.last_push_at = self.left_at = self.turned = 0

    def get(self, trade: Traded, account_id: int) -> None:
        """Get something in the push's direction."""
        self.bought += trade.quantity
        self.bought_for += trade.notional
        self._mark(trade, account_id)

    def give(self, trade: Traded, account_id: int, order_id: int) -> None:
        """Give something back."""
        self.sold += trade.quantity
        self.sold_for += trade.notional
        self.exits.add(order_id)
        self.left_at = self.left_at or trade.at
        self._mark(trade, account_id)

    def push(self, trade: Traded) -> None:
        """Take in the push's direction; what was given back before was no way out."""
        self.pushed += trade.quantity
        self.orders.add(trade.taker_order_id)
        self.first_push_at = self.first_push_at or trade.at
        self.last_push_at = trade.at
        self.against += self.turned
        self.turned = self.sold = self.sold_for = self.left_at = 0
        self.exits.clear()

    def _mark(self, trade: Traded, account_id: int) -> None:
        self.accounts.add(account_id)
        if not self.first_sequence:
            self.first_at, self.first_sequence = trade.at, trade.sequence
        self.last_at, self.last_sequence = trade.at, trade.sequence

    def gain(self, up: bool) -> float:
        """What the way out brought per base unit, against the way in, of the price of the way in."""
        if not self.sold or not self.bought_for:
            return 0.0
        ratio = (self.sold_for / self.sold) / (self.bought_for / self.bought) - 1
        return ratio if up else -ratio


class PushedMarket:
    """The prices and trades of one market, and the pushes in it that are not over."""

    def __init__(self, *, horizons: Sequence[int], memory: int, lasting: int, plateau: float, rises_only: bool) -> None:
        self.prices = Prices()
        self.trades: deque[Traded] = deque(maxlen=TRADES_MAX)
        self.open: list[Push] = []
        self.order = 0.0
        """The usual size of a taker's order (a running median, base units)."""
        self._horizons = horizons
        self._memory = memory
        self._lasting = lasting
        self._plateau = plateau
        self._rises_only = rises_only
        self._taken = 0
        self._order_id = self._order_quantity = 0

    def place(self, placed: Placed) -> None:
        """Take the touch that an order bears."""
        self.prices.see(placed.at, placed.best_bid, placed.best_ask)

    def trade(self, trade: Traded) -> None:
        """Take a trade."""
        trades = self.trades
        if len(trades) == TRADES_MAX:
            self._taken -= trades.popleft().quantity
        trades.append(trade)
        self._taken += trade.quantity
        while trades[0].at < trade.at - self._memory:
            self._taken -= trades.popleft().quantity
        if trade.taker_order_id == self._order_id:
            self._order_quantity += trade.quantity
            return
        if self._order_quantity > self.order:
            self.order = self.order * 1.02 or float(self._order_quantity)
        else:
            self.order /= 1.02
        self._order_id, self._order_quantity = trade.taker_order_id, trade.quantity

    def usual_minute(self) -> float:
        """What is taken in a minute (base units), on average of all that is remembered."""
        trades = self.trades
        return self._taken * MINUTE / max(MINUTE, trades[-1].at - trades[0].at) if trades else 0.0

    def notice(self, now: int, sigmas: float) -> None:
        """Look whether the price has gone `sigmas` times as far as usual over any of the horizons (seconds)."""
        prices = self.prices
        price = prices.at(now)
        if price is None or prices.count < LEARNING_MOVES:
            return
        for push in self.open:
            if now <= push.first_at + self._lasting:
                push.follow(price, now)
        for horizon in self._horizons:
            past = prices.at(now - horizon * SECOND)
            if past is None or past == price:
                continue
            usual = prices.usual(horizon)
            if not usual or abs(price - past) < sigmas * usual:
                continue
            up = price > past
            if self._rises_only and not up:
                continue
            if any(
                push.up == up and now <= push.first_at + self._lasting and (push.told or not push.over)
                for push in self.open
            ):
                return
            self._begin(now, horizon, price, up, abs(price - past) / usual)
            return

    def _begin(self, now: int, horizon: int, price: float, up: bool, sigmas: float) -> None:
        """Find where the move began: at the extreme of the horizon, when the price was near it for the last time."""
        since = now - horizon * SECOND
        past = self.prices.between(since, now)
        start = min(past) if up else max(past)
        near = start + BEGUN * (price - start)
        number = max(number for number, one in enumerate(past) if (one <= near if up else one >= near))
        if len(self.open) == OPEN_MAX:
            del self.open[0]
        self.open.append(
            Push(
                up=up,
                start=start,
                first_at=since + number * SECOND,
                peak=price,
                peak_at=now,
                sigmas=sigmas,
                plateau=self._plateau,
            )
        )

    def made_by(self, push: Push, relations: Relations, values: Mapping[str, float]) -> frozenset[int]:
        """The groups that may have made the push, if they took enough of it; looked at once for each end."""
        if push.checked_at == push.end_at:
            return push.made_by
        push.checked_at = push.end_at
        first, end = push.first_at - SLACK, push.end_at + SLACK
        along: defaultdict[int, int] = defaultdict(int)
        against: defaultdict[int, int] = defaultdict(int)
        orders: defaultdict[int, set[int]] = defaultdict(set)
        for trade in reversed(self.trades):
            if trade.at < first:
                break
            if trade.at > end:
                continue
            group = relations.group_of(trade.taker_account_id)
            if (trade.taker_side == "buy") == push.up:
                along[group] += trade.quantity
                orders[group].add(trade.taker_order_id)
            elif group in along:
                against[group] += trade.quantity
        push.taken = sum(along.values())
        groups = {
            group: quantity
            for group, quantity in along.items()
            if quantity >= values["member"] * push.taken
            and quantity >= values["size"] * self.order * len(orders[group])
            and against[group] <= values["against"] * quantity
            and len(orders[group]) >= ORDERS_MIN
        }
        pushed = sum(groups.values())
        enough = pushed >= values["share"] * push.taken and pushed >= values["minutes"] * self.usual_minute()
        push.made_by = frozenset(groups) if enough else frozenset()
        return push.made_by

    def parts(self, push: Push, groups: frozenset[int], relations: Relations, *, before: int) -> dict[int, Part]:
        """What these groups did in the push, and from `before` microseconds before it on."""
        parts = {group: Part() for group in groups}
        part_of = {account: parts[group] for group in groups for account in relations.related(group)}
        since, first, end = push.first_at - before, push.first_at - SLACK, push.end_at + SLACK
        for trade in self.trades:
            taker, maker = part_of.get(trade.taker_account_id), part_of.get(trade.maker_account_id)
            at = trade.at
            if at < since or taker is maker:
                continue
            along = (trade.taker_side == "buy") == push.up
            if at >= first and taker is not None:
                if not along:
                    taker.turned += trade.quantity
                elif at <= end:
                    taker.push(trade)
                elif not taker.left_at:
                    taker.last_push_at = at
            gets, gives = (taker, maker) if along else (maker, taker)
            if gets is not None:
                if at < first:
                    gets.before += trade.quantity
                    gets.before_gross += trade.quantity
                gets.get(trade, trade.taker_account_id if along else trade.maker_account_id)
            if gives is not None:
                if at < first:
                    gives.before -= trade.quantity
                    gives.before_gross += trade.quantity
                elif along:
                    gives.give(trade, trade.maker_account_id, trade.maker_order_id)
                else:
                    gives.give(trade, trade.taker_account_id, trade.taker_order_id)
        return parts


def member(part: Part, push: Push, market: PushedMarket, values: Mapping[str, float]) -> bool:
    """Whether a group pushed from the beginning, with orders larger than usual, and is out again.

    `values`: member, orders, size, against, quiet, exit and exit_start, as in the detectors' tables.
    """
    if part.pushed < max(1.0, values["member"] * push.taken) or len(part.orders) < ORDERS_MIN:
        return False
    if len(part.orders) + len(part.exits) < values["orders"]:
        return False
    price = market.prices.at(part.first_push_at)
    return (
        part.pushed >= values["size"] * market.order * len(part.orders)
        and part.against <= values["against"] * part.pushed
        and -LOST * part.pushed <= part.before <= values["quiet"] * part.pushed
        and part.before_gross <= max(BUSY, values["quiet"]) * part.pushed
        and values["exit"] * part.bought <= part.sold <= TURNED * part.bought
        and part.left_at <= part.last_push_at + values["exit_start"] * SECOND
        and price is not None
        and (price - push.start) / (push.peak - push.start) <= EARLY
    )
