"""Own orders in the way of an order, and client order ids, at a whole exchange."""

import pytest

from matching.engine.messages import OrderDuplicated, PlaceOrder, Reason
from tests.pure.builders import Session, trade

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
