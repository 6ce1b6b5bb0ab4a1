"""How django-unfold looks here: Bourse's palette (the tokens of trading/static/trading/tokens.css), name and icon."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static

COLORS = {
    "base": {
        "50": "#f5f7fa", "100": "#eef1f5", "200": "#dde3ea", "300": "#c5ced9", "400": "#8b97a7", "500": "#566273",
        "600": "#3c4756", "700": "#2f3a47", "800": "#1c232c", "900": "#0e1116", "950": "#0a0c10",
    },
    "primary": {
        "50": "#eef4ff", "100": "#dbe7ff", "200": "#bcd3ff", "300": "#93b8ff", "400": "#6ea0ff", "500": "#4c8dff",
        "600": "#1a5fcc", "700": "#164fab", "800": "#123f89", "900": "#0f3069", "950": "#0a1f45",
    },
    "font": {
        "subtle-light": "#566273", "subtle-dark": "#8b97a7", "default-light": "#2a3440", "default-dark": "#c8d0da",
        "important-light": "#131a22", "important-dark": "#e6eaf0",
    },
}  # fmt: skip


def stylesheet(request: HttpRequest) -> str:
    """The desk's own styles, after unfold's."""
    return static("trading/desk/desk.css")


def appearance_script(request: HttpRequest) -> str:
    """Keeps unfold's theme and the cookie of all other pages the same."""
    return static("trading/desk/appearance.js")


def icon(request: HttpRequest) -> str:
    """The mark before the name."""
    return static("trading/icons/bourse.svg")


def unfold_settings() -> dict[str, Any]:
    """Settings' UNFOLD."""
    return {
        "SITE_TITLE": "Bourse",
        "SITE_HEADER": "Bourse",
        "SITE_SUBHEADER": "Operator's desk",
        "SITE_ICON": "trading.desk.look.icon",
        "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "trading.desk.look.icon"}],
        "SHOW_HISTORY": False,
        "SHOW_VIEW_ON_SITE": False,
        "BORDER_RADIUS": "4px",
        "COLORS": COLORS,
        "STYLES": ["trading.desk.look.stylesheet"],
        "SCRIPTS": ["trading.desk.look.appearance_script"],
        "SIDEBAR": {"show_search": False, "navigation": "trading.desk.navigation.navigation"},
    }
