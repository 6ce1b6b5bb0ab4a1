"""Orders at a whole exchange: what they cost, how they end, amends, cancels, own orders, client order ids."""

import pytest

from matching.engine.messages import AmendOrder, CancelOrder, CancelOrders, OrderDuplicated, PlaceOrder, Reason
from tests.pure.builders import BTC, USDT, Session, trade, units


def test_a_trade_happens_at_the_makers_price_and_releases_the_price_improvement():
    trade("""
        A sell 5@101       -> open 5
        A sell 5@100       -> open 5
        A has              -> 990 + 10 BTC, 1000000 USDT
        B buy 7@105        -> A2 5@100, A1 2@101, filled
        B has              -> 1007 BTC, 999298 USDT        # 500 + 202, not 7 x 105
        A has              -> 990 + 3 BTC, 1000702 USDT
        B buy 4@101        -> A1 3@101, open 1
        B2 is              -> open 1 filled 3 held 101
        B has              -> 1010 BTC, 998894 + 101 USDT
        B2 cancel          -> canceled 1 user_canceled
        B has              -> 1010 BTC, 998995 USDT
    """)


def test_time_decides_within_a_price():
    trade("""
        A sell 1@100 ->
        B sell 1@100 ->
        C buy 1.5@100 -> A1 1@100, B1 0.5@100, filled
        asks -> B1 0.5@100
    """)


def test_time_in_force_decides_what_becomes_of_the_rest():
    trade("""
        A sell 1@100           -> open 1
        B buy 2@100 fok        -> canceled 2 fill_or_kill
        B has                  -> 1000 BTC, 1000000 USDT
        B buy 1@99 ioc         -> canceled 1 immediate_or_cancel
        B buy 2@100 ioc        -> A1 1@100, canceled 1 immediate_or_cancel
        A sell 1@100           -> open 1
        A sell 1@101           -> open 1
        B buy 2@101 fok        -> A2 1@100, A3 1@101, filled
        B buy 1@101 fok        -> canceled 1 fill_or_kill
        B buy 2@100            -> open 2
    """)


def test_post_only_never_takes():
    trade("""
        A sell 1@100           -> open 1
        B buy 1@100 post_only  -> rejected post_only_would_trade
        B buy 1@99 post_only   -> open 1
        A sell 1@99 post_only  -> rejected post_only_would_trade
        B sell 1@100 post_only -> open 1
    """)


def test_a_market_buy_holds_exactly_what_it_will_cost():
    session = Session(funds={})
    session.deposit("A", "2", "BTC")
    session.deposit("B", "155", "USDT")
    session.play("""
        A sell 1@100   ->
        A sell 1@110   ->
        B buy 3        -> rejected insufficient_balance      # 210 for the 2 there are
        B buy 1.5      -> A1 1@100, A2 0.5@110, filled       # exactly the 155
        B has          -> 1.5 BTC
        B buy 0.01     -> rejected insufficient_balance
    """)


def test_market_orders_take_what_there_is_and_never_rest():
    trade("""
        B buy 1            -> canceled 1 no_liquidity
        B sell 1 fok       -> canceled 1 fill_or_kill
        A sell 1@100       -> open 1
        B buy 2 fok        -> canceled 2 fill_or_kill
        B buy 2            -> A1 1@100, canceled 1 no_liquidity
        B has              -> 1001 BTC, 999900 USDT
        A buy 1@90         -> open 1
        B sell 2           -> A2 1@90, canceled 1 no_liquidity
        B has              -> 1000 BTC, 999990 USDT
    """)


def test_a_quote_amount_is_spent_down_to_the_lot_and_never_overspent():
    trade("""
        A sell 1@100       ->
        A sell 1@300       ->
        B buy for 99       -> A1 0.99@100, filled
        B has              -> 1000.99 BTC, 999901 USDT
        B buy for 5.99     -> A1 0.01@100, A2 0.01@300, filled      # 1 + 3, the 1.99 left buy no lot
        B has              -> 1001.01 BTC, 999897 USDT
        B buy for 2.99     -> rejected quantity_too_small
        B buy for 300      -> A2 0.99@300, canceled no_liquidity
        B has              -> 1002 BTC, 999600 USDT
        B buy for 10       -> canceled no_liquidity
        B buy for 0        -> rejected quantity_too_small
        B buy for 2000000  -> rejected insufficient_balance
        A sell 1@100       ->
        B buy for 101 fok  -> canceled fill_or_kill
        B buy for 100 fok  -> A3 1@100, filled
    """)


# ---------------------------------------------------------------------------------------------- amend


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


# ---------------------------------------------------------------------------------------------- own orders in the way


def test_cancel_taker_keeps_the_own_order_and_ends_the_taker():
    trade("""
        B sell 1@100                 ->
        A sell 2@101                 ->
        A buy 3@101                  -> B1 1@100, A1 open 2, canceled 2 self_trade_prevented
        A1 is                        -> open 2 held 2 prevented 2
        A2 is                        -> canceled 2 self_trade_prevented filled 1 prevented 2
        A has                        -> 999 + 2 BTC, 999900 USDT
    """)


def test_cancel_maker_removes_the_own_orders_in_the_way():
    trade("""
        A sell 1@100                 ->
        B sell 1@100                 ->
        A buy 1.5@100 cancel_maker   -> B1 1@100, A1 canceled 1 self_trade_prevented, open 0.5
        A2 is                        -> open 0.5 filled 1 held 50 prevented 1
        A has                        -> 1001 BTC, 999850 + 50 USDT
    """)


def test_cancel_both_ends_the_taker_and_the_first_own_order_in_the_way():
    trade("""
        A sell 1@100                 ->
        A sell 1@101                 ->
        A buy 3@101 cancel_both      -> A1 canceled 1 self_trade_prevented, canceled 3 self_trade_prevented
        A has                        -> 999 + 1 BTC, 1000000 USDT
        A3 is                        -> canceled 3 self_trade_prevented prevented 1
    """)


def test_decrement_takes_the_smaller_quantity_off_both():
    trade("""
        A sell 5@100                 ->
        B sell 1@100                 ->
        A buy 3@100 decrement        -> A1 open 2, canceled self_trade_prevented
        A1 is                        -> open 2 held 2 prevented 3
        A2 is                        -> canceled self_trade_prevented prevented 3
        A has                        -> 998 + 2 BTC, 1000000 USDT
        A buy 4@100 decrement        -> B1 1@100, A1 canceled self_trade_prevented, open 1
        A3 is                        -> open 1 filled 1 held 100 prevented 2
        A sell 1@100 decrement       -> A3 canceled self_trade_prevented, canceled self_trade_prevented
        A has                        -> 1001 BTC, 999900 USDT
    """)


def test_an_order_made_smaller_by_self_trade_prevention_does_not_count_as_filled():
    trade("""
        A sell 5@100                 ->
        A buy 3@100 decrement        -> A1 open 2, canceled self_trade_prevented
        B buy 2@100                  -> A1 2@100, filled
        A1 is                        -> canceled self_trade_prevented filled 2 prevented 3
        B sell 1@100                 ->
        A sell 1@100                 ->
        A buy 2@100 decrement        -> B2 1@100, A3 canceled self_trade_prevented, canceled self_trade_prevented
        A sell 1@100                 ->
        B sell 1@100                 ->
        A buy 2@100 fok decrement    -> canceled 2 fill_or_kill
        A buy for 200 decrement      -> B3 1@100, A5 canceled self_trade_prevented, canceled self_trade_prevented
    """)


def test_accounts_of_one_owner_do_not_trade_with_each_other():
    trade("""
        A sell 1@100     ->
        A' buy 1@100     -> A1 open 1, canceled 1 self_trade_prevented
    """)


def test_a_market_order_that_only_meets_its_owner():
    trade("""
        A sell 1@100             ->
        A buy 1                  -> A1 open 1, canceled 1 self_trade_prevented
        A buy for 50             -> A1 open 1, canceled self_trade_prevented
        A buy 1 cancel_maker     -> A1 canceled 1 self_trade_prevented, canceled 1 no_liquidity
        A has                    -> 1000 BTC, 1000000 USDT
    """)


# ---------------------------------------------------------------------------------------------- client order ids


def test_the_same_client_order_id_places_once():
    trade("""
        A sell 1@100 id=x       -> open 1
        A sell 1@100 id=x       -> duplicate of A1
        A sell 2@100 id=x       -> refused client_order_id_conflict
        A sell 1@100 id=x ioc   -> refused client_order_id_conflict
        B sell 1@100 id=x       -> open 1
        A1 cancel               -> canceled 1 user_canceled
        A sell 1@100 id=x       -> duplicate of A1
        A sell 1@99 id=x        -> refused client_order_id_conflict
        A sell 0.001@99 id=y    -> rejected quantity_off_lot
        A sell 0.001@99 id=y    -> duplicate of A2
        A sell 1@99 id=y        -> refused client_order_id_conflict
        freeze A                ->
        A sell 1@100 id=x       -> duplicate of A1
    """)


def test_old_client_order_ids_of_ended_orders_are_forgotten_and_open_ones_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("matching.state.CLIENT_ORDER_IDS_MAX", 3)
    session = Session()
    for number in range(12):
        session.play(f"A sell 1@{100 + number} id=c{number} -> open 1")
        if number != 1:
            session.play(f"A{number + 1} cancel -> canceled 1 user_canceled")
    state = session.exchange.state
    state.forget_old_client_orders()
    assert [key[1] for key in state.client_orders] == ["c1", "c9", "c10", "c11"]
    state.forget_old_client_orders()
    assert len(state.client_orders) == 4
    session.play("A sell 1@101 id=c1 -> duplicate of A2")


def test_a_duplicate_is_known_by_every_field_of_the_body():
    base = PlaceOrder(3, 1, "buy", "limit", 100_00, 10_000, client_order_id="x")
    bodies = [
        base,
        PlaceOrder(3, 1, "sell", "limit", 100_00, 10_000, client_order_id="x"),
        PlaceOrder(3, 1, "buy", "market", None, 10_000, None, "ioc", client_order_id="x"),
        PlaceOrder(3, 1, "buy", "market", None, None, 10_000, "ioc", client_order_id="x"),
        PlaceOrder(3, 1, "buy", "limit", 101_00, 10_000, client_order_id="x"),
        PlaceOrder(3, 1, "buy", "limit", 100_00, 20_000, client_order_id="x"),
        PlaceOrder(3, 1, "buy", "limit", 100_00, 10_000, None, "ioc", client_order_id="x"),
        PlaceOrder(3, 1, "buy", "limit", 100_00, 10_000, None, "gtc", True, client_order_id="x"),
        PlaceOrder(3, 1, "buy", "limit", 100_00, 10_000, self_trade_prevention="decrement", client_order_id="x"),
    ]
    for first in bodies:
        session = Session()
        session.account("A")
        session.apply(first)
        for second in bodies:
            events = session.apply(second)
            assert isinstance(events[0], OrderDuplicated) == (first is second)
            if first is not second:
                assert events[0].reason is Reason.CLIENT_ORDER_ID_CONFLICT  # type: ignore[union-attr]


# ---------------------------------------------------------------------------------------------- what an order asks


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"quantity": 100}, "price_required"),
        ({"price": 100_00}, "quantity_required"),
        ({"price": 100_00, "quantity": 100, "quote_amount": 100}, "quote_amount_not_allowed"),
        ({"price": 100_00, "quantity": 100, "post_only": True, "time_in_force": "ioc"}, "post_only_not_allowed"),
        ({"price": 100_00, "quantity": 100, "post_only": True, "time_in_force": "fok"}, "post_only_not_allowed"),
        ({"order_type": "market", "price": 100, "quantity": 100, "time_in_force": "ioc"}, "price_not_allowed"),
        ({"order_type": "market", "quantity": 100}, "time_in_force_not_allowed"),
        ({"order_type": "market", "quantity": 100, "time_in_force": "ioc", "post_only": True}, "post_only_not_allowed"),
        ({"order_type": "market", "time_in_force": "ioc"}, "quantity_required"),
        (
            {"order_type": "market", "quote_amount": 100, "quantity": 100, "time_in_force": "ioc"},
            "quote_amount_not_allowed",
        ),
        (
            {"side": "sell", "order_type": "market", "quote_amount": 100, "time_in_force": "ioc"},
            "quote_amount_not_allowed",
        ),
        ({"price": 100_50, "quantity": 100}, "price_off_tick"),
        ({"price": 0, "quantity": 100}, "price_off_tick"),
        ({"price": 100_00, "quantity": 50}, "quantity_off_lot"),
        ({"price": 100_00, "quantity": 0}, "quantity_off_lot"),
        ({"price": 100_00, "quantity": 100}, "quantity_too_small"),
        ({"price": 100_00, "quantity": 10_100}, "quantity_too_large"),
        ({"price": 100, "quantity": 1_000}, "notional_too_small"),
        ({"price": 10_000_00, "quantity": 10_000}, "notional_too_large"),
        ({"order_type": "market", "quantity": 50, "time_in_force": "ioc"}, "quantity_off_lot"),
        ({"order_type": "market", "quantity": 100, "time_in_force": "ioc"}, "quantity_too_small"),
        ({"order_type": "market", "quantity": 10_100, "time_in_force": "ioc"}, "quantity_too_large"),
        ({"order_type": "market", "quote_amount": 499, "time_in_force": "ioc"}, "notional_too_small"),
        ({"order_type": "market", "quote_amount": 900_001, "time_in_force": "ioc"}, "notional_too_large"),
        ({"order_type": "market", "quote_amount": 999, "time_in_force": "ioc"}, "quantity_too_small"),
        ({"order_type": "market", "quote_amount": 600_000, "time_in_force": "ioc"}, "quantity_too_large"),
        ({"order_type": "market", "quantity": 10_000, "time_in_force": "ioc", "market_id": 2}, "unknown_market"),
    ],
)
def test_every_filter_has_its_reason(fields, reason):
    session = Session(min_quantity="0.1", max_quantity="1", min_notional="5", max_notional="9000")
    session.play("B sell 1@100 -> open 1\nB sell 1@101 -> open 1\nB sell 50@102 -> rejected quantity_too_large")
    for number in range(60):
        session.play(f"B sell 1@{102 + number} -> open 1")
    fields = {"account_id": session.account("A"), "market_id": 1, "side": "buy", **fields}
    events = session.apply(PlaceOrder(**fields))
    refused = events[0].reason if hasattr(events[0], "reason") else events[0].order.reason  # type: ignore[union-attr]
    assert refused == reason
    preview = session.exchange.preview(PlaceOrder(**fields), session.now)
    assert preview.reason == reason


def test_the_notional_of_a_market_order_is_what_the_book_says():
    trade(
        """
        A sell 1@100       ->
        A sell 9@1000      ->
        A sell 9@1001      ->
        B buy 0.1          -> rejected notional_too_small
        B buy 0.2          -> A1 0.2@100, filled
        B buy 12           -> rejected notional_too_large
        B sell 0.01        -> canceled 0.01 no_liquidity        # nothing to value it by
        """,
        min_notional="20",
        max_notional="10000",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"price": -1_00, "quantity": 100},
        {"price": 1_00, "quantity": -100},
        {"price": 10**23, "quantity": 100},
        {"price": 1_00, "quantity": 10**25},
        {"order_type": "market", "quote_amount": -1, "time_in_force": "ioc"},
        {"order_type": "market", "quote_amount": 10**23, "time_in_force": "ioc"},
        {"price": 1_00, "quantity": 100, "client_order_id": ""},
        {"price": 1_00, "quantity": 100, "client_order_id": "x" * 65},
        {"price": 1_00, "quantity": 100, "client_order_id": "\x00"},
        {"price": 1_00, "quantity": 100, "client_order_id": "\ud800"},
    ],
)
def test_what_no_column_could_hold_is_refused_and_not_kept(fields):
    session = Session()
    command = PlaceOrder(session.account("A"), 1, "buy", **fields)
    assert session.refused(command) in ("invalid_amount", "invalid_parameters")


def test_strangers_are_refused_by_name():
    session = Session()
    assert session.refused(PlaceOrder(9, 1, "buy", "limit", 1_00, 100)) == "unknown_account"
    assert session.refused(PlaceOrder(1, 1, "buy", "limit", 1_00, 100)) == "house_account"
    assert session.refused(PlaceOrder(2, 1, "buy", "limit", 1_00, 100)) == "house_account"
    assert session.refused(PlaceOrder(session.account("A"), 2, "buy", "limit", 1_00, 100)) == "unknown_market"


# ---------------------------------------------------------------------------------------------- preview


def test_a_preview_says_what_placing_would_do_and_changes_nothing():
    session = trade("A sell 1@100 ->\nA sell 1@101 ->", fees=(1_000, 1_500))
    account = session.account("B")
    for line, expected in (
        ("B buy 3@101", (None, units("303", USDT), units("0.0045", BTC), units("2", BTC), units("201", USDT))),
        ("B buy 2@200 fok", (None, units("400", USDT), units("0.003", BTC), units("2", BTC), units("201", USDT))),
        ("B buy 3@200 fok", (None, units("600", USDT), units("0.0045", BTC), 0, 0)),
        ("B buy 3", (None, units("201", USDT), units("0.003", BTC), units("2", BTC), units("201", USDT))),
        ("B buy for 150.50", (None, units("150.50", USDT), 23, units("1.5", BTC), units("150.50", USDT))),
        ("B sell 3@110", (None, units("3", BTC), 50, 0, 0)),
        ("B sell 3000@110", ("insufficient_balance", 0, 0, 0, 0)),
    ):
        before = session.exchange.state.sequence
        preview = session.exchange.preview(session.order(line.split()), session.now)
        cost = (preview.worst_case_cost, preview.worst_case_fee)
        assert (preview.reason, *cost, preview.expected_quantity, preview.expected_notional) == expected, line
        assert (preview.maker_rate, preview.taker_rate) == (1_000, 1_500)
        assert session.exchange.state.sequence == before
    session.fold.check(session.exchange.state)
    unknown = session.exchange.preview(PlaceOrder(99, 1, "buy", "limit", 1_00, 100), session.now)
    assert unknown.reason is Reason.UNKNOWN_ACCOUNT
    session.play("B buy 1@90 id=x -> open 1")
    again = session.exchange.preview(session.order(["B", "buy", "1@90", "id=x"]), session.now)
    assert again.reason is Reason.CLIENT_ORDER_ID_CONFLICT
    assert session.exchange.state.placed[account] == 1, "previews do not count"
