"""The follower's consumer that keeps the fee books: every trade, entry and change of rates counted exactly once.

Sums are gathered in memory and added in the transaction that moves the cursor.
"""

from typing import Literal

from fees import books_store
from fees.schedule import MICROSECONDS_PER_DAY
from matching.follower import Step
from matching.state import State
from trading.books import news, store
from trading.books.counting import Counting


class FeeBooks:
    """The consumer `fee_books`."""

    name = "fee_books"
    begins: Literal["start", "end"] = "start"
    warm_up = 0

    def __init__(self) -> None:
        self._counting = Counting(books_store.last_tiers())

    def begin(self, state: State) -> None:
        """Nothing: what is needed of the state comes with every step."""

    def recall(self, step: Step, state: State) -> None:
        """Nothing: what is needed from before is in the database."""

    def observe(self, step: Step, state: State) -> None:
        """Count the step."""
        self._counting.observe(step.sequence, step.received_at, step.events, state)

    def tick(self, now: int, state: State) -> None:
        """A midnight may have passed."""
        self._counting.tick(now, state)

    def write(self) -> None:
        """Add what was counted to the books. Rates come first: trades look up the tiers of their orders in them."""
        found = self._counting
        if found.tier_changes:
            books_store.add_tier_changes(changes=found.tier_changes, assets=found.assets)
            news.tell(changes=found.tier_changes)
        if found.exceptions:
            promoted = store.promoted([change.sequence - 1 for change in found.exceptions])
            books_store.add_exceptions(
                changes=[
                    change._replace(reason="promotion") if change.sequence - 1 in promoted else change
                    for change in found.exceptions
                ]
            )
        self._add_trades()
        books_store.add_tally(tally=found.tally, assets=found.assets, markets=found.markets)
        found.clear()

    def _add_trades(self) -> None:
        trades = self._counting.trades
        if not trades:
            return
        terms = store.terms_of_orders(
            {trade.maker_order_id for trade in trades} | {trade.taker_order_id for trade in trades}
        )
        for trade in trades:
            self._counting.tally.add_trade(
                trade,
                trade.executed_at // MICROSECONDS_PER_DAY,
                self._counting.markets[trade.market_id],
                terms[trade.maker_order_id],
                terms[trade.taker_order_id],
            )
