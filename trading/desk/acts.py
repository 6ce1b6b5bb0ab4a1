"""What operators can do to money and rules: each act is one control command, filed now or when a second one agrees.

An act is filed in one transaction with its line in the audit log. Where the two-person rule holds, the first operator
only asks: a second one, never the same, approves (then the command is filed) or refuses. A row lock makes sure that a
request is decided once.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from matching import inbox
from matching.engine.messages import AnyCommand
from trading.desk import audit
from trading.models import OperatorRequest, User

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AnyCommand).decode


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of act: its name, who may do and decide it, and the word in TWO_PERSON_RULE that makes it take two."""

    title: str
    permission: str
    rule: str | None = None


KINDS = {
    "asset": Kind("Create an asset", "marketdata.add_asset"),
    "market": Kind("Create a market", "marketdata.add_market"),
    "market_state": Kind("Change a market's state", "marketdata.change_market"),
    "market_parameters": Kind("Change a market's parameters", "marketdata.change_market"),
    "freeze": Kind("Freeze or unfreeze an account", "risk.change_account"),
    "throttle": Kind("Throttle an account, or let it go again", "risk.change_case"),
    "correction": Kind("Correct a balance", "risk.add_entry", "corrections"),
    "withdrawal": Kind("Approve a withdrawal", "risk.change_withdrawal", "withdrawals"),
    "refuse_withdrawal": Kind("Refuse a withdrawal", "risk.change_withdrawal"),
    "fee_tiers": Kind("Replace the fee tiers", "fees.change_feetier", "fees"),
    "fee_override": Kind("Set a fee override", "fees.change_feeoverride", "fees"),
    "limits": Kind("Set limits", "risk.change_limit", "limits"),
}


class NotNow(Exception):
    """The act cannot be done; the text says why, for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A command about to be filed: what it is about, in words, and how that stood before.

    `amount`: of a withdrawal, with its asset's symbol, for the limit of what one operator may approve.
    """

    kind: str
    command: AnyCommand
    subject: str
    text: str
    before: dict[str, Any] = field(default_factory=dict)
    amount: tuple[str, Decimal] | None = None


def rule_holds(*, kind: str) -> bool:
    """Whether acts of this kind can take two operators."""
    return KINDS[kind].rule in settings.TWO_PERSON_RULE


def takes_two(*, act: Act) -> bool:
    """Whether one operator alone may not do it."""
    if not rule_holds(kind=act.kind):
        return False
    if act.amount is None:
        return True
    symbol, amount = act.amount
    return amount > settings.WITHDRAWAL_ONE_PERSON_MAX.get(symbol, Decimal(0))


def may(*, user: User, kind: str) -> bool:
    """Whether the user may do, ask for and decide acts of this kind."""
    return user.has_perm(KINDS[kind].permission)


def perform(*, request: HttpRequest, act: Act, reason: str) -> OperatorRequest | int:
    """File the command and return its inbox id; or, where it takes two, the request that now waits.

    Raises PermissionDenied, NotNow.
    """
    _require(request, act.kind)
    try:
        with transaction.atomic():
            return _ask(request, act, reason) if takes_two(act=act) else _file_alone(request, act, reason)
    except IntegrityError as error:
        if "operator_request_one_per_withdrawal" not in str(error):
            raise
        raise NotNow(f"{act.subject.capitalize()} waits for a second operator already.") from error


def approve(*, request: HttpRequest, request_id: int, note: str) -> int:
    """Agree with another operator's request: its command is filed. Returns the inbox id. Raises as `_decide`."""
    with transaction.atomic():
        asked = _lock(request, request_id)
        if asked.asked_by_id == audit.operator_of(request).pk:
            raise NotNow("Another operator has to approve what you have asked for.")
        inbox_id = inbox.file_command(command=_decode(asked.payload), actor=_actor(request))
        _decide(request, asked, "approved", note, inbox_id)
        return inbox_id


def refuse(*, request: HttpRequest, request_id: int, note: str) -> None:
    """Turn another operator's request down. Raises PermissionDenied, NotNow."""
    with transaction.atomic():
        asked = _lock(request, request_id)
        own = asked.asked_by_id == audit.operator_of(request).pk
        _decide(request, asked, "withdrawn" if own else "refused", note, None)


def _file_alone(request: HttpRequest, act: Act, reason: str) -> int:
    inbox_id = inbox.file_command(command=act.command, actor=_actor(request))
    audit.record(
        request=request,
        action=act.kind,
        subject=act.subject,
        text=act.text,
        before=act.before,
        after=msgspec.to_builtins(act.command, str_keys=True),
        reason=reason,
        inbox_id=inbox_id,
    )
    return inbox_id


def _ask(request: HttpRequest, act: Act, reason: str) -> OperatorRequest:
    asked = OperatorRequest.objects.create(
        action=act.kind,
        subject=act.subject,
        text=act.text,
        payload=_encode(act.command).decode(),
        before=act.before,
        reason=reason,
        asked_by=audit.operator_of(request),
    )
    _record(request, asked, "asked", reason)
    return asked


def _lock(request: HttpRequest, request_id: int) -> OperatorRequest:
    """The request, ours until the transaction ends; only if it waits, and the operator may decide it."""
    asked = OperatorRequest.objects.select_for_update().get(pk=request_id)
    _require(request, asked.action)
    if asked.status != "waiting":
        raise NotNow(f"The request was {asked.get_status_display().lower()} already.")
    return asked


def _decide(request: HttpRequest, asked: OperatorRequest, status: str, note: str, inbox_id: int | None) -> None:
    asked.status = status
    asked.decided_by = audit.operator_of(request)
    asked.decided_at = timezone.now()
    asked.note = note
    asked.inbox_id = inbox_id
    asked.save(update_fields=["status", "decided_by", "decided_at", "note", "inbox_id"])
    _record(request, asked, status, note)


def _record(request: HttpRequest, asked: OperatorRequest, step: str, reason: str) -> None:
    audit.record(
        request=request,
        action=f"{asked.action}: {step}"[:32],
        subject=asked.subject,
        text=asked.text,
        before=asked.before,
        after=msgspec.json.decode(asked.payload),
        reason=reason,
        asked=asked,
        inbox_id=asked.inbox_id,
    )


def _require(request: HttpRequest, kind: str) -> None:
    if not may(user=audit.operator_of(request), kind=kind):
        raise PermissionDenied


def _actor(request: HttpRequest) -> str:
    return f"admin {audit.operator_of(request).pk}"
