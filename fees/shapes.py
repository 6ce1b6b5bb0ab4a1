"""How rates and tiers look to people: millionths as percentages, tiers by their number."""

from marketdata.scale import text_from_units, units_from_text

PERCENT_DECIMALS = 4
"""Of a percentage that is a whole number of millionths."""


def percent_text(millionths: int) -> str:
    """A rate for people: 1,500 millionths are "0.15 %"."""
    return f"{text_from_units(millionths, PERCENT_DECIMALS, 2)} %"


def rate_from_text(text: str) -> int:
    """Millionths from a percentage that may be negative: "0.15", "0.15%", "-0.01". Raises AmountError."""
    digits = text.removesuffix("%").strip()
    if digits.startswith("-"):
        return -units_from_text(digits[1:], PERCENT_DECIMALS)
    return units_from_text(digits, PERCENT_DECIMALS)


def tier_text(tier: int | None) -> str:
    """A tier by its number, or what rates without one are called."""
    return "own rates" if tier is None else f"tier {tier}"
