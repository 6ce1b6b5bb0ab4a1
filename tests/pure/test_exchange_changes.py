"""Amends and cancels at a whole exchange: who keeps the place, what is checked, what becomes of the rest."""

from matching.engine.messages import AmendOrder, CancelOrder, CancelOrders
from tests.pure.builders import BTC, trade, units


def test_less_keeps_the_place_and_more_or_another_price_loses_it():
    trade("""
        A sell 5@100       ->
        B sell 5@100       ->
        A1 amend 3         -> open 3
        asks               -> A1 3@100, B1 5@100
        A1 amend 3         -> open 3
        A1 amend @100      -> open 3
        asks               -> A1 3@100, B1 5@100
        A1 amend 4         -> open 4
        asks               -> B1 5@100, A1 4@100
        B1 amend @101      -> open 5
        B1 amend 4@100     -> open 4
        asks               -> A1 4@100, B1 4@100
        A has              -> 996 + 4 BTC, 1000000 USDT
        B has              -> 996 + 4 BTC, 1000000 USDT
    """)


def test_an_amended_quantity_counts_what_is_filled():
    trade("""
        A buy 5@100        ->
        B sell 2@100       -> A1 2@100, filled
        A1 amend 2         -> refused quantity_below_filled
        A1 amend 1         -> refused quantity_below_filled
        A1 amend 2.01      -> open 0.01
        A has              -> 1002 BTC, 999799 + 1 USDT
        A1 amend 4@99      -> open 2
        A has              -> 1002 BTC, 999602 + 198 USDT
        A1 amend 4@102     -> open 2
        A has              -> 1002 BTC, 999596 + 204 USDT
    """)


def test_an_amend_may_trade_and_what_is_left_rests_or_not():
    trade("""
        A sell 1@105       ->
        A sell 1@106       ->
        B buy 3@100        ->
        B1 amend @105      -> A1 1@105, open 2
        B1 is              -> open 2 filled 1 held 210
        bids               -> B1 2@105
        B1 amend 2@106     -> A2 1@106, filled
        B has              -> 1002 BTC, 999789 USDT
        B1 amend 9         -> refused unknown_order
    """)


def test_an_amend_that_meets_an_own_order_is_subject_to_self_trade_prevention():
    trade("""
        B sell 1@105       ->
        B buy 3@100        ->
        B2 amend @105      -> B1 open 1, canceled 3 self_trade_prevented
        B has              -> 999 + 1 BTC, 1000000 USDT
        B buy 3@100 decrement ->
        B3 amend @105      -> B1 canceled self_trade_prevented, open 2
        B3 is              -> open 2 held 210 prevented 1
    """)


def test_amends_are_checked_like_orders():
    trade(
        """
        A sell 1@100       ->
        B buy 1@95 post_only ->
        B1 amend @100      -> refused post_only_would_trade
        B1 amend @94.5     -> refused price_off_tick
        B1 amend 0.005     -> refused quantity_off_lot
        B1 amend 0.02      -> refused quantity_too_small
        B1 amend 101       -> refused quantity_too_large
        B1 amend 0.1@10    -> refused notional_too_small
        B1 amend 100@95    -> refused notional_too_large
        B1 amend 90        -> refused insufficient_balance
        B1 amend 0         -> refused quantity_below_filled
        B1 amend @         -> refused amend_without_change
        B1 amend @0        -> refused price_off_tick
        bids               -> B1 1@95
        B has              -> 1000 BTC, 905 + 95 USDT
        freeze B           ->
        B1 amend 0.9       -> refused account_frozen
        unfreeze B         ->
        market cancel_only ->
        B1 amend 0.9       -> refused market_cancel_only
        market halted      ->
        B1 amend 0.9       -> refused market_halted
        market post_only   ->
        A1 amend 0.9       -> refused market_post_only
        B1 amend 0.9       -> open 0.9
        exchange halted    ->
        B1 amend 0.8       -> refused exchange_halted
        B1 cancel          -> canceled 0.9 user_canceled
        """,
        funds={"BTC": "1000", "USDT": "1000"},
        min_quantity="0.1",
        max_quantity="100",
        min_notional="5",
        max_notional="9000",
    )


def test_an_amend_needs_only_what_is_not_held_yet():
    trade(
        """
        B buy 6@100        ->
        B1 amend 10        -> open 10
        B has              -> 0 + 1000 USDT
        B1 amend @101      -> refused insufficient_balance
        B1 amend @99       -> open 10
        B has              -> 10 + 990 USDT
        """,
        funds={"USDT": "1000"},
    )


def test_a_reduction_is_not_held_to_the_price_band():
    trade(
        """
        A sell 5@100      ->
        C sell 1@90       ->
        D buy 1@90        -> C1 1@90, filled
        D sell 1@60       -> open 1                      # 90 - 40 %
        E buy 1@60        -> D2 1@60, filled
        A1 amend 4        -> open 4
        A1 amend @99      -> refused price_outside_band
        A1 amend 6        -> open 6                      # the same price may grow
        A1 amend 6@84     -> open 6
        """,
        price_band=400_000,
    )


# ---------------------------------------------------------------------------------------------- cancel


def test_cancel_all_takes_a_market_and_a_side():
    session = trade("""
        A sell 1@100       ->
        A buy 1@90         ->
        A sell 1@101       ->
        B sell 1@102       ->
        A cancel all sell  -> A1 canceled 1 user_canceled, A3 canceled 1 user_canceled
        A has              -> 1000 BTC, 999910 + 90 USDT
        A cancel all BTC-USDT -> A2 canceled 1 user_canceled
        A cancel all       ->
        A has              -> 1000 BTC, 1000000 USDT
        asks               -> B1 1@102
    """)
    assert session.refused(CancelOrders(99)) == "unknown_account"
    assert session.refused(CancelOrders(3, 9)) == "unknown_market"


def test_only_the_owners_open_orders_can_be_canceled_or_amended():
    session = trade("A sell 1@100 id=mine -> open 1\nB buy 1@90 id=mine -> open 1")
    a, b = session.orders["A1"], session.orders["B1"]
    assert session.refused(CancelOrder(b.account_id, a.id)) == "unknown_order"
    assert session.refused(AmendOrder(b.account_id, a.id, price=1)) == "unknown_order"
    assert session.refused(CancelOrder(a.account_id, b.id, "mine")) == "unknown_order"
    assert session.refused(CancelOrder(b.account_id, b.id, "other")) == "unknown_order", "both must fit"
    assert session.refused(CancelOrder(b.account_id)) == "unknown_order"
    assert session.refused(AmendOrder(99, a.id, price=1)) == "unknown_account"
    assert not session.refused(CancelOrder(b.account_id, client_order_id="mine"))
    assert session.refused(CancelOrder(b.account_id, client_order_id="mine")) == "unknown_order"
    assert not session.refused(AmendOrder(a.account_id, client_order_id="mine", quantity=units("0.5", BTC)))
    assert not session.refused(CancelOrder(a.account_id, a.id, "mine"))
