"""Every message of the exchange: commands in, events out, and the one enum of reasons.

Commands are imperatives and carry everything they need; events are past facts and carry the state after the fact,
so that a reader who folds them over a snapshot has the next snapshot. All amounts are integers: quantities in units
of the base asset, prices in quote units per whole base, fees and ledger amounts in units of their asset, rates in
millionths, times in microseconds since 1970 UTC.
"""

from enum import StrEnum
from typing import Literal, Self

import msgspec

RATE_UNIT = 1_000_000
"""Rates and percentages are integers in millionths: 0.15 % is 1,500."""

EXTERNAL_ACCOUNT_ID = 1
"""The house account that stands for the outside world: deposits come from it, withdrawals go to it."""

FEES_ACCOUNT_ID = 2
"""The house account that collects fees and pays rebates."""

HOUSE_ACCOUNT_IDS = frozenset({EXTERNAL_ACCOUNT_ID, FEES_ACCOUNT_ID})

Side = Literal["buy", "sell"]
OrderType = Literal["limit", "market"]
TimeInForce = Literal["gtc", "ioc", "fok"]
SelfTradePrevention = Literal["cancel_taker", "cancel_maker", "cancel_both", "decrement"]
MarketState = Literal["open", "post_only", "cancel_only", "halted"]
OrderStatus = Literal["pending", "open", "filled", "canceled", "expired", "rejected"]


class Reason(StrEnum):
    """Why a command was refused, or an order ended early. `text` is for people, the value is stable."""

    text: str

    def __new__(cls, value: str, text: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member

    # Who and where
    UNKNOWN_ACCOUNT = "unknown_account", "The account does not exist."
    UNKNOWN_MARKET = "unknown_market", "The market does not exist."
    UNKNOWN_ASSET = "unknown_asset", "The asset does not exist."
    UNKNOWN_ORDER = "unknown_order", "No open order of this account has that id."
    UNKNOWN_WITHDRAWAL = "unknown_withdrawal", "No pending withdrawal has that id."
    ACCOUNT_FROZEN = "account_frozen", "The account is frozen: it can cancel orders, but not place or withdraw."
    HOUSE_ACCOUNT = "house_account", "House accounts do not trade, and only corrections move their funds."
    EXCHANGE_HALTED = "exchange_halted", "Trading is halted on every market; cancels are accepted."
    MARKET_HALTED = "market_halted", "The market is halted; cancels are accepted."
    MARKET_CANCEL_ONLY = "market_cancel_only", "The market takes only cancels at the moment."
    MARKET_POST_ONLY = "market_post_only", "The market takes only post-only orders at the moment."
    # What the order asks
    PRICE_REQUIRED = "price_required", "A limit order needs a price."
    PRICE_NOT_ALLOWED = "price_not_allowed", "A market order has no price."
    QUANTITY_REQUIRED = "quantity_required", "Give a quantity, or for a market buy a quote amount."
    QUOTE_AMOUNT_NOT_ALLOWED = "quote_amount_not_allowed", "Only a market buy without a quantity takes a quote amount."
    POST_ONLY_NOT_ALLOWED = "post_only_not_allowed", "Only a gtc limit order can be post-only."
    TIME_IN_FORCE_NOT_ALLOWED = "time_in_force_not_allowed", "A market order is ioc or fok: it never rests."
    PRICE_OFF_TICK = "price_off_tick", "The price is not a positive multiple of the market's tick size."
    QUANTITY_OFF_LOT = "quantity_off_lot", "The quantity is not a positive multiple of the market's lot size."
    QUANTITY_TOO_SMALL = "quantity_too_small", "The quantity is below the market's minimum."
    QUANTITY_TOO_LARGE = "quantity_too_large", "The quantity is above the market's maximum."
    NOTIONAL_TOO_SMALL = "notional_too_small", "Price times quantity is below the market's minimum."
    NOTIONAL_TOO_LARGE = "notional_too_large", "Price times quantity is above the market's maximum."
    PRICE_OUTSIDE_BAND = "price_outside_band", "The price is outside the market's band around the last trade."
    POST_ONLY_WOULD_TRADE = "post_only_would_trade", "The post-only order would have traded at once."
    NO_LIQUIDITY = "no_liquidity", "Nothing was left on the other side of the book at an allowed price."
    CLIENT_ORDER_ID_CONFLICT = "client_order_id_conflict", "This client order id was used for a different order."
    # What the account may
    INSUFFICIENT_BALANCE = "insufficient_balance", "The available balance does not cover the order or withdrawal."
    TOO_MANY_OPEN_ORDERS = "too_many_open_orders", "The account has its maximum of open orders on this market."
    POSITION_LIMIT = "position_limit", "The order could take the account over its maximum position in an asset."
    ORDER_RATE_EXCEEDED = "order_rate_exceeded", "The account placed or amended too many orders within a second."
    # What an amend asks
    AMEND_WITHOUT_CHANGE = "amend_without_change", "Give a new price, a new quantity or both."
    QUANTITY_BELOW_FILLED = "quantity_below_filled", "The new quantity is not above what is already filled."
    # Why an order ended before it was filled
    USER_CANCELED = "user_canceled", "The owner canceled the order."
    IMMEDIATE_OR_CANCEL = "immediate_or_cancel", "The rest of an immediate-or-cancel order is canceled."
    FILL_OR_KILL = "fill_or_kill", "The fill-or-kill order could not be filled completely."
    SELF_TRADE_PREVENTED = "self_trade_prevented", "The order met another order of the same owner."
    PRICE_BAND = "price_band", "The rest would have traded outside the market's price band."
    CIRCUIT_BREAKER = "circuit_breaker", "The rest would have moved the price further than the circuit breaker allows."
    ACCOUNT_WAS_FROZEN = "account_was_frozen", "An operator froze the account and canceled its orders."
    # Money and rules
    INVALID_AMOUNT = "invalid_amount", "The amount must be above zero (a correction's amount: not zero)."
    INVALID_PARAMETERS = "invalid_parameters", "The parameters contradict each other or are out of range."
    ALREADY_EXISTS = "already_exists", "Something with that name exists already."
    NOT_DUE = "not_due", "The timer is not due, or what it was for is over."


class Command(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="kind", gc=False):
    """What someone asks of the exchange. The worker gives it a sequence and a time when it takes it."""


# ---------------------------------------------------------------------------------------------- orders


class PlaceOrder(Command, frozen=True, tag="place_order"):
    """Place an order. `price` None: market order. `quote_amount` (quote units) instead of `quantity`: market buy."""

    account_id: int
    market_id: int
    side: Side
    order_type: OrderType = "limit"
    price: int | None = None
    quantity: int | None = None
    quote_amount: int | None = None
    time_in_force: TimeInForce = "gtc"
    post_only: bool = False
    self_trade_prevention: SelfTradePrevention = "cancel_taker"
    client_order_id: str | None = None


class AmendOrder(Command, frozen=True, tag="amend_order"):
    """Change an open order's price, its total quantity (filled part included), or both."""

    account_id: int
    order_id: int | None = None
    client_order_id: str | None = None
    price: int | None = None
    quantity: int | None = None


class CancelOrder(Command, frozen=True, tag="cancel_order"):
    """Cancel one open order, by id or by the owner's client order id."""

    account_id: int
    order_id: int | None = None
    client_order_id: str | None = None


class CancelOrders(Command, frozen=True, tag="cancel_orders"):
    """Cancel all open orders of an account, optionally only those of one market and one side."""

    account_id: int
    market_id: int | None = None
    side: Side | None = None


# ---------------------------------------------------------------------------------------------- money


class OpenAccount(Command, frozen=True, tag="open_account"):
    """Open an account for a user; `name` tells a user's accounts apart."""

    user_id: int
    name: str = "main"


class Deposit(Command, frozen=True, tag="deposit"):
    """Credit an account from the outside world."""

    account_id: int
    asset_id: int
    amount: int
    reference: str = ""


class RequestWithdrawal(Command, frozen=True, tag="request_withdrawal"):
    """Hold an amount for a withdrawal; `approved` debits it at once."""

    account_id: int
    asset_id: int
    amount: int
    destination: str = ""
    approved: bool = False


class ApproveWithdrawal(Command, frozen=True, tag="approve_withdrawal"):
    """Debit a pending withdrawal's held amount to the outside world. Its id is the sequence of its request."""

    withdrawal_id: int
    note: str = ""


class RefuseWithdrawal(Command, frozen=True, tag="refuse_withdrawal"):
    """Release a pending withdrawal's held amount to the account."""

    withdrawal_id: int
    note: str = ""


class CorrectBalance(Command, frozen=True, tag="correct_balance"):
    """Move a signed amount between the outside world and an account (the house's fees account too), with a reason."""

    account_id: int
    asset_id: int
    amount: int
    note: str


# ---------------------------------------------------------------------------------------------- rules


class CreateAsset(Command, frozen=True, tag="create_asset"):
    """Add an asset whose amounts are integers of 10^-scale, 0 <= scale <= 18."""

    symbol: str
    name: str
    scale: int


class MarketParameters(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The order filters and the circuit breaker of a market.

    `tick_size`, `min_notional`, `max_notional`, `reference_price`: quote units (prices: per whole base). `lot_size`,
    `min_quantity`, `max_quantity`: base units. `price_band`, `breaker_move`: millionths, 0 switches off.
    `breaker_window`, `breaker_pause`: seconds.
    """

    tick_size: int
    lot_size: int
    min_quantity: int
    max_quantity: int
    min_notional: int
    max_notional: int
    reference_price: int | None = None
    price_band: int = 200_000
    breaker_move: int = 100_000
    breaker_window: int = 300
    breaker_pause: int = 300


class CreateMarket(Command, frozen=True, tag="create_market"):
    """Open a market named BASE-QUOTE for two assets."""

    base_asset_id: int
    quote_asset_id: int
    parameters: MarketParameters
    symbol: str | None = None


class SetMarketParameters(Command, frozen=True, tag="set_market_parameters"):
    """Replace a market's filters and breaker settings. Resting orders stay as they are."""

    market_id: int
    parameters: MarketParameters


class SetMarketState(Command, frozen=True, tag="set_market_state"):
    """Open, halt or restrict one market; `market_id` None: halt ("halted") or resume ("open") the whole exchange."""

    state: MarketState
    market_id: int | None = None
    note: str = ""


class ReopenMarket(Command, frozen=True, tag="reopen_market"):
    """The timer that ends a circuit breaker's pause. The worker sends it when the market's `reopens_at` has come."""

    market_id: int


class FreezeAccount(Command, frozen=True, tag="freeze_account"):
    """Stop an account from placing, amending and withdrawing, and cancel its open orders if asked."""

    account_id: int
    cancel_orders: bool = False
    note: str = ""


class UnfreezeAccount(Command, frozen=True, tag="unfreeze_account"):
    """Let a frozen account trade and withdraw again."""

    account_id: int
    note: str = ""


class Limits(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What an account may do. None: no limit. `max_positions`: asset id -> units of the asset."""

    max_open_orders: int | None = 10_000
    orders_per_second: int | None = 1_000
    max_positions: dict[int, int] = {}


class SetLimits(Command, frozen=True, tag="set_limits"):
    """Set the limits of one account, or the defaults (`account_id` None). `limits` None: back to the defaults."""

    account_id: int | None = None
    limits: Limits | None = None
    note: str = ""


class FeeTier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rates (millionths; a negative maker rate is a rebate) from a 30-day volume on (units of the valuation asset)."""

    volume: int
    maker_rate: int
    taker_rate: int


class SetFeeTiers(Command, frozen=True, tag="set_fee_tiers"):
    """Replace the tier table: rising volumes, the first tier at volume 0, volumes in the valuation asset."""

    tiers: tuple[FeeTier, ...]
    valuation_asset_id: int | None = None


class SetFeeOverride(Command, frozen=True, tag="set_fee_override"):
    """Give an account, a market, or an account on a market its own rates; both rates None removes the override."""

    account_id: int | None = None
    market_id: int | None = None
    maker_rate: int | None = None
    taker_rate: int | None = None


AnyCommand = (
    PlaceOrder
    | AmendOrder
    | CancelOrder
    | CancelOrders
    | OpenAccount
    | Deposit
    | RequestWithdrawal
    | ApproveWithdrawal
    | RefuseWithdrawal
    | CorrectBalance
    | CreateAsset
    | CreateMarket
    | SetMarketParameters
    | SetMarketState
    | ReopenMarket
    | FreezeAccount
    | UnfreezeAccount
    | SetLimits
    | SetFeeTiers
    | SetFeeOverride
)


class Event(msgspec.Struct, frozen=True, tag_field="event", tag=True, gc=False):
    """Something that happened. Events of one command share its sequence and time."""


# ---------------------------------------------------------------------------------------------- orders


class OrderState(msgspec.Struct, frozen=True, gc=False):
    """An order as it stands: what was asked, what came of it, and what it holds.

    `id` is the sequence of the command that placed it; `priority` orders the queue of a price level (the id, or the
    sequence of the amend that lost the place); `held` is what it still holds (quote units for buys, base units for
    sells); `remaining` is what rests, or was left when the order ended (0 for a market buy by quote amount);
    `prevented_quantity` is what self-trade prevention kept from trading; `filled_notional` is in quote units;
    `request_digest` tells two bodies with one client order id apart.
    """

    id: int
    account_id: int
    market_id: int
    client_order_id: str | None
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    self_trade_prevention: SelfTradePrevention
    price: int | None
    quantity: int | None
    quote_amount: int | None
    filled_quantity: int
    filled_notional: int
    remaining: int
    prevented_quantity: int
    held: int
    status: OrderStatus
    reason: Reason | None
    maker_rate: int
    taker_rate: int
    priority: int
    request_digest: int
    created_at: int
    updated_at: int


class OrderPlaced(Event, frozen=True):
    """An order was accepted; `order` is its state after matching. It rests if its status is open."""

    order: OrderState


class OrderRejected(Event, frozen=True):
    """An order was refused before the book; `order.reason` says why. It is kept in the history."""

    order: OrderState


class OrderDuplicated(Event, frozen=True):
    """The same body was placed before under this client order id; `order_id` is that first order. Nothing changed."""

    order_id: int


class OrderUpdated(Event, frozen=True):
    """An order that was already in the book changed: filled, amended, canceled. Absolute values, the last one holds.

    `previous_price`: where it rested before, if an amend moved it to another price.
    """

    id: int
    account_id: int
    market_id: int
    side: Side
    price: int
    quantity: int
    filled_quantity: int
    filled_notional: int
    remaining: int
    prevented_quantity: int
    held: int
    status: OrderStatus
    reason: Reason | None
    priority: int
    updated_at: int
    previous_price: int | None = None


class OrdersCanceled(Event, frozen=True):
    """A cancel-all found these orders; an OrderUpdated of each comes with it."""

    order_ids: tuple[int, ...]


class TradeExecuted(Event, frozen=True):
    """A taker met a maker. Fees are in units of the asset each side received; negative is a rebate."""

    id: int
    sequence: int
    market_id: int
    price: int
    quantity: int
    notional: int
    taker_side: Side
    maker_order_id: int
    taker_order_id: int
    maker_account_id: int
    taker_account_id: int
    maker_fee: int
    taker_fee: int
    executed_at: int


class CommandRefused(Event, frozen=True):
    """Any command but PlaceOrder was refused. Nothing changed."""

    reason: Reason
    detail: str = ""


# ---------------------------------------------------------------------------------------------- money


class EntryPosted(Event, frozen=True):
    """One line of the ledger. The entries of one sequence sum to zero per asset. `balance` is the account's after it.

    `entry_type`: deposit, withdrawal, correction, trade, fee. `reference`: trade id, or withdrawal id, or 0.
    """

    id: int
    sequence: int
    account_id: int
    asset_id: int
    amount: int
    balance: int
    entry_type: str
    reference: int
    posted_at: int


class BalanceChanged(Event, frozen=True):
    """The funds of an account in one asset after the command: balance = available + held."""

    account_id: int
    asset_id: int
    available: int
    held: int


class AccountOpened(Event, frozen=True):
    """An account exists now; ids count up from 3, after the house's two."""

    account_id: int
    user_id: int
    name: str
    opened_at: int


class DepositCredited(Event, frozen=True):
    """A deposit was credited; its id is the command's sequence."""

    id: int
    account_id: int
    asset_id: int
    amount: int
    reference: str
    credited_at: int


class WithdrawalChanged(Event, frozen=True):
    """A withdrawal was requested (pending), approved (paid) or refused; its id is the sequence of its request."""

    id: int
    account_id: int
    asset_id: int
    amount: int
    destination: str
    status: Literal["pending", "paid", "refused"]
    note: str
    requested_at: int
    updated_at: int


# ---------------------------------------------------------------------------------------------- rules


class AssetCreated(Event, frozen=True):
    """An asset exists now; ids count up from 1."""

    asset_id: int
    symbol: str
    name: str
    scale: int


class MarketChanged(Event, frozen=True):
    """A market as it stands: created, or its parameters or state changed. `note` says why, for people.

    `reopens_at`: when a tripped breaker reopens the market (None: not tripped). `breaker_since`: the breaker looks
    only at trades of later sequences.
    """

    market_id: int
    symbol: str
    base_asset_id: int
    quote_asset_id: int
    parameters: MarketParameters
    state: MarketState
    note: str
    reopens_at: int | None
    breaker_since: int
    changed_at: int


class BreakerTripped(Event, frozen=True):
    """The next trade would have moved a market too far: it is cancel_only until `reopens_at`.

    `price` is that trade's price, `low` and `high` the lowest and highest trade price within the window.
    """

    market_id: int
    price: int
    low: int
    high: int
    move: int
    window: int
    reopens_at: int
    tripped_at: int


class ExchangeStateChanged(Event, frozen=True):
    """The whole exchange was halted or resumed."""

    halted: bool
    note: str
    changed_at: int


class AccountFrozen(Event, frozen=True):
    """An account was frozen or, with `frozen` False, unfrozen."""

    account_id: int
    frozen: bool
    note: str


class LimitsChanged(Event, frozen=True):
    """The limits of an account, or the defaults (`account_id` None), as they stand; None: the defaults apply."""

    account_id: int | None
    limits: Limits | None


class FeeTiersChanged(Event, frozen=True):
    """The tier table as it stands."""

    tiers: tuple[FeeTier, ...]
    valuation_asset_id: int | None


class FeeOverrideChanged(Event, frozen=True):
    """An override as it stands; both rates None: removed."""

    account_id: int | None
    market_id: int | None
    maker_rate: int | None
    taker_rate: int | None


class VolumeChanged(Event, frozen=True):
    """An account's traded volume of one UTC day (days since 1970), in units of the valuation asset."""

    account_id: int
    day: int
    volume: int


AnyEvent = (
    OrderPlaced
    | OrderRejected
    | OrderDuplicated
    | OrderUpdated
    | OrdersCanceled
    | TradeExecuted
    | CommandRefused
    | EntryPosted
    | BalanceChanged
    | AccountOpened
    | DepositCredited
    | WithdrawalChanged
    | AssetCreated
    | MarketChanged
    | BreakerTripped
    | ExchangeStateChanged
    | AccountFrozen
    | LimitsChanged
    | FeeTiersChanged
    | FeeOverrideChanged
    | VolumeChanged
)


class OrderPreviewed(msgspec.Struct, frozen=True, gc=False):
    """What placing an order would do now, without placing it. Amounts as in OrderState; not an event: nothing changes.

    `worst_case_cost`: what would be held (quote units for buys, base units for sells); `worst_case_fee`: the taker's
    fee on everything the order could receive, in units of the asset received.
    """

    reason: Reason | None
    worst_case_cost: int
    worst_case_fee: int
    expected_quantity: int
    expected_notional: int
    maker_rate: int
    taker_rate: int
