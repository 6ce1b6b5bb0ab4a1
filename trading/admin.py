"""The operator's desk: what stands here is registered, what it does is in trading/desk.

Money and rules are never edited: a form files a control command, and its page shows what became of it.
"""

from django.contrib import admin
from django_otp.plugins.otp_static.admin import StaticDevice
from django_otp.plugins.otp_totp.admin import TOTPDevice

from marketdata.admin import ReadOnlyAdmin, recent
from trading.books import admin as books_admin
from trading.desk import money_admin, people_admin
from trading.models import AuditEntry
from trading.notify import admin as notify_admin
from trading.watch import admin as watch_admin

__all__ = ["books_admin", "money_admin", "notify_admin", "people_admin", "watch_admin"]

admin.site.unregister([TOTPDevice, StaticDevice])  # their pages would show people's secrets


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Everything that operators did; search by what it was done to, by operator, or by the command's inbox id."""

    list_display = ("id", "at", "operator", "action", "subject", "text", "reason", "address", "inbox_id")
    list_select_related = ("operator",)
    list_filter = (
        recent("action", "correction: asked", "correction: approved", "withdrawal", "market_state", "freeze", "export"),
    )
    exact_names = ("subject", "operator__username", "action")
    exact_numbers = ("id", "inbox_id")
    exclude = ("before", "after")
