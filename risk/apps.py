"""The Django app `risk`: accounts, balances, limits and the ledger."""

from django.apps import AppConfig


class RiskConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "risk"
