"""Market states, halts, freezes and limits at a whole exchange."""

import pytest

from matching.engine import messages
from matching.engine.messages import AmendOrder, FreezeAccount, Limits, PlaceOrder, SetLimits, UnfreezeAccount
from tests.pure.builders import BTC, START, USDT, Session, trade, units

# ---------------------------------------------------------------------------------------------- states


@pytest.mark.parametrize(
    ("state", "order", "post_only"),
    [
        ("open", "open 1", "open 1"),
        ("post_only", "rejected market_post_only", "open 1"),
        ("cancel_only", "rejected market_cancel_only", "rejected market_cancel_only"),
        ("halted", "rejected market_halted", "rejected market_halted"),
    ],
)
def test_a_markets_state_says_what_it_takes(state, order, post_only):
    trade(f"""
        A sell 1@100           ->
        market {state}         ->
        B buy 1@90             -> {order}
        B buy 1@90 post_only   -> {post_only}
        B buy 1@100 post_only  -> {post_only if "rej" in post_only else "rejected post_only_would_trade"}
        A1 cancel              -> canceled 1 user_canceled
        market open            ->
        B buy 1@90             -> open 1
    """)


def test_the_whole_exchange_can_be_halted_and_resumed():
    session = trade("""
        A sell 1@100           ->
        exchange halted        ->
        B buy 1@90             -> rejected exchange_halted
        B buy 1@90 post_only   -> rejected exchange_halted
        A1 amend 0.5           -> refused exchange_halted
        A1 cancel              -> canceled 1 user_canceled
        exchange open          ->
        B buy 1@90             -> open 1
        exchange post_only     -> refused invalid_parameters
    """)
    assert session.refused(messages.SetMarketState("open", 9)) == "unknown_market"
    assert session.refused(messages.SetMarketState("open", 1, "x" * 1001)) == "invalid_parameters"
    session.apply(messages.SetMarketState("halted", None, "maintenance"))
    assert session.exchange.state.halt_note == "maintenance"


def test_a_frozen_account_can_only_cancel():
    session = trade("""
        A sell 1@100           ->
        A sell 1@101           ->
        freeze A               ->
        A sell 1@100           -> rejected account_frozen
        A1 amend 0.5           -> refused account_frozen
        B buy 1@100            -> A1 1@100, filled              # what rests still trades
        A2 cancel              -> canceled 1 user_canceled
        unfreeze A             ->
        A sell 1@100           -> open 1
        A buy 1@90             ->
        freeze A cancel        -> A4 canceled 1 account_was_frozen, A5 canceled 1 account_was_frozen
        A has                  -> 999 BTC, 1000100 USDT
    """)
    for command in (FreezeAccount, UnfreezeAccount):
        assert session.refused(command(99)) == "unknown_account"
        assert session.refused(command(1)) == "house_account"
        assert session.refused(command(2)) == "house_account"
        assert session.refused(command(3, note="\x00")) == "invalid_parameters"


# ---------------------------------------------------------------------------------------------- limits


def test_the_most_open_orders_on_a_market():
    session = Session()
    session.limit("A", max_open_orders=2)
    session.play("""
        A sell 1@100     ->
        A sell 1@101     ->
        A sell 1@102     -> rejected too_many_open_orders
        A sell 1@102 ioc -> canceled 1 immediate_or_cancel
        A sell 1         -> canceled 1 no_liquidity
        A1 amend @103    ->
        B buy 0.5@101    -> A2 0.5@101, filled
        A sell 1@102     -> rejected too_many_open_orders
        B buy 0.5@101    -> A2 0.5@101, filled
        A sell 1@102     ->
        A1 cancel        -> canceled 1 user_canceled
        A sell 1@104     ->
        A sell 1@105     -> rejected too_many_open_orders
    """)


def test_the_order_rate_counts_everything_placed_or_amended_within_the_second():
    session = Session()
    session.limit("A", orders_per_second=3)
    session.now = START + 5_000_000
    session.play("""
        A sell 1@100 id=x  -> open 1
        A sell 1@100 id=x  -> duplicate of A1
        A1 amend 0.5       -> open 0.5
        A1 amend 0.4       -> refused order_rate_exceeded
        A sell 1@100       -> rejected order_rate_exceeded
        A sell 1@100 id=x  -> duplicate of A1
        A1 cancel          -> canceled 0.5 user_canceled
        B sell 1@100       -> open 1
        wait 0.999999
        A sell 1@100       -> rejected order_rate_exceeded
        wait 0.000001
        A sell 1@100       -> open 1
        A sell 2@100 id=x  -> refused client_order_id_conflict
        A sell 0.001@100   -> rejected quantity_off_lot
        A sell 1@100       -> rejected order_rate_exceeded
    """)
    session.exchange.apply(AmendOrder(77, 1), session.now)
    session.exchange.apply(PlaceOrder(1, 1, "buy"), session.now)
    assert session.exchange.state.placed == {session.account("A"): 4, 77: 1, 1: 1}


def test_the_largest_position_counts_what_all_open_orders_could_bring():
    session = Session(funds={"BTC": "10", "USDT": "1000"})
    session.limit("A", max_positions={BTC: units("12", BTC), USDT: units("1200", USDT)})
    session.play("""
        A buy 1@100        ->
        A buy 1.01@100     -> rejected position_limit
        A buy 0.5@100      ->
        A1 amend 1.5       -> open 1.5
        A1 amend 1.51      -> refused position_limit
        A1 amend 1.2       -> open 1.2
        A1 amend 1.5@101   -> open 1.5
        B sell 1@101       -> A1 1@101, filled
        A buy 0.01@90      -> rejected position_limit
        A sell 3@102       -> rejected position_limit         # 899 + 306
        A sell 2.95@102    ->                                 # 899 + 300.90
        A sell 0.01@110    -> rejected position_limit
    """)


def test_a_sell_below_the_best_bid_counts_what_it_will_really_bring():
    session = Session(funds={"BTC": "10", "USDT": "1000"})
    session.limit("A", max_positions={USDT: units("1150", USDT)})
    session.play("""
        B buy 1@200        ->
        A sell 1@100       -> rejected position_limit
        A sell 1           -> rejected position_limit
        A sell 0.75@100    -> B1 0.75@200, filled
        A sell 0.01@100    -> rejected position_limit
        B1 cancel          -> canceled 0.25 user_canceled
        A sell 9@900 ioc   -> canceled 9 immediate_or_cancel       # what does not rest brings nothing
        A sell 9@900       -> rejected position_limit
    """)


def test_a_market_buy_counts_what_the_book_would_give():
    session = Session(funds={"BTC": "10", "USDT": "1000"})
    session.limit("A", max_positions={BTC: units("11", BTC)})
    session.play("""
        B sell 2@100       ->
        A buy 1.01         -> rejected position_limit
        A buy for 101      -> rejected position_limit
        A buy for 100.99   -> B1 1@100, filled
    """)


def test_limits_have_defaults_that_an_account_can_override():
    session = Session()
    session.limit(None, max_open_orders=1)
    session.limit("B", max_open_orders=2)
    session.play("""
        A sell 1@100 ->
        A sell 1@100 -> rejected too_many_open_orders
        B sell 1@100 ->
        B sell 1@100 ->
        B sell 1@100 -> rejected too_many_open_orders
    """)
    assert not session.refused(SetLimits(session.account("B")))
    session.play("B1 cancel -> canceled 1 user_canceled\nB sell 1@100 -> rejected too_many_open_orders")
    session.limit(None, max_open_orders=None)
    session.play("B sell 1@100 ->\nB sell 1@100 ->")
    assert session.refused(SetLimits()) == "invalid_parameters"
    assert session.refused(SetLimits(99, Limits())) == "unknown_account"
    assert session.refused(SetLimits(1, Limits())) == "house_account"
    assert session.refused(SetLimits(None, Limits(max_positions={9: 1}))) == "unknown_asset"
    for bad in (Limits(max_open_orders=-1), Limits(orders_per_second=-1), Limits(max_positions={1: -1})):
        assert session.refused(SetLimits(None, bad)) == "invalid_parameters"
    session.limit("A", orders_per_second=0)
    session.play("A sell 1@100 -> rejected order_rate_exceeded")
