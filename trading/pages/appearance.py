"""Theme and palette of a person, as the cookies that pages are drawn by (trading/pages/context.py, theme.js)."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from trading.models import User

YEAR_SECONDS = 365 * 24 * 3600


def with_appearance_of(*, user: User, response: HttpResponse) -> HttpResponse:
    """The response, bringing the browser the user's choice; what they never chose stays as it is there."""
    for name in ("theme", "palette"):
        choice = getattr(user, name)
        if choice == "system":
            response.delete_cookie(name, samesite="Lax")
        elif choice:
            response.set_cookie(
                name, choice, max_age=YEAR_SECONDS, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE
            )
    return response


def appearance_in(*, request: HttpRequest, user: User) -> dict[str, str]:
    """What the user chose, or else what this browser has."""
    return {
        "theme": user.theme or request.COOKIES.get("theme") or "system",
        "palette": user.palette or request.COOKIES.get("palette") or "standard",
    }
