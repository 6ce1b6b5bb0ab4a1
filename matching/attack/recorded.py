"""A recorded order flow under surveillance: its orders, which name no owners, are dealt to 200 accounts.

Every post-only order belongs to one account, the machine that probed; any other order to the one of the 199 others that
the digest of its recorded id picks, or with `by_size` the digest of its quantity (machines that like a few quantities
then keep their orders together), or to the next that owns none of the orders it met. All that happens to an order
happens to its account, so an order's life stays in one account.
"""

from collections.abc import Container, Sequence
from hashlib import blake2b
from itertools import groupby
from pathlib import Path

from matching.attack.crowd import Crowd
from matching.attack.plan import PATTERNS, Plan
from matching.attack.scenario import Run
from matching.attack.world import SECOND, Behaviour, Flavour, World
from matching.engine.messages import CancelOrder, OrderPlaced, PlaceOrder
from matching.recording import Recording, Step, read

ACCOUNTS = 200
QUOTE_SCALE = 11
CENT = 10 ** (QUOTE_SCALE - 2)
BASE_SCALE = 8
PROBE = "probe"


def load(*, folder: Path, limit: int | None = None) -> Recording:
    """The recording in `folder`, or its first `limit` steps, as `watched` wants it. Raises RecordingError."""
    return read(folder=folder, base_scale=BASE_SCALE, quote_scale=QUOTE_SCALE, tick_size=CENT, limit=limit)


def watched(
    *,
    recording: Recording,
    seed: int = 1,
    attacks: Sequence[tuple[str, str]] = (),
    by_size: bool = False,
) -> Run:
    """The recording as a run, with these attacks in the midst of it (pattern, disguise)."""
    first = next(step.exchange_ms for step in recording.steps if step.operation != "seed") * 1_000
    last = recording.steps[-1].exchange_ms * 1_000
    world = World(seed=f"recorded{seed}", began=first - 60 * SECOND)
    touch = next(step.price for step in recording.steps if step.price is not None)
    floor = world.open_floor(
        Flavour(
            name="RECORDED",
            tick=CENT,
            lot=1,
            price=touch // CENT,
            clip=4_000_000,
            spread=150,
            volatility=100,
            impact=0,
            quote_scale=QUOTE_SCALE,
        )
    )
    accounts = [world.open_account(role=PROBE)]
    accounts += [world.open_account(role="recorded") for _ in range(ACCOUNTS - 1)]
    minutes = (last - first) / 60e6
    plan = Plan(world, Crowd(world, close=last), close=last - 8 * 60 * SECOND, minutes=minutes)
    for pattern, disguise in attacks:
        PATTERNS[pattern][disguise](plan.attack(pattern, disguise, floor=floor))
    setup = len(world.steps)
    world.start(_played(world, floor.id, recording, accounts, first, by_size=by_size), after=1)
    world.run(until=last + SECOND)
    return Run(seed, world.steps, setup, world.episodes, world.relations, world.roles, None)


def account_of(*, step: Step, accounts: Sequence[int], met: Container[int], by_size: bool) -> int:
    """Whose order it is; the first of the accounts is the machine that probed. `met`: whose orders it traded with."""
    if step.time_in_force == "PO" or (step.time_in_force == "IOC" and _came_to_nothing(step)):
        return accounts[0]
    key = f"{step.quantity}" if by_size else step.order_id
    place = int.from_bytes(blake2b(key.encode(), digest_size=4).digest())
    others = accounts[1:]
    while others[place % len(others)] in met:
        place += 1
    return others[place % len(others)]


def _came_to_nothing(step: Step) -> bool:
    """Whether an immediate-or-cancel order found nothing: a probe that was taken back."""
    return step.expected_quantity(BASE_SCALE) == step.quantity


def _played(
    world: World, market_id: int, recording: Recording, accounts: list[int], first: int, *, by_size: bool
) -> Behaviour:
    """Each recorded step at its time."""
    orders: dict[str, tuple[int, int]] = {}
    makers: dict[str, list[str]] = {}
    for trade in recording.trades:
        makers.setdefault(trade.taker_id, []).append(trade.maker_id)
    for exchange_ms, steps in groupby(recording.steps, lambda step: max(step.exchange_ms * 1_000, 0)):
        if exchange_ms > world.now and exchange_ms >= first:
            yield (exchange_ms - world.now) / SECOND
        for step in steps:
            if step.operation == "cancel":
                if step.order_id in orders and orders[step.order_id][0] in world.exchange.state.orders:
                    order_id, account_id = orders[step.order_id]
                    world.submit(CancelOrder(account_id, order_id))
                continue
            met = {orders[maker][1] for maker in makers.get(step.order_id, ()) if maker in orders}
            account_id = account_of(step=step, accounts=accounts, met=met, by_size=by_size)
            for event in world.submit(_command(step, account_id, market_id)):
                if isinstance(event, OrderPlaced):
                    orders[step.order_id] = (event.order.id, account_id)


def _command(step: Step, account_id: int, market_id: int) -> PlaceOrder:
    if step.operation == "quote":
        return PlaceOrder(account_id, market_id, step.side, "market", quote_amount=step.quantity, time_in_force="ioc")
    return PlaceOrder(
        account_id, market_id, step.side, price=step.price, quantity=step.quantity,
        time_in_force="ioc" if step.time_in_force == "IOC" else "gtc", post_only=step.time_in_force == "PO",
    )  # fmt: skip
