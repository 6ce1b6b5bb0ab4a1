"""How Django's views learn who asks: a signed request, or the browser's session. Both give the gateway's Principal.

`request.auth` is that Principal; a view names the scope of each of its methods in `scopes` ("read" unless named).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from marketdata.rest import ApiError
from trading.api.addresses import client_address_of
from trading.gateway.auth import Credentials, authenticate
from trading.gateway.keys import Principal
from trading.gateway.sessions import ACCOUNT_HEADER, session_principal

if TYPE_CHECKING:  # rest_framework.views imports this module
    from rest_framework.views import APIView


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """The user behind a signed request, as far as Django's views need one."""

    pk: int
    is_authenticated: bool = True


class SignedRequest(BaseAuthentication):
    """An API key's signature over timestamp, method, path with query and body."""

    def authenticate(self, request: Request) -> tuple[KeyOwner, Principal] | None:
        """Nobody without X-API-Key; raises the gateway's ApiError for a signature that is not right."""
        headers = request.headers
        if "X-API-Key" not in headers:
            return None
        principal = authenticate(
            credentials=Credentials(
                key=headers["X-API-Key"].encode("latin-1", "replace"),
                timestamp=_header(request, "X-Timestamp"),
                signature=_header(request, "X-Signature"),
                window=_header(request, "X-Window"),
            ),
            method=request.method or "",
            target=_target(request._request),
            body=request._request.body,
            address=client_address_of(request=request._request),
            scope=_scope(request),
        )
        return KeyOwner(principal.user_id), principal

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return 'Signature headers="X-API-Key X-Timestamp X-Signature"'


class BrowserSession(SessionAuthentication):
    """A signed-in user with a CSRF token, acting for the account named in X-Account ("main" unless given)."""

    def authenticate(self, request: Request) -> tuple[Any, Principal] | None:
        """Nobody without a session; raises ApiError 404 for an account that is not the user's."""
        found = super().authenticate(request)
        if found is None:
            return None
        user = found[0]
        return user, session_principal(user_id=user.pk, account_name=request.headers.get(ACCOUNT_HEADER))


class BySession(IsAuthenticated):
    """Only a person in a browser: no API key can make keys or open accounts."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Raises ApiError 403 for an API key."""
        if isinstance(request.auth, Principal) and request.auth.key:
            raise ApiError("session_required", "Sign in to do this; no API key can.", status_code=403)
        return super().has_permission(request, view)


def _header(request: Request, name: str) -> bytes | None:
    text = request.headers.get(name)
    return None if text is None else text.encode("latin-1", "replace")


def _scope(request: Request) -> str:
    scopes: dict[str, str] = getattr((request.parser_context or {}).get("view"), "scopes", {})
    return scopes.get(request.method or "", "read")


def _target(request: HttpRequest) -> bytes:
    """Path and query as they were sent."""
    scope: dict[str, Any] = getattr(request, "scope", {})
    path: bytes = scope.get("raw_path") or quote(request.path).encode()
    query = request.META.get("QUERY_STRING", "").encode("latin-1", "replace")
    return path + b"?" + query if query else path
