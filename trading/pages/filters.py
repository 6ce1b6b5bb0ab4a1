"""Template filters for numbers and times; decimals come in as text and never become floats.

Built into every template (settings). The browser's counterpart is format.js.
"""

from datetime import datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from marketdata.scale import text_from_units

register = template.Library()

MINUS = "\u2212"
NOTHING = "\u2013"
PERCENT_DECIMALS = 2


@register.filter
def group(text: str | None) -> str:
    """A comma between thousands; the decimals stay as they are. A dash for None."""
    if text is None:
        return NOTHING
    sign, digits = (MINUS, text[1:]) if text.startswith("-") else ("", text)
    whole, dot, fraction = digits.partition(".")
    return f"{sign}{int(whole):,}{dot}{fraction}"


@register.filter
def amount(text: str | None) -> str:
    """An amount as exact as it is, without zeros at its end but with two decimals at least."""
    if text is None:
        return NOTHING
    whole, _, fraction = text.partition(".")
    return group(f"{whole}.{fraction.rstrip('0').ljust(2, '0')}")


@register.filter
def signed(text: str) -> str:
    """As `amount`, with a plus before what comes in and nothing before zero."""
    return amount(text) if text.startswith("-") or is_zero(text) else f"+{amount(text)}"


@register.filter
def percent(fraction: str | None) -> str:
    """A fraction ("0.012345") with a sign and two decimals, rounded half away from zero: "+1.23 %"."""
    if fraction is None:
        return NOTHING
    sign = MINUS if fraction.startswith("-") else "+"
    whole, _, decimals = fraction.removeprefix("-").partition(".")
    scale = PERCENT_DECIMALS + 2
    units = int(whole + decimals[:scale].ljust(scale, "0")) + (decimals[scale : scale + 1] >= "5")
    return f"{sign if units else ''}{group(text_from_units(units, PERCENT_DECIMALS))}\u00a0%"


@register.filter
def direction(text: str | None) -> str:
    """The class of a change: "rises", "falls", or "" for none."""
    if text is None or not text.strip("-0."):
        return ""
    return "falls" if text.startswith("-") else "rises"


@register.filter
def is_zero(text: str) -> bool:
    """Whether a decimal text is zero."""
    return not text.strip("-0.")


@register.filter
def moment(iso: str) -> SafeString:
    """An ISO 8601 time as an element that times.js shows in the visitor's zone; UTC without it."""
    return _time(iso, "%-d %b, %H:%M:%S", "")


@register.filter
def full_moment(iso: str) -> SafeString:
    """As `moment`, with the year and the zone."""
    return _time(iso, "%-d %b %Y, %H:%M:%S UTC", "full")


def _time(iso: str, style: str, show: str) -> SafeString:
    at = datetime.fromisoformat(iso)
    return format_html('<time datetime="{}" data-show="{}">{}</time>', iso, show, at.strftime(style))
