"""Wash trading: accounts of one hand trade with each other, in pairs or in rings, and nobody's position changes."""

from typing import NamedTuple

from matching.attack.attacker import Attack
from matching.attack.world import Behaviour, Lots, Trader
from matching.engine.messages import Side


class Style(NamedTuple):
    """`accounts` in a ring, `rounds` around it, seconds between legs and from resting to hitting; `varied` sizes.

    `cut`: a leg may be hit in several bites. `blocked`: all accounts have one owner, so that the exchange prevents it.
    """

    accounts: tuple[int, int] = (2, 2)
    rounds: tuple[int, int] = (6, 12)
    pause: tuple[float, float] = (3, 25)
    gap: tuple[float, float] = (0.03, 1.5)
    varied: float = 0.02
    cut: bool = False
    blocked: bool = False
    tied: float = 0.5
    mixed: bool = False
    minutes: float = 12


STYLES = {
    "pair": Style(),
    "linked": Style(tied=1.0, rounds=(4, 9)),
    "same_owner": Style(blocked=True, rounds=(8, 15)),
    "ring_3": Style(accounts=(3, 3), rounds=(5, 9)),
    "ring_4": Style(accounts=(4, 4), rounds=(4, 8)),
    "ring_5": Style(accounts=(5, 5), rounds=(4, 7)),
    "slow": Style(rounds=(5, 9), pause=(60, 200), gap=(0.2, 4), minutes=34),
    "varied": Style(rounds=(7, 13), varied=0.6, pause=(2, 50), gap=(0.02, 5), cut=True, minutes=16),
    "mixed": Style(rounds=(7, 13), mixed=True, minutes=16),
}


def wash_trading(attack: Attack, style: Style) -> None:
    """Set a ring up and let it turn."""
    user_id = None
    count = attack.count(style.accounts)
    if style.blocked:
        traders = attack.traders(1)
        user_id = attack.world.user_of(traders[0].account_id)
        traders += attack.traders(count - 1, user_id=user_id)
        attack.world.relate("owner", traders[0].account_id, traders[1].account_id, "one owner")
    else:
        traders = attack.traders(count, tied=style.tied)
    if style.mixed:
        attack.mix_in(traders)
    attack.begin(_turn(attack, style, traders), lasting=style.minutes)


def _turn(attack: Attack, style: Style, traders: list[Trader]) -> Behaviour:
    rounds = attack.count(style.rounds)
    for _ in range(rounds):
        lots = attack.size(1.2, 0.2 + style.varied)
        side: Side = attack.chance.choice(("buy", "sell"))
        for number, seller in enumerate(traders):
            buyer = traders[(number + 1) % len(traders)]
            leg = max(1, round(lots * attack.chance.uniform(1 - style.varied / 4, 1 + style.varied / 4)))
            yield from _leg(attack, style, seller, buyer, leg, side)
            yield attack.between(style.pause)


def _leg(attack: Attack, style: Style, seller: Trader, buyer: Trader, lots: Lots, first: Side) -> Behaviour:
    """One sells to the other: whoever is `first` rests inside the spread, the other one hits him."""
    floor, chance = attack.floor, attack.chance
    for _ in range(40):
        bid, ask = floor.best("buy"), floor.best("sell")
        if bid is not None and ask is not None and ask - bid >= 2:
            break
        yield chance.uniform(0.2, 1.5)
    else:
        return
    price = chance.randint(bid + 1, ask - 1)
    maker, taker = (buyer, seller) if first == "buy" else (seller, buyer)
    order = maker.limit(first, price, lots)
    yield attack.between(style.gap)
    bites = chance.randint(2, 3) if style.cut and chance.random() < 0.5 else 1
    for _ in range(bites):
        size = lots if bites == 1 else lots / bites
        taker.limit("sell" if first == "buy" else "buy", price, size, time_in_force="ioc")
        if bites > 1:
            yield chance.uniform(0.05, 1)
    yield chance.uniform(0.1, 1)
    maker.cancel(order)
