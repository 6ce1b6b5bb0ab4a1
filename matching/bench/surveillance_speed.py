"""How many orders a second the exchange and surveillance take together on one core, next to the exchange alone.

The flow is a simulated hour with attacks, with all its cancels and amends; the two take turns. Seconds are the
process's own on its core, so that a busy machine does not make them longer.
"""

import time
from collections.abc import Callable

from matching.attack.scenario import simulate
from matching.bench import report
from matching.bench.report import Row
from matching.engine.messages import AmendOrder, CancelOrder, CancelOrders
from matching.exchange import Exchange
from risk.surveillance.surveillance import Surveillance

RATE_MIN = 5_000
RUNS = 3
ATTACKS = (("spoofing", "mixed"), ("wash_trading", "mixed"), ("order_to_trade", "mixed"), ("layering", "varied"))


def measure(*, seed: int, minutes: float = 60, runs: int = RUNS) -> Row:
    """The row of the speed."""
    run = simulate(seed=seed, attacks=ATTACKS, minutes=minutes)
    relations = run.related()
    commands = [(step.at, step.command) for step in run.steps]
    alone: list[float] = []
    together: list[float] = []

    def play_alone() -> None:
        exchange = Exchange()
        for at, command in commands:
            exchange.apply(command, at)

    def play_together() -> None:
        exchange = Exchange()
        surveillance = Surveillance({}, relations)
        for sequence, (at, command) in enumerate(commands, start=1):
            surveillance.observe(sequence, at, command, exchange.apply(command, at))

    for _ in range(runs):
        alone.append(len(commands) / _seconds(play_alone))
        together.append(len(commands) / _seconds(play_together))
    cancels = sum(isinstance(command, CancelOrder | CancelOrders | AmendOrder) for _, command in commands)
    return report.rate_row(
        group="speed", what="exchange + surveillance, one core", figure=report.median(together), unit="commands/s",
        yardstick="the exchange alone", yardstick_figure=report.median(alone), at_least=RATE_MIN,
        note=f"{len(commands):,} commands, {cancels / len(commands):.0%} of them cancels and amends",
    )  # fmt: skip


def _seconds(work: Callable[[], object]) -> float:
    """The processor's time that `work` takes."""
    took = 0.0

    def measured() -> None:
        nonlocal took
        began = time.process_time()
        work()
        took = time.process_time() - began

    report.timed(measured)
    return took
