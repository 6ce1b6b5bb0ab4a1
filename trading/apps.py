"""The Django app `trading`: the project itself: users, keys, pages, gateway and commands."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TradingConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "trading"

    def ready(self) -> None:
        """Roles are there wherever the tables are, the audit log knows who comes to the desk, traces begin."""
        from trading import tracing
        from trading.desk import logins, roles  # they need the models

        post_migrate.connect(roles.make_roles, sender=self)
        logins.connect()
        tracing.start()
