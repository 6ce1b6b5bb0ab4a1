"""The Django app `marketdata`: assets, markets, trades and candles."""

from django.apps import AppConfig


class MarketDataConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "marketdata"
