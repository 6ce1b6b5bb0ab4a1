"""The Django app `trading`: the project itself: users, keys, pages, gateway and commands."""

from django.apps import AppConfig


class TradingConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "trading"
