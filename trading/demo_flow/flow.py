"""The demo's living market: makers who quote around a walk, takers who trade now and then, one request at a time.

Every activity is a task that says when it wants to be called again. The walk starts where the last trade was, follows
what people do to the price, and nothing is remembered that the exchange could not tell again: whatever goes wrong,
`run` waits a little longer each time and starts from what the exchange says.
"""

import heapq
import logging
import math
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

from matching.engine.messages import Side
from trading.demo_flow.client import Client, Key, Refused, Unavailable
from trading.demo_flow.makers import Maker, Quote
from trading.demo_flow.rules import LEVELS, TRADES_PER_SECOND, MarketRules, trade_dollars
from trading.demo_flow.walk import Walk

logger = logging.getLogger(__name__)

PRICED_IN = "USDT"
ANCHORED = ("BTC", "ETH")
"""The assets that have a walk; markets between these and PRICED_IN are quoted."""

QUOTE_SECONDS = 0.7
LOOK_SECONDS = 3.0
LIST_SECONDS = 12.0
MOVES = 2
MOVES_MAX = 12
"""Orders moved each time: those that are wrong at all, and at most when they are on the wrong side of the price."""

TOLERANCE = 0.5
FRESH_CHANCE = 0.35
FOLLOW_FROM = 8e-4
FOLLOW = 0.3
"""A last trade further than this from the fair price pulls it by this share of the distance."""

BARGAIN = 6e-4
BARGAIN_DOLLARS = 30_000.0
"""An order this much better than fair is taken, at most so much at a time."""

SLIP = 3e-3
BURST_CHANCE = 0.1
BURST_TRADES = 6
PAUSE_SECONDS = 5.0
CLOSED = frozenset({"market_halted", "market_cancel_only", "market_post_only", "exchange_halted", "account_frozen"})
TOP_UPS = {"BTC": "1000", "ETH": "15000", "USDT": "50000000"}
TOP_UP_SECONDS = 60.0
BACK_OFF_SECONDS = 0.5
BACK_OFF_SECONDS_MAX = 60.0
STEADY_SECONDS = 30.0

Wait = Callable[[float], bool]
"""Waits so many seconds; True when it is time to end."""


class Taker:
    """What is traded on one market: single orders at random times, now and then several in a row on one side."""

    def __init__(self, *, rules: MarketRules, rng: Random) -> None:
        self.rules = rules
        self._rng = rng
        self._burst = 0
        self._side: Side = "buy"
        self._seen = 0.0

    def next_side(self, fair: float) -> Side:
        """Takers follow the price: they rather buy when it has risen since the last time."""
        if self._burst:
            self._burst -= 1
        else:
            rises = fair > self._seen
            self._side = "buy" if self._rng.random() < (0.62 if rises else 0.38) else "sell"
            self._burst = self._rng.randint(1, BURST_TRADES) if self._rng.random() < BURST_CHANCE else 0
        self._seen = fair
        return self._side

    def pause(self, nerves: float) -> float:
        """Seconds until the next order."""
        if self._burst:
            return self._rng.uniform(0.05, 0.6)
        return self._rng.expovariate(TRADES_PER_SECOND * math.sqrt(self.rules.share) * nerves)


class Flow:
    """Everything that runs between a start and the first failure. Raises Unavailable."""

    def __init__(self, *, client: Client, keys: Sequence[Key], rng: Random) -> None:
        self._client = client
        self._rng = rng
        self._taker_keys = [key for key in keys if "taker" in key.username]
        maker_keys = [key for key in keys if "maker" in key.username]
        described = client.get("/markets")
        markets = [_rules(found) for found in described if {found["base"], found["quote"]} <= {*ANCHORED, PRICED_IN}]
        self._walk = self._walk_from(described)
        self._makers = {
            rules.symbol: [
                Maker(client=client, key=key, rules=rules, levels=range(LEVELS)[number :: len(maker_keys)], rng=rng)
                for number, key in enumerate(maker_keys)
            ]
            for rules in markets
        }
        self._closed_until: dict[str, float] = {}
        self._topped_up: dict[tuple[str, str], float] = {}
        self._last_trades: dict[str, int] = {}
        self._walked = time.monotonic()
        self._tasks: list[tuple[float, int, Callable[[], float]]] = []
        for key in maker_keys:
            self._add(partial(self._list, key))
        for rules in markets:
            self._add(partial(self._quote, rules))
            self._add(partial(self._look, rules))
            self._add(partial(self._take, Taker(rules=rules, rng=rng)))

    def seconds_to_next(self) -> float:
        """How long there is nothing to do."""
        return max(0.0, self._tasks[0][0] - time.monotonic())

    def act(self) -> None:
        """Do what is due."""
        _, number, task = self._tasks[0]
        now = time.monotonic()
        self._walk.step(now - self._walked)
        self._walked = now
        heapq.heapreplace(self._tasks, (time.monotonic() + task(), number, task))

    def _add(self, task: Callable[[], float]) -> None:
        heapq.heappush(self._tasks, (time.monotonic(), len(self._tasks), task))

    def _walk_from(self, described: Sequence[dict[str, Any]]) -> Walk:
        """A walk anchored at the reference prices, now where the last trades were."""
        found = {market["base"]: market for market in described if market["quote"] == PRICED_IN}
        anchors = {asset: float(found[asset]["reference_price"] or 1) for asset in ANCHORED if asset in found}
        walk = Walk(anchors=anchors, rng=self._rng)
        for asset in anchors:
            for trade in self._client.get(f"/markets/{asset}-{PRICED_IN}/trades?limit=1")["results"]:
                walk.pull(asset, PRICED_IN, float(trade["price"]), 1.0)
        return walk

    # ------------------------------------------------------------------------------------------ tasks

    def _list(self, key: Key) -> float:
        """Make a maker's memory agree with its open orders."""
        orders = self._client.get("/orders?status=open&limit=500", key=key)["results"]
        for makers in self._makers.values():
            for maker in makers:
                if maker.key is key:
                    maker.adopt([order for order in orders if order["market"] == maker.rules.symbol])
        return LIST_SECONDS * self._rng.uniform(0.8, 1.2)

    def _quote(self, rules: MarketRules) -> float:
        """Fill the gaps in a market's book and move what is most out of place."""
        if not self._is_closed(rules):
            fair, dollars = self._walk.fair(rules.base, rules.quote), self._walk.dollars(rules.base)
            makers = self._makers[rules.symbol]
            for maker in makers:
                for code in maker.place_missing(fair=fair, dollars=dollars):
                    self._refused(code, rules, maker.key, (rules.base, rules.quote))
            for maker, quote in self._to_move(makers, fair):
                refusal = maker.move(quote, fair=fair, dollars=dollars)
                self._refused(refusal, rules, maker.key, (rules.base if quote.side == "sell" else rules.quote,))
        return QUOTE_SECONDS * self._rng.uniform(0.7, 1.3)

    def _to_move(self, makers: Sequence[Maker], fair: float) -> list[tuple[Maker, Quote]]:
        """The few that are most out of place, too near before too far; else now and then any, for its size."""
        resting = [(maker, quote) for maker in makers for quote in maker.resting()]
        wrong = sorted(
            (pair for pair in resting if pair[1].error(fair) > TOLERANCE),
            key=lambda pair: pair[1].error(fair),
            reverse=True,
        )
        crossed = sum(quote.beyond(fair) < 0 for _, quote in wrong)
        chosen = wrong[: min(MOVES + crossed, MOVES_MAX)]
        if not chosen and resting and self._rng.random() < FRESH_CHANCE:
            chosen = [self._rng.choice(resting)]
        return sorted(chosen, key=lambda pair: pair[1].outward(fair))

    def _look(self, rules: MarketRules) -> float:
        """See what others did: follow a price that was moved, take what is offered too cheaply."""
        if not self._is_closed(rules):
            fair = self._walk.fair(rules.base, rules.quote)
            for trade in self._client.get(f"/markets/{rules.symbol}/trades?limit=1")["results"]:
                price = float(trade["price"])
                if self._last_trades.get(rules.symbol, trade["id"]) != trade["id"] and (
                    abs(math.log(price / fair)) > FOLLOW_FROM
                ):
                    self._walk.pull(rules.base, rules.quote, price, FOLLOW)
                    fair = self._walk.fair(rules.base, rules.quote)
                self._last_trades[rules.symbol] = trade["id"]
            depth = self._client.get(f"/markets/{rules.symbol}/depth?levels=1")
            self._bargain(rules, "sell", depth["bids"], fair)
            self._bargain(rules, "buy", depth["asks"], fair)
        return LOOK_SECONDS * self._rng.uniform(0.8, 1.2)

    def _bargain(self, rules: MarketRules, side: Side, levels: Sequence[Sequence[str]], fair: float) -> None:
        for price, quantity in levels:
            gain = math.log(float(price) / fair)
            if (gain if side == "sell" else -gain) > BARGAIN:
                most = BARGAIN_DOLLARS / self._walk.dollars(rules.base)
                self._trade(rules, side, min(float(quantity), most), Decimal(price))

    def _take(self, taker: Taker) -> float:
        """One order of a taker, at whatever price is near the fair one."""
        rules = taker.rules
        if not self._is_closed(rules):
            fair = self._walk.fair(rules.base, rules.quote)
            side = taker.next_side(fair)
            price = rules.price(fair * (1 + SLIP if side == "buy" else 1 - SLIP), side)
            size = trade_dollars(rules.share, self._walk.nerves, self._rng) / self._walk.dollars(rules.base)
            self._trade(rules, side, size, price)
        return taker.pause(self._walk.nerves)

    # ------------------------------------------------------------------------------------------ what they need

    def _trade(self, rules: MarketRules, side: Side, size: float, price: Decimal) -> None:
        key = self._rng.choice(self._taker_keys)
        body = {
            "market": rules.symbol,
            "side": side,
            "type": "limit",
            "time_in_force": "ioc",
            "price": f"{price:f}",
            "quantity": f"{rules.quantity(size, price):f}",
        }
        try:
            self._client.send("POST", "/orders", body, key=key)
        except Refused as refused:
            self._refused(refused.code, rules, key, (rules.base if side == "sell" else rules.quote,))

    def _is_closed(self, rules: MarketRules) -> bool:
        return time.monotonic() < self._closed_until.get(rules.symbol, 0.0)

    def _refused(self, code: str | None, rules: MarketRules, key: Key, assets: Sequence[str]) -> None:
        """Draw the consequences: leave a closed market alone for a while, fill up an empty account."""
        if code in CLOSED:
            self._closed_until[rules.symbol] = time.monotonic() + PAUSE_SECONDS * self._rng.uniform(0.5, 1.5)
        elif code == "insufficient_balance":
            for asset in assets:
                self._top_up(key, asset)

    def _top_up(self, key: Key, asset: str) -> None:
        now = time.monotonic()
        if now - self._topped_up.get((key.username, asset), -math.inf) >= TOP_UP_SECONDS:
            self._topped_up[key.username, asset] = now
            self._client.send("POST", "/deposits", {"asset": asset, "amount": TOP_UPS[asset]}, key=key)


def run(*, url: str, keys: Sequence[Key], rng: Random, wait: Wait) -> None:
    """Keep the market at `url` alive until `wait` says that it is time to end."""
    client = Client(url=url)
    failures, began = 0, time.monotonic()
    while not wait(back_off(failures, rng) if failures else 0.0):
        try:
            began = time.monotonic()
            flow = Flow(client=client, keys=keys, rng=rng)
            while not wait(flow.seconds_to_next()):
                flow.act()
            break
        except (Unavailable, Refused) as reason:
            failures = _count(failures, began)
            if failures > 1:
                logger.info("The demo flow waits for the exchange: %s", reason)
            if isinstance(reason, Unavailable) and reason.retry_after is not None and wait(reason.retry_after):
                break
        except Exception:
            failures = _count(failures, began)
            logger.exception("The demo flow starts over")
    client.close()


def _count(failures: int, began: float) -> int:
    """Failures in a row: after a steady time it is the first one again."""
    return 1 if time.monotonic() - began > STEADY_SECONDS else failures + 1


def back_off(failures: int, rng: Random) -> float:
    """Seconds to wait after so many failures in a row: twice as long each time, half of it by chance."""
    return float(min(BACK_OFF_SECONDS_MAX, BACK_OFF_SECONDS * 2.0 ** min(failures - 1, 16)) * rng.uniform(0.5, 1.0))


def _rules(described: dict[str, Any]) -> MarketRules:
    sizes = (Decimal(described[name]) for name in ("tick_size", "lot_size", "min_notional"))
    return MarketRules(described["market"], described["base"], described["quote"], *sizes)
