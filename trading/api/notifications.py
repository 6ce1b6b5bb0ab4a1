"""A person's notifications: the list, how many are unread, and marking them as read."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from django.utils import timezone
from msgspec import Meta
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marketdata.rest import body, documented, query
from marketdata.shapes import LIMIT_DEFAULT, Cursor, Id, Limit, cursor_id
from notifications import queries
from trading.gateway.keys import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationPage:
    """Some notifications, the last changed first, how many are unread (up to 1,000), and the cursor of those after."""

    results: list[queries.Told]
    unread: int
    next: str | None


@dataclass(frozen=True, slots=True)
class Unread:
    """How many are unread now, up to 1,000."""

    unread: int


class NotificationParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which notifications."""

    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor | None = None
    show: Annotated[Literal["all", "unread"], Meta(description="Only what is unread.")] = "all"


class ReadBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which notifications have been read; without `ids`: all of them."""

    ids: Annotated[list[Id], Meta(min_length=1, max_length=500)] | None = None


class Notifications(APIView):
    """The caller's notifications."""

    @documented(
        tag="notifications",
        operation="list_notifications",
        summary="My notifications",
        returns=NotificationPage,
        parameters=NotificationParameters,
    )
    def get(self, request: Request) -> Response:
        """The last changed first; to an API key, only those of its account."""
        asked = query(request, NotificationParameters)
        whose = _whose(request)
        found = queries.listed(
            **whose, limit=asked.limit + 1, before=cursor_id(asked.cursor), unread=asked.show == "unread"
        )
        shown = found[: asked.limit]
        more = len(found) > asked.limit
        page = NotificationPage(
            results=shown, unread=queries.unread(**whose), next=str(shown[-1].sequence) if more else None
        )
        return Response(page)


class Read(APIView):
    """Marking as read."""

    scopes = {"POST": "read"}

    @documented(
        tag="notifications",
        operation="mark_notifications_read",
        summary="Mark my notifications as read",
        takes=ReadBody,
        returns=Unread,
        refuses=(400, 413, 415),
    )
    def post(self, request: Request) -> Response:
        """Those with the given ids, or all; ids that are not the caller's are passed over."""
        query(request)
        asked = body(request, ReadBody)
        left = queries.mark_read(**_whose(request), ids=asked.ids, now=timezone.now())
        return Response(Unread(left))


def _whose(request: Request) -> dict[str, Any]:
    caller = request.auth
    assert isinstance(caller, Principal)
    return {"user_id": caller.user_id, "account_id": caller.account_id if caller.key else None}
