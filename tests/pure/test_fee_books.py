"""The fee books' counting at a whole exchange: sums against a recount, and the rate history against every order."""

from collections import defaultdict
from fractions import Fraction
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from fees.books import MarketScales, OrderTerms, Tally, value_of
from fees.schedule import MICROSECONDS_PER_DAY
from matching.engine import messages
from matching.engine.messages import (
    AnyEvent,
    EntryPosted,
    FeeTier,
    OrderPlaced,
    PlaceOrder,
    SetFeeTiers,
    TradeExecuted,
)
from matching.exchange import Exchange
from tests.pure.builders import BTC, START, USDT, parameters
from tests.pure.exchange_commands import Commands, setup
from trading.books.counting import MIDNIGHT_GRACE, Counting

HOUR = 3_600_000_000
TABLES = (
    (FeeTier(0, 1_000, 1_500), FeeTier(2_000, 500, 1_200), FeeTier(9_000, -200, 900)),
    (FeeTier(0, 900, 1_500), FeeTier(4_000, 500, 1_200)),
    (FeeTier(0, 1_000, 1_500),),
)


class History:
    """The rates that the counting has told of, looked up as one would in the table."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.counting = Counting({})
        self.tiers: dict[int, list[tuple[int, tuple[int, int]]]] = defaultdict(list)
        self.exceptions: dict[tuple[int | None, int | None], list[tuple[int, tuple[int, int] | None]]] = defaultdict(
            list
        )
        self.terms: dict[int, OrderTerms] = {}
        self.tally = Tally()
        self.events: list[tuple[int, AnyEvent]] = []

    def apply(self, command: messages.AnyCommand, now: int) -> list[AnyEvent]:
        """Apply a command, note what was found, and check the rates of the order that it placed."""
        events = self.exchange.apply(command, now)
        state = self.exchange.state
        self.counting.observe(state.sequence, now, events, state)
        self._note()
        day = now // MICROSECONDS_PER_DAY
        self.events += [(day, event) for event in events]
        for event in events:
            if isinstance(event, OrderPlaced):
                order = event.order
                assert (order.maker_rate, order.taker_rate) == self.rates(order.account_id, order.market_id, order.id)
                self.terms[order.id] = OrderTerms(order.maker_rate, order.taker_rate, None)
        return events

    def tick(self, now: int) -> None:
        self.counting.tick(now, self.exchange.state)
        self._note()

    def rates(self, account_id: int, market_id: int, sequence: int) -> tuple[int, int]:
        """The narrowest rule that held for the command `sequence`."""
        for target in ((account_id, market_id), (account_id, None), (None, market_id)):
            found = [rates for since, rates in self.exceptions[target] if since <= sequence]
            if found and found[-1] is not None:
                return found[-1]
        return [rates for since, rates in self.tiers[account_id] if since <= sequence][-1]

    def _note(self) -> None:
        for change in self.counting.tier_changes:
            self.tiers[change.account_id].append((change.sequence, (change.maker_rate, change.taker_rate)))
        for exception in self.counting.exceptions:
            rates = None
            if exception.maker_rate is not None and exception.taker_rate is not None:
                rates = (exception.maker_rate, exception.taker_rate)
            self.exceptions[exception.account_id, exception.market_id].append((exception.sequence, rates))
        self.counting.tier_changes.clear()
        self.counting.exceptions.clear()


def random_history(seed: int, commands: int) -> History:
    """Random commands, days of them, with another tier table at times and ticks in between."""
    random = Random(seed)
    history = History()
    for command in (*setup(random), SetFeeTiers(TABLES[0], USDT)):
        history.apply(command, START)
    stream = Commands(random)
    now = START
    for _ in range(commands):
        now += stream.wait() + random.choice((0, 0, 0, HOUR, 14 * HOUR, 240 * HOUR))
        if random.random() < 0.1:
            history.tick(now)
        command = SetFeeTiers(random.choice(TABLES), USDT) if random.random() < 0.01 else stream.next(rules=False)
        stream.learn(command, history.apply(command, now))
    return history


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**6))
def test_every_order_has_the_rates_that_the_history_says(seed):
    history = random_history(seed, 300)
    assert history.terms


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 10**6))
def test_sums_are_those_of_a_recount(seed):
    history = random_history(seed, 250)
    counting = history.counting
    for trade in counting.trades:
        day = trade.executed_at // MICROSECONDS_PER_DAY
        terms = history.terms[trade.maker_order_id], history.terms[trade.taker_order_id]
        counting.tally.add_trade(trade, day, counting.markets[trade.market_id], *terms)
    trades = [(day, event) for day, event in history.events if isinstance(event, TradeExecuted)]
    entries = [event for _, event in history.events if isinstance(event, EntryPosted)]
    fees = counting.tally.fees
    assert sum(sums.trades for sums in fees.values()) == 2 * len(trades)
    assert sum(sums.fees for sums in fees.values()) == sum(trade.maker_fee + trade.taker_fee for _, trade in trades)
    assert sum(sums.notional for sums in fees.values()) == 2 * sum(trade.notional for _, trade in trades)
    for asset_id in (1, 2, 3):
        taken = sum(sums.fees for key, sums in fees.items() if key.asset_id == asset_id)
        assert taken == sum(
            entry.amount
            for entry in entries
            if (entry.account_id, entry.asset_id, entry.entry_type) == (2, asset_id, "fee")
        )
        ledger = [sums for key, sums in counting.tally.ledger.items() if key.asset_id == asset_id]
        assert sum(sums.debits for sums in ledger) == sum(sums.credits for sums in ledger)
        assert sum(sums.entries for sums in ledger) == sum(entry.asset_id == asset_id for entry in entries)
    accounts = counting.tally.accounts
    for key, sums in accounts.items():
        own = [trade for day, trade in trades if (day, trade.market_id) == (key.day, key.market_id)]
        assert sums.maker_notional == sum(each.notional for each in own if each.maker_account_id == key.account_id)
        assert sums.taker_notional == sum(each.notional for each in own if each.taker_account_id == key.account_id)
    assert sum(sums.value for sums in accounts.values()) == sum(sums.value for sums in fees.values())


@given(st.integers(0, 18), st.integers(0, 18), st.integers(1, 10**20), st.integers(-(10**12), 10**12))
def test_a_fee_in_the_base_asset_is_worth_what_it_cost_at_the_price_of_its_trade(base_scale, quote_scale, price, fee):
    trade = TradeExecuted(1, 1, 1, price, 1, 1, "buy", 1, 2, 3, 4, 0, fee, 0)
    exact = Fraction(fee, 10**base_scale) * Fraction(price, 10**quote_scale)
    value = Fraction(value_of(trade, fee, MarketScales(1, 2, base_scale, quote_scale)), 10**18)
    assert abs(value) <= abs(exact) < abs(value) + Fraction(1, 10**18)
    assert value * exact >= 0


def test_the_first_order_of_a_day_pays_the_tier_that_the_night_left_and_may_reach_it_again():
    history = History()
    for command in (
        messages.CreateAsset("BTC", "Bitcoin", 4),
        messages.CreateAsset("USDT", "Tether", 2),
        messages.CreateMarket(BTC, USDT, parameters()),
        SetFeeTiers((FeeTier(0, 1_000, 1_500), FeeTier(50_000, 500, 900)), USDT),
        messages.OpenAccount(1),
        messages.OpenAccount(2),
        messages.Deposit(3, BTC, 10**9),
        messages.Deposit(4, USDT, 10**9),
        PlaceOrder(3, 1, "sell", price=100_00, quantity=20_0000),
        PlaceOrder(4, 1, "buy", price=100_00, quantity=6_0000),
    ):
        history.apply(command, START)
    later = START + 30 * MICROSECONDS_PER_DAY
    for _ in range(2):
        history.apply(PlaceOrder(4, 1, "buy", price=100_00, quantity=6_0000), later)
    last = history.exchange.state.sequence
    assert [rates for _, rates in history.tiers[4]] == [(1_000, 1_500), (500, 900), (1_000, 1_500), (500, 900)]
    assert [sequence for sequence, _ in history.tiers[4]][2:] == [last - 1, last]
    assert [history.rates(4, 1, sequence)[1] for sequence in (last - 2, last - 1, last)] == [1_500, 1_500, 900]


def test_a_tier_is_reached_by_trading_and_lost_when_its_day_leaves_the_thirty():
    exchange, counting = Exchange(), Counting({})
    state = exchange.state
    for command in (
        messages.CreateAsset("BTC", "Bitcoin", 4),
        messages.CreateAsset("USDT", "Tether", 2),
        messages.CreateMarket(BTC, USDT, parameters()),
        SetFeeTiers((FeeTier(0, 1_000, 1_500), FeeTier(50_000, 500, 900)), USDT),
        messages.OpenAccount(1),
        messages.OpenAccount(2),
        messages.Deposit(3, BTC, 10**9),
        messages.Deposit(4, USDT, 10**9),
        PlaceOrder(3, 1, "sell", price=100_00, quantity=6_0000),
        PlaceOrder(4, 1, "buy", price=100_00, quantity=6_0000),
    ):
        events = exchange.apply(command, START)
        counting.observe(state.sequence, START, events, state)
    reached = state.sequence + 1
    midnight = (START // MICROSECONDS_PER_DAY + 30) * MICROSECONDS_PER_DAY
    counting.tick(midnight - 1, state)
    counting.tick(midnight + MIDNIGHT_GRACE - 1, state)
    counting.tick(midnight + MIDNIGHT_GRACE, state)
    counting.tick(midnight + MICROSECONDS_PER_DAY + MIDNIGHT_GRACE, state)
    assert [
        (
            change.account_id,
            change.previous_tier,
            change.tier,
            change.reason,
            change.volume,
            change.sequence,
            change.since,
        )
        for change in counting.tier_changes
    ] == [
        (3, None, 0, "opened", 0, 6, START),
        (4, None, 0, "opened", 0, 7, START),
        (3, 0, 1, "volume", 60_000, reached, START),
        (4, 0, 1, "volume", 60_000, reached, START),
        (3, 1, 0, "nightly", 0, reached, midnight),
        (4, 1, 0, "nightly", 0, reached, midnight),
    ]
    assert state.volumes.total(3, state.day) == 60_000, "looking ahead must not change the exchange"
