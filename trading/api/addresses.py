"""Whose request is it, by address: behind trusted proxies the client's, not the proxy's."""

from django.conf import settings
from django.http import HttpRequest

from trading.gateway.auth import client_address


def client_address_of(*, request: HttpRequest) -> str:
    """The client's address; empty when the request came through something without one."""
    return client_address(
        peer=request.META.get("REMOTE_ADDR") or "",
        forwarded_for=request.META.get("HTTP_X_FORWARDED_FOR", ""),
        trusted=settings.TRUSTED_PROXIES,
    )
