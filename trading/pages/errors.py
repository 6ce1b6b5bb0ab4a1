"""The error pages, in the clothes of all others; below /api/ every error stays JSON.

The page for 500 asks neither the database nor the session: they may be what failed.
"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django_ratelimit.exceptions import Ratelimited

from marketdata.rest import ApiError
from trading.api import errors as api
from trading.pages import context

RETRY_AFTER_SECONDS = 60
AWAY_SECONDS = 5


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    if request.path.startswith(api.API_PATH):
        return api.bad_request(request, exception)
    return HttpResponse(_without_database(request, "400.html"), status=400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403; too many requests are forbidden too, but with a status of their own."""
    if request.path.startswith(api.API_PATH):
        return api.json_error(error=ApiError("forbidden", "You may not do this.", status_code=403))
    if isinstance(exception, Ratelimited):
        return too_many_requests(request)
    return render(request, "403.html", status=403)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW: a form that did not come from our own page, or from one left open too long."""
    return render(request, "403.html", {"csrf": True}, status=403)


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """The page for 429."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return HttpResponse(_without_database(request, "429.html"), status=429, headers=headers)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    if request.path.startswith(api.API_PATH):
        return api.json_error(error=ApiError("not_found", "There is nothing at this address.", status_code=404))
    return render(request, "404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: the log has what happened, the page does not."""
    if request.path.startswith(api.API_PATH):
        return api.server_error(request)
    return HttpResponse(_without_database(request, "500.html"), status=500)


def unavailable(request: HttpRequest) -> HttpResponse:
    """The page for 503: a service that the view needs is away."""
    headers = {"Retry-After": str(AWAY_SECONDS)}
    return HttpResponse(_without_database(request, "503.html"), status=503, headers=headers)


def _without_database(request: HttpRequest, template: str) -> str:
    return render_to_string(template, {**context.page(request), "without_user": True})
