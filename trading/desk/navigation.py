"""The sidebar: every list and page of the desk by what an operator comes for; what he may not see is not there."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse


class Item(NamedTuple):
    """A line of the sidebar: words, an icon of Material Symbols, and the model whose list it opens."""

    title: str
    icon: str
    model: str


GROUPS: dict[str, tuple[Item, ...]] = {
    "Waits for a decision": (
        Item("Requests", "rule", "trading.operatorrequest"),
        Item("Withdrawals", "output", "risk.withdrawal"),
        Item("Alerts", "notification_important", "risk.alert"),
        Item("Cases", "cases", "risk.case"),
        Item("Notifications", "outgoing_mail", "notifications.delivery"),
    ),
    "Trading": (
        Item("Markets", "candlestick_chart", "marketdata.market"),
        Item("Assets", "toll", "marketdata.asset"),
        Item("Orders", "list_alt", "orders.order"),
        Item("Trades", "swap_horiz", "marketdata.trade"),
        Item("Announcements", "campaign", "notifications.announcement"),
    ),
    "Money": (
        Item("Accounts", "account_balance", "risk.account"),
        Item("Deposits", "input", "risk.deposit"),
        Item("Entries", "receipt_long", "risk.entry"),
    ),
    "Rules": (
        Item("Fee tiers", "percent", "fees.feetier"),
        Item("Fee overrides", "tune", "fees.feeoverride"),
        Item("Limits", "speed", "risk.limit"),
        Item("Detectors", "radar", "risk.detectorsetting"),
    ),
    "Fees": (
        Item("Fee report", "bar_chart", "fees.feeday"),
        Item("Balance and income", "balance", "fees.ledgerday"),
        Item("What if", "calculate", "fees.accountday"),
        Item("Promotions", "sell", "fees.promotion"),
        Item("Rate history", "history", "fees.ratechange"),
    ),
    "People": (
        Item("Users", "person", "trading.user"),
        Item("Roles", "groups", "auth.group"),
        Item("API keys", "key", "trading.apikey"),
    ),
    "Records": (
        Item("Audit log", "history_edu", "trading.auditentry"),
        Item("Inbox", "inbox", "matching.inboxcommand"),
        Item("Journal", "menu_book", "matching.journalentry"),
        Item("Proofs", "verified", "matching.proverun"),
        Item("Engine", "memory", "matching.enginestate"),
        Item("Followers", "conversion_path", "matching.followercursor"),
    ),
}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Unfold's description of the sidebar: the groups above, then every list that they do not name."""
    registered = {model._meta.label_lower: model for model in admin.site._registry}
    named = {item.model for items in GROUPS.values() for item in items}
    rest = tuple(
        Item(str(model._meta.verbose_name_plural).capitalize(), "table_rows", label)
        for label, model in registered.items()
        if label not in named
    )
    groups: list[dict[str, Any]] = [
        {"items": [{"title": "Dashboard", "icon": "monitoring", "link": reverse("admin:index")}]}
    ]
    for title, items in {**GROUPS, "More": rest}.items():
        shown = [_link(item) for item in items if item.model in registered]
        groups.append({"title": title, "items": shown})
    return groups


def _link(item: Item) -> dict[str, Any]:
    name = item.model.replace(".", "_")
    return {
        "title": item.title,
        "icon": item.icon,
        "link": reverse(f"admin:{name}_changelist"),
        "permission": _may_view(item.model),
    }


def _may_view(label: str) -> Callable[[HttpRequest], bool]:
    def allowed(request: HttpRequest) -> bool:
        model = next(model for model in admin.site._registry if model._meta.label_lower == label)
        return bool(admin.site._registry[model].has_view_permission(request))

    return allowed
