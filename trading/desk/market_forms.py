"""Forms about assets and markets: create them, change a market's state, and set its filters, band and breaker."""

from typing import Any, get_args

import msgspec
from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget

from marketdata.models import Asset, Market
from marketdata.scale import SCALE_MAX, text_from_units, units_from_numeric
from marketdata.shapes import amount_text, optional_amount_text
from matching.engine.messages import (
    CreateAsset,
    CreateMarket,
    MarketParameters,
    MarketState,
    SetMarketParameters,
    SetMarketState,
)
from matching.state import Asset as TradedAsset
from orders.rules import parameters_are_sound
from trading import control
from trading.desk.acts import Act
from trading.desk.forms import DeskForm, asset_choices

STATE_WORDS = {
    "open": "Open: everything",
    "post_only": "Post only: no takers",
    "cancel_only": "Cancel only: no new orders",
    "halted": "Halted: nothing",
}


class AssetForm(DeskForm):
    """A new asset."""

    kind = "asset"
    heading = "Create an asset"
    button = "Create"

    symbol = forms.RegexField(r"^[A-Z0-9]{1,16}$", widget=UnfoldAdminTextInputWidget(), help_text="Like BTC.")
    name = forms.CharField(max_length=64, help_text="Like Bitcoin.")
    scale = forms.IntegerField(
        min_value=0, max_value=SCALE_MAX, initial=8, help_text="Decimals of its smallest unit. It stays for ever."
    )

    def clean_symbol(self) -> str:
        """One that is free."""
        symbol: str = self.cleaned_data["symbol"]
        if Asset.objects.filter(symbol=symbol).exists():
            raise forms.ValidationError("There is such an asset already.")
        return symbol

    def make_act(self, given: dict[str, Any]) -> Act:
        """Create it."""
        symbol = given["symbol"]
        return Act(
            kind=self.kind,
            command=CreateAsset(symbol, given["name"], given["scale"]),
            subject=f"asset {symbol}",
            text=f"Create the asset {symbol} ({given['name']}) with {given['scale']} decimals.",
        )


class _ParameterForm(DeskForm):
    """The filters, the price band and the circuit breaker of a market, in whole assets, percent and seconds."""

    tick_size = forms.CharField(help_text="Smallest price step, in the quote asset.")
    lot_size = forms.CharField(help_text="Smallest quantity step, in the base asset.")
    min_quantity = forms.CharField(help_text="Of an order, in the base asset.")
    max_quantity = forms.CharField(help_text="Of an order, in the base asset.")
    min_notional = forms.CharField(initial="0", help_text="Price times quantity, in the quote asset.")
    max_notional = forms.CharField(initial="10000000", help_text="Price times quantity, in the quote asset.")
    reference_price = forms.CharField(required=False, help_text="Centre of the price band before the first trade.")
    price_band = forms.CharField(initial="20", help_text="Percent around the last trade; 0 is off.")
    breaker_move = forms.CharField(initial="10", help_text="Percent within the window that trips it; 0 is off.")
    breaker_window = forms.IntegerField(initial=300, min_value=1, max_value=86_400, help_text="Seconds.")
    breaker_pause = forms.IntegerField(initial=300, min_value=1, max_value=86_400, help_text="Seconds.")

    def parameters(self, given: dict[str, Any], base: Asset, quote: Asset) -> MarketParameters:
        """The message; what is wrong is said at its field. Raises BadRequest for what is wrong as a whole."""
        values: dict[str, Any] = {}
        for name in MarketParameters.__struct_fields__:
            if name in control.PERCENT_FILTERS:
                values[name] = self.percent(name, given[name])
            elif name in (*control.QUOTE_FILTERS, *control.BASE_FILTERS):
                scale = quote.scale if name in control.QUOTE_FILTERS else base.scale
                values[name] = self.units(name, given[name], scale) if given[name] else None
            else:
                values[name] = given[name]
        parameters = MarketParameters(**values)
        if not self.errors:
            self._explain(parameters, base, quote)
        return parameters

    def _explain(self, p: MarketParameters, base: Asset, quote: Asset) -> None:
        """Say at each field what `parameters_are_sound` would refuse."""
        wrong = {
            "tick_size": "It must be more than 0." if p.tick_size <= 0 else "",
            "lot_size": "It must be more than 0." if p.lot_size <= 0 else "",
            "min_quantity": "" if 0 < p.min_quantity <= p.max_quantity else "More than 0, at most the most quantity.",
            "min_notional": "" if 0 <= p.min_notional <= p.max_notional else "From 0 to the most notional.",
            "price_band": "" if 0 <= p.price_band <= 1_000_000 else "From 0 to 100 percent.",
            "breaker_move": "" if 0 <= p.breaker_move <= 1_000_000 else "From 0 to 100 percent.",
        }
        if not wrong["lot_size"] and p.min_quantity % p.lot_size:
            wrong["min_quantity"] = wrong["min_quantity"] or "It must be a multiple of the lot size."
        if p.tick_size * p.lot_size % 10**base.scale:
            wrong["tick_size"] = wrong["tick_size"] or (
                f"Tick size times lot size must be a whole number of {quote.symbol}'s smallest unit."
            )
        for name, text in wrong.items():
            if text:
                self.add_error(name, text)
        most = [TradedAsset.of_scale(asset.id, asset.symbol, asset.name, asset.scale) for asset in (base, quote)]
        if not self.errors and not parameters_are_sound(p, most[0].unit, most[0].units_max, most[1].units_max):
            raise control.BadRequest("invalid_parameters", "A quantity, notional or price is beyond what can exist.")


class MarketForm(_ParameterForm):
    """A new market."""

    kind = "market"
    heading = "Create a market"
    button = "Create"

    field_order = ["base", "quote"]
    base = forms.ChoiceField(choices=asset_choices, help_text="What is traded.")
    quote = forms.ChoiceField(choices=asset_choices, help_text="What it is paid in.")

    def make_act(self, given: dict[str, Any]) -> Act:
        """Create it."""
        base, quote = (control.find_asset(symbol=given[side]) for side in ("base", "quote"))
        symbol = f"{base.symbol}-{quote.symbol}"
        if base == quote:
            self.add_error("quote", "A market needs two different assets.")
        if Market.objects.filter(symbol=symbol).exists():
            self.add_error("base", "There is such a market already.")
        parameters = self.parameters(given, base, quote)
        return Act(
            kind=self.kind,
            command=CreateMarket(base.id, quote.id, parameters),
            subject=f"market {symbol}",
            text=f"Create the market {symbol}, open at once.",
        )


class MarketParametersForm(_ParameterForm):
    """New filters for a market that is there."""

    kind = "market_parameters"
    heading = "Parameters, price band and breaker"
    button = "Change"

    def __init__(self, *args: Any, target: Market, **kwargs: Any) -> None:
        kwargs.setdefault("initial", parameter_texts(market=target))
        super().__init__(*args, target=target, **kwargs)

    def make_act(self, given: dict[str, Any]) -> Act:
        """Replace them all."""
        market: Market = self.target
        new = self.parameters(given, market.base, market.quote)
        old = parameters_of(market=market)
        for name in ("tick_size", "lot_size"):
            step = getattr(new, name)
            if not self.errors and getattr(old, name) % step:
                self.add_error(name, "A step can only become a finer divisor of the old one.")
        before, now = msgspec.to_builtins(old), msgspec.to_builtins(new)
        changed = [name for name in MarketParameters.__struct_fields__ if before.get(name) != now.get(name)]
        if not changed and not self.errors:
            raise control.BadRequest("invalid_parameters", "Nothing would change.")
        return Act(
            kind=self.kind,
            command=SetMarketParameters(market.id, new),
            subject=f"market {market.symbol}",
            text=f"Change {', '.join(name.replace('_', ' ') for name in changed)} of {market.symbol}.",
            before=before,
        )


class MarketStateForm(DeskForm):
    """Open, restrict or halt a market; without one, halt or resume the whole exchange."""

    kind = "market_state"
    heading = "State"
    button = "Change state"

    state = forms.ChoiceField(choices=[(state, STATE_WORDS[state]) for state in get_args(MarketState)])
    note = forms.CharField(required=False, max_length=200, help_text="Announced to everyone.")

    def __init__(self, *args: Any, target: Market | None = None, **kwargs: Any) -> None:
        if target is not None:
            kwargs.setdefault("initial", {"state": target.state})
        super().__init__(*args, target=target, **kwargs)
        if target is None:
            self.heading = "The whole exchange"  # type: ignore[misc]
            states = [("halted", "Halted: no market trades"), ("open", "Open: each market as it is")]
            self.fields["state"].choices = states  # type: ignore[attr-defined]

    def make_act(self, given: dict[str, Any]) -> Act:
        """Enter the state."""
        market: Market | None = self.target
        name = f"market {market.symbol}" if market else "the exchange"
        return Act(
            kind=self.kind,
            command=SetMarketState(given["state"], market.id if market else None, given["note"]),
            subject=name,
            text=f"Set {name} to {given['state'].replace('_', ' ')}.",
            before={"state": market.state, "note": market.note} if market else {},
        )


def parameters_of(*, market: Market) -> MarketParameters:
    """The parameters in force, in units."""
    scales = dict.fromkeys(control.QUOTE_FILTERS, market.quote.scale)
    scales |= dict.fromkeys(control.BASE_FILTERS, market.base.scale)
    stored = {name: getattr(market, name) for name in MarketParameters.__struct_fields__}
    for name, scale in scales.items():
        if stored[name] is not None:
            stored[name] = units_from_numeric(f"{stored[name]:f}", scale)
    return MarketParameters(**stored)


def parameter_texts(*, market: Market) -> dict[str, Any]:
    """The parameters in force as they are typed."""
    texts: dict[str, Any] = {"breaker_window": market.breaker_window, "breaker_pause": market.breaker_pause}
    for name in control.PERCENT_FILTERS:
        texts[name] = text_from_units(getattr(market, name), control.PERCENT_DECIMALS, 0)
    for name in control.BASE_FILTERS:
        texts[name] = amount_text(getattr(market, name), market.base.scale, 0)
    for name in control.QUOTE_FILTERS:
        texts[name] = optional_amount_text(getattr(market, name), market.quote.scale, 0)
    return texts
