"""Who takes right before somebody's large orders, again and again, and is out again right after them.

Takers' orders that follow one another are one run. A run that was turned around soon is a round trip; the question is
how many of an account's round trips began shortly before another one's large runs, and how many would by chance.
"""

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Collection
from typing import NamedTuple

from risk.surveillance.chance import binomial_tail
from risk.surveillance.messages import Traded

SECOND = 1_000_000
GAP = 10 * SECOND
"""Takes of one account to one side belong to the same run as long as no pause is longer."""

LEADS = (2 * SECOND, 6 * SECOND, 20 * SECOND)
"""How long before a large run an entry may come: the best of these counts, its chance times their number."""

RUNS_MAX = 20_000
RUNS_OF_ACCOUNT_MAX = 256
FILLS_OF_ACCOUNT_MAX = 512
LOOKED_AT_MAX = 200
MARGIN = 60 * SECOND

WORTH_A_LOOK = 0.01
"""How rare by the clock alone it must be before it is compared with what everybody else did."""


class Run:
    """What an account took to one side without a long pause. `quantity` in base units, `notional` in quote units."""

    __slots__ = ("account_id", "buys", "first_at", "first_sequence", "last_at", "last_sequence", "left_by", "notional",
                 "quantity")  # fmt: skip

    def __init__(self, trade: Traded) -> None:
        self.account_id = trade.taker_account_id
        self.buys = trade.taker_side == "buy"
        self.first_at = self.last_at = trade.at
        self.first_sequence = self.last_sequence = trade.sequence
        self.quantity = trade.quantity
        self.notional = trade.notional
        self.left_by = 0

    def go_on(self, trade: Traded) -> None:
        """Another trade of the run."""
        self.last_at, self.last_sequence = trade.at, trade.sequence
        self.quantity += trade.quantity
        self.notional += trade.notional


class Ahead(NamedTuple):
    """Accounts that were ahead of a customer, and how that compares with chance."""

    customer_id: int
    accounts: tuple[int, ...]
    entries: list[Run]
    round_trips: int
    large: int
    lead: float  # seconds
    expected: float
    chance: float
    behind: int


class RunningAhead:
    """The runs of one market within `window`; `exit_time` is how soon a runner is out (microseconds both)."""

    def __init__(self, *, window: int, exit_time: int, large: float, smaller: float) -> None:
        self._window = window
        self._exit_time = exit_time
        self._large = large
        self._smaller = smaller
        self._runs: list[Run] = []
        self._of: dict[int, deque[Run]] = {}
        self._fills: dict[int, deque[tuple[int, int, int]]] = {}
        self._pending: deque[Run] = deque()
        self._median = 0.0
        self._seen = 0
        self.led: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        """Customer -> account -> how many of the customer's large runs it was ahead of."""

    def add(self, trade: Traded) -> None:
        """Take a trade."""
        self._fill(trade.taker_account_id, trade, trade.quantity if trade.taker_side == "buy" else -trade.quantity)
        self._fill(trade.maker_account_id, trade, trade.quantity if trade.taker_side == "sell" else -trade.quantity)
        runs = self._of.get(trade.taker_account_id)
        if runs is None:
            runs = self._of[trade.taker_account_id] = deque(maxlen=RUNS_OF_ACCOUNT_MAX)
        buys = trade.taker_side == "buy"
        if runs and runs[-1].buys == buys and trade.at - runs[-1].last_at <= GAP:
            runs[-1].go_on(trade)
            return
        run = Run(trade)
        runs.append(run)
        self._runs.append(run)
        self._pending.append(run)

    def _fill(self, account_id: int, trade: Traded, signed: int) -> None:
        fills = self._fills.get(account_id)
        if fills is None:
            fills = self._fills[account_id] = deque(maxlen=FILLS_OF_ACCOUNT_MAX)
        fills.append((trade.at, signed, trade.notional))

    def ripe(self, now: int) -> list[int]:
        """The customers of whose large runs it has become clear by `now` who was ahead of them."""
        customers = []
        while self._pending and self._pending[0].last_at + self._exit_time < now:
            run = self._pending.popleft()
            self._learn(run.quantity)
            if run.quantity >= self._large * self._median and self._seen > 20:
                customers.append(run.account_id)
                self._find_leaders(run)
        if len(self._runs) > RUNS_MAX or (self._runs and self._runs[0].first_at < now - 2 * self._window):
            self._forget(now - self._window)
        return customers

    def _learn(self, quantity: int) -> None:
        """A running median of the size of runs."""
        self._seen += 1
        step = 1.02 + 0.5 / self._seen
        if self._median == 0.0:
            self._median = float(quantity)
        elif quantity > self._median:
            self._median *= step
        elif quantity < self._median:
            self._median /= step

    def _find_leaders(self, large: Run) -> None:
        first = bisect_left(self._runs, large.first_at - LEADS[-1], key=_first_at)
        leaders = set()
        for run in self._runs[first : first + LOOKED_AT_MAX]:
            if run.first_at >= large.last_at:
                break
            if run.buys == large.buys and run.account_id != large.account_id and self._smaller_trip(run, large):
                leaders.add(run.account_id)
        for account_id in leaders:
            self.led[large.account_id][account_id] += 1

    def _smaller_trip(self, run: Run, large: Run) -> bool:
        return run.quantity * self._smaller <= large.quantity and self._is_round_trip(run)

    def _is_round_trip(self, run: Run) -> bool:
        """Whether the account turned at least half of the run around within the exit time."""
        if not run.left_by:
            out = 0
            for at, signed, _ in self._fills.get(run.account_id, ()):
                if run.first_at < at <= run.last_at + LEADS[-1] + self._exit_time and (signed > 0) != run.buys:
                    out += abs(signed)
            run.left_by = 1 if 2 * out >= run.quantity else -1
        return run.left_by > 0

    def gain(self, entries: Collection[Run]) -> float:
        """What the runs brought (quote units): the price on the way out against the price on the way in."""
        total = 0.0
        for run in entries:
            out = worth = 0
            for at, signed, notional in self._fills.get(run.account_id, ()):
                if run.last_at < at <= run.last_at + LEADS[-1] + self._exit_time and (signed > 0) != run.buys:
                    out, worth = out + abs(signed), worth + notional
            if out:
                difference = worth / out * run.quantity - run.notional
                total += difference if run.buys else -difference
        return total

    def large_runs(self, account_id: int) -> list[Run]:
        """The account's large runs that are over."""
        least = self._large * self._median
        return [run for run in self._of.get(account_id, ()) if run.quantity >= least]

    def ahead(self, customer_id: int, accounts: Collection[int]) -> Ahead | None:
        """How often the accounts, together, were ahead of the customer, at the lead at which that is rarest."""
        large = self.large_runs(customer_id)
        if len(large) < 3:
            return None
        since, until = large[0].first_at - MARGIN, large[-1].last_at + MARGIN
        mean = sum(run.quantity for run in large) / len(large)
        trips = [
            run
            for account in accounts
            for run in self._of.get(account, ())
            if since <= run.first_at <= until and run.quantity * self._smaller <= mean and self._is_round_trip(run)
        ]
        if not trips:
            return None
        span = until - since
        rough = [_compare(customer_id, large, trips, [], span, lead) for lead in LEADS]
        if min(one.chance for one in rough) > WORTH_A_LOOK:
            return None
        first = bisect_left(self._runs, since, key=_first_at)
        others = [
            run
            for run in self._runs[first:]
            if run.first_at <= until and run.account_id != customer_id and run.account_id not in accounts
        ]
        found = [_compare(customer_id, large, trips, others, span, lead) for lead in LEADS]
        return min(found, key=lambda one: one.chance)

    def _forget(self, oldest: int) -> None:
        """Drop what began before `oldest`, and half of everything if it is too much."""
        first = bisect_left(self._runs, oldest, key=_first_at)
        if len(self._runs) - first > RUNS_MAX:
            first = len(self._runs) - RUNS_MAX // 2
            oldest = self._runs[first].first_at
        del self._runs[:first]
        for account_id, runs in list(self._of.items()):
            while runs and runs[0].last_at < oldest:
                runs.popleft()
            if not runs:
                del self._of[account_id]
        for account_id, fills in list(self._fills.items()):
            if fills[-1][0] < oldest:
                del self._fills[account_id]
        for customer_id in list(self.led):
            if customer_id not in self._of:
                del self.led[customer_id]


def _first_at(run: Run) -> int:
    return run.first_at


def _compare(customer_id: int, large: list[Run], trips: list[Run], others: list[Run], span: int, lead: int) -> Ahead:
    """How many round trips began within `lead` before the large runs, and how many would if they came like `others`."""
    expected = 0.0
    entries: list[Run] = []
    behind = 0
    for buys in (False, True):
        windows = _merged([(run.first_at - lead, run.last_at) for run in large if run.buys == buys])
        after = _merged([(run.last_at + 1, run.last_at + lead) for run in large if run.buys == buys])
        mine = [run for run in trips if run.buys == buys]
        crowd = [run for run in others if run.buys == buys]
        inside = [run for run in mine if _within(run.first_at, windows)]
        entries += inside
        behind += sum(_within(run.first_at, after) and not _within(run.first_at, windows) for run in mine)
        covered = sum(last - first for first, last in windows) / span
        taken = sum(_within(run.first_at, windows) for run in crowd) / max(10, len(crowd))
        expected += len(mine) * min(1.0, max(covered, taken))
    chance = binomial_tail(count=len(entries), trials=len(trips), chance=expected / len(trips))
    accounts = tuple(sorted({run.account_id for run in entries}))
    return Ahead(
        customer_id, accounts, entries, len(trips), len(large), lead / SECOND, expected,
        min(1.0, chance * len(LEADS)), behind,
    )  # fmt: skip


def _merged(windows: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same stretches of time, given by rising beginnings, without overlaps."""
    merged: list[tuple[int, int]] = []
    for first, last in windows:
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _within(at: int, windows: list[tuple[int, int]]) -> bool:
    """Whether a time is in one of the windows, which are in order and apart."""
    number = bisect_left(windows, (at + 1,))
    return number > 0 and at < windows[number - 1][1]
