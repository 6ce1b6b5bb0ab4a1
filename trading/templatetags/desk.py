"""What the desk's templates ask for: the buttons that an operator may use, and the details of a row."""

from decimal import Decimal
from typing import Any

from django import template
from django.db import models
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from trading.desk import buttons, details

register = template.Library()


@register.simple_tag(takes_context=True)
def desk_list_buttons(context: dict[str, Any], opts: Any) -> list[dict[str, Any]]:
    """Buttons above a model's list."""
    return buttons.list_buttons(request=context["request"], label=opts.label_lower)


@register.simple_tag(takes_context=True)
def desk_row_buttons(context: dict[str, Any], row: models.Model) -> list[dict[str, Any]]:
    """Buttons above a row."""
    return buttons.row_buttons(request=context["request"], row=row)


@register.simple_tag(takes_context=True)
def desk_details(context: dict[str, Any], row: models.Model) -> SafeString:
    """What there is to see of a row besides its fields."""
    found = details.details_of(request=context["request"], row=row)
    if found is None:
        return mark_safe("")
    return render_to_string(found[0], found[1], request=context["request"])


@register.filter
def desk_amount(value: object) -> str:
    """A stored amount without zeros at its end; words stay as they are."""
    if not isinstance(value, Decimal):
        return str(value)
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
