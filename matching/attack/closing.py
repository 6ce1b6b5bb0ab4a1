"""Marking the close: the last price before a full hour is bought, or sold, to where it serves a position."""

from typing import NamedTuple

from matching.attack.attacker import Attack
from matching.attack.makers import SIDES
from matching.attack.world import SECOND, Behaviour, Trader, other, sign
from matching.engine.messages import Side


class Style(NamedTuple):
    """`orders` over the last `seconds` before the close, each `size` clips, chasing the price.

    `steps`: mostly bids (or asks) that walk ahead of the touch, with small trades. `back`: how much of it is undone
    within minutes after the close.
    """

    orders: tuple[int, int] = (6, 12)
    seconds: tuple[float, float] = (20, 55)
    size: tuple[float, float] = (4.5, 8)
    accounts: tuple[int, int] = (1, 1)
    varied: float = 0.25
    back: tuple[float, float] = (0.3, 1.0)
    steps: bool = False
    mixed: bool = False


STYLES = {
    "simple": Style(),
    "slow": Style(orders=(16, 30), seconds=(150, 270), size=(4, 7)),
    "split": Style(accounts=(2, 4), orders=(8, 14)),
    "varied": Style(orders=(5, 18), seconds=(10, 120), varied=0.9),
    "mixed": Style(mixed=True),
    "steps": Style(steps=True, orders=(8, 16), seconds=(30, 80)),
    "last_second": Style(orders=(2, 4), seconds=(1, 4), size=(14, 24)),
}


def mark(attack: Attack, style: Style) -> None:
    """One whose position is valued at the close."""
    traders = attack.traders(attack.count(style.accounts))
    if style.mixed:
        attack.mix_in(traders)
    seconds = attack.between(style.seconds)
    attack.begin_before_close(_mark(attack, style, traders), seconds=seconds)


def _mark(attack: Attack, style: Style, traders: list[Trader]) -> Behaviour:
    chance, floor = attack.chance, attack.floor
    side: Side = chance.choice(SIDES)
    taken = dict.fromkeys(range(len(traders)), 0)
    orders = attack.count(style.orders)
    for number in range(orders):
        left = (attack.close - attack.world.now) / SECOND
        if left < 0.05:
            break
        who = chance.randrange(len(traders))
        trader = traders[who]
        lots = attack.size(attack.between(style.size), style.varied)
        best, far = floor.best(side), floor.best(other(side))
        if style.steps and number < orders - 2 and best is not None and far is not None:
            price = min((best + 2) * sign(side), (far - sign(side)) * sign(side)) * sign(side)
            if side == "sell":
                price = max(best - 2, far + 1)
            taken[who] += trader.filled(trader.limit(side, price, lots * 0.6))
            if chance.random() < 0.5:
                taken[who] += trader.filled(trader.market(side, lots * 0.6))
        else:
            taken[who] += trader.filled(trader.market(side, lots))
        yield min(left / (orders - number) * chance.uniform(0.5, 1.5), left * 0.9)
    yield max(0.1, (attack.close - attack.world.now) / SECOND + chance.uniform(1, 20))
    for trader in traders:
        trader.cancel_all()
    undo = attack.between(style.back)
    for _ in range(chance.randint(3, 6)):
        yield chance.uniform(10, 80)
        for who, trader in enumerate(traders):
            part = taken[who] * undo / 4
            if part >= 1:
                trader.market(other(side), part)
