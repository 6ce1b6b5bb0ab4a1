"""What the feed tells must be what happened: snapshot and updates together are the book, however they are cut up."""

from zlib import crc32

from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.candles import Candle, open_time
from marketdata.changes import PublicTrade
from marketdata.depth import Depth, checksum
from marketdata.feed import TOLD_MAX, CandleFeed, DayTicker, DepthFeed, TradesFeed

MINUTE = 60_000_000

levels = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3)), max_size=6)
steps = st.lists(st.tuples(levels, levels, st.booleans()), max_size=30)


def naive(book: dict[int, int], changes: list[tuple[int, int]]) -> None:
    for price, quantity in changes:
        book[price] = quantity
        if not quantity:
            del book[price]


@given(steps)
def test_a_side_is_its_levels_best_first(changes):
    depth = Depth()
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for bid_changes, ask_changes, _ in changes:
        depth.bids.apply(bid_changes)
        depth.asks.apply(ask_changes)
        naive(bids, bid_changes)
        naive(asks, ask_changes)
        assert depth.bids.levels() == sorted(bids.items(), reverse=True)
        assert depth.asks.levels() == sorted(asks.items())
        assert depth.bids.levels(3) == sorted(bids.items(), reverse=True)[:3]
        assert depth.bids.best() == max(bids, default=None)
        assert depth.asks.best() == min(asks, default=None)


@given(steps, st.integers(0, 30))
def test_whoever_knew_the_book_at_any_update_knows_it_after_what_he_missed(changes, known):
    feed = DepthFeed(Depth(), sequence=100)
    books: dict[int, tuple[dict[int, int], dict[int, int]]] = {100: ({}, {})}
    for sequence, (bids, asks, told) in enumerate(changes, start=101):
        feed.apply(bids, asks)
        if told:
            feed.tell(sequence)
            books[sequence] = (dict(feed.depth.bids.quantities), dict(feed.depth.asks.quantities))
    feed.tell(100 + len(changes) + 1)
    sequence = list(books)[known % len(books)]
    bids, asks = books[sequence]
    update = feed.since(sequence)
    assert update is not None
    assert (update.after, update.last_sequence) == (sequence, feed.told)
    naive_update(bids, update.bids)
    naive_update(asks, update.asks)
    assert bids == feed.depth.bids.quantities
    assert asks == feed.depth.asks.quantities


def naive_update(book: dict[int, int], changes: list[tuple[int, int]]) -> None:
    for price, quantity in changes:
        if quantity:
            book[price] = quantity
        else:
            book.pop(price, None)


@given(levels, levels)
def test_the_difference_of_two_sides_turns_one_into_the_other(before, after):
    one, other = Depth().bids, Depth().bids
    one.apply(before)
    other.apply(after)
    one.apply(one.changes_to(other))
    assert one.levels() == other.levels()


def test_what_was_told_too_long_ago_or_not_yet_cannot_be_resumed():
    feed = DepthFeed(Depth(), sequence=0)
    for sequence in range(1, TOLD_MAX + 3):
        feed.apply([(sequence, 1)], [])
        feed.tell(sequence)
    assert feed.since(1) is None
    assert feed.since(2) is not None
    assert feed.since(TOLD_MAX + 2) == (TOLD_MAX + 2, TOLD_MAX + 2, [], [])
    assert feed.since(TOLD_MAX + 3) is None


def test_the_checksum_is_the_documented_text():
    bids, asks = [["42999.50", "0.20000"], ["42999.00", "1.00000"]], [["43000.00", "0.01500"]]
    assert checksum(bids, asks) == crc32(b"42999.50:0.20000|42999.00:1.00000#43000.00:0.01500")
    assert checksum([], []) == crc32(b"#")


def trade(id: int, *, at: int, price: int = 100, quantity: int = 10, side: str = "buy") -> PublicTrade:
    return PublicTrade(id, id * 10, price, quantity, price * quantity, side, at)  # type: ignore[arg-type]


def test_each_trade_is_told_once_and_resumed_by_sequence():
    feed = TradesFeed([trade(1, at=0)], sequence=10)
    feed.apply([trade(2, at=1), trade(3, at=2)])
    assert feed.known_since(20) == [trade(3, at=2)]
    assert [found.id for found in feed.tell(35).trades] == [2, 3]
    feed.apply([trade(4, at=3)])
    feed.tell(40)
    update = feed.since(20)
    assert update is not None
    assert [found.id for found in update.trades] == [3, 4]
    assert feed.since(9) is None
    assert [found.id for found in feed.recent] == [1, 2, 3, 4]


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 400_000_000), st.integers(1, 9), st.integers(1, 9), st.booleans()), max_size=20),
    st.lists(st.integers(0, 400_000_000), max_size=5),
)
def test_the_current_candle_is_that_of_its_trades_however_the_clock_runs(drawn, clock):
    """The clock may run ahead of the trades by less than an interval, as commits take their time."""
    feed = CandleFeed("1m", None, loaded=0)
    told: dict[int, Candle] = {}
    expected: dict[int, list[PublicTrade]] = {}
    for id, (at, price, quantity, buys) in enumerate(sorted(drawn), start=1):
        for now in sorted(clock):
            if at <= now < at + MINUTE and feed.current is not None and now - MINUTE < feed.current.open_time + MINUTE:
                feed.roll(min(now, feed.current.open_time + MINUTE))
        found = trade(id, at=at, price=price, quantity=quantity, side="buy" if buys else "sell")
        expected.setdefault(open_time("1m", at), []).append(found)
        feed.apply([found])
        told.update({candle.open_time: candle for candle in feed.tell()})
    for opened, trades in expected.items():
        candle = told[opened]
        prices = [found.price for found in trades]
        assert (candle.open, candle.high, candle.low, candle.close) == (
            prices[0], max(prices), min(prices), prices[-1],
        )  # fmt: skip
        assert candle.volume == sum(found.quantity for found in trades)
        assert candle.quote_volume == sum(found.notional for found in trades)
        assert candle.trades == len(trades)
        assert candle.taker_buy_volume == sum(found.quantity for found in trades if found.taker_side == "buy")


def test_a_new_interval_begins_flat_and_its_predecessor_still_takes_late_trades():
    feed = CandleFeed("1m", None, loaded=0)
    feed.apply([trade(1, at=10, price=100)])
    feed.roll(MINUTE)
    assert [(candle.open_time, candle.trades) for candle in feed.tell()] == [(0, 1), (MINUTE, 0)]
    feed.apply([trade(2, at=MINUTE - 1, price=105)])
    assert [(candle.open_time, candle.close, candle.trades) for candle in feed.tell()] == [
        (0, 105, 2),
        (MINUTE, 105, 0),
    ]


def test_a_day_is_its_last_1440_minutes():
    day = 1440 * MINUTE
    ticker = DayTicker([], None)
    assert ticker.day(0) is None
    ticker.apply([trade(1, at=0, price=50), trade(2, at=MINUTE, price=70), trade(3, at=day, price=60)])
    found = ticker.day(day)
    assert found is not None
    assert (found.open, found.high, found.low, found.close, found.trades) == (70, 70, 60, 60, 2)
    assert ticker.last_price == 60
    assert ticker.day(3 * day) is None
    assert ticker.last_price == 60
