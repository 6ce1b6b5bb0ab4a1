"""What a row's page shows beyond its fields: an account's money, a command's fate, a request's decision."""

from collections.abc import Callable
from typing import Any

import msgspec
from django.db import models
from django.http import HttpRequest

from matching.models import InboxCommand
from orders.models import Order
from risk import queries
from risk.models import Account, Deposit, Entry, Withdrawal
from trading.desk import acts, audit
from trading.desk.pages import state_of
from trading.models import ApiKey, AuditEntry, OperatorRequest

ROWS_SHOWN = 20


def account(request: HttpRequest, row: Account) -> dict[str, Any]:
    """Balances, and the newest orders, entries, deposits, withdrawals and keys."""
    of_it = {"account_id": row.pk}
    return {
        "balances": queries.balances(account_id=row.pk),
        "orders": Order.objects.filter(**of_it).select_related("market").order_by("-id")[:ROWS_SHOWN],
        "entries": Entry.objects.filter(**of_it).select_related("asset").order_by("-id")[:ROWS_SHOWN],
        "deposits": Deposit.objects.filter(**of_it).select_related("asset").order_by("-id")[:ROWS_SHOWN],
        "withdrawals": Withdrawal.objects.filter(**of_it).select_related("asset").order_by("-id")[:ROWS_SHOWN],
        "keys": ApiKey.objects.filter(**of_it).order_by("-id")[:ROWS_SHOWN],
        "audit": AuditEntry.objects.filter(subject=f"account {row.pk}")
        .select_related("operator")
        .order_by("-id")[:ROWS_SHOWN],
    }


def command(request: HttpRequest, row: InboxCommand) -> dict[str, Any]:
    """Its state, and what the audit log says of why it was filed."""
    entry = AuditEntry.objects.filter(inbox_id=row.pk).select_related("operator", "request").first()
    return {"state": state_of(command=row), "entry": entry}


def operator_request(request: HttpRequest, row: OperatorRequest) -> dict[str, Any]:
    """What would be filed, and whether this operator may decide."""
    filed = InboxCommand.objects.filter(pk=row.inbox_id).first() if row.inbox_id else None
    operator = audit.operator_of(request)
    return {
        "kind": acts.KINDS[row.action],
        "command": pretty(msgspec.json.decode(row.payload)),
        "before": pretty(row.before),
        "own": row.asked_by_id == operator.pk,
        "may_decide": row.status == "waiting" and acts.may(user=operator, kind=row.action),
        "state": state_of(command=filed) if filed else None,
    }


def audit_entry(request: HttpRequest, row: AuditEntry) -> dict[str, Any]:
    """Before and after, to be read."""
    return {"before": pretty(row.before), "after": pretty(row.after)}


def pretty(value: Any) -> str:
    """JSON for people."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


DETAILS: dict[str, tuple[str, Callable[[HttpRequest, Any], dict[str, Any]]]] = {
    "risk.account": ("admin/desk/account.html", account),
    "matching.inboxcommand": ("admin/desk/command.html", command),
    "trading.operatorrequest": ("admin/desk/request.html", operator_request),
    "trading.auditentry": ("admin/desk/audit_entry.html", audit_entry),
}
"""By model: a template, and what makes its context."""


def details_of(*, request: HttpRequest, row: models.Model) -> tuple[str, dict[str, Any]] | None:
    """The template and context for a row, None if its fields are all there is to see."""
    found = DETAILS.get(row._meta.label_lower)
    return None if found is None else (found[0], found[1](request, row) | {"row": row})
