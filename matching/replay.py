"""A recorded order flow, fed through the whole system, gives what the other exchange made of it.

What came of it is read from the database and compared with the recording.
"""

import time
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from marketdata.models import Market
from matching import store
from matching.engine.messages import AssetCreated, CreateAsset, CreateMarket, MarketChanged, OrderState, Reason
from matching.recording import UNKNOWN_ORDER, Recording, RestingOrder, Step, in_queues, read
from matching.replay_feed import (
    BASE_SCALE,
    QUOTE_SCALE,
    WIDE,
    Place,
    Progress,
    ReplayError,
    execute,
    feeding,
    next_number,
    open_accounts,
)
from orders import store as orders_store


class Row(NamedTuple):
    """One line of the comparison. `difference`: the first thing that is not as recorded, None if all of it is."""

    name: str
    matched: int
    expected: int
    difference: str | None


class Replayed(NamedTuple):
    """What came of a replay."""

    market: str
    commands: int
    seconds: float
    rows: list[Row]

    @property
    def same(self) -> bool:
        """Everything is as recorded."""
        return all(row.difference is None for row in self.rows)


def replay(*, folder: Path, market: str | None = None, limit: int | None = None, progress: Progress) -> Replayed:
    """Replay the recording in `folder` as fast as possible and compare.

    `market`: the symbol of an existing one, None for a scratch market. `limit`: only so many steps. Raises
    ReplayError, RecordingError.
    """
    found = Market.objects.select_related("base", "quote").filter(symbol=market).first()
    if market is not None and found is None:
        raise ReplayError(f"There is no market {market}.")
    base_scale, quote_scale, tick_size = BASE_SCALE, QUOTE_SCALE, WIDE.tick_size
    if found is not None:
        base_scale, quote_scale = found.base.scale, found.quote.scale
        tick_size = int(found.tick_size.scaleb(quote_scale))
    recording = read(folder=folder, base_scale=base_scale, quote_scale=quote_scale, tick_size=tick_size, limit=limit)
    with feeding() as feeder:
        number = next_number()
        place = open_accounts(market=found or _scratch_market(number), steps=recording.steps, number=number)
        began = time.monotonic()
        feeder.feed(steps=recording.steps, place=place, speed=None, progress=progress)
        seconds = time.monotonic() - began
    return Replayed(place.market.symbol, len(recording.steps), seconds, compare(recording=recording, place=place))


def _scratch_market(number: int) -> Market:
    assets: list[int] = []
    for letter, scale in (("B", BASE_SCALE), ("Q", QUOTE_SCALE)):
        created = execute(CreateAsset(f"RP{number}{letter}", f"Replay {number}", scale))
        assert isinstance(created, AssetCreated)
        assets.append(created.asset_id)
    changed = execute(CreateMarket(assets[0], assets[1], WIDE))
    assert isinstance(changed, MarketChanged)
    return Market.objects.select_related("base", "quote").get(id=changed.market_id)


# ---------------------------------------------------------------------------------------------- compare


def compare(*, recording: Recording, place: Place) -> list[Row]:
    """What the database says came of the steps, against what the recording says."""
    accounts = [place.buyer_id, place.seller_id]
    with store.connect() as reading:
        rows = reading.execute(
            orders_store.SELECT_STATES + " WHERE o.account_id = ANY(%s) ORDER BY o.id", [accounts]
        ).fetchall()
        orders = {order.client_order_id or "": order for order in map(orders_store.state_from_row, rows)}
        names = {order.id: name for name, order in orders.items()}
        trades = reading.execute(
            """SELECT maker_order_id, taker_order_id, trunc(price * %s), trunc(quantity * %s) FROM marketdata_trade
            WHERE maker_account_id = ANY(%s) OR taker_account_id = ANY(%s) ORDER BY id""",
            [10**place.market.quote.scale, 10**place.market.base.scale, accounts, accounts],
        ).fetchall()
    traded = [
        (names.get(maker, "?"), names.get(taker, "?"), price, quantity) for maker, taker, price, quantity in trades
    ]
    open_orders = sorted(
        (order for order in orders.values() if order.status == "open"),
        key=lambda order: (order.side, order.price, order.priority),
    )
    resting = [RestingOrder(names[o.id], o.side, o.price or 0, o.remaining) for o in open_orders]
    return [
        _sequence_row("trades", recording.trades, traded),
        *_step_rows(recording, orders, place.market.base.scale),
        _sequence_row("resting orders", in_queues(recording.resting, recording.steps), resting),
    ]


def _sequence_row(name: str, expected: Sequence[tuple[object, ...]], found: Sequence[tuple[object, ...]]) -> Row:
    """Two lists, place by place."""
    matched = 0
    difference = None
    for number, (want, have) in enumerate(zip_longest(expected, found), start=1):
        if want == have:
            matched += 1
        elif difference is None:
            difference = f"number {number} is {have and tuple(have)}, recorded is {want and tuple(want)}"
    return Row(name, matched, len(expected), difference)


def _step_rows(recording: Recording, orders: dict[str, OrderState], base_scale: int) -> list[Row]:
    """What became of each step, by kinds of steps."""
    checks: dict[str, list[str | None]] = {}
    for step in recording.steps:
        if step.operation == "seed" or (step.operation == "new" and step.time_in_force == "GTC"):
            continue
        order = orders.get(step.order_id)
        name, well = _outcome(step, order, base_scale)
        state = "no order" if order is None else f"{order.status} ({order.reason}), remaining {order.remaining}"
        difference = None if well else f"order {step.order_id} is {state}, recorded is {step.expected}"
        checks.setdefault(name, []).append(difference)
    return [
        Row(name, found.count(None), len(found), next((each for each in found if each is not None), None))
        for name, found in checks.items()
    ]


def _outcome(step: Step, order: OrderState | None, base_scale: int) -> tuple[str, bool]:
    """What kind of outcome a step is to have, and whether it has it."""
    if step.operation == "cancel" and step.expected == UNKNOWN_ORDER:
        return "cancels of unknown orders", order is None
    if order is None:
        return "orders that arrived", False
    if step.operation == "cancel":
        canceled = order.status == "canceled" and order.reason == Reason.USER_CANCELED
        return "cancel remainders", canceled and order.remaining == step.expected_quantity(base_scale)
    if step.operation == "quote":
        return "orders by quote amount", order.filled_quantity == step.expected_quantity(base_scale)
    if step.time_in_force == "PO":
        refused = order.status == "rejected" and order.reason == Reason.POST_ONLY_WOULD_TRADE
        return "post-only refusals", refused and step.expected == "rejected"
    left = order.quantity is not None and order.filled_quantity + order.remaining == order.quantity
    return "IOC remainders", left and order.remaining == step.expected_quantity(base_scale)
