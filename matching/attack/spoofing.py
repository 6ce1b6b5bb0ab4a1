"""Spoofing and layering: large orders that are not meant to trade move the others into a small one that is."""

from typing import NamedTuple

from matching.attack.attacker import Attack
from matching.attack.makers import SIDES
from matching.attack.world import Behaviour, Lots, Trader, other, sign
from matching.engine.messages import OrderState, Side


class Style(NamedTuple):
    """A cycle: a genuine order, baits on the other side, a fill or patience's end, the baits are pulled.

    `layers` of bait, together `times` the genuine order, from `near` ticks behind the touch; `hold`: seconds they stay
    at most; `pause` between cycles. `filled`: the first bait stands at the touch and may be hit. `rolling`: the ladder
    follows the price. `turns`: how likely the next cycle goes the other way.
    """

    layers: tuple[int, int] = (1, 1)
    times: tuple[float, float] = (7, 16)
    near: tuple[int, int] = (0, 3)
    hold: tuple[float, float] = (5, 14)
    pause: tuple[float, float] = (5, 30)
    cycles: tuple[int, int] = (6, 11)
    reaction: tuple[float, float] = (0.03, 0.7)
    accounts: tuple[int, int] = (1, 1)
    size: tuple[float, float] = (0.5, 1.2)
    turns: float = 0.3
    filled: bool = False
    rolling: bool = False
    mixed: bool = False
    minutes: float = 8


SPOOFING = {
    "simple": Style(),
    "slow": Style(hold=(20, 50), pause=(60, 160), cycles=(6, 9), reaction=(0.3, 2.5), minutes=26),
    "split": Style(accounts=(2, 4), cycles=(7, 12)),
    "varied": Style(times=(3.5, 15), near=(0, 6), hold=(2, 25), pause=(2, 70), cycles=(7, 12), size=(0.3, 2.0),
                    reaction=(0.02, 2), minutes=13),
    "mixed": Style(mixed=True, cycles=(7, 12), minutes=10),
    "baits_filled": Style(filled=True, cycles=(7, 12), times=(8, 16), minutes=10),
    "flipping": Style(turns=1.0, pause=(1, 10), cycles=(8, 14), minutes=8),
}  # fmt: skip

LAYERING = {
    "simple": Style(layers=(3, 6)),
    "slow": Style(layers=(3, 6), hold=(20, 50), pause=(60, 160), cycles=(6, 9), reaction=(0.3, 2.5), minutes=26),
    "split": Style(layers=(4, 8), accounts=(3, 5), cycles=(7, 12)),
    "varied": Style(layers=(3, 7), times=(4, 15), near=(0, 4), hold=(2, 25), pause=(2, 70), cycles=(7, 12),
                    size=(0.3, 2.0), reaction=(0.02, 2), minutes=13),
    "mixed": Style(layers=(3, 6), mixed=True, cycles=(7, 12), minutes=10),
    "baits_filled": Style(layers=(4, 6), filled=True, cycles=(7, 12), minutes=10),
    "rolling": Style(layers=(4, 6), rolling=True, hold=(10, 30), cycles=(5, 9), minutes=9),
}  # fmt: skip


def spoof(attack: Attack, style: Style) -> None:
    """One who wants a better price, with the accounts of his baits."""
    traders = attack.traders(attack.count(style.accounts))
    if style.mixed:
        attack.mix_in(traders)
    attack.begin(_cycles(attack, style, traders), lasting=style.minutes)


def _cycles(attack: Attack, style: Style, traders: list[Trader]) -> Behaviour:
    side: Side = attack.chance.choice(SIDES)
    for _ in range(attack.count(style.cycles)):
        yield from _cycle(attack, style, traders[0], traders[1:] or traders, side)
        if attack.chance.random() < style.turns:
            side = other(side)
        yield attack.between(style.pause)


def _cycle(attack: Attack, style: Style, genuine: Trader, baiters: list[Trader], side: Side) -> Behaviour:
    floor, chance = attack.floor, attack.chance
    bid, ask = floor.best("buy"), floor.best("sell")
    if bid is None or ask is None:
        return
    own, across = (bid, ask) if side == "buy" else (ask, bid)
    price = own + sign(side) if abs(across - own) > 2 and chance.random() < 0.6 else own
    lots = attack.size(attack.between(style.size), 0.2)
    order = genuine.limit(side, price, lots, post_only=True)
    yield chance.uniform(0.1, 1.5)
    if genuine.live(order) is None:
        return
    baits = list[tuple[Trader, OrderState | None]]()
    yield from _bait(attack, style, baiters, other(side), lots, baits)
    patience = attack.between(style.hold)
    while patience > 0:
        wait = chance.uniform(0.15, 0.6)
        yield wait
        patience -= wait
        if genuine.left(order) < lots * 0.6:
            break
        if not style.filled and _threatened(attack, baits, other(side)):
            yield from _pull(attack, baits)
            if style.rolling or chance.random() < 0.7:
                yield from _bait(attack, style, baiters, other(side), lots, baits)
        elif style.rolling and chance.random() < 0.12:
            yield from _pull(attack, baits)
            yield from _bait(attack, style, baiters, other(side), lots, baits)
    yield attack.between(style.reaction)
    yield from _pull(attack, baits)
    yield chance.uniform(0.1, 2)
    genuine.cancel(order)


def _bait(
    attack: Attack,
    style: Style,
    baiters: list[Trader],
    side: Side,
    lots: Lots,
    baits: list[tuple[Trader, OrderState | None]],
) -> Behaviour:
    """Put the large orders up: near enough to be seen, far enough not to be hit."""
    chance = attack.chance
    layers = attack.count(style.layers)
    total = lots * attack.between(style.times)
    best = attack.floor.best(side)
    if best is None:
        return
    price = float(best - sign(side) * (0 if style.filled else attack.count(style.near)))
    weights = [chance.uniform(0.6, 1.4) * (1 + 0.15 * layer) for layer in range(layers)]
    if style.filled:
        weights[0] *= 0.2
        weights.append(sum(weights) if layers == 1 else 0.5)
    for number, weight in enumerate(weights):
        trader = baiters[number % len(baiters)] if layers > 1 else chance.choice(baiters)
        size = total * weight / sum(weights)
        if layers == 1 and len(baiters) > 1:
            for one in baiters:
                baits.append(
                    (one, one.limit(side, price, size / len(baiters) * chance.uniform(0.7, 1.3), post_only=True))
                )
                yield chance.uniform(0.01, 0.4)
        else:
            baits.append((trader, trader.limit(side, price, size, post_only=True)))
        price -= sign(side) * chance.choice((1, 1, 2))
        yield chance.uniform(0.01, 0.4)


def _threatened(attack: Attack, baits: list[tuple[Trader, OrderState | None]], side: Side) -> bool:
    """Whether a bait has become the best price, or has been hit."""
    best = attack.floor.best(side)
    tick = attack.floor.flavour.tick
    ahead = attack.floor.depth(side, 1)
    for trader, order in baits:
        live = trader.live(order)
        if live is not None and best is not None and live.price == best * tick:
            return trader.left(order) > 0.6 * ahead
    return False


def _pull(attack: Attack, baits: list[tuple[Trader, OrderState | None]]) -> Behaviour:
    """Take the baits back, in one go or one by one."""
    at_once = len(baits) > 1 and attack.chance.random() < 0.3
    for trader in dict.fromkeys(trader for trader, _ in baits):
        if at_once:
            sides = [live.side for _, order in baits if (live := trader.live(order)) is not None]
            if sides:
                trader.cancel_all(sides[0])
    for trader, order in baits:
        if trader.live(order) is not None:
            trader.cancel(order)
            yield attack.chance.uniform(0.002, 0.05)
    baits.clear()
