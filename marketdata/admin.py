"""What operators see of assets, markets and trades, and the read-only list that every app's admin is built on.

The tables are projections of the journal: nothing here adds, changes or deletes a row.
"""

from functools import cached_property
from typing import Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from marketdata.models import Asset, Market, Trade
from notifications.models import Announcement

ROWS_MAX = 10_000
"""A list goes back this far; what is older is found by searching."""

Names = tuple[str, ...]


class BoundedPaginator(Paginator):
    """Counts no further than ROWS_MAX, however large the table."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, at most ROWS_MAX."""
        rows: QuerySet[Model] = self.object_list  # type: ignore[assignment]
        return rows.order_by()[:ROWS_MAX].count()


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows to look at, newest first. `exact_names` are searched as text, `exact_numbers` as whole numbers, by index."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 100
    list_max_show_all = 0
    ordering = ("-pk",)
    actions: Any = None
    exact_names: ClassVar[Names] = ()
    exact_numbers: ClassVar[Names] = ()

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
    exact_numbers = ("id", "maker_order_id", "taker_order_id")


@admin.register(Announcement)
class AnnouncementAdmin(ReadOnlyAdmin):
    """Halts, reopenings and circuit breakers."""

    list_display = ("id", "sequence", "market_id", "announcement_type", "text", "announced_at")
    exact_numbers = ("sequence",)
