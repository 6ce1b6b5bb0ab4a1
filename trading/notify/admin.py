"""What operators see of the outbox: what was given up, and why; they can have it sent again."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from marketdata.admin import ReadOnlyAdmin, recent
from notifications.delivery import send_again
from notifications.models import Delivery
from trading.desk import audit


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """E-mails and webhooks on their way, sent or given up; search by key or user. What they tell is their reader's."""

    list_display = ("id", "key", "user", "channel", "kind", "state", "attempts", "next_at", "done_at", "last_error")
    list_select_related = ("user",)
    list_filter = (recent("state", "dead", "failed", "pending", "sent"), recent("channel", "email", "webhook"))
    exact_names = ("key", "user__username")
    exact_numbers = ("id",)
    exclude = ("figures",)
    actions = ("again",)

    def has_again_permission(self, request: HttpRequest) -> bool:
        """Those who may change deliveries."""
        return bool(request.user.has_perm("notifications.change_delivery"))

    @admin.action(description="Send again what was given up", permissions=["again"])
    def again(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Give dead deliveries all their attempts again."""
        with transaction.atomic():
            dead = list(queryset.filter(state="dead").values_list("pk", "key"))
            count = send_again(deliveries=[pk for pk, _ in dead], now=timezone.now())
            for _, key in dead:
                audit.record(request=request, action="delivery again", subject=f"delivery {key}")
        self.message_user(request, f"{count} of {queryset.count()} are sent again in a moment.", messages.SUCCESS)
