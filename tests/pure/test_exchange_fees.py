"""Fees, tiers and volumes at a whole exchange."""

import pytest

from matching.engine import messages
from matching.engine.messages import (
    CreateAsset,
    CreateMarket,
    Deposit,
    FeeTier,
    OpenAccount,
    PlaceOrder,
    SetFeeOverride,
    SetFeeTiers,
)
from matching.exchange import Exchange
from tests.pure.builders import ASSETS, BTC, DAY, ETH, SCALES, START, USDT, Session, parameters, trade, units

DEFAULT_FEES = (1_000, 1_500)


def test_fees_are_taken_in_the_asset_received_and_round_up():
    session = trade(
        """
        A sell 1@100      ->
        B buy 1@100       -> A1 1@100, filled
        B has             -> 1000.9985 BTC, 999900 USDT         # taker: 0.15 % of 1 BTC
        A has             -> 999 BTC, 1000099.9 USDT            # maker: 0.10 % of 100 USDT
        fees has          -> 0.0015 BTC, 0.1 USDT
        A buy 0.01@103    ->
        B sell 0.01       -> A2 0.01@103, filled
        A has             -> 999.0099 BTC, 1000098.87 USDT      # 0.00001 BTC is rounded up to 0.0001
        B has             -> 1000.9885 BTC, 999901.02 USDT      # 0.1545 cents up to 1
        """,
        fees=DEFAULT_FEES,
    )
    order = session.orders["B1"]
    assert (order.maker_rate, order.taker_rate) == DEFAULT_FEES


def test_a_rebate_comes_from_the_house_and_rounds_down():
    session = trade(
        """
        A sell 2@100      ->
        B buy 1@100       -> A1 1@100, filled
        A has             -> 998 + 1 BTC, 1000100.01 USDT        # 0.015 % of 100 is 1.5 cents, of which one is paid
        fees has          -> 0.0015 BTC, -0.01 USDT
        B buy 0.01@100    -> A1 0.01@100, filled
        A has             -> 998 + 0.99 BTC, 1000101.01 USDT     # 0.015 % of 1 is nothing
        """,
        fees=(-150, 1_500),
    )
    assert session.fold.balances[2, USDT].available == -1


def test_the_rate_is_frozen_when_the_order_is_placed():
    session = trade("A sell 3@100 -> open 3", fees=DEFAULT_FEES)
    session.apply(SetFeeTiers((FeeTier(0, 20_000, 30_000),), USDT))
    session.play("""
        B buy 1@100       -> A1 1@100, filled
        B has             -> 1000.97 BTC, 999900 USDT            # the new 3 %
        A has             -> 997 + 2 BTC, 1000099.9 USDT         # still 0.10 %
        A1 amend @101     ->
        A1 amend 4@101    ->
        B buy 1@101       -> A1 1@101, filled
        A has             -> 996 + 2 BTC, 1000200.79 USDT        # 10.1 cents, rounded up to 11
        A sell 1@100      ->
        C buy 1@100       -> A2 1@100, filled
        A has             -> 995 + 2 BTC, 1000298.79 USDT        # 2 %
    """)


def test_the_narrowest_override_wins():
    session = Session(fees=(10, 10))
    a, b = session.account("A"), session.account("B")
    expected = [(None, None, 10), (None, 1, 20), (a, None, 30), (a, 1, 40)]
    for account_id, market_id, rate in expected[1:]:
        assert not session.refused(SetFeeOverride(account_id, market_id, rate, rate))
        session.play("A sell 1@100 ->")
        assert session.orders[f"A{rate // 10 - 1}"].maker_rate == rate
    session.play("B buy 1@50 ->")
    assert session.orders["B1"].maker_rate == 20
    for number, (account_id, market_id, rate) in enumerate(reversed(expected[:-1]), start=4):
        assert not session.refused(SetFeeOverride(*expected[7 - number][:2]))
        session.play("A sell 1@100 ->")
        assert session.orders[f"A{number}"].taker_rate == rate, (account_id, market_id)
    for command, reason in (
        (SetFeeOverride(None, None, 1, 1), "invalid_parameters"),
        (SetFeeOverride(a, None, 1, None), "invalid_parameters"),
        (SetFeeOverride(a, None, None, 1), "invalid_parameters"),
        (SetFeeOverride(a, None, -2, 1), "invalid_parameters"),
        (SetFeeOverride(a, None, 0, 100_001), "invalid_parameters"),
        (SetFeeOverride(a, None, 100_001, 0), "invalid_parameters"),
        (SetFeeOverride(a, None, 1, -1), "invalid_parameters"),
        (SetFeeOverride(99, None, 1, 1), "unknown_account"),
        (SetFeeOverride(1, None, 1, 1), "house_account"),
        (SetFeeOverride(b, 9, 1, 1), "unknown_market"),
    ):
        assert session.refused(command) == reason
    assert not session.refused(SetFeeOverride(b, 1)), "removing what is not there is no error"


def test_a_tier_applies_as_soon_as_its_volume_is_reached_and_ends_30_days_later():
    session = Session()
    session.apply(SetFeeTiers((FeeTier(0, 1_000, 1_500), FeeTier(units("250", USDT), 800, 1_200)), USDT))
    rates = []

    def place(letter: str) -> tuple[int, int]:
        session.play(f"{letter} buy 0.01@1 -> open 0.01")
        order = list(session.orders.values())[-1]
        return order.maker_rate, order.taker_rate

    session.play("A sell 9@100 ->\nB buy 1@100 -> A1 1@100, filled")
    rates.append(place("B"))
    session.play(f"wait {DAY}\nB buy 1@100 -> A1 1@100, filled")
    rates.append(place("B"))
    session.play("B buy 0.5@100 -> A1 0.5@100, filled")
    rates.append(place("B"))
    rates.append(place("A"))
    rates.append(place("C"))
    assert rates == [(1_000, 1_500), (1_000, 1_500), (800, 1_200), (800, 1_200), (1_000, 1_500)]
    session.now = (START // 10**6 // DAY + 30) * DAY * 10**6 - 1
    assert place("B") == (800, 1_200), "the 30th day, the first one included"
    session.now += 1
    assert place("B") == (1_000, 1_500), "the first day no longer counts"
    session.play("B buy 1@100 -> A1 1@100, filled")
    assert place("B") == (800, 1_200)
    assert place("A") == (800, 1_200)


def test_volumes_are_valued_through_another_market():
    session = Session(funds={"BTC": "1000", "USDT": "1000000", "ETH": "1000"})
    session.apply(CreateMarket(ETH, BTC, _eth_btc()))
    session.play("A has -> 1000 BTC, 1000000 USDT, 1000 ETH\nB has -> 1000 BTC, 1000000 USDT, 1000 ETH")
    a, b = session.account("A"), session.account("B")
    session.apply(PlaceOrder(a, 2, "sell", "limit", 500, 2_0000))
    events = session.apply(PlaceOrder(b, 2, "buy", "limit", 500, 1_0000))
    assert _volumes(events) == [], "nothing says yet what a bitcoin is worth"
    session.play("A sell 1@30 ->\nB buy 1@30 -> A2 1@30, filled")
    events = session.apply(PlaceOrder(b, 2, "buy", "limit", 500, 1_0000))
    day = START // 10**6 // DAY
    assert _volumes(events) == [(a, day, 31_50), (b, day, 31_50)], "30 USDT, and 0.05 BTC at 30"


def test_volumes_are_valued_through_a_market_the_other_way_round():
    exchange = Exchange()
    for symbol, asset_id in ASSETS.items():
        exchange.apply(CreateAsset(symbol, symbol, SCALES[asset_id]), START)
    apply = exchange.apply
    apply(CreateMarket(BTC, USDT, parameters()), START)
    apply(SetFeeTiers((FeeTier(0, 0, 0),), BTC), START)
    for user in (1, 2):
        apply(OpenAccount(user), START)
        apply(Deposit(2 + user, BTC, 100_0000), START)
        apply(Deposit(2 + user, USDT, 100_000_00), START)
    apply(PlaceOrder(3, 1, "sell", "limit", 3_00, 1_0000), START)
    events = apply(PlaceOrder(4, 1, "buy", "limit", 3_00, 1_0000), START)
    assert [volume for _, _, volume in _volumes(events)] == [1_0000, 1_0000], "3 USDT at 3 USDT a bitcoin"


def test_the_entries_of_a_trade_tell_its_story():
    session = trade("A sell 1@100 -> open 1", fees=DEFAULT_FEES)
    account = session.account("B")
    events = session.apply(PlaceOrder(account, 1, "buy", "limit", units("100", USDT), units("1", BTC)))
    told = [(e.account_id, e.asset_id, e.amount, e.entry_type, e.reference) for e in _entries(events)]
    assert told == [
        (3, BTC, -1_0000, "trade", 1),
        (4, BTC, 1_0000, "trade", 1),
        (4, USDT, -100_00, "trade", 1),
        (3, USDT, 100_00, "trade", 1),
        (4, BTC, -15, "fee", 1),
        (2, BTC, 15, "fee", 1),
        (3, USDT, -10, "fee", 1),
        (2, USDT, 10, "fee", 1),
    ]


@pytest.mark.parametrize(
    ("tiers", "valuation", "reason"),
    [
        ((), USDT, "invalid_parameters"),
        ((FeeTier(1, 0, 0),), USDT, "invalid_parameters"),
        ((FeeTier(0, 0, 0), FeeTier(0, 0, 0)), USDT, "invalid_parameters"),
        ((FeeTier(0, 0, 0), FeeTier(5, 0, 0), FeeTier(4, 0, 0)), USDT, "invalid_parameters"),
        ((FeeTier(0, -1_000, 2_000), FeeTier(5, 0, 999)), USDT, "invalid_parameters"),
        ((FeeTier(0, 0, 100_001),), USDT, "invalid_parameters"),
        ((FeeTier(0, 0, 0), FeeTier(10**23, 0, 0)), USDT, "invalid_parameters"),
        (tuple(FeeTier(volume, 0, 0) for volume in range(51)), USDT, "invalid_parameters"),
        ((FeeTier(0, 0, 0),), 9, "unknown_asset"),
        ((FeeTier(0, 0, 0),), BTC, "invalid_parameters"),
        ((FeeTier(0, 0, 0),), None, "invalid_parameters"),
        ((FeeTier(0, -1_000, 2_000), FeeTier(5, -999, 1_000)), USDT, ""),
        (tuple(FeeTier(volume, 0, 0) for volume in range(50)), USDT, ""),
    ],
)
def test_a_tier_table_must_make_sense(tiers, valuation, reason):
    assert Session().refused(SetFeeTiers(tiers, valuation)) == reason


def test_tiers_need_something_to_value_volumes_in():
    exchange = Exchange()
    (event,) = exchange.apply(SetFeeTiers((FeeTier(0, 0, 0), FeeTier(5, 0, 0))), START)
    assert isinstance(event, messages.CommandRefused)
    (event,) = exchange.apply(SetFeeTiers((FeeTier(0, 7, 8),)), START)
    assert event == messages.FeeTiersChanged((FeeTier(0, 7, 8),), None)


def _entries(events: list[messages.AnyEvent]) -> list[messages.EntryPosted]:
    return [event for event in events if isinstance(event, messages.EntryPosted)]


def _volumes(events: list[messages.AnyEvent]) -> list[tuple[int, int, int]]:
    return [(e.account_id, e.day, e.volume) for e in events if isinstance(e, messages.VolumeChanged)]


def _eth_btc() -> messages.MarketParameters:
    return messages.MarketParameters(
        tick_size=100, lot_size=100, min_quantity=100, max_quantity=10**9, min_notional=0, max_notional=10**9,
        price_band=0, breaker_move=0,
    )  # fmt: skip
