"""The desk's site: its pages, its door, and the policy that browsers hold its pages to."""

from collections.abc import Callable
from typing import Any

from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse
from unfold.sites import UnfoldAdminSite

from trading.pages import accounts

LOOSER_POLICY = {"script-src": ["'unsafe-eval'"], "style-src": ["'unsafe-inline'"]}
"""What django-unfold needs beyond the strict policy: Alpine.js evaluates the expressions in its templates (they use
globals and arrow functions, which Alpine's build without eval refuses), and sets style attributes. Only operators' own
pages get it; no script from elsewhere and no inline script is let in here either."""


class Desk(UnfoldAdminSite):
    """Where operators work."""

    site_header = "Bourse"
    site_title = "Bourse"
    index_title = "Dashboard"

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        """Django's guard around a page, and the looser policy for those who come in."""
        strict = super().admin_view(view, cacheable)
        loose = csp_update(LOOSER_POLICY)(strict)

        def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            answer: HttpResponse = (loose if self.has_permission(request) else strict)(request, *args, **kwargs)
            return answer

        return page

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Operators come in as everybody does, with their second factor."""
        return accounts.admin_login(request)
