"""Forms that end in an act: what is typed becomes one control command, checked by the exchange's own pure rules.

Decimals are typed in whole assets and rates in percent, as everywhere; `act` says what would be filed.
"""

from typing import Any, ClassVar

from django import forms
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from marketdata.models import Asset, Market
from trading import control
from trading.desk.acts import Act

WIDGETS: dict[type[forms.Field], type[forms.Widget]] = {
    forms.CharField: UnfoldAdminTextInputWidget,
    forms.IntegerField: UnfoldAdminIntegerFieldWidget,
    forms.ChoiceField: UnfoldAdminSelectWidget,
    forms.BooleanField: UnfoldBooleanSwitchWidget,
}


class DeskForm(forms.Form):
    """A form of one act about `target` (None where it is about nothing that is there).

    Subclasses have `kind` (of acts.KINDS), a heading, the button's words, and `make_act`, which raises
    control.BadRequest for what makes no sense.
    """

    kind: ClassVar[str]
    heading: ClassVar[str]
    button: ClassVar[str]

    def __init__(self, *args: Any, target: Any = None, **kwargs: Any) -> None:
        self.target = target
        super().__init__(*args, **kwargs)
        self.fields["reason"] = forms.CharField(
            widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
            max_length=500,
            help_text="Kept in the audit log.",
        )
        for bound in self.fields.values():
            widget = WIDGETS.get(type(bound))
            if widget is None or isinstance(bound.widget, forms.Textarea):
                continue
            bound.widget = widget()
            bound.widget.is_required = bound.required
            if isinstance(bound, forms.ChoiceField):
                bound.widget.choices = bound.choices

    @property
    def title(self) -> str:
        """The heading, with what it is about."""
        return f"{self.heading}: {self.target}" if self.target else self.heading

    def clean_reason(self) -> str:
        """One line: notes go into commands, which take no line breaks."""
        return " ".join(str(self.cleaned_data["reason"]).split())

    def clean(self) -> dict[str, Any]:
        """The act, if every field by itself is right; what is wrong with it as a whole is said above the form."""
        given = super().clean() or {}
        if not self.errors:
            try:
                self.act = self.make_act(given)
            except control.BadRequest as error:
                self.add_error(None, str(error))
        return given

    def make_act(self, given: dict[str, Any]) -> Act:
        """What is to be done."""
        raise NotImplementedError

    def units(self, field: str, text: str, scale: int) -> int:
        """Units from a field's text; what is wrong with it is said at the field, and 0 given."""
        try:
            return control.signed_units(text=text.strip(), scale=scale)
        except control.BadRequest as error:
            self.add_error(field, str(error))
            return 0

    def percent(self, field: str, text: str) -> int:
        """Millionths from a field's percentage, as `units`."""
        return self.units(field, text.strip().removesuffix("%").strip(), control.PERCENT_DECIMALS)


def asset_choices() -> list[tuple[str, str]]:
    """Every asset by symbol."""
    return [(asset.symbol, f"{asset.symbol} ({asset.name})") for asset in Asset.objects.order_by("id")]


def market_choices() -> list[tuple[str, str]]:
    """Every market by symbol."""
    return [(symbol, symbol) for symbol in Market.objects.order_by("id").values_list("symbol", flat=True)]
