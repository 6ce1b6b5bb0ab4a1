"""Every rule of the matching engine as a trading session (see session.py for how to read one)."""

import pytest

from matching.engine import engine
from matching.engine.book import Book, Order
from tests.pure.session import play


def test_better_price_first_then_earlier_order() -> None:
    play("""
        A1 sell 5@101      ->
        A2 sell 5@100      ->
        A3 sell 5@100      ->
        B1 buy  7@101      -> A2 5@100, A3 2@100     # better price first, then earlier order
        B2 buy  9@101      -> A3 3@100, A1 5@101     # the rest rests as a bid
        asks               ->
        bids               -> B2 1@101
    """)


def test_bids_trade_from_the_highest_down() -> None:
    play("""
        A1 buy  5@99       ->
        A2 buy  5@100      ->
        A3 buy  5@100      ->
        B1 sell 7@99       -> A2 5@100, A3 2@100
        B2 sell 9@99       -> A3 3@100, A1 5@99
        asks               -> B2 1@99
        bids               ->
    """)


def test_orders_which_do_not_cross_rest_side_by_side() -> None:
    play("""
        A1 buy  5@99       ->
        B1 sell 5@100      ->
        C1 buy  1@99       ->
        C2 sell 1@100      ->
        bids               -> A1 5@99, C1 1@99
        asks               -> B1 5@100, C2 1@100
    """)


def test_the_makers_price_is_the_price() -> None:
    play("""
        A1 sell 5@100      ->
        B1 buy  2@150      -> A1 2@100
        B2 sell 5@1        ->
        C1 buy  9@1000     -> B2 5@1, A1 3@100
        bids               -> C1 1@1000
    """)


def test_a_partly_filled_maker_keeps_its_place() -> None:
    play("""
        A1 sell 5@100      ->
        B1 sell 5@100      ->
        C1 buy  2@100      -> A1 2@100
        asks               -> A1 3@100, B1 5@100
        C2 buy  4@100      -> A1 3@100, B1 1@100
        asks               -> B1 4@100
    """)


def test_a_sweep_takes_every_level_up_to_its_limit() -> None:
    play("""
        A1 sell 1@100      ->
        A2 sell 2@101      ->
        A3 sell 3@102      ->
        A4 sell 4@103      ->
        B1 buy  9@102      -> A1 1@100, A2 2@101, A3 3@102
        asks               -> A4 4@103
        bids               -> B1 3@102
    """)


def test_an_exact_fill_leaves_nothing_on_either_side() -> None:
    play("""
        A1 sell 5@100      ->
        B1 buy  5@100      -> A1 5@100
        asks               ->
        bids               ->
        A1 cancel          -> unknown
        B1 cancel          -> unknown
    """)


def test_a_level_that_ran_empty_can_be_used_again() -> None:
    play("""
        A1 sell 5@100      ->
        A2 sell 5@101      ->
        A2 cancel          -> 5
        A3 sell 4@101      ->
        B1 buy  5@100      -> A1 5@100
        A4 sell 3@100      ->
        A5 sell 2@101      ->
        asks               -> A4 3@100, A3 4@101, A5 2@101
        B2 buy  9@101      -> A4 3@100, A3 4@101, A5 2@101
    """)


def test_cancel_takes_an_order_from_any_place_in_the_queue() -> None:
    play("""
        A1 sell 1@100      ->
        A2 sell 2@100      ->
        A3 sell 3@100      ->
        A4 sell 4@100      ->
        A5 sell 5@100      ->
        A3 cancel          -> 3                      # from the middle
        asks               -> A1 1@100, A2 2@100, A4 4@100, A5 5@100
        A1 cancel          -> 1                      # the first
        A5 cancel          -> 5                      # the last
        asks               -> A2 2@100, A4 4@100
        A6 sell 6@100      ->
        A2 cancel          -> 2
        A4 cancel          -> 4
        A4 cancel          -> unknown
        B1 buy  6@100      -> A6 6@100
    """)


def test_cancel_reports_what_remained() -> None:
    play("""
        A1 sell 5@100      ->
        B1 buy  2@100      -> A1 2@100
        A1 cancel          -> 3
        B2 buy  2@100      ->
        B3 buy  2@100      ->
        C1 sell 3@100      -> B2 2@100, B3 1@100
        B3 cancel          -> 1
        bids               ->
    """)


def test_reducing_keeps_the_place() -> None:
    play("""
        A1 sell 5@100      ->
        B1 sell 5@100      ->
        A1 reduce 3        -> 2
        asks               -> A1 2@100, B1 5@100
        asks 1             -> 7@100
        C1 buy  3@100      -> A1 2@100, B1 1@100
    """)


@pytest.mark.parametrize("quantity", [-1, 0, 5, 6])
def test_reducing_must_take_something_and_leave_something(quantity: int) -> None:
    book = play("A1 sell 5@100 ->")
    with pytest.raises(AssertionError):
        book.reduce(book.orders[1], quantity)


def test_depth_is_the_total_of_each_level_best_first() -> None:
    play("""
        A1 sell 1@102      ->
        A2 sell 2@100      ->
        B1 sell 3@102      ->
        A3 sell 4@101      ->
        C1 buy  5@98       ->
        C2 buy  6@99       ->
        asks 0             ->
        asks 2             -> 2@100, 4@101
        asks 9             -> 2@100, 4@101, 4@102
        bids 1             -> 6@99
        A3 cancel          -> 4
        asks 2             -> 2@100, 4@102           # an empty level is not shown
    """)


def test_a_market_order_takes_what_is_there_and_never_rests() -> None:
    play("""
        A1 sell 5@100      ->
        A2 sell 5@900      ->
        B1 buy  12         -> A1 5@100, A2 5@900, left 2
        B2 buy  1          -> left 1
        bids               ->
        A3 buy  5@3        ->
        B3 sell 4          -> A3 4@3
    """)


def test_a_market_order_stops_at_its_protection_price() -> None:
    play("""
        A1 sell 5@100      ->
        A2 sell 5@111      ->
        B1 buy  7 limit 110   -> A1 5@100, left 2
        A3 buy  5@90       ->
        A4 buy  5@80       ->
        B2 sell 7 limit 81 -> A3 5@90, left 2
    """)


def test_cancel_taker_stops_at_the_own_order_and_does_not_rest() -> None:
    play("""
        B1 sell 2@100      ->
        A1 sell 5@100      ->
        B2 sell 5@100      ->
        A2 buy  9@100 cancel_taker -> B1 2@100, stops A1 5, canceled 7
        asks               -> A1 5@100, B2 5@100
        bids               ->
        A3 buy  3@100 cancel_taker -> stops A1 3, canceled 3    # prevented: the smaller of the two
    """)


def test_cancel_taker_is_the_default() -> None:
    assert Order(id=1, owner=1, side="buy", price=1, remaining=1).self_trade_prevention == "cancel_taker"


def test_cancel_maker_cancels_own_orders_and_trades_on() -> None:
    play("""
        A1 sell 2@100      ->
        B1 sell 3@100      ->
        A2 sell 5@100      ->
        A3 sell 5@101      ->
        A4 buy  9@101 cancel_maker -> B1 3@100, cancels A1 2, cancels A2 5, cancels A3 5
        asks               ->
        bids               -> A4 6@101
        A1 cancel          -> unknown
    """)


def test_cancel_maker_cancels_no_order_that_it_would_not_have_reached() -> None:
    play("""
        B1 sell 3@100      ->
        A1 sell 5@100      ->
        A2 buy  3@100 cancel_maker -> B1 3@100
        asks               -> A1 5@100
        A3 buy  2@100 cancel_maker -> cancels A1 2     # 2 of its 5 would have traded, all 5 are gone
        asks               ->
        bids               -> A3 2@100
    """)


def test_cancel_both_ends_maker_and_taker() -> None:
    play("""
        B1 sell 2@100      ->
        A1 sell 5@100      ->
        B2 sell 5@100      ->
        A2 buy  9@100 cancel_both -> B1 2@100, cancels A1 5, canceled 7
        asks               -> B2 5@100
        bids               ->
        A1 cancel          -> unknown
    """)


def test_cancel_both_on_the_last_order_of_a_level() -> None:
    play("""
        A1 sell 5@100      ->
        A2 sell 5@101      ->
        A3 buy  1@101 cancel_both -> cancels A1 1, canceled 1
        asks               -> A2 5@101
        asks 9             -> 5@101
        bids               ->
    """)


def test_decrement_of_a_smaller_maker_goes_on() -> None:
    play("""
        A1 sell 2@100      ->
        B1 sell 5@100      ->
        A2 buy  9@100 decrement -> B1 5@100, cancels A1 2
        asks               ->
        bids               -> A2 2@100
    """)


def test_decrement_of_a_larger_maker_ends_the_taker() -> None:
    play("""
        A1 sell 5@100      ->
        B1 sell 5@100      ->
        A2 buy  3@100 decrement -> stops A1 3, canceled 0
        asks               -> A1 2@100, B1 5@100     # the maker keeps its place
        bids               ->
    """)


def test_decrement_of_equals_ends_both() -> None:
    play("""
        A1 sell 5@100      ->
        A2 buy  5@100 decrement -> cancels A1 5, canceled 0
        asks               ->
        bids               ->
    """)


def test_decrement_protects_both_sides_alike() -> None:
    play("""
        A1 buy  2@100      ->
        B1 buy  2@100      ->
        A2 buy  9@99       ->
        A3 sell 7@99 decrement -> B1 2@100, cancels A1 2, stops A2 3, canceled 0
        bids               -> A2 6@99
    """)


def test_the_takers_mode_decides() -> None:
    play("""
        A1 sell 5@100 cancel_both  ->
        A2 sell 5@100 cancel_maker ->
        A3 buy  3@100 cancel_taker -> stops A1 3, canceled 3
        A4 buy  3@100 decrement    -> stops A1 3, canceled 0
        asks               -> A1 2@100, A2 5@100
    """)


def test_a_budget_buys_whole_lots_level_by_level() -> None:
    play("""
        A1 sell 3@100      ->
        A2 sell 3@110      ->
        A3 sell 3@150      ->
        B1 buy for 545     -> A1 3@100, A2 2@110     # 545 - 300 = 245 buys 2 at 110, and 25 buys nothing
        asks               -> A2 1@110, A3 3@150
    """)


def test_a_budget_that_outlives_the_book_is_left() -> None:
    play("""
        A1 sell 3@100      ->
        A2 sell 3@110      ->
        B1 buy for 500 limit 105 -> A1 3@100, left 200
        B2 buy for 500     -> A2 3@110, left 170
        B3 buy for 500     -> left 500
    """)


def test_a_budget_that_buys_no_lot_changes_nothing() -> None:
    play("""
        A1 sell 3@100      ->
        B1 buy for 99      ->
        asks               -> A1 3@100
    """)


def test_a_budget_counts_in_lots_and_base_units() -> None:
    # 1 whole base = 1,000 units, a lot is 20 units: a lot costs 2 at 100, 3 at 150.
    play(
        """
        A1 sell 60@100     ->
        A2 sell 200@150    ->
        B1 buy for 13      -> A1 60@100, A2 40@150   # 3 lots for 6, 2 lots for 6, and 1 is not enough for a lot
        B2 buy for 24      -> A2 160@150
        """,
        base_unit=1000,
        lot_size=20,
    )


def test_a_budget_may_be_spent_to_the_last_unit() -> None:
    play("""
        A1 sell 5@100      ->
        B1 buy for 500     -> A1 5@100
        asks               ->
    """)


def test_a_budget_with_self_trade_prevention() -> None:
    play("""
        B1 sell 1@100      ->
        A1 sell 2@100      ->
        A2 sell 2@110      ->
        B2 sell 9@110      ->
        A3 buy for 500 cancel_taker -> B1 1@100, stops A1 2, canceled 4
        asks               -> A1 2@100, A2 2@110, B2 9@110
        A4 buy for 600 decrement    -> B2 1@110, cancels A1 2, cancels A2 2    # own orders use up budget
        A5 sell 3@100      ->
        A6 buy for 500 cancel_maker -> B2 4@110, cancels A5 3    # canceled ones do not
        A7 sell 3@100      ->
        A8 buy for 500 cancel_both  -> cancels A7 3, canceled 5
        asks               -> B2 4@110
    """)


def test_a_preview_changes_nothing_and_says_when_an_order_would_be_filled_completely() -> None:
    book = play("""
        A1 sell 3@100      ->
        B1 sell 3@101      ->
        A2 sell 3@102      ->
    """)

    def preview(owner: str, quantity: int, limit: int | None, mode: str) -> engine.Preview:
        taker = Order(9, ord(owner), "buy", None, quantity, mode)  # type: ignore[arg-type]
        return engine.preview(book, taker, limit)

    before = book.depth("sell", 9)
    assert preview("C", 9, None, "cancel_taker") == (9, 909, True)
    assert preview("C", 9, 101, "cancel_taker") == (6, 603, False)
    assert preview("C", 10, None, "cancel_taker") == (9, 909, False)
    assert preview("B", 4, None, "cancel_taker") == (3, 300, False)
    assert preview("B", 4, None, "cancel_both") == (3, 300, False)
    assert preview("B", 4, None, "cancel_maker") == (4, 402, True)
    assert preview("B", 7, None, "decrement") == (4, 402, False)
    assert preview("A", 3, None, "cancel_maker") == (3, 303, True)
    assert preview("B", 3, None, "cancel_taker") == (3, 300, True)
    assert book.depth("sell", 9) == before


def test_a_preview_of_a_budget_is_complete_when_the_budget_ends_it() -> None:
    book = play("""
        A1 sell 3@100      ->
        B1 sell 3@101      ->
    """)

    def preview(owner: str, budget: int, limit: int | None, mode: str) -> engine.Preview:
        taker = Order(9, ord(owner), "buy", None, 0, mode)  # type: ignore[arg-type]
        return engine.preview_budget(book, taker, limit, budget, 1, 1)

    assert preview("C", 250, None, "cancel_taker") == (2, 200, True)
    assert preview("C", 603, None, "cancel_taker") == (6, 603, True)
    assert preview("C", 99, None, "cancel_taker") == (0, 0, False)  # not a lot
    assert preview("C", 703, None, "cancel_taker") == (6, 603, True)  # 100 do not buy a lot at 101
    assert preview("C", 704, None, "cancel_taker") == (6, 603, False)  # 101 would, but the book is empty
    assert preview("C", 401, 100, "cancel_taker") == (3, 300, False)
    assert preview("C", 300, 100, "cancel_taker") == (3, 300, True)
    assert preview("A", 250, None, "cancel_taker") == (0, 0, False)
    assert preview("A", 250, None, "cancel_maker") == (2, 202, True)
    assert preview("B", 420, None, "cancel_both") == (3, 300, False)
    assert preview("B", 420, None, "decrement") == (3, 300, False)  # prevented is not filled


def test_place_matches_and_rests_what_remains() -> None:
    book = Book()
    assert engine.place(book, Order(1, 1, "sell", 100, 5)) == []
    fills = engine.place(book, Order(2, 2, "buy", 100, 7))
    assert [(fill.maker.id, fill.quantity) for fill in fills] == [(1, 5)]
    assert book.depth("buy", 9) == [(100, 2)]
    assert book.depth("sell", 9) == []


def test_place_does_not_rest_a_taker_that_self_trade_prevention_ended() -> None:
    book = Book()
    engine.place(book, Order(1, 1, "sell", 100, 5))
    assert engine.place(book, Order(2, 1, "buy", 100, 7)) == []
    assert list(book.orders) == [1]


def test_orders_which_left_the_book_keep_no_links_into_it() -> None:
    book = play("""
        A1 sell 1@100      ->
        A2 sell 1@100      ->
        A3 sell 1@100      ->
        A4 sell 1@100      ->
        A5 sell 1@100      ->
        A6 sell 1@100      ->
    """)
    gone = [book.orders[id] for id in (1, 2, 3, 4, 5)]
    engine.cancel(book, 4)
    engine.match(book, Order(8, ord("A"), "buy", None, 1, "cancel_maker"), 100)
    assert list(book.orders) == []
    assert all((order.level, order.previous, order.next) == (None, None, None) for order in gone)
