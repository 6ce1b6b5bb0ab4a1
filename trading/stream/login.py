"""Who a connection acts for: by the session of its handshake, or by a signature like that of a REST request."""

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from trading.gateway import auth
from trading.gateway.database import READERS
from trading.gateway.errors import ApiError
from trading.gateway.keys import CACHE, Principal
from trading.gateway.sessions import session_holds, socket_session
from trading.stream.requests import Login

TARGET = b"/api/v1/ws"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who it is, and how that was shown: by an API key (`principal.key`) or by a session."""

    principal: Principal
    session_key: str | None

    def holds(self) -> bool:
        """Whether the key or session is still good. For threads: it may read the database."""
        if self.session_key is not None:
            return session_holds(session_key=self.session_key, user_id=self.principal.user_id)
        record = (CACHE.entry(self.principal.key) or CACHE.load(self.principal.key)).record
        if record is None or record.revoked:
            return False
        return record.expires_at is None or time.time_ns() // 1_000_000 < record.expires_at


def ended(identities: list[Identity]) -> list[Identity]:
    """Those of the identities that no longer hold. For threads."""
    return [identity for identity in identities if not identity.holds()]


async def identify(*, request: Login, scope: dict[str, Any], address: str) -> Identity:
    """Who the request says it is, if that is true. Raises ApiError 401, 403 or 404."""
    if request.api_key is None:
        if request.timestamp is not None or request.signature is not None:
            raise ApiError(422, "missing_field", "Send api_key, timestamp and signature together.", "api_key")
        _require_same_site(scope)
        principal, session_key = await READERS.run(socket_session, scope=scope, account_name=request.account)
        return Identity(principal, session_key)
    if request.account is not None:
        raise ApiError(422, "invalid_field", "An API key acts for its own account.", "account")
    principal = await auth.authenticate_in_loop(
        credentials=auth.Credentials(
            request.api_key.encode("latin-1", "replace"),
            None if request.timestamp is None else b"%d" % request.timestamp,
            None if request.signature is None else request.signature.encode("latin-1", "replace"),
            None if request.window is None else b"%d" % request.window,
        ),
        method="GET",
        target=TARGET,
        body=b"",
        address=address,
        scope=None,
    )
    return Identity(principal, None)


def _require_same_site(scope: dict[str, Any]) -> None:
    """A page of another site can open a socket with our cookies, but it cannot hide where it comes from."""
    headers = dict(scope["headers"])
    origin = urlsplit(headers.get(b"origin", b"").decode("latin-1")).netloc
    if origin != headers.get(b"host", b"").decode("latin-1"):
        raise ApiError(403, "origin_not_allowed", "A session logs in from a page of this site only.")
