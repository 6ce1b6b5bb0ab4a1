"""The browser's way in: Django's own session, authentication and CSRF code, run on a request to order entry.

For threads, as it reads the database. The CSRF check includes Origin and Referer, exactly as for Django's views.
"""

from io import BytesIO
from typing import Any

from django.contrib.auth import get_user
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

from matching.engine.messages import Reason
from risk.models import Account
from trading.gateway.errors import ApiError, refusal
from trading.gateway.keys import Principal

ACCOUNT_HEADER = "X-Account"
MAIN_ACCOUNT = "main"
SESSION_SCOPES = frozenset({"read", "trade", "withdraw"})


def _answered_elsewhere(request: HttpRequest) -> HttpResponse:
    """What the middleware would go on to: order entry answers instead."""
    return HttpResponse()


_sessions = SessionMiddleware(_answered_elsewhere)
_authentication = AuthenticationMiddleware(_answered_elsewhere)
_csrf = CsrfViewMiddleware(_answered_elsewhere)


def authenticate_session(*, scope: dict[str, Any], body: bytes) -> Principal:
    """The user of the session cookie, acting for the account named in X-Account, "main" unless given.

    Raises ApiError: 400 for a Host that is not ours, 401 without a signed-in user, 403 when the CSRF check fails, 404
    for no account of this user.
    """
    # Without its type the body is not taken for a form: the CSRF token comes in the header only.
    headers = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    request = ASGIRequest(scope | {"headers": headers}, BytesIO(body))
    try:
        request.get_host()
    except DisallowedHost as error:
        raise ApiError(400, "invalid_host", "This server does not answer to that Host header.") from error
    _sessions.process_request(request)
    _authentication.process_request(request)
    if not request.user.is_authenticated:
        raise ApiError(401, "authentication_required", "Sign in, or sign the request with an API key.")
    _csrf.process_request(request)
    if _csrf.process_view(request, _answered_elsewhere, (), {}) is not None:
        raise ApiError(403, "csrf_failed", "The CSRF check failed: send the X-CSRFToken header from the same site.")
    return session_principal(user_id=request.user.pk, account_name=request.headers.get(ACCOUNT_HEADER))


def socket_session(*, scope: dict[str, Any], account_name: str | None) -> tuple[Principal, str]:
    """The user of a WebSocket handshake's session cookie, and the session's key; raises ApiError as above."""
    request = ASGIRequest(scope | {"type": "http", "method": "GET"}, BytesIO())
    _sessions.process_request(request)
    _authentication.process_request(request)
    if not request.user.is_authenticated or request.session.session_key is None:
        raise ApiError(401, "authentication_required", "Sign in, or log in with an API key.")
    return session_principal(user_id=request.user.pk, account_name=account_name), request.session.session_key


def session_holds(*, session_key: str, user_id: int) -> bool:
    """Whether the session still is that user's, who is still allowed in."""
    request = HttpRequest()
    request.session = _sessions.SessionStore(session_key)
    user = get_user(request)
    return user.is_authenticated and user.pk == user_id


def session_principal(*, user_id: int, account_name: str | None) -> Principal:
    """A signed-in user acting for one of their accounts, "main" unless named. Raises ApiError 404 `unknown_account`."""
    name = account_name or MAIN_ACCOUNT
    account_id = None
    if "\0" not in name:
        account_id = Account.objects.filter(user_id=user_id, name=name).values_list("id", flat=True).first()
    if account_id is None:
        raise refusal(Reason.UNKNOWN_ACCOUNT)
    return Principal(account_id, user_id, SESSION_SCOPES)
