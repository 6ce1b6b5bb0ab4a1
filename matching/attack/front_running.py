"""Front-running: somebody knows of a customer's large orders, is there a moment before each, and gone after it."""

from typing import NamedTuple

from matching.attack.attacker import Attack
from matching.attack.makers import SIDES
from matching.attack.world import Behaviour, Lots, OrderState, Trader, other, sign, trace
from matching.engine.messages import Side
from risk.surveillance.messages import RelationKind

OFFICE: tuple[RelationKind, ...] = ("address", "device")


class Style(NamedTuple):
    """Of the customer's `orders`, so many (`hits`, a share) are run ahead of, `lead` seconds before.

    `tailgating`: right behind the first bite of several instead. `resting`: the customer's orders rest, the runner is
    one tick ahead and leaves with them.
    """

    orders: tuple[int, int] = (10, 16)
    pause: tuple[float, float] = (50, 170)
    lead: tuple[float, float] = (0.3, 5)
    leave: tuple[float, float] = (2, 40)
    hits: tuple[float, float] = (0.8, 1.0)
    accounts: tuple[int, int] = (1, 1)
    size: tuple[float, float] = (0.8, 2)
    large: tuple[float, float] = (5, 10)
    tailgating: bool = False
    resting: bool = False
    mixed: bool = False
    minutes: float = 30


STYLES = {
    "simple": Style(),
    "slow": Style(lead=(5, 18), leave=(15, 80), pause=(90, 210), minutes=38),
    "split": Style(accounts=(2, 3), orders=(13, 20), minutes=36),
    "varied": Style(hits=(0.55, 0.8), lead=(0.2, 14), size=(0.3, 3.5), orders=(13, 19), minutes=36),
    "mixed": Style(mixed=True, orders=(12, 18), minutes=33),
    "tailgating": Style(tailgating=True, lead=(0.15, 0.8)),
    "one_tick_ahead": Style(resting=True, lead=(0.2, 2), pause=(40, 120)),
}


def run_ahead(attack: Attack, style: Style) -> None:
    """A customer, honest, and one who knows what he is about to do."""
    customer = Trader(attack.world, attack.floor, attack.world.open_account(role="customer"))
    attack.episode.victims = (customer.account_id,)
    traders = attack.traders(attack.count(style.accounts))
    if style.mixed:
        attack.mix_in(traders, 50)
    if attack.chance.random() < 0.5:
        kind = attack.chance.choice(OFFICE)
        where = trace(kind, attack.chance)
        attack.world.relate(kind, customer.account_id, traders[0].account_id, where)
    attack.begin(_customer(attack, style, customer, traders), lasting=style.minutes)


def _customer(attack: Attack, style: Style, customer: Trader, traders: list[Trader]) -> Behaviour:
    chance = attack.chance
    side: Side = chance.choice(SIDES)
    hits = attack.between(style.hits)
    for _ in range(attack.count(style.orders)):
        runner = chance.choice(traders) if chance.random() < hits else None
        lots = attack.size(attack.between(style.large), 0.2)
        if style.resting:
            yield from _rest(attack, style, customer, runner, side, lots)
        else:
            yield from _take(attack, style, customer, runner, side, lots)
        if chance.random() < 0.2:
            side = other(side)
        yield attack.between(style.pause)


def _take(attack: Attack, style: Style, customer: Trader, runner: Trader | None, side: Side, lots: Lots) -> Behaviour:
    """The customer takes; the runner took before."""
    chance = attack.chance
    held = 0
    size = attack.size(attack.between(style.size))
    bites = chance.randint(2, 4) if style.tailgating else chance.choice((1, 1, 2))
    if style.tailgating:
        customer.market(side, lots / bites)
        yield attack.between(style.lead)
        bites -= 1
    if runner is not None:
        held = runner.filled(runner.market(side, size))
        yield chance.uniform(0.2, 1.0) if style.tailgating else attack.between(style.lead)
    for _ in range(bites):
        customer.market(side, lots / bites)
        yield chance.uniform(0.4, 2.5)
    if runner is not None and held:
        yield attack.between(style.leave)
        best = attack.floor.best(other(side))
        if chance.random() < 0.3 and best is not None:
            order = runner.limit(other(side), best, held)
            yield chance.uniform(2, 8)
            rest = runner.left(order)
            runner.cancel(order)
            held = rest
        if held:
            runner.market(other(side), held)


def _rest(attack: Attack, style: Style, customer: Trader, runner: Trader | None, side: Side, lots: Lots) -> Behaviour:
    """The customer rests a large order; the runner is one tick ahead of it as long as it is there."""
    chance, floor = attack.chance, attack.floor
    best = floor.best(side)
    if best is None:
        return
    price = best - sign(side) * chance.randint(0, 2)
    resting = customer.limit(side, price, lots, post_only=True)
    if customer.live(resting) is None:
        return
    order: OrderState | None = None
    size = attack.size(attack.between(style.size))
    if runner is not None:
        yield attack.between(style.lead)
        order = runner.limit(side, price + sign(side), size, post_only=True)
    patience = chance.uniform(15, 60)
    while patience > 0 and customer.live(resting) is not None:
        yield 1.0
        patience -= 1
    customer.cancel(resting)
    if runner is None:
        return
    yield chance.uniform(0.05, 0.8)
    held = size - runner.left(order) if order is not None else 0
    runner.cancel(order)
    if held > 0:
        yield attack.between(style.leave)
        runner.market(other(side), held)
