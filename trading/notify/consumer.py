"""From the journal's events to people: orders, money, freezes and halts, recorded as the follower passes them.

What happened to an order within one pass is told once, as it stands at its end.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

from marketdata.scale import decimals_of, text_from_units
from marketdata.shapes import moment_of
from matching.announcements import breaker_text
from matching.engine.messages import (
    HOUSE_ACCOUNT_IDS,
    AccountFrozen,
    BreakerTripped,
    CommandRefused,
    CreateMarket,
    DepositCredited,
    ExchangeStateChanged,
    MarketChanged,
    OrderPlaced,
    OrderState,
    OrderUpdated,
    Reason,
    RequestWithdrawal,
    SetMarketParameters,
    TradeExecuted,
    WithdrawalChanged,
)
from matching.follower import Step
from matching.models import InboxCommand
from matching.state import State, TradedMarket
from notifications.models import Preference
from notifications.recording import News, record_all
from orders.average import average_price_text

TOLD_SECONDS = 10
"""A filed command that was executed within this time had its answer waited for, and told."""

BY_THE_EXCHANGE = frozenset(
    {Reason.SELF_TRADE_PREVENTED, Reason.PRICE_BAND, Reason.CIRCUIT_BREAKER, Reason.ACCOUNT_WAS_FROZEN}
)
"""Ends of orders that their owners did not ask for."""


class NotificationConsumer:
    """Tells people what the exchange did (see matching.follower.Consumer)."""

    name = "notifications"
    begins: Literal["start", "end"] = "end"
    warm_up = 0

    def __init__(self) -> None:
        self._news: list[News] = []
        self._late: dict[int, News] = {}
        self._market_states: dict[int, str] = {}

    def begin(self, state: State) -> None:
        """Know how the markets stand, to tell what changes."""
        self._market_states = {market.id: market.state for market in state.markets.values()}

    def recall(self, step: Step, state: State) -> None:
        """Nothing is remembered between steps."""

    def observe(self, step: Step, state: State) -> None:
        """See what a command led to."""
        traded: set[int] = set()
        for event in step.events:
            if isinstance(event, TradeExecuted):
                traded.update((event.maker_order_id, event.taker_order_id))
        for event in step.events:
            if isinstance(event, OrderPlaced):
                self._order(event.order, event.order.id in traded, step, state)
            elif isinstance(event, OrderUpdated):
                self._order(event, event.id in traded, step, state)
            elif isinstance(event, DepositCredited):
                figures = _money(event, state)
                self._tell(event.account_id, "deposit_credited", f"deposit {event.id}", figures, step, state)
            elif isinstance(event, WithdrawalChanged):
                figures = _money(event, state) | {"destination": event.destination, "note": event.note}
                kind = f"withdrawal_{event.status}"
                self._tell(event.account_id, kind, f"withdrawal {event.id}", figures, step, state)
            elif isinstance(event, AccountFrozen):
                kind = "account_frozen" if event.frozen else "account_unfrozen"
                self._tell(event.account_id, kind, f"command {step.sequence}", {"note": event.note}, step, state)
            elif isinstance(event, MarketChanged):
                self._market(event, step, state)
            elif isinstance(event, ExchangeStateChanged):
                kind = "market_halted" if event.halted else "market_reopened"
                self._tell_everyone(_concerned(state, None), kind, {"note": event.note}, step)
            elif isinstance(event, CommandRefused):
                self._refusal(event, step, state)

    def tick(self, now: int, state: State) -> None:
        """Nothing here waits for the clock."""

    def write(self) -> None:
        """Record what was seen."""
        news, self._news = self._news, []
        news += self._refused_late()
        record_all(news)

    # ------------------------------------------------------------------------------------------ what is told

    def _tell(self, account_id: int, kind: str, key: str, figures: dict[str, str], step: Step, state: State) -> None:
        if account_id in HOUSE_ACCOUNT_IDS:
            return
        account = state.accounts[account_id]
        self._news.append(
            News(
                user_id=account.owner,
                account_id=account_id,
                kind=kind,
                key=key,
                figures=figures | {"account": account.name},
                at=step.received_at,
            )
        )

    def _order(self, order: OrderState | OrderUpdated, traded: bool, step: Step, state: State) -> None:
        ended_by_us = order.status == "canceled" and order.reason in BY_THE_EXCHANGE
        if not traded and not ended_by_us:
            return
        if order.status == "filled":
            kind, note = "order_filled", ""
        elif ended_by_us:
            kind, note = "order_canceled", _text(order.reason)
        else:
            kind, note = "order_partly_filled", _text(order.reason)
        figures = _order_figures(order, state.markets[order.market_id]) | {"note": note}
        self._tell(order.account_id, kind, f"order {order.id}", figures, step, state)

    def _market(self, event: MarketChanged, step: Step, state: State) -> None:
        before, self._market_states[event.market_id] = self._market_states.get(event.market_id), event.state
        if isinstance(step.command, CreateMarket | SetMarketParameters) or before == event.state:
            return
        figures = {"market": event.symbol, "state": event.state, "note": event.note}
        if event.reopens_at is not None:
            figures["until"] = f"{moment_of(event.reopens_at):%H:%M:%S}"
        for tripped in step.events:
            if isinstance(tripped, BreakerTripped) and tripped.market_id == event.market_id:
                figures["note"] = breaker_text(tripped, quote_scale=state.markets[event.market_id].quote.scale)
        kind = "market_reopened" if event.state == "open" else "market_halted"
        self._tell_everyone(_concerned(state, state.markets[event.market_id]), kind, figures, step)

    def _tell_everyone(self, user_ids: set[int], kind: str, figures: dict[str, str], step: Step) -> None:
        """Those whom it concerns, and those who have asked for such news wherever it happens."""
        chosen = Preference.objects.filter(kind=kind, channel="in_app", on=True).values_list("user", flat=True)
        key = f"command {step.sequence}"
        self._news += [
            News(user_id=user_id, kind=kind, key=key, figures=figures, at=step.received_at)
            for user_id in sorted(user_ids | set(chosen))
        ]

    def _refusal(self, event: CommandRefused, step: Step, state: State) -> None:
        command = step.command
        if not isinstance(command, RequestWithdrawal) or command.account_id not in state.accounts:
            return
        account, asset = state.accounts[command.account_id], state.assets.get(command.asset_id)
        amount = "" if asset is None else f" of {text_from_units(command.amount, asset.scale, 0)} {asset.symbol}"
        self._late[step.sequence] = News(
            user_id=account.owner,
            account_id=command.account_id,
            kind="command_refused",
            key=f"command {step.sequence}",
            figures={"what": f"Your withdrawal{amount}", "note": event.detail or event.reason.text},
            at=step.received_at,
        )

    def _refused_late(self) -> Iterable[News]:
        """Refusals that nobody waited for any more, of commands that people have filed."""
        late, self._late = self._late, {}
        filed = InboxCommand.objects.filter(sequence__in=late).only("sequence", "actor", "created_at", "done_at")
        for command in filed if late else ():
            assert command.sequence is not None
            assert command.done_at is not None
            asked_by_people = command.actor.startswith(("user ", "key "))
            if asked_by_people and command.done_at - command.created_at >= timedelta(seconds=TOLD_SECONDS):
                yield late[command.sequence]


def _concerned(state: State, market: TradedMarket | None) -> set[int]:
    """The users with open orders on a market or with its base asset; None: with any orders or funds at all."""
    users = set()
    for account in state.accounts.values():
        if account.id in HOUSE_ACCOUNT_IDS:
            continue
        if market is None:
            funded = any(balance.available or balance.held for balance in account.balances.values())
            concerned = funded or any(account.open_orders.values())
        else:
            balance = account.balances.get(market.base.id)
            funded = balance is not None and bool(balance.available or balance.held)
            concerned = funded or bool(account.open_orders.get(market.id))
        if concerned:
            users.add(account.owner)
    return users


def _money(event: DepositCredited | WithdrawalChanged, state: State) -> dict[str, str]:
    asset = state.assets[event.asset_id]
    return {"amount": text_from_units(event.amount, asset.scale, 0), "asset": asset.symbol}


def _order_figures(order: OrderState | OrderUpdated, market: TradedMarket) -> dict[str, str]:
    base, quote = market.base, market.quote
    price_decimals = decimals_of(market.parameters.tick_size, quote.scale)
    average = average_price_text(
        notional=order.filled_notional,
        quantity=order.filled_quantity,
        base_scale=base.scale,
        quote_scale=quote.scale,
        price_decimals=price_decimals,
    )
    price = "" if order.price is None else text_from_units(order.price, quote.scale, price_decimals)
    return {
        "order": str(order.id),
        "market": market.symbol,
        "side": order.side,
        "base": base.symbol,
        "quote": quote.symbol,
        "price": price,
        "quantity": "" if order.quantity is None else text_from_units(order.quantity, base.scale, 0),
        "filled": text_from_units(order.filled_quantity, base.scale, 0),
        "notional": text_from_units(order.filled_notional, quote.scale, 0),
        "average_price": average or "",
    }


def _text(reason: Reason | None) -> str:
    return "" if reason is None else reason.text
