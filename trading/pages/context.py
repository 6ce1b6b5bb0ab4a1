"""What every template knows: whether this is a demo, and the colours the visitor has chosen."""

from django.conf import settings
from django.http import HttpRequest

THEMES = ("dark", "light")
PALETTES = ("standard", "colour-blind")


def page(request: HttpRequest) -> dict[str, object]:
    """Context processor: `demo`, `theme` ("" is as the system wishes) and `palette`, from theme.js's two cookies."""
    theme, palette = request.COOKIES.get("theme"), request.COOKIES.get("palette")
    return {
        "demo": settings.DEMO,
        "theme": theme if theme in THEMES else "",
        "palette": palette if palette in PALETTES else PALETTES[0],
    }
