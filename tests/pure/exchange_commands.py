"""Random commands for a whole exchange that draw every field of every kind, nonsense included.

The world is small on purpose: prices and quantities meet often, owners meet themselves, bands and breakers are near.
"""

from random import Random
from typing import Any

from matching.engine import messages
from matching.engine.messages import AnyCommand, AnyEvent, FeeTier, Limits, MarketParameters
from tests.pure.builders import SCALES

ETH_BTC = 3
PRICES = {1: (80, 125, 100), 2: (8, 13, 100), ETH_BTC: (5, 20, 100)}
"""Market: the lowest and highest price drawn, in ticks, and the tick size."""

TEXTS = ("", "x", "a note", "\x00", "x" * 2_000, "٣", "\ud800")


def parameters(random: Random, market_id: int) -> MarketParameters:
    """Sound parameters for one of the three markets."""
    low, high, tick = PRICES[market_id]
    return MarketParameters(
        tick_size=tick,
        lot_size=100,
        min_quantity=random.choice((100, 200)),
        max_quantity=random.choice((2_500, 10**9)),
        min_notional=random.choice((0, 0, 120)),
        max_notional=random.choice((2_400, 10**12)),
        reference_price=random.choice((None, (low + high) // 2 * tick)),
        price_band=random.choice((0, 100_000, 150_000, 400_000)),
        breaker_move=random.choice((0, 50_000, 100_000, 150_000)),
        breaker_window=random.choice((2, 5, 20)),
        breaker_pause=random.choice((1, 3)),
    )


def setup(random: Random) -> list[AnyCommand]:
    """Three assets, three markets, six funded accounts of four owners, and rates."""
    commands: list[AnyCommand] = [
        messages.CreateAsset(symbol, symbol, scale)
        for symbol, scale in zip(("BTC", "USDT", "ETH"), SCALES.values(), strict=True)
    ]
    for market_id, (base, quote) in enumerate(((1, 2), (3, 2), (3, 1)), start=1):
        commands.append(messages.CreateMarket(base, quote, parameters(random, market_id)))
    for owner, name in ((1, "main"), (1, "bots"), (2, "main"), (2, "bots"), (3, "main"), (4, "main")):
        commands.append(messages.OpenAccount(owner, name))
    for account_id in range(3, 9):
        for asset_id, amount in ((1, 80_000), (2, 800_000), (3, 80_000)):
            commands.append(messages.Deposit(account_id, asset_id, random.choice((amount, amount // 4))))
    commands.append(messages.SetFeeTiers((FeeTier(0, 1_000, 1_500), FeeTier(50_000, -200, 1_200)), 2))
    return commands


class Commands:
    """A stream of random commands; `learn` shows it what came of them, so that many of them hit something."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.sequence = 0
        self.open: list[tuple[int, int]] = []
        self.undo: list[AnyCommand] = []

    def learn(self, command: AnyCommand, events: list[AnyEvent]) -> None:
        """Remember orders that rest, and to undo soon what would stop the trading."""
        self.sequence += 1
        for event in events:
            if isinstance(event, messages.OrderPlaced) and event.order.status == "open":
                self.open = [*self.open[-40:], (event.order.account_id, event.order.id)]
        match command:
            case messages.FreezeAccount():
                self.undo.append(messages.UnfreezeAccount(command.account_id))
            case messages.SetMarketState() if command.state != "open":
                self.undo.append(messages.SetMarketState("open", command.market_id))
            case messages.SetLimits() if command.limits not in (None, Limits()):
                self.undo.append(messages.SetLimits(command.account_id, Limits()))

    def _account(self) -> int:
        return self.random.choice((3, 3, 3, 4, 5, 5, 6, 7, 7, 8, 8)) if self.random.random() < 0.98 else self._odd(9)

    def _odd(self, near: int) -> int:
        return self.random.choice((-1, 0, 1, 2, near, near + 1, 10**6))

    def _market(self) -> int:
        return self.random.choice((1, 1, 1, 1, 2, ETH_BTC)) if self.random.random() < 0.98 else self._odd(4)

    def _asset(self) -> int:
        return self.random.choice((1, 2, 3)) if self.random.random() < 0.95 else self._odd(4)

    def _price(self, market_id: int) -> int | None:
        low, high, tick = PRICES.get(market_id, PRICES[1])
        chance = self.random.random()
        if chance < 0.95:
            return (self.random.randint(low, high) + self.random.randint(low, high)) // 2 * tick
        return self.random.choice((None, 0, -tick, 1, tick + 1, tick, 10**12 * tick, 10**40))

    def _quantity(self) -> int | None:
        chance = self.random.random()
        if chance < 0.95:
            return self.random.choice((1, 2, 3, 5, 8, 13, 21)) * 100
        return self.random.choice((None, 0, -100, 1, 150, 30_000, 10**9, 10**40))

    def _amount(self) -> int:
        return (
            self.random.choice((1, 99, 5_000, 40_000))
            if self.random.random() < 0.9
            else self.random.choice((0, -1, 10**9, 10**30))
        )

    def _order_id(self) -> int | None:
        chance = self.random.random()
        if chance < 0.9:
            return max(1, self.sequence - int(self.random.expovariate(1 / 40)))
        return self.random.choice((None, 0, -1, 10**9))

    def _order(self) -> tuple[int, int | None]:
        if self.open and self.random.random() < 0.8:
            return self.random.choice(self.open)
        return self._account(), self._order_id()

    def _client_order_id(self, share: float) -> str | None:
        chance = self.random.random()
        if chance < share:
            return f"c{self.sequence // 8}"
        return self.random.choice(TEXTS) if chance > 0.995 else None

    def place(self) -> messages.PlaceOrder:
        """An order of any kind."""
        random = self.random
        market_id = self._market()
        order_type: Any = random.choice(("limit", "limit", "limit", "limit", "market"))
        price, quantity = self._price(market_id), self._quantity()
        quote_amount = None
        time_in_force: Any = random.choice(("gtc", "gtc", "gtc", "ioc", "fok"))
        side: Any = random.choice(("buy", "sell"))
        if order_type == "market":
            price = price if random.random() < 0.02 else None
            time_in_force = time_in_force if random.random() < 0.05 else random.choice(("ioc", "fok"))
            if side == "buy" and random.random() < 0.5:
                quote_amount = random.choice((0, 99, 150, 800, 1_234, 2_300, 20_000, 10**7, -5, 10**40))
                quantity = quantity if random.random() < 0.03 else None
        if random.random() < 0.01:
            quote_amount = 500
        return messages.PlaceOrder(
            account_id=self._account(),
            market_id=market_id,
            side=side,
            order_type=order_type,
            price=price,
            quantity=quantity,
            quote_amount=quote_amount,
            time_in_force=time_in_force,
            post_only=random.random() < (0.15 if order_type == "limit" and time_in_force == "gtc" else 0.02),
            self_trade_prevention=random.choice(("cancel_taker", "cancel_maker", "cancel_both", "decrement")),
            client_order_id=self._client_order_id(0.1),
        )

    def amend(self) -> messages.AmendOrder:
        """A change of any order, by any account."""
        price, quantity = self._price(self.random.choice((1, 1, 1, 2, ETH_BTC))), self._quantity()
        keep = self.random.random()
        account_id, order_id = self._order()
        return messages.AmendOrder(
            account_id=account_id,
            order_id=order_id,
            client_order_id=self._client_order_id(0.05),
            price=None if keep < 0.4 else price,
            quantity=None if keep > 0.7 else quantity,
        )

    def cancel(self) -> messages.CancelOrder | messages.CancelOrders:
        """Cancel one order or several."""
        random = self.random
        if random.random() < 0.08:
            side: Any = random.choice((None, "buy", "sell"))
            return messages.CancelOrders(self._account(), random.choice((None, self._market())), side)
        return messages.CancelOrder(*self._order(), self._client_order_id(0.05))

    def money(self) -> AnyCommand:
        """Deposits, withdrawals and corrections."""
        random, amount = self.random, self._amount()
        account_id, asset_id, text = self._account(), self._asset(), random.choice((*TEXTS, "x", "x", "x", "x"))
        request = self._order_id() or 0
        return random.choice(
            (
                messages.Deposit(account_id, asset_id, amount, text),
                messages.RequestWithdrawal(account_id, asset_id, amount, text, random.random() < 0.3),
                messages.RequestWithdrawal(account_id, asset_id, amount),
                messages.ApproveWithdrawal(request, text),
                messages.RefuseWithdrawal(request, text),
                messages.CorrectBalance(account_id, asset_id, random.choice((amount, -amount)), text),
            )
        )

    def risk(self) -> AnyCommand:
        """Freezes, limits, market states, timers and overrides."""
        random = self.random
        account_id, text = self._account(), random.choice((*TEXTS[:3], "x", "\x00"))
        state: Any = random.choice(("open", "open", "open", "open", "post_only", "cancel_only", "halted"))
        market_id = random.choice((None, self._market(), self._market()))
        rate = random.choice((None, -100, 0, 700, 100_000, 100_001))
        limits = Limits(
            max_open_orders=random.choice((None, 0, 2, 5, 10_000, -1)),
            orders_per_second=random.choice((None, 0, 3, 1_000, -1)),
            max_positions=random.choice(({}, {}, {1: 90_000}, {2: 900_000, 3: 60_000}, {9: 1}, {1: -1})),
        )
        return random.choice(
            (
                messages.SetMarketState(state, market_id, text),
                messages.SetMarketState("open", None),
                messages.SetMarketState("open", self._market()),
                messages.ReopenMarket(self._market()),
                messages.FreezeAccount(account_id, random.random() < 0.3, text),
                messages.UnfreezeAccount(account_id, text),
                messages.UnfreezeAccount(account_id),
                messages.SetLimits(random.choice((None, account_id, account_id)), random.choice((None, limits))),
                messages.SetLimits(None, Limits()),
                messages.SetFeeOverride(random.choice((None, account_id)), market_id, rate, random.choice((rate, 900))),
            )
        )

    def rules(self) -> AnyCommand:
        """New accounts, assets, markets, parameters and tiers."""
        random = self.random
        text = random.choice(("SOL", "BTC", "X1", *TEXTS))
        low = random.choice((-100, 0, 50))
        market_id = random.choice((1, 2, ETH_BTC))
        sound = parameters(random, market_id)
        odd = MarketParameters(*(random.choice((-1, 0, 100, 10**6, 10**30)) for _ in range(6)))
        tiers = (FeeTier(random.choice((0, 0, 5)), low, 100), FeeTier(random.choice((0, 900, 10**40)), 0, 100))
        return random.choice(
            (
                messages.OpenAccount(random.choice((-1, 0, 1, 5, 2**40)), random.choice(("main", *TEXTS))),
                messages.CreateAsset(text, random.choice(TEXTS), random.choice((-1, 0, 8, 18, 19))),
                messages.CreateMarket(
                    self._asset(), self._asset(), random.choice((sound, odd)), random.choice((None, text))
                ),
                messages.SetMarketParameters(
                    random.choice((market_id, self._odd(4))), random.choice((sound, sound, odd))
                ),
                messages.SetFeeTiers(random.choice((tiers, tiers[:1], ())), random.choice((None, 1, 2, 2, 9))),
            )
        )

    def next(self, *, rules: bool) -> AnyCommand:
        """The next command; `rules`: also those that change what exists."""
        if self.undo and self.random.random() < 0.15:
            return self.undo.pop(0)
        chance = self.random.random()
        if chance < 0.6:
            return self.place()
        if chance < 0.78:
            return self.amend()
        if chance < 0.9:
            return self.cancel()
        if chance < 0.97:
            return self.money()
        return self.rules() if rules and chance > 0.99 else self.risk()

    def wait(self) -> int:
        """Microseconds until the next command: often none, at times a minute, seldom days."""
        chance = self.random.random()
        if chance < 0.3:
            return 0
        if chance < 0.995:
            return self.random.randint(1, 400_000)
        return self.random.choice((60_000_000, 86_400_000_000, 31 * 86_400_000_000))
