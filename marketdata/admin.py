"""What operators see of assets, markets and trades, and the read-only list that every app's admin is built on.

The tables are projections of the journal: nothing here adds, changes or deletes a row. However long a table is, a page
reads a bounded part of it: newest first by key, no sorting by other columns, no counting to the end.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from marketdata.fields import AmountField
from marketdata.models import Asset, Market, Trade
from notifications.models import Announcement

ROWS_MAX = 10_000
"""A list goes back this far; what is older is found by searching."""

FILTERED_ROWS_MAX = 50_000
"""A filter looks at this many of the newest rows, those that the search has found if there is one."""

Names = tuple[str, ...]


class BoundedPaginator(Paginator):
    """Counts no further than ROWS_MAX, however large the table."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, at most ROWS_MAX."""
        rows: QuerySet[Model] = self.object_list  # type: ignore[assignment]
        return rows.order_by()[:ROWS_MAX].count()


class OrderedList(ChangeList):
    """A list that stays in the order of its admin: no address makes the database sort a whole table."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[str]:
        """The admin's own."""
        return list(self.model_admin.get_ordering(request))

    def get_results(self, request: HttpRequest) -> None:
        """The page asked for. How many rows there are in all is not counted, nor offered to be shown."""
        super().get_results(request)
        self.full_result_count = self.result_count


class RecentFilter(admin.SimpleListFilter):
    """A filter by a column without an index, over the newest FILTERED_ROWS_MAX rows.

    A subclass names the column (`parameter_name`) and its `values`, since asking the table for them would read it all.
    """

    values: ClassVar[Names] = ()

    def __init__(self, request: HttpRequest, params: Any, model: type[Model], model_admin: Any) -> None:
        self.title = str(self.parameter_name).replace("_", " ")
        super().__init__(request, params, model, model_admin)
        self._admin = model_admin

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The values, in words."""
        return [(value, value.replace("_", " ")) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of the newest rows that have the value."""
        if self.value() not in self.values:
            return queryset
        rows = self._admin.get_search_results(request, self._admin.model._default_manager.all(), _searched(request))[0]
        found = queryset.filter(**{str(self.parameter_name): self.value()})
        beyond = rows.order_by("-pk").values_list("pk", flat=True)[FILTERED_ROWS_MAX : FILTERED_ROWS_MAX + 1]
        return found.filter(pk__gt=beyond[0]) if beyond else found


def _searched(request: HttpRequest) -> str:
    return request.GET.get("q", "")


def recent(name: str, *values: str) -> type[RecentFilter]:
    """A RecentFilter of the column `name`."""
    return type(f"Recent{name.title()}", (RecentFilter,), {"parameter_name": name, "values": values})


def _amount(field: AmountField) -> Callable[[Any], str | None]:
    """A column that shows the amounts of `field` without zeros at their ends."""

    @admin.display(description=field.verbose_name, empty_value="-")
    def text(row: Model) -> str | None:
        value = getattr(row, field.attname)
        return None if value is None else format(value.normalize(), "f")

    return text


class ReadOnlyAdmin(ModelAdmin):
    """Rows to look at, newest first. `exact_names` are searched as text, `exact_numbers` as whole numbers, by index."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_fullwidth = True
    list_filter_sheet = True
    sortable_by = ()
    list_per_page = 50
    list_max_show_all = 0
    ordering = ("-pk",)
    actions: Any = None
    exact_names: ClassVar[Names] = ()
    exact_numbers: ClassVar[Names] = ()

    def __init__(self, model: type[Model], admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        self._amounts = {}
        for field in model._meta.concrete_fields:
            if isinstance(field, AmountField):
                self._amounts[field.name] = f"{field.name}_amount"
                setattr(self, f"{field.name}_amount", _amount(field))

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The columns, amounts without zeros at their ends."""
        return [self._amounts.get(name, name) for name in super().get_list_display(request)]

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        """As `get_list_display`."""
        return list(dict.fromkeys(self._amounts.get(name, name) for name in super().get_fields(request, obj)))

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        """All that is no column of the table."""
        return [*super().get_readonly_fields(request, obj), *self._amounts.values()]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list without sorting."""
        return OrderedList

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Only what a filter offers: others would make the database read a whole table."""
        filters = [each[0] if isinstance(each, tuple) else each for each in self.get_list_filter(request)]
        fields = [each for each in filters if isinstance(each, str)]
        parameters = [each.parameter_name for each in filters if hasattr(each, "parameter_name")]
        return lookup in parameters or lookup.partition("__")[0] in fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def get_search_fields(self, request: HttpRequest) -> Names:
        """What the search box is shown for."""
        return (*self.exact_names, *self.exact_numbers)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The rows in which a field is exactly the term; Django's own search would cast every number to text."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(pk__in=[])
        for name in self.exact_names:
            found |= Q(**{name: term})
        if term.isascii() and term.isdigit() and len(term) <= 18:
            for name in self.exact_numbers:
                found |= Q(**{name: int(term)})
        return queryset.filter(found), False


@admin.register(Asset)
class AssetAdmin(ReadOnlyAdmin):
    """Assets."""

    list_display = ("id", "symbol", "name", "scale")
    exact_names = ("symbol",)


@admin.register(Market)
class MarketAdmin(ReadOnlyAdmin):
    """Markets with their filters, breaker and state."""

    list_display = ("id", "symbol", "state", "note", "tick_size", "lot_size", "reopens_at", "changed_at")
    list_filter = ("state",)
    exact_names = ("symbol",)


@admin.register(Trade)
class TradeAdmin(ReadOnlyAdmin):
    """Trades, with both orders and accounts; search by the id of the trade or of an order."""

    list_display = (
        "id",
        "market",
        "price",
        "quantity",
        "taker_side",
        "maker_order_id",
        "taker_order_id",
        "maker_account_id",
        "taker_account_id",
        "executed_at",
    )
    list_select_related = ("market",)
    list_filter = (recent("taker_side", "buy", "sell"),)
    exact_numbers = ("id", "maker_order_id", "taker_order_id")


@admin.register(Announcement)
class AnnouncementAdmin(ReadOnlyAdmin):
    """Halts, reopenings and circuit breakers."""

    list_display = ("id", "sequence", "market_id", "announcement_type", "text", "announced_at")
    exact_numbers = ("sequence",)
