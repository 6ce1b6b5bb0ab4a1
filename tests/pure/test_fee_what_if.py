"""The what-if against exact fractions, against a whole exchange, and against itself."""

from collections import defaultdict
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from fees.books import MarketScales, OrderTerms, Tally
from fees.schedule import Schedule
from fees.what_if import Outcome, TradedDay, what_if
from matching.engine.messages import (
    CreateAsset,
    CreateMarket,
    Deposit,
    FeeTier,
    MarketParameters,
    OpenAccount,
    OrderPlaced,
    PlaceOrder,
    SetFeeOverride,
    SetFeeTiers,
    TradeExecuted,
    VolumeChanged,
)
from matching.exchange import Exchange
from tests.pure.builders import START

DAY = 86_400_000_000
USDT = 10**2
CENT = 10**16
SCALES = MarketScales(1, 2, 4, 2)
MAKER, TAKER, OTHER = 3, 4, 5
FLAT = ((0, 1_000, 1_500),)
STEPS = ((0, 1_000, 1_500), (50_000, 500, 1_200), (300_000, -200, 900))

Overrides = dict[tuple[int | None, int | None], tuple[int, int]]


def rules(*tiers: tuple[int, int, int], overrides: Overrides | None = None) -> Schedule:
    made = Schedule()
    made.tiers = tuple(FeeTier(*tier) for tier in tiers)
    made.valuation_asset_id = 2
    made.overrides = dict(overrides or {})
    return made


class Market:
    """An exchange with one market, three accounts, and what the fee books say of it."""

    def __init__(self, schedule: Schedule) -> None:
        self.exchange = Exchange()
        self.schedule = schedule
        self.now = START - START % DAY
        self.tally = Tally()
        self.trades = 0
        self.volumes: dict[int, dict[int, int]] = defaultdict(dict)
        self._terms: dict[int, OrderTerms] = {}
        for symbol, scale in (("BTC", 4), ("USDT", 2)):
            self.exchange.apply(CreateAsset(symbol, symbol, scale), self.now)
        parameters = MarketParameters(100, 100, 100, 10**12, 0, 10**15, price_band=0, breaker_move=0)
        self.exchange.apply(CreateMarket(1, 2, parameters), self.now)
        self.exchange.apply(SetFeeTiers(schedule.tiers, 2), self.now)
        for number in range(3):
            self.exchange.apply(OpenAccount(number + 1), self.now)
            self.exchange.apply(Deposit(number + 3, 1, 10**9), self.now)
            self.exchange.apply(Deposit(number + 3, 2, 10**11), self.now)
        for target, rates in schedule.overrides.items():
            self.exchange.apply(SetFeeOverride(*target, *rates), self.now)

    def trade(self, maker: int, taker: int, lots: int, price: int = 100) -> None:
        """The maker sells so many lots of 0.01 BTC to the taker; price in whole USDT."""
        self._place(PlaceOrder(maker, 1, "sell", price=price * USDT, quantity=lots * 100))
        self._place(PlaceOrder(taker, 1, "buy", price=price * USDT, quantity=lots * 100))

    def what_if(self, proposed: Schedule) -> Outcome:
        """What `proposed` would have earned."""
        traded = [
            TradedDay(*key, sums.maker_notional * CENT, sums.taker_notional * CENT, sums.value)
            for key, sums in self.tally.accounts.items()
        ]
        return what_if(
            traded=traded,
            volumes=self.volumes,
            last_day=self.now // DAY,
            present=self.schedule,
            proposed=proposed,
        )

    def _place(self, order: PlaceOrder) -> None:
        events = self.exchange.apply(order, self.now)
        for event in events:
            if isinstance(event, OrderPlaced):
                self._terms[event.order.id] = OrderTerms(event.order.maker_rate, event.order.taker_rate, None)
            elif isinstance(event, VolumeChanged):
                self.volumes[event.account_id][event.day] = event.volume
        for event in events:
            if isinstance(event, TradeExecuted):
                terms = self._terms[event.maker_order_id], self._terms[event.taker_order_id]
                self.tally.add_trade(event, self.now // DAY, SCALES, *terms)
                self.trades += 1


trades = st.lists(
    st.tuples(
        st.sampled_from([(MAKER, TAKER), (TAKER, MAKER), (MAKER, OTHER), (OTHER, TAKER)]),
        st.integers(1, 400),
        st.integers(90, 110),
        st.sampled_from([0, 0, 0, 1, 8, 31]),
    ),
    min_size=1,
    max_size=30,
)
exceptions = st.dictionaries(
    st.sampled_from([(MAKER, None), (TAKER, 1), (None, 1)]),
    st.tuples(st.integers(-100, 900), st.integers(100, 2_000)),
    max_size=2,
)


@settings(max_examples=60)
@given(trades, exceptions)
def test_rules_that_do_not_depend_on_volume_give_what_was_taken_but_for_rounding(steps, overrides):
    market = Market(rules(*FLAT, overrides=overrides))
    for accounts, lots, price, days in steps:
        market.now += days * DAY
        market.trade(accounts[0], accounts[1], lots, price)
    total = market.what_if(market.schedule).total
    assert total.proposed == total.present
    dearest_unit = max(CENT, 110 * CENT // 100)  # 0.0001 BTC at the highest price, or a cent
    assert 0 <= total.actual - total.present <= 2 * market.trades * dearest_unit


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 100), st.sampled_from([0, 0, 0, 0, 1, 8, 31])), min_size=20, max_size=60))
def test_tiers_by_volume_are_off_by_the_orders_that_cross_them_at_most(steps):
    market = Market(rules(*STEPS))
    state = market.exchange.state
    crossings = 0
    for lots, days in steps:
        market.now += days * DAY
        for account_id in (MAKER, TAKER):
            before = state.volumes.total(account_id, market.now // DAY)
            crossings += state.schedule.tier_of(before) != state.schedule.tier_of(before + lots * 100)
        market.trade(MAKER, TAKER, lots)
    total = market.what_if(market.schedule).total
    rounding = 2 * market.trades * CENT
    assert abs(total.actual - total.present) <= rounding + crossings * 100 * 100 * CENT * 700 // 1_000_000


def test_an_account_that_only_takes_pays_each_part_of_its_day_at_the_tier_it_was_in():
    market = Market(rules(*STEPS))
    for _ in range(10):
        market.trade(MAKER, TAKER, 100)
    (taken,) = [each for each in market.what_if(market.schedule).accounts if each.account_id == TAKER]
    # 1,000 USDT: 500 in the first tier, 500 in the second.
    assert taken.revenue.present == (500 * 1_500 + 500 * 1_200) * 100 * CENT // 1_000_000
    assert taken.revenue.actual == taken.revenue.present


def test_who_changes_tier_is_told_and_who_pays_what():
    market = Market(rules(*STEPS))
    market.trade(MAKER, TAKER, 600)
    market.now += DAY
    market.trade(OTHER, TAKER, 100)
    outcome = market.what_if(rules((0, 1_000, 1_500), (10_000, 800, 1_000)))
    changes = {each.account_id: each for each in outcome.accounts}
    assert [changes[id].volume for id in (MAKER, TAKER, OTHER)] == [60_000, 70_000, 10_000]
    assert [(changes[id].tier_before, changes[id].tier_after) for id in (MAKER, TAKER, OTHER)] == [
        (1, 1),
        (1, 1),
        (0, 1),
    ]
    assert [each.account_id for each in outcome.accounts if each.moves] == [OTHER]
    assert changes[OTHER].rates_before == (1_000, 1_500)
    assert changes[OTHER].rates_after == (800, 1_000)
    assert outcome.total.change < 0


def fees_one_by_one(schedule: Schedule, traded: list[TradedDay], volumes: dict[int, dict[int, int]]) -> Fraction:
    """The model by its definition: every unit of volume pays the tier that it falls into."""
    total = Fraction()
    for row in traded:
        days = volumes[row.account_id]
        begin = sum(volume for day, volume in days.items() if row.day - 30 < day < row.day)
        size = days.get(row.day, 0)
        for at in range(begin, begin + size) if size else [begin]:
            rates = schedule.rates(row.account_id, row.market_id, at)
            fee = row.maker_notional * rates[0] + row.taker_notional * rates[1]
            total += Fraction(fee, 1_000_000 * max(size, 1))
    return total


amounts = st.integers(0, 10**9)


@given(
    st.lists(st.tuples(st.integers(3, 5), st.integers(100, 135), st.integers(1, 2), amounts, amounts), max_size=8),
    st.dictionaries(st.tuples(st.integers(3, 5), st.integers(80, 135)), st.integers(0, 40), max_size=20),
    st.lists(st.integers(1, 90), min_size=1, max_size=3, unique=True),
    exceptions,
)
def test_the_model_is_what_it_says_it_is(rows, traded_volumes, thresholds, overrides):
    volumes: dict[int, dict[int, int]] = defaultdict(dict)
    for (account_id, day), volume in traded_volumes.items():
        volumes[account_id][day] = volume
    traded = [TradedDay(row[0], row[1], row[2], row[3], row[4], 0) for row in rows]
    steps = [(0, 1_000, 1_500)] + [(volume, 900 - volume, 1_400 - volume) for volume in sorted(thresholds)]
    schedule = rules(*steps, overrides=overrides)
    outcome = what_if(traded=traded, volumes=volumes, last_day=135, present=rules(*FLAT), proposed=schedule)
    exact = fees_one_by_one(schedule, traded, volumes)
    assert 0 <= exact - outcome.total.proposed < max(1, len(rows))
    for part in (outcome.days, outcome.markets):
        assert sum(each.proposed for each in part.values()) == outcome.total.proposed
    assert sum(each.revenue.proposed for each in outcome.accounts) == outcome.total.proposed
