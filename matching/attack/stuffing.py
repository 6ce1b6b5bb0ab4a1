"""Quote stuffing and abnormal order-to-trade ratios: orders that are taken back at once, in bursts or all the time."""

from typing import NamedTuple

from matching.attack.attacker import Attack
from matching.attack.makers import SIDES
from matching.attack.world import Behaviour, Trader, sign
from matching.engine.messages import Side


class Style(NamedTuple):
    """`bursts` of so many `seconds`, so many orders a second at `rate`, each taken back after its `life` (seconds).

    `near`: ticks behind the touch. `touch`: instead the orders flicker at or inside the touch. `amends`: prices jump
    instead of orders coming and going. `trades`: how likely a pair of messages is followed by a tiny trade.
    """

    bursts: tuple[int, int] = (4, 7)
    seconds: tuple[float, float] = (2, 8)
    pause: tuple[float, float] = (10, 60)
    rate: tuple[float, float] = (60, 160)
    life: tuple[float, float] = (0.0005, 0.008)
    near: tuple[int, int] = (3, 40)
    accounts: tuple[int, int] = (1, 1)
    size: float = 0.4
    varied: float = 0.1
    touch: bool = False
    amends: bool = False
    both: bool = False
    trades: float = 0.0
    mixed: bool = False
    minutes: float = 8


STUFFING = {
    "simple": Style(),
    "touch": Style(touch=True, both=True),
    "split": Style(accounts=(2, 4)),
    "slow": Style(rate=(28, 50), seconds=(20, 45), bursts=(3, 5), life=(0.002, 0.012), pause=(20, 90)),
    "varied": Style(varied=1.0, both=True, seconds=(1, 14), rate=(40, 200), near=(1, 80), life=(0.0003, 0.015)),
    "mixed": Style(mixed=True, trades=0.004),
    "amends": Style(amends=True, rate=(60, 130)),
}

ORDER_TO_TRADE = {
    "simple": Style(bursts=(1, 1), seconds=(900, 1500), rate=(1, 3), life=(0.1, 0.6), near=(2, 20), minutes=26),
    "slow": Style(bursts=(1, 1), seconds=(1500, 2100), rate=(0.4, 0.8), life=(0.3, 1.5), near=(2, 25), minutes=36),
    "split": Style(bursts=(1, 1), seconds=(1200, 1800), rate=(2, 4), life=(0.05, 0.25), accounts=(3, 4), minutes=31),
    "varied": Style(bursts=(3, 6), seconds=(100, 400), rate=(0.8, 5), life=(0.03, 0.5), varied=1.0, both=True,
                    near=(0, 60), pause=(20, 200), minutes=34),
    "tiny_trades": Style(bursts=(1, 1), seconds=(900, 1500), rate=(1, 3), life=(0.1, 0.6), trades=0.012, size=1.5,
                         minutes=26),
    "mixed": Style(bursts=(1, 1), seconds=(900, 1500), rate=(1.5, 3.5), life=(0.05, 0.4), mixed=True, minutes=26),
    "amends": Style(bursts=(1, 1), seconds=(900, 1500), rate=(1.5, 3), life=(0.2, 0.6), amends=True, minutes=26),
}  # fmt: skip


def stuff(attack: Attack, style: Style) -> None:
    """A machine that floods the market with messages."""
    traders = attack.traders(attack.count(style.accounts))
    if style.mixed:
        attack.mix_in(traders, 120)
    attack.begin(_bursts(attack, style, traders), lasting=style.minutes)


def _bursts(attack: Attack, style: Style, traders: list[Trader]) -> Behaviour:
    chance = attack.chance
    for number in range(attack.count(style.bursts)):
        if number:
            yield attack.between(style.pause)
        seconds = attack.between(style.seconds)
        gap = 1 / attack.between(style.rate)
        side: Side = chance.choice(SIDES)
        while seconds > 0:
            trader = chance.choice(traders)
            if style.both:
                side = chance.choice(SIDES)
            life = min(attack.between(style.life), gap * 0.9)
            if style.amends:
                spent = 0.0
                order = trader.limit(side, _price(attack, style, side), attack.size(style.size, style.varied))
                for _ in range(chance.randint(10, 60)):
                    yield gap
                    spent += gap
                    trader.move(order, _price(attack, style, side) + chance.choice((-1, 0, 1)))
                trader.cancel(order)
                seconds -= spent
            else:
                order = trader.limit(
                    side, _price(attack, style, side), attack.size(style.size, style.varied), post_only=True
                )
                yield life
                trader.cancel(order)
            if chance.random() < style.trades:
                trader.market(chance.choice(SIDES), attack.size(0.03, 0.3))
            wait = max(0.00005, (gap - life) * chance.uniform(0.3, 1.7))
            yield wait
            seconds -= wait + life


def _price(attack: Attack, style: Style, side: Side) -> float:
    floor, chance = attack.floor, attack.chance
    bid, ask = floor.best("buy"), floor.best("sell")
    if bid is None or ask is None:
        return floor.reference() - sign(side) * 10
    best = bid if side == "buy" else ask
    if style.touch:
        return best + sign(side) * (chance.randint(0, 1) if ask - bid > 2 else 0)
    return best - sign(side) * attack.count(style.near)
