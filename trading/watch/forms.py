"""What operators do with a case (notes, states, measures against an account), and the detectors' settings."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from matching.engine.messages import AnyCommand, FreezeAccount, Limits, SetLimits, UnfreezeAccount
from risk import cases
from risk.models import Case
from risk.surveillance import parameters
from risk.surveillance.surveillance import DETECTORS
from trading.models import User

THROTTLED_ORDERS_PER_SECOND = 1
THROTTLED_OPEN_ORDERS = 10
REASON_LENGTH_MAX = 500

MEASURES = {
    "warn": "Warn: the owner is told",
    "throttle": "Throttle: one order a second, ten open orders",
    "freeze": "Freeze and cancel open orders",
    "release": "Back to the default limits",
    "unfreeze": "Unfreeze",
}


class NoteForm(forms.Form):
    """A line for the case's history."""

    text = forms.CharField(label="Note", max_length=4_000, widget=forms.Textarea(attrs={"rows": 3}))


class AssignForm(forms.Form):
    """Who looks into the case."""

    assignee = forms.ModelChoiceField(queryset=User.objects.none(), required=False, empty_label="Nobody")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["assignee"].queryset = cases.workers()  # type: ignore[attr-defined]


class StateForm(forms.Form):
    """The case's next state; closing it takes an outcome in words."""

    state = forms.ChoiceField(choices=Case.STATES)
    outcome = forms.CharField(
        label="Outcome", max_length=4_000, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )

    def clean(self) -> dict[str, Any]:
        """A closed case says why."""
        cleaned = super().clean() or {}
        if cleaned.get("state") in Case.CLOSED and not cleaned.get("outcome", "").strip():
            self.add_error("outcome", "Say why the case is closed.")
        return cleaned


class MeasureForm(forms.Form):
    """What is done about an account of the case."""

    account_id = forms.TypedChoiceField(label="Account", coerce=int)
    measure = forms.ChoiceField(choices=list(MEASURES.items()))
    reason = forms.CharField(max_length=REASON_LENGTH_MAX, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: Any, case: Case, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.case = case
        choices = [(account_id, f"account {account_id}") for account_id in case.account_ids]
        self.fields["account_id"].choices = choices  # type: ignore[attr-defined]

    def command(self) -> AnyCommand | None:
        """The control command, its note naming the case; None: a warning, which the exchange has no part in."""
        account_id: int = self.cleaned_data["account_id"]
        note = f"Case {self.case.pk}: {self.cleaned_data['reason']}"
        throttled = Limits(max_open_orders=THROTTLED_OPEN_ORDERS, orders_per_second=THROTTLED_ORDERS_PER_SECOND)
        commands: dict[str, AnyCommand] = {
            "throttle": SetLimits(account_id, throttled, note),
            "release": SetLimits(account_id, None, note),
            "freeze": FreezeAccount(account_id, cancel_orders=True, note=note),
            "unfreeze": UnfreezeAccount(account_id, note),
        }
        return commands.get(self.cleaned_data["measure"])


class DetectorsForm(forms.Form):
    """Every parameter of every detector; an empty field means the default."""

    reason = forms.CharField(label="Reason", max_length=REASON_LENGTH_MAX)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for detector, kind in DETECTORS.items():
            for parameter in kind.PARAMETERS:
                self.fields[f"{detector}.{parameter.name}"] = forms.FloatField(
                    label=parameter.name.replace("_", " "),
                    required=False,
                    min_value=parameter.minimum,
                    max_value=parameter.maximum,
                    help_text=parameter.text,
                    widget=forms.NumberInput(attrs={"step": "any", "placeholder": f"{parameter.default:g}"}),
                )

    def clean(self) -> dict[str, Any]:
        """Every value is one that its parameter can have."""
        cleaned = super().clean() or {}
        for name, value in cleaned.items():
            detector, _, parameter = name.partition(".")
            if parameter and value is not None:
                try:
                    parameters.check(detector=detector, parameter=parameter, value=value)
                except parameters.InvalidParameter as error:
                    raise ValidationError(str(error)) from error
        return cleaned

    def values(self) -> dict[tuple[str, str], float]:
        """What differs from the defaults: (detector, parameter) -> value."""
        return {
            (detector, parameter.name): self.cleaned_data[f"{detector}.{parameter.name}"]
            for detector, kind in DETECTORS.items()
            for parameter in kind.PARAMETERS
            if self.cleaned_data.get(f"{detector}.{parameter.name}") is not None
        }
