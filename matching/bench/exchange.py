"""The exchange without a database: engine, risk, fees and ledger together, and how long one command takes in it.

Half a trade per order, with resting orders beside the price, client order ids, fee tiers and volumes. `latencies` runs
the same flow with a clock around each command; `growth` compares two sizes of the book, taking turns.
"""

import argparse
import time
from collections.abc import Iterator, Sequence

from matching.bench import flow, report
from matching.bench.engine import RESTING, engine_rate, mix
from matching.bench.report import Row
from matching.engine.messages import AnyCommand, AnyEvent, OrderPlaced, PlaceOrder, TradeExecuted
from matching.exchange import Exchange

ACCOUNTS = 20
NOW = 1_700_000_000_000_000
MICROSECONDS_APART = 100
FORGET_EVERY = 256
"""The worker forgets old client order ids once a batch."""

RUNS = 3
GROWTH_RUNS = 5
MATCHING_P99_MS = 1
GROWTH_MAX = 1.2
TRADES_PER_ORDER = 0.5


class Bench:
    """An exchange in memory with its floor and `resting` orders."""

    def __init__(self, *, resting: int) -> None:
        self.exchange = Exchange()
        self.now = NOW
        self.floor = flow.build(execute=self.execute, user_ids=range(1, 1 + ACCOUNTS))
        self.execute(flow.commands(self.floor, flow.resting_orders(self.floor, count=resting)))
        assert len(self.exchange.state.orders) == resting

    def execute(self, commands: Sequence[AnyCommand]) -> list[list[AnyEvent]]:
        """Apply commands one after the other."""
        answers = []
        for command in commands:
            self.now += MICROSECONDS_APART
            answers.append(self.exchange.apply(command, self.now))
        return answers

    def seconds(self, orders: list[PlaceOrder]) -> float:
        """How long a flow takes."""
        apply, now = self.exchange.apply, self.now

        def play() -> None:
            moment = now
            for number, order in enumerate(orders):
                moment += MICROSECONDS_APART
                apply(order, moment)
                if not number % FORGET_EVERY:
                    self.exchange.state.forget_old_client_orders()

        trades = self.exchange.state.trade_id
        took = report.timed(play)
        self.now = self.exchange.state.now
        assert self.exchange.state.trade_id - trades >= len(orders) * TRADES_PER_ORDER * 0.9, "too few trades"
        return took

    def latencies(self, orders: list[PlaceOrder]) -> list[float]:
        """Milliseconds from each command taken to its events, sorted."""
        found: list[int] = []

        def play() -> None:
            apply, now, clock = self.exchange.apply, self.now, time.perf_counter_ns
            for order in orders:
                now += MICROSECONDS_APART
                began = clock()
                apply(order, now)
                found.append(clock() - began)

        report.timed(play)
        self.now = self.exchange.state.now
        return sorted(took / 1e6 for took in found)


def measure(*, orders: int, resting: int = RESTING, runs: int = RUNS) -> Iterator[Row]:
    """The exchange's rows; the yardstick is the engine alone on its own mix."""
    bench = Bench(resting=resting)
    engine_flow = mix(commands=orders, resting=resting)
    seconds: list[float] = []
    engine_rates: list[float] = []
    for run in range(runs):
        batch = flow.commands(bench.floor, flow.trading_orders(bench.floor, count=orders, name=f"run{run}"))
        seconds.append(bench.seconds(batch))
        engine_rates.append(engine_rate(engine_flow))
    took = report.median(seconds) / orders
    yield report.rate_row(
        group="exchange",
        what=f"engine + risk + fees + ledger, {resting:,} resting",
        figure=1 / took,
        unit="commands/s",
        yardstick="engine alone, its mix",
        yardstick_figure=report.median(engine_rates),
        at_least=None,
        note=f"{took * 1e6:.1f} us a command, {_trades(bench, orders):.2f} trades per order",
    )
    batch = flow.commands(bench.floor, flow.trading_orders(bench.floor, count=orders, name="latencies"))
    found = bench.latencies(batch)
    for percent, below in ((50, None), (99, MATCHING_P99_MS), (100, None)):
        yield report.bounded_row(
            group="exchange",
            what="matching itself, " + (f"p{percent}" if percent < 100 else "max"),
            figure=report.percentile(values=found, percent=percent),
            unit="ms",
            below=below,
        )


def growth(*, orders: int, small: int, large: int, runs: int = GROWTH_RUNS) -> Iterator[Row]:
    """What an order costs in the exchange with a large book, in terms of a small one; the two take turns."""
    benches = [Bench(resting=small), Bench(resting=large)]
    costs: tuple[list[float], list[float]] = ([], [])
    for run in range(runs):
        for bench, found in zip(benches, costs, strict=True):
            batch = flow.commands(bench.floor, flow.trading_orders(bench.floor, count=orders, name=f"run{run}"))
            found.append(bench.seconds(batch) / orders * 1e6)
    yield report.bounded_row(
        group="growth",
        what=f"apply, {large:,} resting orders",
        figure=report.median(costs[1]),
        unit="us",
        yardstick=f"{small:,} resting orders",
        yardstick_figure=report.median(costs[0]),
        ratio_at_most=GROWTH_MAX,
    )


def _trades(bench: Bench, count: int) -> float:
    """Trades per order over a stretch of the flow; AssertionError if one was refused."""
    batch = flow.commands(bench.floor, flow.trading_orders(bench.floor, count=count, name="counting"))
    trades = 0
    for events in bench.execute(batch):
        assert isinstance(events[0], OrderPlaced) or any(isinstance(event, OrderPlaced) for event in events), events
        trades += sum(isinstance(event, TradeExecuted) for event in events)
    return trades / count


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--growth", type=int, nargs=2, metavar=("SMALL", "LARGE"))
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    if options.growth:
        small, large = options.growth
        report.hand_over(list(growth(orders=options.orders, small=small, large=large, runs=options.runs)))
    else:
        report.hand_over(list(measure(orders=options.orders, runs=options.runs)))
