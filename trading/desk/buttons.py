"""Which acts are offered where: above a model's list, and above one of its rows."""

from typing import Any, NamedTuple

from django.db import models
from django.http import HttpRequest
from django.urls import reverse

from trading.desk import acts, audit
from trading.desk.pages import FORMS


class Button(NamedTuple):
    """Words, and the form of trading/desk/pages.py that they open."""

    title: str
    form: str


LIST_BUTTONS: dict[str, tuple[Button, ...]] = {
    "marketdata.market": (Button("Create a market", "create-market"), Button("Halt or resume all", "exchange-state")),
    "marketdata.asset": (Button("Create an asset", "create-asset"),),
    "fees.feetier": (Button("Replace the table", "fee-tiers"),),
    "fees.feeoverride": (Button("Set or remove an override", "fee-override"),),
    "risk.limit": (Button("Default limits", "default-limits"),),
}
ROW_BUTTONS: dict[str, tuple[Button, ...]] = {
    "marketdata.market": (Button("Change state", "market-state"), Button("Change parameters", "market-parameters")),
    "risk.account": (Button("Freeze", "freeze"), Button("Correct a balance", "correct"), Button("Limits", "limits")),
    "risk.withdrawal": (Button("Approve", "approve-withdrawal"), Button("Refuse", "refuse-withdrawal")),
}


def list_buttons(*, request: HttpRequest, label: str) -> list[dict[str, Any]]:
    """What this operator may begin at a model's list: titles and links."""
    return [_link(request, button) for button in LIST_BUTTONS.get(label, ()) if _may(request, button)]


def row_buttons(*, request: HttpRequest, row: models.Model) -> list[dict[str, Any]]:
    """What this operator may do to a row: titles and links."""
    label = row._meta.label_lower
    if label == "risk.withdrawal" and getattr(row, "status", "") != "pending":
        return []
    shown = [_link(request, button, row.pk) for button in ROW_BUTTONS.get(label, ()) if _may(request, button)]
    for each in shown:
        if each["title"] == "Freeze" and getattr(row, "frozen", False):
            each["title"] = "Unfreeze"
    return shown


def _may(request: HttpRequest, button: Button) -> bool:
    return acts.may(user=audit.operator_of(request), kind=FORMS[button.form].form.kind)


def _link(request: HttpRequest, button: Button, *target: Any) -> dict[str, Any]:
    return {"title": button.title, "link": reverse("admin:desk_form", args=[button.form, *target])}
