"""Operators' comings and goings in the audit log; they sign in where everybody does."""

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.http import HttpRequest

from trading.desk import audit
from trading.models import User


def connect() -> None:
    """Listen to Django's signals for as long as the process lives."""
    user_logged_in.connect(_signed_in, dispatch_uid="desk-signed-in")
    user_logged_out.connect(_signed_out, dispatch_uid="desk-signed-out")


def _signed_in(sender: Any, request: HttpRequest, user: User, **options: Any) -> None:
    if user.is_staff:
        audit.record(request=request, action="signed in", subject=f"user {user}", operator=user)


def _signed_out(sender: Any, request: HttpRequest, user: User | None, **options: Any) -> None:
    if user is not None and user.is_staff:
        audit.record(request=request, action="signed out", subject=f"user {user}", operator=user)
