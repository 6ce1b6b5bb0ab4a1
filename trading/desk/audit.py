"""The audit log: every action of an operator is written down in the transaction that does it.

Rows are never changed: the database refuses it. Secrets never get here: snapshots leave them out.
"""

from typing import Any

import msgspec
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.http import HttpRequest

from trading.api.addresses import client_address_of
from trading.models import AuditEntry, OperatorRequest, User

TEXT_LENGTH_MAX = 1_000
SECRET_FIELDS = {"password", "secret_encrypted", "public_key"}


def operator_of(request: HttpRequest) -> User:
    """Who is at the desk; its pages let in nobody else."""
    assert isinstance(request.user, User)
    return request.user


def record(
    *,
    request: HttpRequest,
    action: str,
    subject: str,
    text: str = "",
    before: Any = None,
    after: Any = None,
    reason: str = "",
    asked: OperatorRequest | None = None,
    inbox_id: int | None = None,
    operator: User | None = None,
) -> AuditEntry:
    """Write down what the operator of `request` does; call it in the transaction of the deed itself.

    `operator`: who it is while the request does not know yet.
    """
    return AuditEntry.objects.create(
        operator=operator or operator_of(request),
        action=action,
        subject=subject[:128],
        text=text,
        before=before,
        after=after,
        reason=reason[:TEXT_LENGTH_MAX],
        address=client_address_of(request=request)[:45],
        request=asked,
        inbox_id=inbox_id,
    )


def snapshot(row: models.Model) -> dict[str, Any]:
    """A row's fields as JSON, those of many-to-many relations as lists of names; no secrets."""
    found: dict[str, Any] = {}
    for field in row._meta.concrete_fields:
        if field.name not in SECRET_FIELDS:
            found[field.name] = field.value_from_object(row)
    for many in row._meta.many_to_many:
        found[many.name] = sorted(str(each) for each in getattr(row, many.name).all())
    plain: dict[str, Any] = msgspec.json.decode(DjangoJSONEncoder().encode(found))
    return plain


def differences(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Only what changed of two snapshots, as it was and as it is."""
    changed = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in changed}, {name: after[name] for name in changed}
