"""Front-running: somebody is ahead of one customer's large orders again and again, and out again right after them.

Two ways of it are told apart: taking before the customer takes (`running_ahead`), and stepping ahead of the customer's
resting orders (`stepping_ahead`). The customer is never accused, and who comes after an order has done nothing.
"""

from collections.abc import Collection, Mapping
from typing import ClassVar

from risk.surveillance.messages import (
    Alert,
    Books,
    Canceled,
    Observation,
    Parameter,
    Placed,
    Relations,
    Severity,
    Traded,
)
from risk.surveillance.running_ahead import SECOND, Ahead, RunningAhead
from risk.surveillance.stepping_ahead import SteppingAhead, Steps

REMEMBERED_MAX = 20_000


class FrontRunning:
    """Finds accounts that know of a customer's orders before the market does."""

    NAME = "front_running"
    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        Parameter("window", 3600, 600, 86_400, "seconds", "Orders this far back are looked at together."),
        Parameter("large", 3, 1, 100, "times", "A customer's order is large from so many ordinary ones on."),
        Parameter("smaller", 1.5, 1, 100, "times", "It is so many times as large as the one ahead of it."),
        Parameter("exit_time", 100, 10, 3600, "seconds", "So soon after it the other one is out again."),
        Parameter("events", 5, 3, 100, "events", "So often somebody is ahead of the same customer."),
        Parameter("chance", 1e-5, 0, 0.01, "probability", "So often by chance is rarer than this."),
        Parameter("related_events", 4, 2, 100, "events", "So often if the two have something in common."),
        Parameter("related_chance", 0.001, 0, 0.1, "probability", "And by chance rarer than this."),
        Parameter("lift", 5, 1, 100, "times", "So many times more often than expected."),
        Parameter("behind", 0.4, 0, 1, "of events", "No more than this are as shortly behind the customer's orders."),
        Parameter("mute", 1800, 0, 86_400, "seconds", "The same accounts are not reported again for so long."),
    )

    def __init__(self, values: Mapping[str, float], relations: Relations, books: Books) -> None:
        self._values = values
        self._relations = relations
        self._mute = int(values["mute"] * SECOND)
        self._takers: dict[int, RunningAhead] = {}
        self._makers: dict[int, SteppingAhead] = {}
        self._said: dict[tuple[int, int], int] = {}

    def observe(self, observation: Observation) -> list[Alert]:
        """Take the next observation; the alerts it completes."""
        kind = type(observation)
        if kind is Traded:
            assert isinstance(observation, Traded)
            return self._observe_trade(observation)
        if kind is Placed:
            assert isinstance(observation, Placed)
            if observation.resting:
                self._stepping(observation.market_id).place(observation)
        elif kind is Canceled:
            assert isinstance(observation, Canceled)
            return self._end(observation.order_id, observation)
        return []

    def advance(self, now: int) -> list[Alert]:
        """Time has come to `now`: large orders long enough ago show who was ahead of them."""
        alerts: list[Alert] = []
        for market_id, runs in self._takers.items():
            for customer_id in runs.ripe(now):
                alerts += self._look(market_id, runs, customer_id, now)
        return alerts

    # ------------------------------------------------------------------------------------------ takers

    def _observe_trade(self, trade: Traded) -> list[Alert]:
        runs = self._takers.get(trade.market_id)
        if runs is None:
            values = self._values
            runs = self._takers[trade.market_id] = RunningAhead(
                window=int(values["window"] * SECOND),
                exit_time=int(values["exit_time"] * SECOND),
                large=values["large"],
                smaller=values["smaller"],
            )
        runs.add(trade)
        return [] if trade.maker_remaining else self._end(trade.maker_order_id, trade)

    def _look(self, market_id: int, runs: RunningAhead, customer_id: int, now: int) -> list[Alert]:
        """Everybody who was ahead of the customer more than once, those tied to one another together."""
        led = runs.led[customer_id]
        suspects = [account for account, count in led.items() if count >= 2]
        alerts = []
        while suspects:
            accounts = self._tied(suspects[0], suspects)
            suspects = [account for account in suspects if account not in accounts]
            often = sum(led[account] for account in accounts) >= self._values["related_events"]
            if not often or self._muted(market_id, accounts, now):
                continue
            ahead = runs.ahead(customer_id, accounts)
            if ahead is not None and self._is_front_running(ahead):
                alerts.append(self._taker_alert(market_id, ahead, runs.gain(ahead.entries), now))
        return alerts

    def _tied(self, account_id: int, accounts: Collection[int]) -> set[int]:
        """Those of the accounts that are tied to this one, directly or through each other."""
        found, waiting = {account_id}, [account_id]
        while waiting:
            member = waiting.pop()
            for other in accounts:
                if other not in found and self._relations.between(member, other):
                    found.add(other)
                    waiting.append(other)
        return found

    def _is_front_running(self, ahead: Ahead) -> bool:
        values = self._values
        related = any(self._relations.between(ahead.customer_id, account) for account in ahead.accounts)
        count = len(ahead.entries)
        return (
            count >= values["related_events" if related else "events"]
            and ahead.chance <= values["related_chance" if related else "chance"]
            and count >= values["lift"] * ahead.expected
            and ahead.behind <= values["behind"] * count
        )

    def _taker_alert(self, market_id: int, ahead: Ahead, gain: float, now: int) -> Alert:
        entries = sorted(ahead.entries, key=lambda run: run.first_sequence)
        figures = {
            "events": float(len(entries)),
            "large_orders": float(ahead.large),
            "round_trips": float(ahead.round_trips),
            "lead": ahead.lead,
            "expected": ahead.expected,
            "chance": ahead.chance,
            "behind": float(ahead.behind),
            "gain": gain,
        }
        text = (
            f"{_who(ahead.accounts)} entered within {ahead.lead:.0f} seconds before {len(entries)} of {ahead.large} "
            f"large orders of account {ahead.customer_id}, and left right after them."
        )
        first = (entries[0].first_sequence, entries[0].first_at)
        last = max((run.last_sequence, run.last_at) for run in entries)
        return self._alert(market_id, ahead.customer_id, ahead.accounts, first, last, figures, text, now)

    # ------------------------------------------------------------------------------------------ makers

    def _stepping(self, market_id: int) -> SteppingAhead:
        makers = self._makers.get(market_id)
        if makers is None:
            window = int(self._values["window"] * SECOND)
            makers = self._makers[market_id] = SteppingAhead(window=window, large=self._values["large"])
        return makers

    def _end(self, order_id: int, observation: Canceled | Traded) -> list[Alert]:
        market_id, now = observation.market_id, observation.at
        return [
            self._maker_alert(market_id, found, now)
            for found in self._stepping(market_id).end(order_id, observation)
            if self._is_stepping_ahead(found) and not self._muted(market_id, (found.account_id,), now)
        ]

    def _is_stepping_ahead(self, found: Steps) -> bool:
        values = self._values
        related = bool(self._relations.between(found.customer_id, found.account_id))
        count = len(found.steps)
        return (
            count >= values["related_events" if related else "events"]
            and found.chance <= values["related_chance" if related else "chance"]
            and count >= values["lift"] * found.expected
            and found.elsewhere <= values["behind"] * count
        )

    def _maker_alert(self, market_id: int, found: Steps, now: int) -> Alert:
        steps = found.steps
        figures = {
            "events": float(len(steps)),
            "large_orders": float(found.large),
            "orders": float(found.orders),
            "expected": found.expected,
            "chance": found.chance,
            "elsewhere": float(found.elsewhere),
        }
        text = (
            f"{_who((found.account_id,))} stepped ahead of {len(steps)} of {found.large} large resting orders of "
            f"account {found.customer_id}, and left with them."
        )
        first = (steps[0].sequence, steps[0].at)
        last = (steps[-1].ended_sequence, steps[-1].ended_at)
        return self._alert(market_id, found.customer_id, (found.account_id,), first, last, figures, text, now)

    # ------------------------------------------------------------------------------------------ saying it

    def _muted(self, market_id: int, accounts: Collection[int], now: int) -> bool:
        return all(self._said.get((market_id, account), -self._mute) > now - self._mute for account in accounts)

    def _alert(
        self,
        market_id: int,
        customer_id: int,
        accounts: tuple[int, ...],
        first: tuple[int, int],
        last: tuple[int, int],
        figures: dict[str, float],
        text: str,
        now: int,
    ) -> Alert:
        if len(self._said) >= REMEMBERED_MAX:
            self._said.clear()
        for account in accounts:
            self._said[market_id, account] = now
        related = any(self._relations.between(customer_id, account) for account in accounts)
        severity: Severity = "high" if related or figures["events"] >= 2 * self._values["events"] else "medium"
        names = ("related_events", "related_chance", "lift") if related else ("events", "chance", "lift")
        return Alert(
            detector=self.NAME,
            severity=severity,
            account_ids=accounts,
            market_id=market_id,
            first_sequence=first[0],
            last_sequence=last[0],
            first_at=first[1],
            last_at=last[1],
            figures=figures,
            thresholds={name: self._values[name] for name in names},
            text=text,
        )


def _who(accounts: tuple[int, ...]) -> str:
    return "One account" if len(accounts) == 1 else f"{len(accounts)} accounts"
