"""The exchange: a pure state machine. Commands in, events out; the same commands give the same events for ever.

It composes the engine, the ledger, risk, fees and the order rules. It has no clock, no randomness and no I/O: time
comes with each command, identity from counting. One call of `apply` is atomic, refused or done.
"""

from collections.abc import Callable
from typing import Any

from matching import money_commands, order_commands, rule_commands
from matching.engine import messages
from matching.engine.messages import AnyCommand, AnyEvent, Command, OrderPreviewed, PlaceOrder
from matching.state import State

HANDLERS: dict[type[Command], Callable[[State, Any], list[AnyEvent]]] = {
    messages.PlaceOrder: order_commands.place_order,
    messages.AmendOrder: order_commands.amend_order,
    messages.CancelOrder: order_commands.cancel_order,
    messages.CancelOrders: order_commands.cancel_orders,
    messages.OpenAccount: money_commands.open_account,
    messages.Deposit: money_commands.deposit,
    messages.RequestWithdrawal: money_commands.request_withdrawal,
    messages.ApproveWithdrawal: money_commands.approve_withdrawal,
    messages.RefuseWithdrawal: money_commands.refuse_withdrawal,
    messages.CorrectBalance: money_commands.correct_balance,
    messages.CreateAsset: rule_commands.create_asset,
    messages.CreateMarket: rule_commands.create_market,
    messages.SetMarketParameters: rule_commands.set_market_parameters,
    messages.SetMarketState: rule_commands.set_market_state,
    messages.ReopenMarket: rule_commands.reopen_market,
    messages.FreezeAccount: rule_commands.freeze_account,
    messages.UnfreezeAccount: rule_commands.unfreeze_account,
    messages.SetLimits: rule_commands.set_limits,
    messages.SetFeeTiers: rule_commands.set_fee_tiers,
    messages.SetFeeOverride: rule_commands.set_fee_override,
}


class Exchange:
    """The state machine. `state` is everything it knows; only `apply` changes it."""

    def __init__(self, state: State | None = None) -> None:
        self.state = State() if state is None else state

    def apply(self, command: AnyCommand, received_at: int) -> list[AnyEvent]:
        """Take the next command of the journal, received at `received_at` (microseconds, never going back).

        Returns its events: those of the orders and rules, then the ledger entries, then the balances touched. A
        refusal is an event too, and changes nothing else.
        """
        state = self.state
        assert received_at >= state.now, "time went back"
        state.sequence += 1
        state.now = received_at
        ledger = state.ledger
        ledger.begin(state.sequence, received_at)
        events = HANDLERS[type(command)](state, command)
        events += ledger.finish()
        return events

    def preview(self, command: PlaceOrder, now: int) -> OrderPreviewed:
        """What placing an order would do at `now`; changes nothing and is not journaled."""
        return order_commands.preview_order(self.state, command, now)

    def due_timers(self, now: int) -> list[messages.ReopenMarket]:
        """The timer commands that are due at `now`, for the worker to journal and apply."""
        return [
            messages.ReopenMarket(market.id)
            for market in self.state.markets.values()
            if market.reopens_at is not None and market.reopens_at <= now
        ]
