"""Sessions of browsers, kept in the database with whose they are, from where, with what, and when they were last used.

`SessionStore` is Django's own on a table of ours (SESSION_ENGINE); `SessionUse` notes the use. Whoever looks a session
up, order entry included, finds it gone the moment its row is deleted.
"""

import re
import uuid
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from risk import relations
from trading.api.addresses import client_address_of
from trading.models import Session, User

DEVICE_COOKIE = "device"
DEVICE_SECONDS = 365 * 24 * 3600
NOTE_SECONDS = 60
"""How often, at most, the use of a session is noted."""

_BROWSERS = (
    ("Edge", r"\bEdgA?/"),
    ("Opera", r"\bOPR/"),
    ("Samsung Internet", r"\bSamsungBrowser/"),
    ("Firefox", r"\b(Firefox|FxiOS)/"),
    ("Chrome", r"\b(Headless)?(Chrome|CriOS|Chromium)/"),
    ("Safari", r"\bVersion/.*\bSafari/"),
)
_SYSTEMS = (
    ("iPhone", r"\biPhone\b"),
    ("iPad", r"\biPad\b"),
    ("Android", r"\bAndroid\b"),
    ("Windows", r"\bWindows\b"),
    ("Mac", r"\bMacintosh\b"),
    ("ChromeOS", r"\bCrOS\b"),
    ("Linux", r"\bLinux\b"),
)
"""What a User-Agent header says, the first that fits: browsers name those before them too."""


class SessionStore(DatabaseStore):
    """Django's database sessions, each with its user."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """The table of sessions."""
        return Session

    def create_model_instance(self, data: dict[str, object]) -> Session:
        """The row as it is to be saved; nobody's until somebody is signed in."""
        row = super().create_model_instance(data)
        assert isinstance(row, Session)
        user_id = data.get(SESSION_KEY)
        row.user_id = None if user_id is None else int(str(user_id))
        return row


class SessionUse:
    """Middleware: notes address, browser and time of a signed-in session, at most once a minute per process."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer first: signing in makes the session that is to be noted."""
        response = self.get_response(request)
        session = request.session
        if session.accessed and session.session_key and SESSION_KEY in session:
            device = request.COOKIES.get(DEVICE_COOKIE, "")
            if not re.fullmatch(r"[0-9a-f]{32}", device):
                device = uuid.uuid4().hex
                response.set_cookie(
                    DEVICE_COOKIE,
                    device,
                    max_age=DEVICE_SECONDS,
                    httponly=True,
                    secure=settings.PRODUCTION,
                    samesite="Lax",
                )
            note_use(
                session_key=session.session_key,
                user_id=int(session[SESSION_KEY]),
                address=client_address_of(request=request),
                user_agent=request.headers.get("User-Agent", ""),
                device=device,
            )
        return response


def note_use(*, session_key: str, user_id: int, address: str, user_agent: str, device: str) -> None:
    """Write down that the session is in use, unless that was done within NOTE_SECONDS.

    `device`: what the browser's cookie calls it; with the address it is what surveillance ties accounts by.
    """
    if cache.add(f"session-use:{session_key}", True, NOTE_SECONDS):
        Session.objects.filter(session_key=session_key).update(
            address=address[:45], user_agent=user_agent.replace("\0", "")[:256], seen_at=timezone.now()
        )
        relations.note_sighting(user_id=user_id, kind="address", value=address)
        relations.note_sighting(user_id=user_id, kind="device", value=device)


def end_sessions(*, user: User, but: str | None = None) -> int:
    """End every session of `user`, except that with the key `but`; how many that were."""
    others = Session.objects.filter(user=user)
    if but is not None:
        others = others.exclude(session_key=but)
    return others.delete()[0]


def open_sessions(*, user: User) -> list[Session]:
    """The user's sessions that have not expired, the last used first; those that have are deleted."""
    now = timezone.now()
    Session.objects.filter(user=user, expire_date__lte=now).delete()
    return list(Session.objects.filter(user=user, expire_date__gt=now).order_by("-seen_at")[:100])


def device_name(*, user_agent: str) -> str:
    """A User-Agent header in words: "Firefox on Windows", or what programs call themselves."""
    browser = next((name for name, pattern in _BROWSERS if re.search(pattern, user_agent)), "")
    system = next((name for name, pattern in _SYSTEMS if re.search(pattern, user_agent)), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or user_agent.partition("/")[0][:40] or "Unknown device"
