"""The one column type for money: PostgreSQL NUMERIC in human units, wide enough for any asset's scale."""

from typing import Any

from django.db import models

from marketdata.scale import AMOUNT_DECIMALS, AMOUNT_DIGITS


class AmountField(models.DecimalField):
    """An exact decimal with at most 18 decimal places and 22 digits before the point."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", AMOUNT_DIGITS)
        kwargs.setdefault("decimal_places", AMOUNT_DECIMALS)
        super().__init__(**kwargs)
