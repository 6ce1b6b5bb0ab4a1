"""The Django app `matching`: the exchange, its worker and its journal."""

from django.apps import AppConfig

from matching import slow_queries


class MatchingConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "matching"

    def ready(self) -> None:
        """Slow queries are logged, in every process."""
        slow_queries.watch_django()
