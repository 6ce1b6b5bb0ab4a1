"""The average price of an order's fills, as text: exact division, rounded once."""

from marketdata.scale import text_from_units

EXTRA_DECIMALS = 6
"""An average price is rounded, half to even, this many decimals beyond the tick's."""


def average_price_text(
    *, notional: int, quantity: int, base_scale: int, quote_scale: int, price_decimals: int
) -> str | None:
    """Notional (quote units) by quantity (base units) per whole base; None when nothing is filled."""
    if not quantity:
        return None
    decimals = price_decimals + EXTRA_DECIMALS
    divisor = quantity * 10**quote_scale
    units, rest = divmod(notional * 10 ** (base_scale + decimals), divisor)
    if 2 * rest > divisor or (2 * rest == divisor and units & 1):
        units += 1
    return text_from_units(units, decimals, price_decimals)
