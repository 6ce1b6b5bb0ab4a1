"""Forms about accounts and withdrawals: freeze, correct, limit, approve, refuse."""

from decimal import Decimal
from typing import Any

import msgspec
from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget

from marketdata.models import Asset
from marketdata.scale import text_from_units
from marketdata.shapes import amount_text
from matching.engine.messages import (
    HOUSE_ACCOUNT_IDS,
    ApproveWithdrawal,
    CorrectBalance,
    FreezeAccount,
    Limits,
    RefuseWithdrawal,
    SetLimits,
    UnfreezeAccount,
)
from risk.models import Account, Balance, Limit, Withdrawal
from trading import control
from trading.desk.acts import Act
from trading.desk.forms import DeskForm, asset_choices


def account_name(*, account: Account) -> str:
    """An account in words: its number, whose it is, and its name."""
    return f"account {account.id} ({account.user or 'house'}, {account.name})"


class FreezeForm(DeskForm):
    """Freeze an account, or let a frozen one go on."""

    kind = "freeze"
    heading = "Freeze"
    button = "Freeze"

    cancel_orders = forms.BooleanField(required=False, help_text="Cancel its open orders too.")

    def __init__(self, *args: Any, target: Account, **kwargs: Any) -> None:
        super().__init__(*args, target=target, **kwargs)
        if target.frozen:
            self.heading = self.button = "Unfreeze"  # type: ignore[misc]
            del self.fields["cancel_orders"]

    def make_act(self, given: dict[str, Any]) -> Act:
        """The other of the two."""
        account: Account = self.target
        if account.id in HOUSE_ACCOUNT_IDS:
            raise control.BadRequest("invalid_parameters", "The house's accounts cannot be frozen.")
        note = given["reason"]
        command = (
            UnfreezeAccount(account.id, note)
            if account.frozen
            else FreezeAccount(account.id, given["cancel_orders"], note)
        )
        return Act(
            kind=self.kind,
            command=command,
            subject=f"account {account.id}",
            text=f"{self.heading} {account_name(account=account)}.",
            before={"frozen": account.frozen, "note": account.freeze_note},
        )


class CorrectionForm(DeskForm):
    """Move an amount between an account and the outside world, because the books are wrong."""

    kind = "correction"
    heading = "Correct a balance"
    button = "Correct"

    asset = forms.ChoiceField(choices=asset_choices)
    amount = forms.CharField(help_text="What is added; with a minus, what is taken away.")

    def make_act(self, given: dict[str, Any]) -> Act:
        """Correct it."""
        account: Account = self.target
        asset = control.find_asset(symbol=given["asset"])
        amount = self.units("amount", given["amount"], asset.scale)
        if not self.errors and amount == 0:
            self.add_error("amount", "0 corrects nothing.")
        row = Balance.objects.filter(account=account, asset=asset).first()
        available, held = (row.available, row.held) if row else (Decimal(0), Decimal(0))
        sign = "+" if amount > 0 else ""
        return Act(
            kind=self.kind,
            command=CorrectBalance(account.id, asset.id, amount, given["reason"]),
            subject=f"account {account.id}",
            text=f"Correct {account_name(account=account)} by "
            f"{sign}{text_from_units(amount, asset.scale, 0)} {asset.symbol}.",
            before={
                "asset": asset.symbol,
                "available": amount_text(available, asset.scale),
                "held": amount_text(held, asset.scale),
            },
        )


class _WithdrawalForm(DeskForm):
    """A decision about a pending withdrawal; nothing to fill in but the reason."""

    def before(self) -> dict[str, Any]:
        """The withdrawal as it stands. Raises BadRequest if nothing waits."""
        row: Withdrawal = self.target
        if row.status != "pending":
            raise control.BadRequest("invalid_parameters", f"The withdrawal is {row.status} already.")
        return {"status": row.status, "amount": self.amount(), "destination": row.destination}

    def amount(self) -> str:
        """With its asset."""
        row: Withdrawal = self.target
        return f"{amount_text(row.amount, row.asset.scale, 0)} {row.asset.symbol}"


class ApproveWithdrawalForm(_WithdrawalForm):
    """Pay it out."""

    kind = "withdrawal"
    heading = "Approve"
    button = "Approve: pay out"

    def make_act(self, given: dict[str, Any]) -> Act:
        """Debit what is held to the outside world."""
        row: Withdrawal = self.target
        return Act(
            kind=self.kind,
            command=ApproveWithdrawal(row.id, given["reason"]),
            subject=f"withdrawal {row.id}",
            text=f"Pay {self.amount()} of account {row.account_id} to {row.destination}.",
            before=self.before(),
            amount=(row.asset.symbol, row.amount),
        )


class RefuseWithdrawalForm(_WithdrawalForm):
    """Give it back."""

    kind = "refuse_withdrawal"
    heading = "Refuse"
    button = "Refuse: give back"

    def make_act(self, given: dict[str, Any]) -> Act:
        """Release what is held."""
        row: Withdrawal = self.target
        return Act(
            kind=self.kind,
            command=RefuseWithdrawal(row.id, given["reason"]),
            subject=f"withdrawal {row.id}",
            text=f"Give {self.amount()} back to account {row.account_id}.",
            before=self.before(),
        )


class LimitsForm(DeskForm):
    """What an account may do, or without one, every account that has no limits of its own."""

    kind = "limits"
    heading = "Limits"
    button = "Set limits"

    max_open_orders = forms.IntegerField(required=False, min_value=0, help_text="On one market; empty: no limit.")
    orders_per_second = forms.IntegerField(required=False, min_value=0, help_text="Empty: no limit.")
    max_positions = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="One line an asset, like BTC 10; assets that are not named have no limit.",
    )
    reset = forms.BooleanField(required=False, help_text="Back to the default limits instead.")

    def __init__(self, *args: Any, target: Account | None = None, **kwargs: Any) -> None:
        self.limits = limits_of(account=target)
        kwargs.setdefault("initial", _limit_texts(self.limits))
        super().__init__(*args, target=target, **kwargs)
        if target is None:
            self.heading = "Default limits"  # type: ignore[misc]
            del self.fields["reset"]

    def make_act(self, given: dict[str, Any]) -> Act:
        """Set them."""
        account: Account | None = self.target
        limits = None
        if not given.get("reset"):
            positions = self._positions(given["max_positions"])
            limits = Limits(given["max_open_orders"], given["orders_per_second"], positions)
        if account is not None and account.id in HOUSE_ACCOUNT_IDS:
            raise control.BadRequest("invalid_parameters", "The house's accounts have no limits.")
        name = account_name(account=account) if account else "accounts without limits of their own"
        return Act(
            kind=self.kind,
            command=SetLimits(account.id if account else None, limits),
            subject=f"account {account.id}" if account else "default limits",
            text=f"Set the limits of {name}." if limits else f"Put {name} back on the default limits.",
            before=msgspec.to_builtins(self.limits, str_keys=True),
        )

    def _positions(self, text: str) -> dict[int, int]:
        positions = {}
        for line in text.splitlines():
            words = line.split()
            if not words:
                continue
            asset = Asset.objects.filter(symbol=words[0].upper()).first()
            if len(words) != 2 or asset is None:
                self.add_error("max_positions", f"{line.strip()!r}: expected an asset and an amount, like BTC 10.")
            else:
                positions[asset.id] = self.units("max_positions", words[1], asset.scale)
        if any(amount < 0 for amount in positions.values()):
            self.add_error("max_positions", "A limit cannot be less than 0.")
        return positions


def limits_of(*, account: Account | None) -> Limits:
    """The limits in force for an account, or the default ones."""
    rows = Limit.objects.filter(account=None)
    if account is not None:
        rows = rows | Limit.objects.filter(account=account)
    row = rows.order_by("account_id").first()  # NULL comes last
    return Limits() if row is None else msgspec.json.decode(row.limits, type=Limits)


def _limit_texts(limits: Limits) -> dict[str, Any]:
    assets = {asset.id: asset for asset in Asset.objects.filter(id__in=limits.max_positions)}
    lines = [
        f"{assets[asset_id].symbol} {text_from_units(amount, assets[asset_id].scale, 0)}"
        for asset_id, amount in limits.max_positions.items()
    ]
    return {
        "max_open_orders": limits.max_open_orders,
        "orders_per_second": limits.orders_per_second,
        "max_positions": "\n".join(lines),
    }
