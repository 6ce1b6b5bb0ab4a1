"""The four roles and what their members may do; made and kept by every `migrate` (trading/apps.py).

A permission to change a model is the permission to file the commands that do so (trading/desk/acts.py); nobody edits a
row. For another mixture an operator makes a group of his own: these four are put right again.
"""

from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection

APPS = ("trading", "orders", "matching", "risk", "fees", "marketdata", "notifications")
UNSEEN = {"view_session", "view_authenticator"}
CONFIDENTIAL = {"view_alert", "view_case", "view_casenote", "view_sighting", "view_detectorsetting"}
"""Who is suspected of what is for those who look into it."""

RISK = {
    "marketdata.change_market",
    "risk.change_account",
    "risk.change_limit",
    "risk.change_alert",
    "risk.change_case",
    "risk.change_detectorsetting",
    "trading.change_apikey",
}
TREASURY = {
    "risk.change_withdrawal",
    "risk.add_entry",
    "fees.change_feetier",
    "fees.change_feeoverride",
    "fees.add_promotion",
    "fees.change_promotion",
}
ADMIN = {
    "marketdata.add_asset",
    "marketdata.add_market",
    "trading.add_user",
    "trading.change_user",
    "auth.add_group",
    "auth.change_group",
    "auth.delete_group",
    "auth.view_group",
    "notifications.change_delivery",
}
ROLES: dict[str, set[str]] = {
    "support": set(),
    "risk": RISK,
    "treasury": TREASURY,
    "admin": RISK | TREASURY | ADMIN,
}
"""What each role may do besides looking at everything but sessions, second factors and, but for risk, cases."""


def make_roles(sender: AppConfig, **options: Any) -> None:
    """Django's post_migrate: give the four groups exactly the permissions of their roles."""
    if not {Permission._meta.db_table, ContentType._meta.db_table} <= set(connection.introspection.table_names()):
        return  # somebody migrates step by step
    for label in (*APPS, "auth"):
        create_permissions(apps.get_app_config(label), verbosity=0)
    known = {
        f"{app}.{codename}": pk
        for pk, app, codename in Permission.objects.values_list("pk", "content_type__app_label", "codename")
    }
    look = {
        name
        for name in known
        if name.partition(".")[0] in APPS
        and name.partition(".")[2].startswith("view_")
        and name.partition(".")[2] not in UNSEEN
    }
    confidential = {name for name in look if name.partition(".")[2] in CONFIDENTIAL}
    for name, does in ROLES.items():
        group, _ = Group.objects.get_or_create(name=name)
        sees = look if "risk.change_case" in does else look - confidential
        group.permissions.set(known[permission] for permission in sees | does)
