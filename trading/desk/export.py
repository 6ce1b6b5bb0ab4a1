"""Any list of the desk as a CSV file: the rows that its search and filters show, newest first, read page by page."""

import dataclasses
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_GET

from marketdata import replica
from marketdata.exports import PAGE_ROWS, csv_response
from marketdata.shapes import Page, time_text
from trading.desk import audit


@require_GET
def export(request: HttpRequest, app: str, model: str) -> StreamingHttpResponse:
    """The whole list; 404 for a list that is not there."""
    found = next((each for each in admin.site._registry if each._meta.label_lower == f"{app}.{model}"), None)
    if found is None:
        raise Http404
    row_admin = admin.site._registry[found]
    if not row_admin.has_view_permission(request):
        raise PermissionDenied
    rows = row_admin.get_changelist_instance(request).queryset.order_by("-pk")
    names = exported_columns(model=found)
    audit.record(
        request=request,
        action="export",
        subject=f"list of {found._meta.verbose_name_plural}",
        text="Downloaded as CSV.",
        after={"query": request.GET.urlencode()},
    )
    columns = dataclasses.make_dataclass("Columns", names)

    pages = replica.Export()

    def read(cursor: int | None) -> Page[Any]:
        return pages.read(lambda: _page(cursor))

    def _page(cursor: int | None) -> Page[Any]:
        page = rows.using(replica.alias())
        page = page if cursor is None else page.filter(pk__lt=cursor)
        # The key comes first, so that the page knows where it ends whatever the columns are.
        read = list(page.values_list("pk", *names)[:PAGE_ROWS])
        following = str(read[-1][0]) if len(read) == PAGE_ROWS else None
        return Page([columns(*map(_text, row[1:])) for row in read], following)

    return csv_response(filename=f"{model}.csv", columns=columns, read=read)


def exported_columns(*, model: type[models.Model]) -> list[str]:
    """The columns of a model that may leave the house: all but secrets and bytes."""
    return [
        field.attname
        for field in model._meta.concrete_fields
        if field.name not in audit.SECRET_FIELDS and not isinstance(field, models.BinaryField)
    ]


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if value is None or isinstance(value, bool | int | str):
        return value
    return msgspec.json.encode(value).decode()
