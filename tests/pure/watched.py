"""A small market under one detector: a real exchange and tape, a book ten levels deep, accounts by letters.

Prices are whole units around 1,000, quantities whole units; a level of the book has 100 of them, its orders usually
live ten seconds.
"""

from typing import Any

from matching.engine import messages
from matching.engine.messages import AnyCommand, MarketParameters, Side
from matching.exchange import Exchange
from risk.surveillance.messages import Alert, Detector, Relation, Relations
from risk.surveillance.tape import Tape
from tests.pure.builders import START

WIDE = MarketParameters(
    tick_size=1, lot_size=1, min_quantity=1, max_quantity=10**12, min_notional=0, max_notional=10**15, price_band=0,
    breaker_move=0,
)  # fmt: skip
LEVELS = 12


class Watched:
    """The market. `tied`: pairs of letters that have an address in common; `values` as the detector's parameters."""

    def __init__(self, detector: type[Detector], *, tied: tuple[str, ...] = (), **values: float) -> None:
        self.exchange = Exchange()
        self.tape = Tape()
        self.relations = Relations()
        complete = {one.name: one.default for one in detector.PARAMETERS} | values
        self.detector = detector(complete, self.relations, self.tape)
        self.now = START
        self.accounts: dict[str, int] = {}
        self.alerts: list[Alert] = []
        for symbol in ("BASE", "QUOTE"):
            self.apply(messages.CreateAsset(symbol, symbol, 0))
        self.apply(messages.CreateMarket(1, 2, WIDE))
        for pair in tied:
            one, other = map(self.account, pair)
            self.relations.add(Relation("address", one, other, "203.0.113.7"))
        for level in range(1, LEVELS + 1):
            self.limit("maker", "buy", 1_000 - level, 100)
            self.wait(0.06)
            self.limit("maker", "sell", 1_000 + level, 100)
            self.wait(0.06)
        order = self.limit("maker", "buy", 900, 1)
        self.wait(10)
        self.cancel(order)

    def apply(self, command: AnyCommand) -> list[Any]:
        """Apply a command, and let the detector see it."""
        events = self.exchange.apply(command, self.now)
        for seen in self.tape.observe(self.sequence, self.now, command, events):
            self.alerts += self.detector.observe(seen)
        return events

    @property
    def sequence(self) -> int:
        """The last command's."""
        return self.exchange.state.sequence

    def account(self, letter: str) -> int:
        """The account of a letter, with all the money there is."""
        if letter not in self.accounts:
            self.accounts[letter] = self.apply(messages.OpenAccount(len(self.accounts) + 1))[0].account_id
            for asset_id in (1, 2):
                self.apply(messages.Deposit(self.accounts[letter], asset_id, 10**12))
            self.apply(messages.SetLimits(self.accounts[letter], messages.Limits(orders_per_second=None)))
        return self.accounts[letter]

    def ids(self, letters: str) -> tuple[int, ...]:
        """The accounts of some letters, ascending."""
        return tuple(sorted(self.accounts[letter] for letter in letters))

    def wait(self, seconds: float) -> None:
        """Let time pass; the detector is told of every whole second of it."""
        until = self.now + round(seconds * 1_000_000)
        while self.now < until:
            self.now = min(until, self.now + 1_000_000)
            self.alerts += self.detector.advance(self.now)

    def limit(self, letter: str, side: Side, price: int, quantity: int, **options: Any) -> int:
        """Place a limit order; its id."""
        self.apply(messages.PlaceOrder(self.account(letter), 1, side, price=price, quantity=quantity, **options))
        return self.sequence

    def take(self, letter: str, side: Side, quantity: int) -> None:
        """A market order."""
        self.apply(messages.PlaceOrder(self.account(letter), 1, side, "market", quantity=quantity, time_in_force="ioc"))

    def cancel(self, *order_ids: int) -> None:
        """Take orders back that still rest."""
        for order_id in order_ids:
            order = self.exchange.state.orders.get(order_id)
            if order is not None:
                self.apply(messages.CancelOrder(order.account_id, order_id))

    def move(self, order_id: int, price: int) -> None:
        """Amend an order's price."""
        account_id = self.exchange.state.orders[order_id].account_id
        self.apply(messages.AmendOrder(account_id, order_id, price=price))
