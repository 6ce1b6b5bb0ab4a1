"""Every error that Django answers below /api/ as {"error": {"code", "message", "field"?}}, whoever raised it.

`answer_to` is DRF's exception handler; the handlers at the end answer what fails outside of a view.
"""

import logging
from typing import Any

import msgspec
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.views import defaults
from redis.exceptions import RedisError
from rest_framework import exceptions
from rest_framework.response import Response

from marketdata.queries import UnknownAsset, UnknownMarket
from marketdata.rest import ApiError, Error, ErrorResponse
from matching.engine.messages import Reason
from matching.inbox import CommandFailed, NoAnswer, Refused
from orders.queries import UnknownOrder
from risk.queries import UnknownAccount, UnknownDeposit, UnknownWithdrawal
from trading.gateway import errors as gateway
from trading.metrics.instruments import API_ERRORS

API_PATH = "/api/"

_logger = logging.getLogger(__name__)

_NOT_FOUND: dict[type[LookupError], tuple[str, str, str | None]] = {
    UnknownMarket: (Reason.UNKNOWN_MARKET.value, Reason.UNKNOWN_MARKET.text, "market"),
    UnknownAsset: (Reason.UNKNOWN_ASSET.value, Reason.UNKNOWN_ASSET.text, "asset"),
    UnknownAccount: (Reason.UNKNOWN_ACCOUNT.value, Reason.UNKNOWN_ACCOUNT.text, None),
    UnknownOrder: (Reason.UNKNOWN_ORDER.value, "There is no order of this account with that id.", None),
    UnknownDeposit: ("unknown_deposit", "There is no deposit of this account with that id.", None),
    UnknownWithdrawal: (Reason.UNKNOWN_WITHDRAWAL.value, "There is no withdrawal of this account with that id.", None),
}

_FRAMEWORK: dict[type[exceptions.APIException], str] = {
    exceptions.ParseError: "malformed_json",
    exceptions.NotAuthenticated: "authentication_required",
    exceptions.AuthenticationFailed: "invalid_credentials",
    exceptions.PermissionDenied: "forbidden",
    exceptions.NotFound: "not_found",
    exceptions.MethodNotAllowed: "method_not_allowed",
    exceptions.NotAcceptable: "not_acceptable",
    exceptions.UnsupportedMediaType: "unsupported_media_type",
}


def answer_to(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: the answer to any error we know, None for a fault of ours."""
    known = _known(error)
    if known is None:
        return None
    return Response(_body(known), status=known.status_code, headers=known.headers)


def refused(error: Refused) -> ApiError:
    """The exchange's refusal, with the status and field that order entry gives the same reason."""
    same = gateway.refusal(error.reason)
    return ApiError(same.code, error.detail or same.message, status_code=same.status, field=same.field)


def no_answer() -> ApiError:
    """The matching worker did not answer in time."""
    return ApiError(
        "no_answer",
        "The matching worker does not answer at the moment. Your request stays filed and will be carried out once; "
        "look for its outcome before you send it again.",
        status_code=503,
        headers={"Retry-After": "10"},
    )


def uncounted() -> ApiError:
    """A limit cannot be counted, so nothing that it protects is done."""
    return ApiError(
        "unavailable",
        "The rate limits cannot be counted at the moment; nothing happened. Try again.",
        status_code=503,
        headers={"Retry-After": "1"},
    )


def _known(error: Exception) -> ApiError | None:
    match error:
        case ApiError():
            return error
        case gateway.ApiError():
            headers = {name.decode(): value.decode() for name, value in error.headers}
            return ApiError(error.code, error.message, status_code=error.status, field=error.field, headers=headers)
        case Refused():
            return refused(error)
        case NoAnswer():
            return no_answer()
        case CommandFailed():
            return ApiError("command_failed", f"{error} Nothing has changed.", status_code=500)
        case LookupError() if type(error) in _NOT_FOUND:
            code, message, field = _NOT_FOUND[type(error)]
            return ApiError(code, message, status_code=404, field=field)
        case Http404():
            return ApiError("not_found", "There is nothing at this address.", status_code=404)
        case PermissionDenied():
            return ApiError("forbidden", "You may not do this.", status_code=403)
        case RequestDataTooBig():
            return ApiError("body_too_large", "The body is larger than 64 KiB.", status_code=413)
        case OperationalError() | InterfaceError():
            _logger.warning("The database is not reachable: %s", str(error).strip())
            return ApiError(
                "unavailable",
                "The database is not reachable at the moment. Try again.",
                status_code=503,
                headers={"Retry-After": "1"},
            )
        case RedisError():
            _logger.warning("Redis gives no answer: %s", error)
            return uncounted()
        case exceptions.APIException():
            return _of_framework(error)
    return None


def _of_framework(error: exceptions.APIException) -> ApiError:
    code = _FRAMEWORK.get(type(error), str(error.default_code))
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    message = str(error.detail)
    if isinstance(error, exceptions.PermissionDenied) and message.startswith("CSRF Failed"):
        code, message = "csrf_failed", "The CSRF check failed: send the X-CSRFToken header from the same site."
    elif isinstance(error, exceptions.NotAuthenticated):
        message = "Sign in, or sign the request with an API key."
    return ApiError(code, message, status_code=error.status_code, headers=headers)


def _body(error: ApiError) -> ErrorResponse:
    """The answer's body: made once for each error answered, which is counted here."""
    API_ERRORS.labels("rest", error.code).inc()
    return ErrorResponse(Error(error.code, error.message, error.field))


def json_error(*, error: ApiError) -> HttpResponse:
    """An error as Django's own response, for code outside of views."""
    return HttpResponse(
        msgspec.json.encode(_body(error)),
        status=error.status_code,
        content_type="application/json",
        headers=error.headers,
    )


def known_error(*, error: Exception) -> HttpResponse | None:
    """The answer to any error we know, for code outside of DRF's views; None for a fault of ours."""
    known = _known(error)
    return None if known is None else json_error(error=known)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    if not request.path.startswith(API_PATH):
        return defaults.bad_request(request, exception)
    known = _known(exception) or ApiError("bad_request", "The request is malformed.", status_code=400)
    return json_error(error=known)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: the log has what happened, the answer does not."""
    if not request.path.startswith(API_PATH):
        return defaults.server_error(request)
    return json_error(error=ApiError("internal_error", "Something went wrong here. It was logged.", status_code=500))
