"""Asking for money to move with a form: demo deposits and withdrawals, one command each, refused in plain words."""

from typing import Any

from django import forms
from django.conf import settings

from marketdata.queries import UnknownAsset, asset_scale
from marketdata.scale import AmountError, units_from_text
from matching import inbox
from matching.engine.messages import AnyCommand, Deposit, Reason, RequestWithdrawal
from trading.api import errors

ANSWER_SECONDS_MAX = 10.0
REFERENCE = "demo"


class TransferForm(forms.Form):
    """An amount of an asset. `send` files the command; a refusal becomes an error of the field it is about."""

    asset = forms.CharField(max_length=16)
    amount = forms.CharField(max_length=40)

    def clean(self) -> dict[str, Any]:
        """Adds `asset_id` and `units`."""
        cleaned = super().clean() or {}
        if not cleaned.keys() >= {"asset", "amount"}:
            return cleaned
        try:
            cleaned["asset_id"], scale = asset_scale(asset=cleaned["asset"])
            cleaned["units"] = units_from_text(cleaned["amount"].replace(",", ""), scale)
        except UnknownAsset:
            self.add_error("asset", Reason.UNKNOWN_ASSET.text)
        except AmountError as error:
            self.add_error("amount", str(error))
        return cleaned

    def send(self, *, account_id: int, user_id: int) -> bool:
        """Whether it was done; if not, the form says why."""
        if not self.is_valid():
            return False
        try:
            inbox.execute(command=self.command(account_id), actor=f"user {user_id}", timeout=ANSWER_SECONDS_MAX)
        except inbox.Refused as refused:
            about_amount = refused.reason in (Reason.INSUFFICIENT_BALANCE, Reason.INVALID_AMOUNT)
            self.add_error("amount" if about_amount else None, errors.refused(refused).message)
        except inbox.NoAnswer:
            self.add_error(None, errors.no_answer().message)
        except inbox.CommandFailed as failed:
            self.add_error(None, f"{failed} Nothing has changed.")
        return self.is_valid()

    def command(self, account_id: int) -> AnyCommand:
        """What the worker is asked for."""
        raise NotImplementedError


class DepositForm(TransferForm):
    """Play money for oneself, in the demo."""

    def command(self, account_id: int) -> AnyCommand:
        """A credit."""
        assert settings.DEMO
        return Deposit(account_id, self.cleaned_data["asset_id"], self.cleaned_data["units"], REFERENCE)


class WithdrawalForm(TransferForm):
    """Money to send out."""

    destination = forms.RegexField(
        regex=r"^[^\u0000-\u001f\u007f]*$",
        max_length=256,
        error_messages={"invalid": "The destination has a character that cannot be shown."},
    )

    def command(self, account_id: int) -> AnyCommand:
        """A request, approved at once where no operator has to look at it."""
        approved = not settings.WITHDRAWAL_APPROVAL
        fields = self.cleaned_data
        return RequestWithdrawal(account_id, fields["asset_id"], fields["units"], fields["destination"], approved)
