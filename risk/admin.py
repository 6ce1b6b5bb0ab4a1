"""What operators see of accounts, balances and the ledger. Withdrawals are decided in trading/admin.py."""

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from marketdata.admin import ReadOnlyAdmin, recent
from risk import queries
from risk.models import Account, Deposit, Entry, Limit


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    """Accounts; 1 is the outside world, 2 collects the fees."""

    list_display = ("id", "user", "name", "frozen", "freeze_note", "opened_at")
    list_filter = ("frozen",)
    list_select_related = ("user",)
    exact_names = ("user__username",)
    exact_numbers = ("id",)
    readonly_fields = ("funds",)

    @admin.display(description="Funds")
    def funds(self, account: Account) -> str:
        """What the account has of each asset: available and held (a balance has no page of its own)."""
        return format_html_join(
            mark_safe("<br>"),
            "{}: {} available, {} held",
            ((row.asset, row.available, row.held) for row in queries.balances(account_id=account.pk)),
        )


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    """The ledger; search by entry id or account id."""

    list_display = (
        "id",
        "sequence",
        "account_id",
        "asset",
        "amount",
        "balance",
        "entry_type",
        "reference",
        "posted_at",
    )
    list_select_related = ("asset",)
    list_filter = (recent("entry_type", "deposit", "withdrawal", "correction", "trade", "fee"),)
    exact_numbers = ("id", "account_id")


@admin.register(Deposit)
class DepositAdmin(ReadOnlyAdmin):
    """Credits from outside."""

    list_display = ("id", "account_id", "asset", "amount", "reference", "credited_at")
    list_select_related = ("asset",)
    exact_numbers = ("id", "account_id")


@admin.register(Limit)
class LimitAdmin(ReadOnlyAdmin):
    """Limits of accounts; the row without an account holds the defaults."""

    list_display = ("id", "account_id", "limits")
    exact_numbers = ("account_id",)
