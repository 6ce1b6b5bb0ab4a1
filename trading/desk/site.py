"""The desk's site: its pages, its door, and the policy that browsers hold its pages to."""

from collections.abc import Callable
from typing import Any

from csp.decorators import csp_update
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from unfold.sites import UnfoldAdminSite

LOOSER_POLICY = {"script-src": ["'unsafe-eval'"], "style-src": ["'unsafe-inline'"]}
"""What django-unfold needs beyond the strict policy: Alpine.js evaluates the expressions in its templates (they use
globals and arrow functions, which Alpine's build without eval refuses), and sets style attributes. Only operators' own
pages get it; no script from elsewhere and no inline script is let in here either."""


class Desk(UnfoldAdminSite):
    """Where operators work."""

    index_title = "Dashboard"
    index_template = "admin/desk/dashboard.html"

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        """Django's guard around a page, and the looser policy for those who come in."""
        strict = super().admin_view(view, cacheable)
        loose = csp_update(LOOSER_POLICY)(strict)

        def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            answer: HttpResponseBase = (loose if self.has_permission(request) else strict)(request, *args, **kwargs)
            return answer

        return page

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        """Operators come in as everybody does, with their second factor."""
        from trading.pages import accounts  # it needs the models, and settings name this class before there are any

        answer: HttpResponseBase = accounts.admin_login(request)
        return answer

    def extra_urls(self) -> list[URLPattern]:
        """The desk's own pages."""
        from trading.desk import dashboard, export, pages  # as above

        return [
            path("desk/figures.json", self.admin_view(dashboard.figures_json), name="desk_figures"),
            path("desk/do/<slug:name>/", self.admin_view(pages.form_page), name="desk_form"),
            path("desk/do/<slug:name>/<int:target_id>/", self.admin_view(pages.form_page), name="desk_form"),
            path("desk/request/<int:request_id>/decide/", self.admin_view(pages.decide), name="desk_decide"),
            path("desk/command/<int:inbox_id>.json", self.admin_view(pages.command_state), name="desk_command"),
            path("desk/export/<slug:app>/<slug:model>.csv", self.admin_view(export.export), name="desk_export"),
        ]
