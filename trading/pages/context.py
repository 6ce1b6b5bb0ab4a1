"""What every template knows: whether this is a demo, the colours the visitor has chosen, and their unread news."""

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from notifications import queries

THEMES = ("dark", "light")
PALETTES = ("standard", "colour-blind")


def page(request: HttpRequest) -> dict[str, object]:
    """Context processor: `demo`, `theme` ("" is as the system wishes) and `palette`, from theme.js's two cookies.

    `unread_notifications` is counted when a template asks for it.
    """
    theme, palette = request.COOKIES.get("theme"), request.COOKIES.get("palette")
    return {
        "demo": settings.DEMO,
        "theme": theme if theme in THEMES else "",
        "palette": palette if palette in PALETTES else PALETTES[0],
        "unread_notifications": SimpleLazyObject(lambda: _unread(request)),
    }


def _unread(request: HttpRequest) -> int:
    user_id = request.user.pk if request.user.is_authenticated else None
    return 0 if user_id is None else queries.unread(user_id=user_id)
