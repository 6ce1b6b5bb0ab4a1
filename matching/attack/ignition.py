"""Momentum ignition and pump and dump: a quiet position, a push that others join, and the way out through them."""

from typing import NamedTuple

from matching.attack.attacker import Attack
from matching.attack.world import Behaviour, Lots, Trader, other, sign
from matching.engine.messages import Side


class Style(NamedTuple):
    """`quiet` orders over `quiet_seconds`, then `push` orders over `push_seconds`, then out over `exit_seconds`.

    Sizes in clips: of a quiet order and of an order of the push. `accounts` share all of it. `resting`: which part of
    the way out is by limit orders. `inside`: the accounts also trade with each other, for the volume's looks.
    """

    quiet: tuple[int, int] = (5, 10)
    quiet_seconds: tuple[float, float] = (40, 150)
    quiet_size: tuple[float, float] = (2, 4)
    push: tuple[int, int] = (4, 8)
    push_seconds: tuple[float, float] = (2, 12)
    push_size: tuple[float, float] = (7, 13)
    wait: tuple[float, float] = (1, 10)
    exit_seconds: tuple[float, float] = (15, 70)
    rounds: tuple[int, int] = (1, 2)
    accounts: tuple[int, int] = (1, 1)
    varied: float = 0.25
    down: float = 0.4
    resting: float = 0
    inside: bool = False
    mixed: bool = False
    minutes: float = 9


IGNITION = {
    "simple": Style(),
    "slow": Style(push=(8, 14), push_seconds=(30, 75), exit_seconds=(70, 170), push_size=(4.5, 8), minutes=14),
    "split": Style(accounts=(2, 4)),
    "varied": Style(varied=0.9, push=(3, 14), push_seconds=(1, 30), exit_seconds=(10, 140), minutes=12),
    "mixed": Style(mixed=True),
    "resting_exit": Style(resting=1, exit_seconds=(30, 110)),
}

PUMP = Style(
    quiet=(18, 28), quiet_seconds=(300, 600), quiet_size=(3.5, 6.5), push=(10, 16), push_seconds=(40, 110),
    push_size=(6, 11), wait=(0.5, 3), exit_seconds=(70, 160), resting=0.5, rounds=(1, 1), accounts=(2, 3), down=0,
    minutes=20,
)  # fmt: skip

PUMPING = {
    "simple": PUMP._replace(accounts=(1, 1)),
    "split": PUMP._replace(accounts=(4, 6)),
    "slow": PUMP._replace(quiet_seconds=(700, 1000), push_seconds=(160, 300), push=(12, 18), exit_seconds=(150, 300),
                          minutes=33),
    "varied": PUMP._replace(varied=0.9, push=(5, 15)),
    "mixed": PUMP._replace(mixed=True),
    "inside_volume": PUMP._replace(accounts=(3, 5), inside=True),
}  # fmt: skip


def ignite(attack: Attack, style: Style) -> None:
    """One hand, or several accounts of it, that moves the price and sells to those who follow."""
    traders = attack.traders(attack.count(style.accounts))
    if style.mixed:
        attack.mix_in(traders, 90)
    attack.begin(_rounds(attack, style, traders), lasting=style.minutes)


def _rounds(attack: Attack, style: Style, traders: list[Trader]) -> Behaviour:
    chance = attack.chance
    for number in range(attack.count(style.rounds)):
        if number:
            yield chance.uniform(60, 180)
        side: Side = "sell" if chance.random() < style.down else "buy"
        held = dict.fromkeys(range(len(traders)), 0)
        yield from _gather(attack, style, traders, side, held)
        yield from _push(attack, style, traders, side, held)
        yield attack.between(style.wait)
        yield from _leave(attack, style, traders, side, held)


def _gather(attack: Attack, style: Style, traders: list[Trader], side: Side, held: dict[int, Lots]) -> Behaviour:
    """Quietly: at the touch or with little orders at the market."""
    chance, floor = attack.chance, attack.floor
    orders = attack.count(style.quiet)
    seconds = attack.between(style.quiet_seconds) / orders
    for _ in range(orders):
        who = chance.randrange(len(traders))
        lots = attack.size(attack.between(style.quiet_size), style.varied)
        best = floor.best(side)
        if chance.random() < 0.5 and best is not None:
            order = traders[who].limit(side, best, lots)
            yield seconds * chance.uniform(0.5, 1)
            rest = traders[who].left(order)
            traders[who].cancel(order)
            held[who] += lots - rest
        else:
            held[who] += traders[who].filled(traders[who].market(side, lots))
        yield seconds * chance.uniform(0.3, 0.9)


def _push(attack: Attack, style: Style, traders: list[Trader], side: Side, held: dict[int, Lots]) -> Behaviour:
    """Loudly: order after order through several levels."""
    chance, floor = attack.chance, attack.floor
    orders = attack.count(style.push)
    seconds = attack.between(style.push_seconds) / orders
    for _ in range(orders):
        who = chance.randrange(len(traders))
        lots = attack.size(attack.between(style.push_size), style.varied)
        if chance.random() < 0.5:
            held[who] += traders[who].filled(traders[who].market(side, lots))
        else:
            reach = floor.middle() + sign(side) * floor.flavour.spread * chance.uniform(3, 6)
            held[who] += traders[who].filled(traders[who].limit(side, reach, lots, time_in_force="ioc"))
        if style.inside and len(traders) > 1 and chance.random() < 0.5:
            yield from _trade_inside(attack, traders)
        yield seconds * chance.uniform(0.4, 1.6)


def _trade_inside(attack: Attack, traders: list[Trader]) -> Behaviour:
    one, two = attack.chance.sample(traders, 2)
    bid, ask = attack.floor.best("buy"), attack.floor.best("sell")
    if bid is not None and ask is not None and ask - bid > 1:
        lots = attack.size(1.0)
        order = one.limit("sell", ask - 1, lots)
        yield attack.chance.uniform(0.02, 0.4)
        two.limit("buy", ask - 1, lots, time_in_force="ioc")
        one.cancel(order)


def _leave(attack: Attack, style: Style, traders: list[Trader], side: Side, held: dict[int, Lots]) -> Behaviour:
    """Out, into the hands of those who have joined, in as many orders as it takes."""
    chance, floor = attack.chance, attack.floor
    seconds_out = attack.between(style.exit_seconds)
    parts = max(5, round(seconds_out / chance.uniform(5, 11)))
    seconds = seconds_out / parts
    for part in range(parts):
        for who, trader in enumerate(traders):
            lots = min(1, chance.uniform(0.6, 1.4) / (parts - part)) * held[who] if part < parts - 1 else held[who]
            if lots < 1:
                continue
            best = floor.best(other(side))
            if best is not None and part < parts - 1 and chance.random() < style.resting:
                order = trader.limit(other(side), best - chance.randint(0, 1) * sign(other(side)) * -1, lots)
                yield seconds * chance.uniform(0.5, 1.0)
                rest = trader.left(order)
                trader.cancel(order)
                held[who] -= round(lots) - rest
            else:
                held[who] -= trader.filled(trader.market(other(side), lots))
        yield seconds * chance.uniform(0.4, 1.4)
