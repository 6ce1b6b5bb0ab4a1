"""Forms about fee rules: the tier table, and rates of an account or a market of their own."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget

from fees.models import FeeOverride, FeeTier
from fees.schedule import DEFAULT_TIERS, rates_are_sound, tiers_are_sound
from marketdata.scale import text_from_units
from marketdata.shapes import amount_text
from matching.engine import messages
from matching.engine.messages import HOUSE_ACCOUNT_IDS, SetFeeOverride, SetFeeTiers
from risk.models import Account
from trading import control
from trading.desk.acts import Act
from trading.desk.forms import DeskForm, asset_choices, market_choices


def percent_text(*, millionths: int) -> str:
    """A rate in percent, as it is typed."""
    return text_from_units(millionths, control.PERCENT_DECIMALS, 2)


class FeeTiersForm(DeskForm):
    """A new tier table in place of the old one."""

    kind = "fee_tiers"
    heading = "Fee tiers"
    button = "Replace the table"

    valuation_asset = forms.ChoiceField(choices=asset_choices, help_text="What volumes are counted in.")
    tiers = forms.CharField(
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8}),
        help_text="One line a tier: 30-day volume, maker percent, taker percent, like 1000000 0.08 0.12. "
        "The first is at volume 0.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.rows = list(FeeTier.objects.select_related("valuation_asset").order_by("volume"))
        super().__init__(*args, initial={"tiers": "\n".join(self._lines())} | kwargs.pop("initial", {}), **kwargs)
        asset = next((row.valuation_asset for row in self.rows if row.valuation_asset), None)
        if asset is not None:
            self.fields["valuation_asset"].choices = [(asset.symbol, asset.symbol)]  # type: ignore[attr-defined]

    def make_act(self, given: dict[str, Any]) -> Act:
        """Replace the table."""
        asset = control.find_asset(symbol=given["valuation_asset"])
        tiers = []
        for line in given["tiers"].splitlines():
            words = line.replace("%", "").split()
            if not words:
                continue
            if len(words) != 3:
                self.add_error("tiers", f"{line.strip()!r}: expected volume, maker percent and taker percent.")
                continue
            volume = self.units("tiers", words[0], asset.scale)
            tiers.append(messages.FeeTier(volume, *(self.percent("tiers", word) for word in words[1:])))
        if not self.errors and not tiers_are_sound(tuple(tiers)):
            self.add_error(
                "tiers",
                "The first volume must be 0, volumes must rise, rates stay within 10 percent, and no maker's rebate "
                "may be more than what a taker pays.",
            )
        return Act(
            kind=self.kind,
            command=SetFeeTiers(tuple(tiers), asset.id),
            subject="fee tiers",
            text=f"Replace the fee tiers by {len(tiers)} of 30-day volume in {asset.symbol}.",
            before={"tiers": self._lines()},
        )

    def _lines(self) -> list[str]:
        if not self.rows:
            return [_line("0", tier) for tier in DEFAULT_TIERS]
        return [
            _line(amount_text(row.volume, row.valuation_asset.scale, 0) if row.valuation_asset else "0", row)
            for row in self.rows
        ]


def _line(volume: str, tier: FeeTier | messages.FeeTier) -> str:
    maker, taker = (percent_text(millionths=rate) for rate in (tier.maker_rate, tier.taker_rate))
    return f"{volume} {maker} {taker}"


class FeeOverrideForm(DeskForm):
    """Rates of an account, a market, or an account on a market; or the end of such rates."""

    kind = "fee_override"
    heading = "Fee override"
    button = "Set rates"

    account = forms.IntegerField(required=False, min_value=1, help_text="An account's number; empty: everyone.")
    market = forms.ChoiceField(
        required=False, choices=lambda: [("", "Every market"), *market_choices()], help_text="Or every market."
    )
    maker = forms.CharField(required=False, help_text="Percent; negative: a rebate.")
    taker = forms.CharField(required=False, help_text="Percent.")
    remove = forms.BooleanField(required=False, help_text="Remove the override: back to the tiers.")

    def make_act(self, given: dict[str, Any]) -> Act:
        """Set or remove it."""
        account_id, market = given["account"], None
        if given["market"]:
            market = control.find_market(symbol=given["market"])
        if account_id is None and market is None:
            raise control.BadRequest("invalid_parameters", "Name an account, a market, or both.")
        if account_id is not None and (
            account_id in HOUSE_ACCOUNT_IDS or not Account.objects.filter(id=account_id).exists()
        ):
            self.add_error("account", "No user has such an account.")
        rates = self._rates(given)
        old = FeeOverride.objects.filter(account_id=account_id, market=market).first()
        name = " on ".join(
            [f"account {account_id}" if account_id else "everyone", market.symbol if market else "every market"]
        )
        text = (
            f"Remove the rates of {name}."
            if rates is None
            else f"Set the rates of {name} to {given['maker']} % for makers, {given['taker']} % for takers."
        )
        command = SetFeeOverride(account_id, market.id if market else None, *(rates or (None, None)))
        return Act(
            kind=self.kind,
            command=command,
            subject=f"fees of {name}",
            text=text,
            before={"maker_rate": old.maker_rate, "taker_rate": old.taker_rate} if old else {},
        )

    def _rates(self, given: dict[str, Any]) -> tuple[int, int] | None:
        if given["remove"]:
            return None
        if not given["maker"] or not given["taker"]:
            raise control.BadRequest("invalid_parameters", "Give both rates, or remove the override.")
        rates = self.percent("maker", given["maker"]), self.percent("taker", given["taker"])
        if not self.errors and not rates_are_sound(*rates):
            self.add_error("maker", "Rates stay within 10 percent, and a rebate within what takers pay.")
        return rates
