"""Price band and circuit breaker at a whole exchange."""

import pytest

from matching.engine import messages
from tests.pure.builders import START, parameters, trade

# ---------------------------------------------------------------------------------------------- price band


def test_the_band_refuses_limit_prices_too_far_from_the_last_trade():
    trade(
        """
        A sell 1@200     ->                                    # no trade, no reference: no band
        B buy 1@200      -> A1 1@200, filled
        A sell 1@159     -> rejected price_outside_band
        A sell 1@241     -> rejected price_outside_band
        A sell 1@160     ->
        A buy 1@241      -> rejected price_outside_band
        A buy 1@159      -> rejected price_outside_band
        A sell 1@240     ->
        """,
        price_band=200_000,
    )


def test_the_band_starts_around_the_reference_price():
    trade(
        """
        A sell 1@120     -> rejected price_outside_band
        A sell 1@110     ->
        B buy 1@110      -> A2 1@110, filled
        A sell 1@120     ->                                    # the last trade counts now
        """,
        price_band=100_000,
        reference_price="100",
    )


def test_market_orders_obey_the_band_while_they_execute():
    trade(
        """
        A buy 1@100      ->
        B sell 1@100     -> A1 1@100, filled
        A sell 1@105     ->
        A sell 1@110     ->
        B buy 1@105      -> A2 1@105, filled
        A sell 1@115     ->
        B buy 3          -> A3 1@110, A4 1@115, canceled 1 no_liquidity     # up to 115.5 around 105
        """,
        price_band=100_000,
    )
    band = {"price_band": 100_000, "reference_price": "100"}
    before = """
        A sell 1@101     ->
        A sell 1@110     ->
        A buy 1@99       ->
        A buy 1@90       ->
        C buy 0.01@110   -> A1 0.01@101, filled
        C sell 0.01      -> A3 0.01@99, filled
        D sell 0.01@106  ->
        D buy 0.01@92    ->
        """
    # Around 99 the band is 90 .. 108.
    trade(before + "B buy 3 -> A1 0.99@101, D1 0.01@106, canceled 2 price_band", **band)
    trade(before + "B buy for 200 -> A1 0.99@101, D1 0.01@106, canceled price_band", **band)
    trade(before + "B buy 2 fok -> canceled 2 price_band\nB buy 1 fok -> A1 0.99@101, D1 0.01@106, filled", **band)
    trade(before + "B sell 3 -> A3 0.99@99, D2 0.01@92, A4 1@90, canceled 1 no_liquidity", **band)


def test_a_resting_order_outside_the_band_is_not_traded_with():
    band = {"price_band": 100_000}
    before = """
        A sell 1@100      ->
        A sell 1@110      ->
        A buy 1@91        ->
        C buy 1@100       -> A1 1@100, filled
        C buy 0.5@110     -> A2 0.5@110, filled       # the band is now 99 .. 121, and A3 bids 91
        """
    trade(before + "B sell 2 -> canceled 2 price_band", **band)
    trade(before + "B sell 2@99 -> open 2", **band)
    trade(before + "B sell 2 fok -> canceled 2 fill_or_kill\nB sell 1 fok -> canceled 1 price_band", **band)
    trade(before + "B sell 1@91 -> rejected price_outside_band", **band)
    session = trade(before, **band)
    session.play("""
        D buy 1@109 ->
        E sell 0.5@109 -> D1 0.5@109, filled
        D1 cancel -> canceled 0.5 user_canceled
        E sell 1@99 ->
        E2 amend 1.5@99 -> open 1.5
    """)


# ---------------------------------------------------------------------------------------------- circuit breaker

BREAKER = {"breaker_move": 100_000, "breaker_window": 60, "breaker_pause": 30}
CLIMB = """
    A buy 1@100      ->
    B sell 1@100     -> A1 1@100, filled
    A sell 1@105     ->
    A sell 1@110     ->
    A sell 1@111     ->
    A buy 1@95       ->
    A buy 1@90       ->
    A buy 1@89       ->
"""


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("B buy 4@120", "A2 1@105, A3 1@110, trips at 111 after 100..110, canceled 2 circuit_breaker"),
        ("B buy 4@120 ioc", "A2 1@105, A3 1@110, trips at 111 after 100..110, canceled 2 circuit_breaker"),
        ("B buy 4", "A2 1@105, A3 1@110, trips at 111 after 100..110, canceled 2 circuit_breaker"),
        ("B buy for 400", "A2 1@105, A3 1@110, trips at 111 after 100..110, canceled circuit_breaker"),
        ("B buy 3@120 fok", "trips at 111 after 100..100, canceled 3 circuit_breaker"),
        ("B buy 3 fok", "trips at 111 after 100..100, canceled 3 circuit_breaker"),
        ("B buy for 320 fok", "trips at 111 after 100..100, canceled circuit_breaker"),
        ("B buy 4@120 fok", "canceled 4 fill_or_kill"),
        ("B buy for 216.1 fok", "A2 1@105, A3 1@110, filled"),  # the 1.10 left buy a lot at 110, but none at 111
        ("B buy for 216.1", "A2 1@105, A3 1@110, filled"),
        ("B buy for 216.11 fok", "trips at 111 after 100..100, canceled circuit_breaker"),
        ("B buy 4@110", "A2 1@105, A3 1@110, open 2"),
        ("B buy 2", "A2 1@105, A3 1@110, filled"),
        ("B buy for 215", "A2 1@105, A3 1@110, filled"),
        ("B buy for 216", "A2 1@105, A3 1@110, filled"),
        ("B sell 4@80", "A5 1@95, A6 1@90, trips at 89 after 90..100, canceled 2 circuit_breaker"),
        ("B sell 4", "A5 1@95, A6 1@90, trips at 89 after 90..100, canceled 2 circuit_breaker"),
        ("B sell 3 fok", "trips at 89 after 100..100, canceled 3 circuit_breaker"),
        ("B sell 4 fok", "canceled 4 fill_or_kill"),
        ("B sell 2", "A5 1@95, A6 1@90, filled"),
    ],
)
def test_the_breaker_trips_before_the_trade_that_moves_too_far(line, outcome):
    session = trade(f"{CLIMB}\n{line} -> {outcome}", **BREAKER)
    tripped = "trips" in outcome
    market = session.exchange.state.markets[1]
    assert market.state == ("cancel_only" if tripped else "open")
    assert market.reopens_at == (START + 30_000_000 if tripped else None)
    session.play(f"C buy 1@50 -> {'rejected market_cancel_only' if tripped else 'open 1'}")
    session.play("A4 cancel -> canceled 1 user_canceled")


def test_an_amend_trips_the_breaker_too():
    trade(
        CLIMB
        + """
        B buy 4@50       ->
        B2 amend 4@111   -> A2 1@105, A3 1@110, trips at 111 after 100..110, canceled 2 circuit_breaker
        B has            -> 1001 BTC, 999885 USDT
        """,
        **BREAKER,
    )


def test_small_steps_trip_the_breaker_as_one_large_step_does():
    trade(
        """
        A sell 9@100 ->
        B buy 1@100  -> A1 1@100, filled
        wait 20
        A1 amend @104 ->
        B buy 1@104  -> A1 1@104, filled
        wait 20
        A1 amend @108 ->
        B buy 1@108  -> A1 1@108, filled
        wait 20
        A1 amend @111 ->
        B buy 1@111  -> trips at 111 after 100..108, canceled 1 circuit_breaker
        """,
        **BREAKER,
    )


def test_what_is_older_than_the_window_does_not_count():
    trade(
        """
        A sell 9@100 ->
        B buy 1@100  -> A1 1@100, filled
        wait 20
        A1 amend @104 ->
        B buy 1@104  -> A1 1@104, filled
        wait 41                                         # 61 s after the trade at 100
        A1 amend @114 ->
        B buy 1@114  -> A1 1@114, filled                # 104 still counts: up to 114.4
        A1 amend @115 ->
        B buy 1@115  -> trips at 115 after 104..114, canceled 1 circuit_breaker
        """,
        **BREAKER,
    )
    trade(
        """
        A sell 9@100 ->
        B buy 1@100  -> A1 1@100, filled
        wait 61
        A1 amend @900 ->
        B buy 1      -> A1 1@900, filled
        """,
        **BREAKER,
    )


def test_an_order_whose_first_trade_moves_too_far_does_not_trade_at_all():
    trade(
        """
        A sell 1@100 ->
        A sell 1@120 ->
        A sell 1@121 ->
        B buy 1@100  -> A1 1@100, filled
        B buy 2@121  -> trips at 120 after 100..100, canceled 2 circuit_breaker
        asks         -> A2 1@120, A3 1@121
        """,
        **BREAKER,
    )


def test_the_first_trade_of_an_order_bounds_its_others():
    trade(
        """
        A sell 1@100 ->
        A sell 1@110 ->
        A sell 1@111 ->
        B buy 3@121  -> A1 1@100, A2 1@110, trips at 111 after 100..110, canceled 1 circuit_breaker
        """,
        **BREAKER,
    )


def test_own_orders_beyond_the_bound_trip_nothing():
    before = """
        A sell 1@100            ->
        B buy 1@100             -> A1 1@100, filled
        B sell 1@115            ->
    """
    trade(before + "B buy 1@120 -> B2 open 1, canceled 1 self_trade_prevented", **BREAKER)
    trade(before + "B buy 1@120 cancel_maker -> B2 canceled 1 self_trade_prevented, open 1", **BREAKER)
    trade(before + "B buy 1 cancel_maker -> B2 canceled 1 self_trade_prevented, canceled 1 no_liquidity", **BREAKER)
    trade(before + "B buy 3@120 decrement -> B2 canceled self_trade_prevented, open 2", **BREAKER)
    trade(
        before + "B buy 1@120 decrement -> B2 canceled self_trade_prevented, canceled self_trade_prevented", **BREAKER
    )
    trade(
        before + "B buy 1@120 cancel_both -> B2 canceled 1 self_trade_prevented, canceled 1 self_trade_prevented",
        **BREAKER,
    )
    trade(before + "A sell 1@105 ->\nB buy 2@120 -> A2 1@105, B2 open 1, canceled 1 self_trade_prevented", **BREAKER)
    trade(
        before
        + "A sell 1@116 ->\nB buy 1@120 decrement -> B2 canceled self_trade_prevented, canceled self_trade_prevented",
        **BREAKER,
    )
    trade(
        before
        + "A sell 1@116 ->\n"
        + "B buy 2@120 cancel_maker -> "
        + "B2 canceled 1 self_trade_prevented, trips at 116 after 100..100, canceled 2 circuit_breaker",
        **BREAKER,
    )


def test_a_better_own_order_does_not_hide_the_first_trade():
    trade(
        """
        A sell 1@100             ->
        B buy 1@100              -> A1 1@100, filled
        B sell 1@80              ->
        A sell 1@105             ->
        B buy 1@105 cancel_maker -> A2 1@105, B2 canceled 1 self_trade_prevented, filled
        """,
        **BREAKER,
    )


def test_the_band_stops_before_the_breaker_trips():
    both = {"price_band": 50_000, **BREAKER}
    trade(
        """
        A sell 1@100 ->
        B buy 1@100  -> A1 1@100, filled
        A sell 1@104 ->
        A sell 1@105 ->
        B buy 1@104  -> A2 1@104, filled
        A sell 1@108 ->
        A sell 1@109 ->
        B buy 1@108  -> A3 1@105, filled
        B buy 1@108  -> A4 1@108, filled
        A sell 1@113 ->
        B buy 9      -> A5 1@109, trips at 113 after 100..109, canceled 8 circuit_breaker
        """,
        **both,
    )
    wide_breaker = {"price_band": 50_000, "breaker_move": 500_000}
    trade(
        """
        A sell 1@104 ->
        A sell 1@106 ->
        A buy 1@100  ->
        B sell 1@100 -> A3 1@100, filled
        B buy 9      -> A1 1@104, canceled 8 price_band        # though 106 is within the band around 104
        """,
        **wide_breaker,
    )


def test_a_tripped_market_reopens_when_it_is_due():
    session = trade(
        CLIMB + "B buy 4@120 -> A2 1@105, A3 1@110, trips at 111 after 100..110, canceled 2 circuit_breaker", **BREAKER
    )
    exchange = session.exchange
    assert exchange.due_timers(START + 29_999_999) == []
    assert exchange.due_timers(START + 30_000_000) == [messages.ReopenMarket(1)]
    session.play("""
        wait 29.999999
        reopen        -> refused not_due
        wait 0.000001
        reopen        ->
        reopen        -> refused not_due
        B buy 1@120   -> A4 1@111, filled          # starts afresh
    """)
    assert exchange.state.markets[1].breaker_since == exchange.state.sequence - 2
    assert session.refused(messages.ReopenMarket(9)) == "unknown_market"


def test_an_operator_can_reopen_or_close_a_tripped_market():
    tripped = CLIMB + "B buy 4@120 -> A2 1@105, A3 1@110, trips at 111 after 100..110, canceled 2 circuit_breaker\n"
    session = trade(tripped + "market open ->\nreopen -> refused not_due\nB buy 1@120 -> A4 1@111, filled", **BREAKER)
    assert session.exchange.due_timers(START + 10**9) == []
    session = trade(
        tripped + "market halted ->\nwait 30\nreopen -> refused not_due\nB buy 1@120 -> rejected market_halted",
        **BREAKER,
    )
    assert session.exchange.due_timers(START + 10**9) == []


def test_another_window_starts_the_breaker_afresh_and_other_parameters_do_not():
    session = trade("A sell 9@100 ->\nB buy 1@100 -> A1 1@100, filled", **BREAKER)
    session.apply(messages.SetMarketParameters(1, parameters(min_notional="1", **BREAKER)))
    assert session.exchange.state.markets[1].breaker_since == 0
    session.play(
        "A1 amend @120 ->\nB buy 1@120 -> trips at 120 after 100..100, canceled 1 circuit_breaker\nmarket open ->"
    )
    session.play("B buy 1@120 -> A1 1@120, filled")
    session.apply(messages.SetMarketParameters(1, parameters(**{**BREAKER, "breaker_window": 90})))
    assert session.exchange.state.markets[1].breaker_since == session.exchange.state.sequence
    session.play("A1 amend @200 ->\nB buy 1@200 -> A1 1@200, filled")


def test_a_breaker_that_is_off_never_trips():
    trade("A sell 9@100 ->\nB buy 1@100 -> A1 1@100, filled\nA1 amend @900 ->\nB buy 1@900 -> A1 1@900, filled")
