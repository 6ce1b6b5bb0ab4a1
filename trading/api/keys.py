"""A user's API keys: list, make (the secret is shown once), revoke. Making and revoking takes a browser session."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from django.utils import timezone
from msgspec import Meta
from rest_framework import status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marketdata.rest import ApiError, body, documented, id_in_path, query
from marketdata.shapes import TimeText, optional_time_text, time_text
from risk.models import Account
from trading.api.authentication import BySession
from trading.api_keys import InvalidApiKey, issue_api_key
from trading.gateway.keys import Principal
from trading.models import ApiKey

KEYS_PER_USER_MAX = 50

Scope = Literal["read", "trade", "withdraw"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedKey:
    """An API key without its secret. `networks` empty: usable from every address."""

    id: int
    key: str
    account: str
    label: str
    type: Literal["hmac", "ed25519"]
    scopes: list[Scope]
    networks: list[str]
    created_at: TimeText
    expires_at: TimeText | None
    revoked_at: TimeText | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey(ListedKey):
    """A new API key. `secret` is shown this once and never again (null for Ed25519: you have the private key)."""

    secret: str | None


class KeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the key may do, from where and until when; `public_key` makes it an Ed25519 key (PEM, OpenSSH or base64)."""

    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=3)]
    label: Annotated[str, Meta(max_length=64, pattern=r"^[^\u0000-\u001f\u007f]*$")] = ""
    networks: Annotated[
        list[Annotated[str, Meta(max_length=43)]], Meta(max_length=32, description="Addresses or CIDR networks.")
    ] = []
    expires_at: (
        Annotated[datetime, Meta(tz=True, description="With an offset or Z.", examples=["2030-01-01T00:00:00Z"])] | None
    ) = None
    public_key: Annotated[str, Meta(max_length=1_000)] | None = None


class Keys(APIView):
    """The user's API keys."""

    def get_permissions(self) -> list[IsAuthenticated]:
        """Only a person makes keys."""
        return [BySession() if self.request.method == "POST" else IsAuthenticated()]

    @documented(tag="keys", operation="list_api_keys", summary="My API keys", returns=list[ListedKey])
    def get(self, request: Request) -> Response:
        """All keys of the signed-in user, newest first; to an API key, only those of its account."""
        query(request)
        caller = _caller(request)
        found = ApiKey.objects.filter(user_id=caller.user_id).select_related("account").order_by("-id")
        if caller.key:
            found = found.filter(account_id=caller.account_id)
        return Response([ListedKey(**_shown(key)) for key in found])

    @documented(
        tag="keys",
        operation="create_api_key",
        summary="Make an API key (signed-in users only)",
        takes=KeyBody,
        returns=NewKey,
        status_code=201,
        refuses=(400, 413, 415),
    )
    def post(self, request: Request) -> Response:
        """The key for the account named in X-Account ("main" unless given), with its secret."""
        query(request)
        asked = body(request, KeyBody)
        caller = _caller(request)
        if asked.expires_at is not None and asked.expires_at <= timezone.now():
            raise ApiError("invalid_field", "The time is over already.", status_code=422, field="expires_at")
        if ApiKey.objects.filter(user_id=caller.user_id, revoked_at=None).count() >= KEYS_PER_USER_MAX:
            raise ApiError("too_many_api_keys", f"At most {KEYS_PER_USER_MAX} keys. Revoke one.", status_code=422)
        try:
            made, secret = issue_api_key(
                account=Account.objects.get(id=caller.account_id),
                scopes=asked.scopes,
                networks=asked.networks,
                expires_at=asked.expires_at,
                public_key=None if asked.public_key is None else asked.public_key.encode(),
                label=asked.label,
            )
        except InvalidApiKey as error:
            field = _FIELDS.get(error.code)
            raise ApiError(error.code, str(error), status_code=422, field=field) from None
        return Response(NewKey(**_shown(made), secret=secret), status=status.HTTP_201_CREATED)


class Key(APIView):
    """One API key of the user."""

    permission_classes = (BySession,)

    @documented(
        tag="keys",
        operation="revoke_api_key",
        summary="Revoke an API key (signed-in users only)",
        returns=ListedKey,
        path=[id_in_path("key_id", "The `id` of the key.")],
    )
    def delete(self, request: Request, key_id: int) -> Response:
        """The key, revoked: it signs nothing any more. Revoking it twice is no error."""
        query(request)
        found = ApiKey.objects.filter(id=key_id, user_id=_caller(request).user_id).select_related("account").first()
        if found is None:
            raise ApiError("unknown_api_key", "You have no API key with that id.", status_code=404)
        if found.revoked_at is None:
            found.revoked_at = timezone.now()
            found.save(update_fields=["revoked_at"])
        return Response(ListedKey(**_shown(found)))


_FIELDS = {"invalid_scopes": "scopes", "invalid_networks": "networks", "invalid_public_key": "public_key"}


def _caller(request: Request) -> Principal:
    assert isinstance(request.auth, Principal)
    return request.auth


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.pk,
        "key": key.key,
        "account": key.account.name,
        "label": key.label,
        "type": "hmac" if key.public_key is None else "ed25519",
        "scopes": key.scopes,
        "networks": key.networks,
        "created_at": time_text(key.created_at),
        "expires_at": optional_time_text(key.expires_at),
        "revoked_at": optional_time_text(key.revoked_at),
    }
