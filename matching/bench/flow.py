"""The market and the order flow of every benchmark above the engine.

One market, fee tiers valued in its quote asset, no limits that a load could trip; buyers and sellers, each with funds
for everything they will ask. The flow comes in blocks of five buys and five sells at one price, shuffled: every order
meets another, so that there is one trade for every two orders and the book stays as it was.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from matching.engine.messages import (
    AccountOpened,
    AnyCommand,
    AnyEvent,
    AssetCreated,
    CreateAsset,
    CreateMarket,
    Deposit,
    FeeTier,
    Limits,
    MarketChanged,
    MarketParameters,
    OpenAccount,
    PlaceOrder,
    SetFeeTiers,
    SetLimits,
    Side,
)

BASE, QUOTE = "BENCHBASE", "BENCHQUOTE"
SYMBOL = f"{BASE}-{QUOTE}"
BASE_SCALE, QUOTE_SCALE = 8, 6
TICK, LOT = 10_000, 10_000
"""0.01 of the quote asset, 0.0001 of the base asset."""

PRICE = 43_000 * 10**QUOTE_SCALE
FUNDS = 10**9
"""Whole units of each asset that each account gets."""

BLOCK = 10
PRICES = 21
"""The blocks' prices go up and down over so many ticks."""

GAP_TICKS = 100
"""Resting orders begin so far from the price, beyond the reach of the flow."""

DEPTH_LEVELS = 1_000
TIERS = (
    FeeTier(volume=0, maker_rate=1_000, taker_rate=1_500),
    FeeTier(volume=10**6 * 10**QUOTE_SCALE, maker_rate=800, taker_rate=1_200),
)

Execute = Callable[[Sequence[AnyCommand]], list[list[AnyEvent]]]
"""Carries commands to an exchange, one after the other, and gives each one's events."""


class Floor(NamedTuple):
    """A market in the making of a benchmark, and its accounts."""

    market_id: int
    buyers: list[int]
    sellers: list[int]


class Wish(NamedTuple):
    """An order before anybody places it; price and quantity in units."""

    account_id: int
    side: Side
    price: int
    quantity: int
    client_order_id: str


def build(*, execute: Execute, user_ids: Sequence[int]) -> Floor:
    """Open the market, and one account for each user; every second one buys, the others sell."""
    base, quote = (_created(events) for events in execute([CreateAsset(BASE, BASE, 8), CreateAsset(QUOTE, QUOTE, 6)]))
    parameters = MarketParameters(
        tick_size=TICK, lot_size=LOT, min_quantity=LOT, max_quantity=10**6 * 10**BASE_SCALE,
        min_notional=10**QUOTE_SCALE, max_notional=10**9 * 10**QUOTE_SCALE, reference_price=PRICE,
    )  # fmt: skip
    opened = execute(
        [
            CreateMarket(base, quote, parameters),
            SetFeeTiers(TIERS, quote),
            SetLimits(None, Limits(max_open_orders=None, orders_per_second=None)),
        ]
    )
    market = opened[0][0]
    assert isinstance(market, MarketChanged)
    accounts = [_opened(events) for events in execute([OpenAccount(user_id) for user_id in user_ids])]
    deposits: list[AnyCommand] = []
    for account_id in accounts:
        deposits.append(Deposit(account_id, base, FUNDS * 10**BASE_SCALE))
        deposits.append(Deposit(account_id, quote, FUNDS * 10**QUOTE_SCALE))
    execute(deposits)
    return Floor(market.market_id, accounts[::2], accounts[1::2])


def trading_orders(floor: Floor, *, count: int, name: str) -> Iterator[Wish]:
    """The flow: one trade for every two orders. `name` keeps client order ids of several flows apart."""
    chance = random.Random(name)  # noqa: S311 - a repeatable flow, no secret
    for block in range(-(-count // BLOCK)):
        step = block % (2 * PRICES - 2)
        price = PRICE + (min(step, 2 * PRICES - 2 - step) - PRICES // 2) * TICK
        quantity = chance.randint(1, 200) * LOT
        sides: list[Side] = ["buy", "sell"] * (BLOCK // 2)
        chance.shuffle(sides)
        for place, side in enumerate(sides[: count - block * BLOCK]):
            accounts = floor.buyers if side == "buy" else floor.sellers
            account_id = accounts[chance.randrange(len(accounts))]
            yield Wish(account_id, side, price, quantity, f"{name}-{block * BLOCK + place}")


def resting_orders(floor: Floor, *, count: int) -> Iterator[Wish]:
    """Orders that rest on both sides, over a thousand levels each, where the flow does not come."""
    for number in range(count):
        side: Side = "sell" if number % 2 else "buy"
        accounts = floor.sellers if number % 2 else floor.buyers
        distance = (GAP_TICKS + number // 2 % DEPTH_LEVELS) * TICK
        price = PRICE + distance if number % 2 else PRICE - distance
        account_id = accounts[number // 2 % len(accounts)]
        yield Wish(account_id, side, price, LOT * (1 + number % 50), f"resting-{number}")


def commands(floor: Floor, wishes: Iterator[Wish]) -> list[PlaceOrder]:
    """The wishes as the gateway would hand them on."""
    return [
        PlaceOrder(
            wish.account_id,
            floor.market_id,
            wish.side,
            price=wish.price,
            quantity=wish.quantity,
            client_order_id=wish.client_order_id,
        )
        for wish in wishes
    ]


def _created(events: list[AnyEvent]) -> int:
    event = events[0]
    assert isinstance(event, AssetCreated), event
    return event.asset_id


def _opened(events: list[AnyEvent]) -> int:
    event = events[0]
    assert isinstance(event, AccountOpened), event
    return event.account_id
