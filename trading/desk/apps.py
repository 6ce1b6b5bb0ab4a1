"""Puts the desk in the place of Django's admin site; settings name this class in INSTALLED_APPS."""

from django.contrib.admin.apps import AdminConfig


class DeskConfig(AdminConfig):
    """Django's admin, with our site as the default one."""

    default_site = "trading.desk.site.Desk"
