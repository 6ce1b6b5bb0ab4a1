"""Orders at a whole exchange: what they cost, how they end, what is refused and why, previews."""

import pytest

from matching.engine.messages import PlaceOrder, Reason
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
