"""The desk's lists of cases, alerts and detector settings; their pages are in trading/watch/pages.py."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from marketdata.admin import ReadOnlyAdmin
from risk.models import Alert, Case, DetectorSetting
from risk.surveillance.surveillance import DETECTORS
from trading.watch import pages

DETECTOR_NAMES = [(name, name.replace("_", " ")) for name in DETECTORS]


class ByDetector(admin.SimpleListFilter):
    """By the detector that found it."""

    title = "detector"
    parameter_name = "detector"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """All that there are."""
        return DETECTOR_NAMES

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of the detector."""
        return queryset.filter(detector=self.value()) if self.value() in DETECTORS else queryset


class ByProgress(admin.SimpleListFilter):
    """Open cases, unless others are asked for."""

    title = "progress"
    parameter_name = "progress"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Besides the open ones."""
        return [("closed", "Closed"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        """Open ones first, instead of "All"."""
        chosen = self.value()
        yield {
            "selected": chosen is None,
            "query_string": changelist.get_query_string(remove=["progress"]),
            "display": "Open",
        }
        for value, title in self.lookup_choices:
            query = changelist.get_query_string({"progress": value})
            yield {"selected": chosen == value, "query_string": query, "display": title}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Open, closed or all."""
        if self.value() == "all":
            return queryset
        return queryset.filter(closed_at__isnull=self.value() != "closed")


class _Watched(ReadOnlyAdmin):
    """Rows that have pages of our own."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """A number finds the row of that id and those about that account."""
        term = search_term.strip()
        if term.isascii() and term.isdigit() and len(term) <= 9:
            return queryset.filter(pk=int(term)) | queryset.filter(account_ids__contains=[int(term)]), False
        return (queryset.none() if term else queryset), False

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """What the search box is shown for."""
        return ("id",)

    @admin.display(description="Accounts")
    def accounts(self, row: Any) -> str:
        """The accused."""
        return ", ".join(map(str, row.account_ids[:8])) + (" \u2026" if len(row.account_ids) > 8 else "")

    @admin.display(description="Detector")
    def found_by(self, row: Any) -> str:
        """In words."""
        return str(row.detector).replace("_", " ")


@admin.register(Case)
class CaseAdmin(_Watched):
    """Cases, open ones unless asked otherwise; search by case or account."""

    list_display = ("id", "severity", "found_by", "accounts", "market", "state", "assignee", "alerts_count", "last_at")
    list_select_related = ("market", "assignee")
    list_filter = (ByProgress, ByDetector, "severity")

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The case's own page."""
        return pages.case_page(request, _number(object_id))

    def get_urls(self) -> list[URLPattern]:
        """And what can be done to it."""
        view = self.admin_site.admin_view(pages.case_act)
        acts = [
            path(f"<int:case_id>/{name}/", view, {"name": name}, name=f"risk_case_{name}")
            for name in ("note", "assign", "state", "measure")
        ]
        return [*acts, *super().get_urls()]


@admin.register(Alert)
class AlertAdmin(_Watched):
    """Alerts, newest first; search by alert or account."""

    list_display = ("id", "severity", "found_by", "accounts", "market", "case", "text", "raised_at")
    list_select_related = ("market", "case")
    list_filter = (ByDetector, "severity")

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The alert's own page."""
        return pages.alert_page(request, _number(object_id))

    def get_urls(self) -> list[URLPattern]:
        """And its evidence."""
        view = self.admin_site.admin_view(pages.alert_evidence)
        return [path("<int:alert_id>/evidence.json", view, name="risk_alert_evidence"), *super().get_urls()]


@admin.register(DetectorSetting)
class DetectorSettingAdmin(ReadOnlyAdmin):
    """All parameters on one page."""

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The settings."""
        return pages.detectors_page(request)


def _number(object_id: str) -> int:
    """An id of the address; what is none finds nothing."""
    return int(object_id) if object_id.isascii() and object_id.isdigit() and len(object_id) <= 18 else 0
