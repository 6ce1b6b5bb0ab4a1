"""The only converter between integers inside and decimal text outside.

Inside, an amount is an integer of 10^-scale of its asset and a price an integer of quote units per whole base. Outside
(JSON, PostgreSQL) both are exact decimals. Text that is not a plain decimal number is refused with a named error;
floats and Decimals never take part.
"""

import re

AMOUNT_DIGITS = 40
AMOUNT_DECIMALS = 18
SCALE_MAX = 18
TEXT_LENGTH_MAX = 40

_PLAIN_DECIMAL = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,18}))?", re.ASCII)


class AmountError(ValueError):
    """Text that is no amount. `code` is the stable name: invalid_decimal, too_many_decimals."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def units_from_text(text: str, scale: int) -> int:
    """Units of 10^-scale from a plain decimal like "101.25": no sign, exponent, spaces, or digits beyond the scale.

    Trailing zeros beyond the scale are fine. Raises AmountError.
    """
    match = _PLAIN_DECIMAL.fullmatch(text) if len(text) <= TEXT_LENGTH_MAX else None
    if match is None:
        raise AmountError(
            "invalid_decimal", "Use a plain decimal number such as 101.25, at most 20 digits and 18 decimals."
        )
    whole, fraction = match.group(1), match.group(2) or ""
    if len(fraction) > scale:
        if fraction[scale:].strip("0"):
            raise AmountError("too_many_decimals", f"At most {scale} decimals are possible here.")
        fraction = fraction[:scale]
    return int(whole + fraction.ljust(scale, "0"))


def text_from_units(units: int, scale: int, decimals: int | None = None) -> str:
    """Decimal text of `units` of 10^-scale with `decimals` decimals (default: scale), or more if that would round."""
    if scale == 0 and not decimals:
        return str(units)
    sign, digits = ("-", str(-units)) if units < 0 else ("", str(units))
    digits = digits.rjust(scale + 1, "0")
    whole, fraction = (digits[:-scale], digits[-scale:]) if scale else (digits, "")
    if decimals is None:
        decimals = scale
    fraction = fraction.rstrip("0").ljust(decimals, "0")
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole


def decimals_of(step: int, scale: int) -> int:
    """How many decimals a multiple of `step` (units of 10^-scale) needs: the decimals of a tick or lot size."""
    decimals = scale
    while decimals and step % 10 == 0:
        step //= 10
        decimals -= 1
    return decimals


def numeric_suffix(scale: int) -> str:
    """What turns units into a PostgreSQL NUMERIC literal: "1500000" + "e-8" is 0.015."""
    return f"e-{scale}"


def units_from_numeric(text: str, scale: int) -> int:
    """Units of 10^-scale from PostgreSQL's text of a NUMERIC, which may be negative. Refuses to lose digits."""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
    whole, _, fraction = digits.partition(".")
    assert not fraction[scale:].strip("0"), f"{text} has more than {scale} decimals"
    return sign * int(whole + fraction[:scale].ljust(scale, "0"))
