"""`trade` runs a session at a whole exchange, written as text, and checks every line of it.

Accounts are letters, opened on first use; each has 1,000 BTC and 1,000,000 USDT (`funds` says otherwise). BTC has 4
decimals and USDT 2; the market's tick is 1 USDT and its lot 0.01 BTC; there are no fees unless the session sets them.

    A sell 5@101 -> open 5                        A's order A1 rests
    B buy 7@101 ioc -> A1 5@101, canceled 2 immediate_or_cancel
    B buy 7 -> ...                                a market order (ioc; or fok); `buy for 500` spends quote
    B buy 7@101 post_only cancel_maker id=x -> rejected post_only_would_trade
    A1 amend 3@102, A1 amend 3, A1 amend @102 -> open 3
    A1 cancel, A cancel all [sell] [BTC-USDT] -> A1 canceled 3 user_canceled
    A1 is -> open 3 filled 1 held 3 prevented 2
    A has -> 990 + 10 BTC, 1000000 USDT           available + held
    asks -> A1 3@102, B1 1@103                    the book in the order in which it would trade
    wait 300 -> ,  wait to 2 reopen               time passes (seconds)

No outcome: nothing to tell, or the order just rests. An order's line says its trades, what happened to other orders,
a breaker that tripped, and what became of itself.
The invariants are checked after every line.
"""

import re
from typing import Any

import msgspec

from marketdata.scale import text_from_units, units_from_text
from matching import snapshot
from matching.engine import messages
from matching.engine.messages import (
    AmendOrder,
    AnyCommand,
    AnyEvent,
    CancelOrder,
    CancelOrders,
    FeeTier,
    Limits,
    MarketParameters,
    OrderState,
    OrderUpdated,
    PlaceOrder,
)
from matching.exchange import Exchange
from tests.pure.exchange_invariants import Fold, check_events, check_refusal, check_state

START = 1_700_000_000_000_000
DAY = 86_400
BTC, USDT, ETH = 1, 2, 3
ASSETS = {"BTC": BTC, "USDT": USDT, "ETH": ETH}
SCALES = {BTC: 4, USDT: 2, ETH: 4}
QUIET = re.compile(r"|open [0-9.]+")
MODES = ("cancel_taker", "cancel_maker", "cancel_both", "decrement")


def units(text: str, asset_id: int) -> int:
    """Units of an asset from decimal text, which may be negative."""
    return -units(text[1:], asset_id) if text.startswith("-") else units_from_text(text, SCALES[asset_id])


def decimal(amount: int, asset_id: int) -> str:
    """The shortest decimal text of units of an asset."""
    return text_from_units(amount, SCALES[asset_id], 0)


def parameters(**changes: Any) -> MarketParameters:
    """The market's parameters: prices and notionals as text of USDT, quantities as text of BTC; no band, no breaker."""
    texts: dict[str, Any] = {
        "tick_size": "1",
        "lot_size": "0.01",
        "min_quantity": "0.01",
        "max_quantity": "100000",
        "min_notional": "0",
        "max_notional": "100000000",
        "price_band": 0,
        "breaker_move": 0,
        **changes,
    }
    for name, value in texts.items():
        if isinstance(value, str):
            texts[name] = units(value, BTC if name in ("lot_size", "min_quantity", "max_quantity") else USDT)
    return MarketParameters(**texts)


class Session:
    """An exchange with the orders by their names in the text; every command goes through `apply`, which checks."""

    def __init__(self, *, funds: dict[str, str] | None = None, fees: tuple[int, int] = (0, 0), **changes: Any) -> None:
        self.exchange = Exchange()
        self.now = START
        self.funds = {"BTC": "1000", "USDT": "1000000"} if funds is None else funds
        self.fold = Fold(snapshot.take(self.exchange.state))
        self.names: dict[int, str] = {}
        self.orders: dict[str, OrderState] = {}
        self.accounts: dict[str, int] = {}
        for symbol, asset_id in ASSETS.items():
            self.apply(messages.CreateAsset(symbol, symbol.lower(), SCALES[asset_id]))
        self.apply(messages.CreateMarket(BTC, USDT, parameters(**changes)))
        self.apply(messages.SetFeeTiers((FeeTier(0, *fees),), USDT))

    def apply(self, command: AnyCommand) -> list[AnyEvent]:
        """Apply a command and check everything that must hold afterwards."""
        before = snapshot.take(self.exchange.state)
        events = self.exchange.apply(command, self.now)
        state = self.exchange.state
        check_events(events, state)
        check_state(state)
        for event in events:
            self.fold.take(event)
            if isinstance(event, messages.OrderPlaced | messages.OrderRejected):
                self.orders[self.name(event.order)] = event.order
            elif isinstance(event, OrderUpdated):
                name = self.names[event.id]
                fields = {field: getattr(event, field) for field in OrderUpdated.__struct_fields__}
                del fields["previous_price"]
                self.orders[name] = msgspec.structs.replace(self.orders[name], **fields)
        self.fold.check(state)
        if isinstance(events[0] if events else None, messages.CommandRefused | messages.OrderRejected):
            check_refusal(before, snapshot.take(state))
        return events

    def refused(self, command: AnyCommand) -> str:
        """Apply a command and return why it was refused, or an empty text."""
        events = self.apply(command)
        return str(events[0].reason) if events and isinstance(events[0], messages.CommandRefused) else ""

    def account(self, letter: str) -> int:
        """The id of an account, which is opened and funded on first use. Letter and digit: another of the owner's."""
        if letter not in self.accounts:
            events = self.apply(messages.OpenAccount(ord(letter[0].upper()), letter))
            assert isinstance(events[0], messages.AccountOpened)
            self.accounts[letter] = events[0].account_id
            for symbol, amount in self.funds.items():
                if units(amount, ASSETS[symbol]):
                    self.deposit(letter, amount, symbol)
        return self.accounts[letter]

    def deposit(self, letter: str, amount: str, symbol: str) -> list[AnyEvent]:
        """Credit an account."""
        asset_id = ASSETS[symbol]
        return self.apply(messages.Deposit(self.account(letter), asset_id, units(amount, asset_id)))

    def limit(self, letter: str | None, **limits: Any) -> None:
        """Set the limits of an account, or the defaults."""
        account_id = None if letter is None else self.account(letter)
        assert not self.refused(messages.SetLimits(account_id, Limits(**limits)))

    def name(self, order: OrderState) -> str:
        """The order's name: its account's letter and its place among the account's orders."""
        if order.id not in self.names:
            letter = next(letter for letter, id in self.accounts.items() if id == order.account_id)
            count = sum(name.startswith(letter) and name[len(letter) :].isdigit() for name in self.names.values())
            self.names[order.id] = f"{letter}{count + 1}"
        return self.names[order.id]

    def play(self, text: str) -> "Session":
        """Run the lines of a session, checking what each came out as."""
        for line in text.splitlines():
            words, _, expected = line.partition("#")[0].partition("->")
            if words.strip():
                outcome = self.run(words.split())
                fits = outcome == expected.strip() if expected.strip() else QUIET.fullmatch(outcome)
                assert fits, f"{line.strip()}\n  came out as: {outcome}"
        return self

    def run(self, words: list[str]) -> str:
        """Run one line and say what happened in the words of the session."""
        match words:
            case ["wait", seconds]:
                self.now += round(float(seconds) * 1_000_000)
                return ""
            case ["asks" | "bids" as queue]:
                return self._queue(queue)
            case ["market", state]:
                return self.told(self.apply(messages.SetMarketState(state, 1)))  # type: ignore[arg-type]
            case ["exchange", state]:
                return self.told(self.apply(messages.SetMarketState(state)))  # type: ignore[arg-type]
            case ["reopen"]:
                return self.told(self.apply(messages.ReopenMarket(1)))
            case ["freeze", letter, *cancel]:
                return self.told(self.apply(messages.FreezeAccount(self.account(letter), bool(cancel))))
            case ["unfreeze", letter]:
                return self.told(self.apply(messages.UnfreezeAccount(self.account(letter))))
            case [letter, "has"]:
                return self.has(letter)
            case [name, "is"]:
                return self._is(self.orders[name])
            case [letter, "cancel", "all", *rest]:
                side: Any = next((word for word in rest if word in ("buy", "sell")), None)
                market = 1 if "BTC-USDT" in rest else None
                return self.told(self.apply(CancelOrders(self.account(letter), market, side)))
            case [name, "cancel"]:
                order = self.orders[name]
                return self.told(self.apply(CancelOrder(order.account_id, order.id)), order.id)
            case [name, "amend", change]:
                quantity, _, price = change.partition("@")
                order = self.orders[name]
                command = AmendOrder(
                    order.account_id,
                    order.id,
                    price=units(price, USDT) if price else None,
                    quantity=units(quantity, BTC) if quantity else None,
                )
                return self.told(self.apply(command), order.id)
            case [letter, "buy" | "sell", *_]:
                return self.told(self.apply(self.order(words)))
        raise ValueError(f"not a line of a session: {words}")

    def order(self, words: list[str]) -> PlaceOrder:
        """The command of a line such as `A buy 5@101 ioc`."""
        letter, side, *rest = words
        fields: dict[str, Any] = {"time_in_force": "gtc"}
        if rest[0] == "for":
            fields |= {"order_type": "market", "quote_amount": units(rest.pop(1), USDT), "time_in_force": "ioc"}
        else:
            quantity, at, price = rest[0].partition("@")
            fields["quantity"] = units(quantity, BTC)
            fields |= {"price": units(price, USDT)} if at else {"order_type": "market", "time_in_force": "ioc"}
        for word in rest[1:]:
            if word in MODES:
                fields["self_trade_prevention"] = word
            elif word.startswith("id="):
                fields["client_order_id"] = word[3:]
            elif word == "post_only":
                fields["post_only"] = True
            else:
                fields["time_in_force"] = word
        return PlaceOrder(self.account(letter), 1, side, **fields)  # type: ignore[arg-type]

    def told(self, events: list[AnyEvent], subject: int = 0) -> str:
        """Events in the words of the session; the `subject`, an amended or canceled order, comes last."""
        said: list[str] = []
        traded: set[int] = set()
        last = ""
        for event in events:
            match event:
                case messages.TradeExecuted():
                    traded.add(event.maker_order_id)
                    price = decimal(event.price, USDT)
                    said.append(f"{self.names[event.maker_order_id]} {decimal(event.quantity, BTC)}@{price}")
                case messages.OrderPlaced() | messages.OrderRejected():
                    last = _end(event.order)
                case messages.OrderDuplicated():
                    last = f"duplicate of {self.names[event.order_id]}"
                case OrderUpdated() if event.id == subject:
                    last = _end(event)
                case OrderUpdated() if event.id not in traded:
                    said.append(f"{self.names[event.id]} {_end(event)}")
                case messages.CommandRefused():
                    last = f"refused {event.reason}"
                case messages.BreakerTripped():
                    low, high = decimal(event.low, USDT), decimal(event.high, USDT)
                    said.append(f"trips at {decimal(event.price, USDT)} after {low}..{high}")
        return ", ".join([*said, last] if last else said)

    def has(self, letter: str) -> str:
        """The balances of an account (or of the house: external, fees), those above zero."""
        account_id = {"external": 1, "fees": 2}.get(letter) or self.account(letter)
        balances = self.exchange.state.accounts[account_id].balances
        parts = []
        for symbol, asset_id in ASSETS.items():
            balance = balances.get(asset_id)
            if balance is not None and (balance.available or balance.held):
                held = f" + {decimal(balance.held, asset_id)}" if balance.held else ""
                parts.append(f"{decimal(balance.available, asset_id)}{held} {symbol}")
        return ", ".join(parts)

    def _is(self, order: OrderState) -> str:
        paid_in = USDT if order.side == "buy" else BTC
        said = [_end(order)]
        said += [f"filled {decimal(order.filled_quantity, BTC)}"] if order.filled_quantity else []
        said += [f"held {decimal(order.held, paid_in)}"] if order.held else []
        said += [f"prevented {decimal(order.prevented_quantity, BTC)}"] if order.prevented_quantity else []
        return " ".join(said)

    def _queue(self, side: str) -> str:
        book = self.exchange.state.markets[1].book
        levels = (book.asks if side == "asks" else book.bids).in_order()
        return ", ".join(
            f"{self.names[order.id]} {decimal(order.remaining, BTC)}@{decimal(level.price, USDT)}"
            for level in levels
            for order in level
        )


def _end(order: OrderState | OrderUpdated) -> str:
    """What became of an order: its status, what remains of it, and why."""
    rest = f" {decimal(order.remaining, BTC)}" if order.status in ("open", "canceled") and order.remaining else ""
    return f"{order.status}{rest}{f' {order.reason}' if order.reason else ''}"


def trade(text: str, **options: Any) -> Session:
    """Run a session at a new exchange and return it. `options` as of Session."""
    return Session(**options).play(text)
