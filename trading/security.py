"""Headers that keep browsers from doing what Bourse's pages never ask for; the policies are in the settings."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse


class PermissionsPolicy:
    """Middleware: no page may use the camera, the position and so on, nor may a script that somebody smuggled in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._policy = ", ".join(f"{feature}=()" for feature in settings.PERMISSIONS_REFUSED)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Add the header to every answer."""
        response = self.get_response(request)
        response["Permissions-Policy"] = self._policy
        return response
