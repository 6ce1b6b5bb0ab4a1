"""What the commands that change the rules do: assets, markets and their states, freezes, limits, fee rules."""

from fees.schedule import rates_are_sound, tiers_are_sound
from marketdata.scale import SCALE_MAX
from matching.engine.messages import (
    HOUSE_ACCOUNT_IDS,
    AccountFrozen,
    AnyEvent,
    AssetCreated,
    CancelOrders,
    CommandRefused,
    CreateAsset,
    CreateMarket,
    ExchangeStateChanged,
    FeeOverrideChanged,
    FeeTiersChanged,
    FreezeAccount,
    LimitsChanged,
    Reason,
    ReopenMarket,
    SetFeeOverride,
    SetFeeTiers,
    SetLimits,
    SetMarketParameters,
    SetMarketState,
    UnfreezeAccount,
)
from matching.order_commands import cancel_all
from matching.state import Asset, State, TradedMarket, text_is_sound
from orders.rules import parameters_are_sound
from risk.checks import limits_are_sound

Events = list[AnyEvent]

SYMBOL_LENGTH_MAX = 16
NAME_LENGTH_MAX = 64
NOTE_LENGTH_MAX = 1_000


def create_asset(state: State, command: CreateAsset) -> Events:
    """Add an asset: an upper-case symbol, a name, a scale from 0 to 18."""
    symbol = command.symbol
    sound_symbol = 0 < len(symbol) <= SYMBOL_LENGTH_MAX and symbol.isascii() and symbol.isalnum() and symbol.isupper()
    sound_name = command.name and text_is_sound(command.name, NAME_LENGTH_MAX)
    if not sound_symbol or not sound_name or not 0 <= command.scale <= SCALE_MAX:
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    if any(asset.symbol == symbol for asset in state.assets.values()):
        return [CommandRefused(Reason.ALREADY_EXISTS)]
    asset = Asset.of_scale(len(state.assets) + 1, symbol, command.name, command.scale)
    state.assets[asset.id] = asset
    return [AssetCreated(asset.id, symbol, asset.name, asset.scale)]


def create_market(state: State, command: CreateMarket) -> Events:
    """Open a market for two different assets under a symbol that is still free (default: BASE-QUOTE)."""
    base, quote = state.assets.get(command.base_asset_id), state.assets.get(command.quote_asset_id)
    if base is None or quote is None:
        return [CommandRefused(Reason.UNKNOWN_ASSET)]
    symbol = command.symbol or f"{base.symbol}-{quote.symbol}"
    words = symbol.split("-")
    sound_symbol = all(0 < len(word) <= SYMBOL_LENGTH_MAX and word.isascii() and word.isalnum() for word in words)
    if base is quote or not sound_symbol or len(words) != 2 or symbol != symbol.upper():
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    if not parameters_are_sound(command.parameters, base.unit, base.units_max, quote.units_max):
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    if any(market.symbol == symbol for market in state.markets.values()):
        return [CommandRefused(Reason.ALREADY_EXISTS)]
    market = TradedMarket(len(state.markets) + 1, symbol, base, quote, command.parameters, state.now)
    state.markets[market.id] = market
    return [market.changed()]


def set_market_parameters(state: State, command: SetMarketParameters) -> Events:
    """Replace a market's filters; steps may only become finer divisors of the old ones: resting orders stay valid."""
    market = state.markets.get(command.market_id)
    if market is None:
        return [CommandRefused(Reason.UNKNOWN_MARKET)]
    new, old = command.parameters, market.parameters
    if not parameters_are_sound(new, market.base.unit, market.base.units_max, market.quote.units_max):
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    if old.tick_size % new.tick_size or old.lot_size % new.lot_size:
        return [CommandRefused(Reason.INVALID_PARAMETERS, "Steps can only become finer divisors of the old ones.")]
    return [market.change(new, state.now, state.sequence)]


def set_market_state(state: State, command: SetMarketState) -> Events:
    """Open or restrict one market, or halt or resume the exchange. Resting orders stay."""
    if not text_is_sound(command.note, NOTE_LENGTH_MAX):
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    if command.market_id is None:
        if command.state not in ("open", "halted"):
            return [CommandRefused(Reason.INVALID_PARAMETERS, "The whole exchange can be halted or open.")]
        state.halted = command.state == "halted"
        state.halt_note = command.note if state.halted else ""
        return [ExchangeStateChanged(state.halted, command.note, state.now)]
    market = state.markets.get(command.market_id)
    if market is None:
        return [CommandRefused(Reason.UNKNOWN_MARKET)]
    return [market.enter(command.state, command.note, state.now, state.sequence)]


def reopen_market(state: State, command: ReopenMarket) -> Events:
    """End a circuit breaker's pause, if it is due and nobody decided otherwise in the meantime."""
    market = state.markets.get(command.market_id)
    if market is None:
        return [CommandRefused(Reason.UNKNOWN_MARKET)]
    if market.reopens_at is None or state.now < market.reopens_at:
        return [CommandRefused(Reason.NOT_DUE)]
    return [market.enter("open", "reopened after the circuit breaker's pause", state.now, state.sequence)]


def freeze_account(state: State, command: FreezeAccount) -> Events:
    """Freeze an account, and cancel its open orders if asked."""
    account = state.accounts.get(command.account_id)
    if account is None:
        return [CommandRefused(Reason.UNKNOWN_ACCOUNT)]
    if account.id in HOUSE_ACCOUNT_IDS:
        return [CommandRefused(Reason.HOUSE_ACCOUNT)]
    if not text_is_sound(command.note, NOTE_LENGTH_MAX):
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    account.frozen = True
    events: Events = [AccountFrozen(account.id, True, command.note)]
    if command.cancel_orders:
        cancel_all(state, CancelOrders(account.id), Reason.ACCOUNT_WAS_FROZEN, events)
    return events


def unfreeze_account(state: State, command: UnfreezeAccount) -> Events:
    """Let an account trade and withdraw again."""
    account = state.accounts.get(command.account_id)
    if account is None:
        return [CommandRefused(Reason.UNKNOWN_ACCOUNT)]
    if account.id in HOUSE_ACCOUNT_IDS:
        return [CommandRefused(Reason.HOUSE_ACCOUNT)]
    if not text_is_sound(command.note, NOTE_LENGTH_MAX):
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    account.frozen = False
    return [AccountFrozen(account.id, False, command.note)]


def set_limits(state: State, command: SetLimits) -> Events:
    """Set an account's limits or the defaults, or put an account back on the defaults."""
    limits = command.limits
    if not text_is_sound(command.note, NOTE_LENGTH_MAX):
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    if limits is not None and not limits_are_sound(limits):
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    if limits is not None and not limits.max_positions.keys() <= state.assets.keys():
        return [CommandRefused(Reason.UNKNOWN_ASSET)]
    if command.account_id is None:
        if limits is None:
            return [CommandRefused(Reason.INVALID_PARAMETERS, "The defaults can be changed, not removed.")]
        state.limits = limits
    else:
        account = state.accounts.get(command.account_id)
        if account is None:
            return [CommandRefused(Reason.UNKNOWN_ACCOUNT)]
        if account.id in HOUSE_ACCOUNT_IDS:
            return [CommandRefused(Reason.HOUSE_ACCOUNT)]
        account.limits = limits
    return [LimitsChanged(command.account_id, limits)]


def set_fee_tiers(state: State, command: SetFeeTiers) -> Events:
    """Replace the tier table. Orders already placed keep their frozen rates."""
    if not tiers_are_sound(command.tiers):
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    valuation = command.valuation_asset_id
    if valuation is not None and valuation not in state.assets:
        return [CommandRefused(Reason.UNKNOWN_ASSET)]
    old = state.schedule.valuation_asset_id
    if old is not None and valuation != old:
        return [CommandRefused(Reason.INVALID_PARAMETERS, "Volumes are counted in the valuation asset: it stays.")]
    if valuation is not None and command.tiers[-1].volume > state.assets[valuation].units_max:
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    if valuation is None and len(command.tiers) > 1:
        return [CommandRefused(Reason.INVALID_PARAMETERS, "Tiers by volume need a valuation asset.")]
    state.schedule.tiers = command.tiers
    state.schedule.valuation_asset_id = valuation
    state.forget_rates()
    return [FeeTiersChanged(command.tiers, valuation)]


def set_fee_override(state: State, command: SetFeeOverride) -> Events:
    """Set or remove the rates of an account, a market, or an account on a market."""
    target = (command.account_id, command.market_id)
    if target == (None, None) or (command.maker_rate is None) != (command.taker_rate is None):
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    if command.account_id is not None and command.account_id not in state.accounts:
        return [CommandRefused(Reason.UNKNOWN_ACCOUNT)]
    if command.account_id in HOUSE_ACCOUNT_IDS:
        return [CommandRefused(Reason.HOUSE_ACCOUNT)]
    if command.market_id is not None and command.market_id not in state.markets:
        return [CommandRefused(Reason.UNKNOWN_MARKET)]
    if command.maker_rate is None or command.taker_rate is None:
        state.schedule.overrides.pop(target, None)
    elif rates_are_sound(command.maker_rate, command.taker_rate):
        state.schedule.overrides[target] = (command.maker_rate, command.taker_rate)
    else:
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    state.forget_rates()
    return [FeeOverrideChanged(command.account_id, command.market_id, command.maker_rate, command.taker_rate)]
