"""Everything the exchange knows, in memory: assets, markets with their books, accounts, rules, orders by client id.

Data and look-ups only; what commands do to it is in order_commands, money_commands and rule_commands.
"""

from dataclasses import dataclass

from fees.schedule import MICROSECONDS_PER_DAY, Schedule, Volumes
from matching.engine.book import Book
from matching.engine.messages import (
    AnyEvent,
    BreakerTripped,
    Limits,
    MarketChanged,
    MarketParameters,
    MarketState,
    WithdrawalChanged,
)
from orders.rules import LiveOrder
from risk.breakers import SECOND, Breaker, Range, range_around
from risk.ledger import Account, Ledger

CLIENT_ORDER_IDS_MAX = 200_000
"""Client order ids of ended orders kept in memory by a worker that can ask the database for older ones."""

WHOLE_UNITS_MAX = 10**20
"""No more than this many whole units of an asset can be inside the exchange: the database's columns hold them."""


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset; `unit` is 10^scale, the number of its units in a whole one."""

    id: int
    symbol: str
    name: str
    scale: int
    unit: int
    units_max: int

    @classmethod
    def of_scale(cls, id: int, symbol: str, name: str, scale: int) -> "Asset":
        """The asset with what follows from its scale."""
        return cls(id, symbol, name, scale, 10**scale, WHOLE_UNITS_MAX * 10**scale)


def text_is_sound(text: str, length_max: int) -> bool:
    """Whether the database can keep a text of at most `length_max` characters."""
    if len(text) > length_max or "\x00" in text:
        return False
    return text.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in text)


class TradedMarket:
    """A market in memory: its rules, state, book, breaker and last price (quote units per whole base)."""

    __slots__ = (
        "_band",
        "_band_reference",
        "base",
        "book",
        "breaker",
        "breaker_since",
        "changed_at",
        "id",
        "last_price",
        "note",
        "parameters",
        "quote",
        "reopens_at",
        "state",
        "symbol",
    )

    def __init__(self, id: int, symbol: str, base: Asset, quote: Asset, parameters: MarketParameters, now: int) -> None:
        self.id = id
        self.symbol = symbol
        self.base = base
        self.quote = quote
        self.parameters = parameters
        self.state: MarketState = "open"
        self.note = ""
        self.reopens_at: int | None = None
        self.breaker = Breaker()
        self.breaker_since = 0
        self.changed_at = now
        self.last_price: int | None = None
        self.book = Book()
        self._band: Range = (0, 0)
        self._band_reference: int | None = None

    def band(self) -> Range | None:
        """The prices the band allows; None: no band, or nothing to put it around."""
        reference = self.last_price if self.last_price is not None else self.parameters.reference_price
        if reference is None or not self.parameters.price_band:
            return None
        if self._band_reference != reference:
            self._band_reference = reference
            self._band = range_around(reference, reference, self.parameters.price_band)
        return self._band

    def breaker_range(self, first_price: int, now: int) -> Range | None:
        """The prices the breaker allows an order whose first trade would be at `first_price`; None: it is off.

        An order trades at ever worse prices, so its own first trade is the only one of its trades that can narrow the
        range for the others.
        """
        parameters = self.parameters
        if not parameters.breaker_move:
            return None
        extremes = self.breaker.extremes(now, parameters.breaker_window)
        if extremes is None:
            return range_around(first_price, first_price, parameters.breaker_move)
        low, high = extremes
        lowest, highest = range_around(low, high, parameters.breaker_move)
        if first_price < lowest or first_price > highest:
            return lowest, highest
        return range_around(min(low, first_price), max(high, first_price), parameters.breaker_move)

    def record(self, first_price: int, last_price: int, now: int) -> None:
        """Remember an order's trades: at ever worse prices, the first and the last say it all."""
        self.breaker.record(first_price, now, self.parameters.breaker_window)
        self.breaker.record(last_price, now, self.parameters.breaker_window)
        self.last_price = last_price

    def change(self, parameters: MarketParameters, now: int, sequence: int) -> MarketChanged:
        """Take new parameters. With another window the breaker starts afresh: it kept only the old window's trades."""
        if parameters.breaker_window != self.parameters.breaker_window:
            self.breaker.reset()
            self.breaker_since = sequence
        self.parameters = parameters
        self._band_reference = None
        self.changed_at = now
        return self.changed()

    def changed(self) -> MarketChanged:
        """The market as it stands, as an event."""
        return MarketChanged(
            self.id,
            self.symbol,
            self.base.id,
            self.quote.id,
            self.parameters,
            self.state,
            self.note,
            self.reopens_at,
            self.breaker_since,
            self.changed_at,
        )

    def enter(self, state: MarketState, note: str, now: int, sequence: int) -> MarketChanged:
        """Go to a state by somebody's decision: the breaker, if it had tripped, is over and starts afresh."""
        if state == "open":
            self.breaker.reset()
            self.breaker_since = sequence
        self.state = state
        self.note = note
        self.reopens_at = None
        self.changed_at = now
        return self.changed()

    def trip(self, price: int, now: int) -> list[AnyEvent]:
        """The breaker stops a trade at `price`: cancel_only until the pause is over."""
        parameters = self.parameters
        low, high = self.breaker.extremes(now, parameters.breaker_window) or (price, price)
        self.state = "cancel_only"
        self.note = "circuit breaker"
        self.reopens_at = now + parameters.breaker_pause * SECOND
        self.changed_at = now
        tripped = BreakerTripped(
            self.id, price, low, high, parameters.breaker_move, parameters.breaker_window, self.reopens_at, now
        )
        return [tripped, self.changed()]


class State:
    """The whole exchange at one point of the journal. `now`: microseconds, the time of the command at hand."""

    def __init__(self) -> None:
        self.sequence = 0
        self.now = 0
        self.trade_id = 0
        self.halted = False
        self.halt_note = ""
        self.assets: dict[int, Asset] = {}
        self.markets: dict[int, TradedMarket] = {}
        self.ledger = Ledger()
        self.accounts: dict[int, Account] = self.ledger.accounts
        self.account_names: set[tuple[int, str]] = set()
        self.orders: dict[int, LiveOrder] = {}
        self.account_orders: dict[int, dict[int, LiveOrder]] = {}
        self.client_orders: dict[tuple[int, str], tuple[int, int]] = {}
        self.limits = Limits()
        self.schedule = Schedule()
        self.volumes = Volumes()
        self.withdrawals: dict[int, WithdrawalChanged] = {}
        self.placed: dict[int, int] = {}
        self.placed_second = 0

    @property
    def day(self) -> int:
        """The current UTC day, counted from 1970."""
        return self.now // MICROSECONDS_PER_DAY

    def limits_of(self, account: Account) -> Limits:
        """The account's own limits, or the defaults."""
        return self.limits if account.limits is None else account.limits

    def rates_of(self, account: Account, market_id: int) -> tuple[int, int]:
        """(maker_rate, taker_rate) of the account on the market today; kept until its tier or the rules change."""
        day = self.now // MICROSECONDS_PER_DAY
        if account.rates_day != day:
            account.rates.clear()
            account.rates_day = day
        rates = account.rates.get(market_id)
        if rates is None:
            volume = self.volumes.total(account.id, day)
            rates = account.rates[market_id] = self.schedule.rates(account.id, market_id, volume)
        return rates

    def forget_rates(self) -> None:
        """The fee rules changed: look every account's rates up anew."""
        for account in self.accounts.values():
            account.rates.clear()

    def valued(self, asset: Asset, amount: int) -> int:
        """`amount` of an asset in units of the valuation asset, at the last price of a market between them; else 0."""
        valuation = self.schedule.valuation_asset_id
        if valuation is None or valuation == asset.id:
            return amount if valuation is not None else 0
        for market in self.markets.values():
            if market.last_price is None:
                continue
            if market.base.id == asset.id and market.quote.id == valuation:
                return amount * market.last_price // market.base.unit
            if market.quote.id == asset.id and market.base.id == valuation:
                return amount * market.base.unit // market.last_price
        return 0

    def open_account(self, account: Account) -> None:
        """An account exists now."""
        self.accounts[account.id] = account
        self.account_names.add((account.owner, account.name))

    def count_order(self, account_id: int) -> int:
        """Count one more order placed or amended by an account, and return how many that makes within this second.

        Everything counts, whatever becomes of it and whoever it is from, so that the journal has the same counts:
        SELECT account_id, count(*) of its place_order and amend_order rows received since the second of `now` began.
        """
        second = self.now // SECOND
        if self.placed_second != second:
            self.placed_second = second
            self.placed.clear()
        count = self.placed[account_id] = self.placed.get(account_id, 0) + 1
        return count

    def find_order(self, account_id: int, order_id: int | None, client_order_id: str | None) -> LiveOrder | None:
        """The account's open order by id or client order id (given both, by both); None if it has none such now."""
        if order_id is None:
            if client_order_id is None:
                return None
            order_id = self.client_orders.get((account_id, client_order_id), (0, 0))[0]
        order = self.orders.get(order_id)
        if order is None or order.account_id != account_id:
            return None
        return order if client_order_id in (None, order.client_order_id) else None

    def rest(self, order: LiveOrder) -> None:
        """An order has come to rest in the book: index it."""
        self.orders[order.id] = order
        orders = self.account_orders.get(order.account_id)
        if orders is None:
            orders = self.account_orders[order.account_id] = {}
        orders[order.id] = order
        counts = self.accounts[order.account_id].open_orders
        counts[order.market_id] = counts.get(order.market_id, 0) + 1

    def unrest(self, order: LiveOrder) -> None:
        """An order has left the book: forget it."""
        del self.orders[order.id]
        del self.account_orders[order.account_id][order.id]
        self.accounts[order.account_id].open_orders[order.market_id] -= 1

    def forget_old_client_orders(self) -> None:
        """Keep the newest client order ids and those of open orders; for a worker that can look the others up."""
        if len(self.client_orders) <= 2 * CLIENT_ORDER_IDS_MAX + len(self.orders):
            return
        ended = [key for key, (order_id, _) in self.client_orders.items() if order_id not in self.orders]
        for key in ended[:-CLIENT_ORDER_IDS_MAX]:
            del self.client_orders[key]
