"""How schemathesis says who it is: loaded by it through SCHEMATHESIS_HOOKS, the credentials come by environment.

BOURSE_TEST_KEY and BOURSE_TEST_SECRET make it an API key's program; BOURSE_TEST_SESSION and BOURSE_TEST_CSRF a browser.
"""

import hashlib
import hmac
import os
import time
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase
from schemathesis.auths import GLOBAL_AUTH_STORAGE


class Signature(AuthBase):
    """Signs a request as it will be sent."""

    def __init__(self, *, key: str, secret: str) -> None:
        self.key = key
        self.secret = secret

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the three headers."""
        parts = urlsplit(request.url or "")
        target = parts.path + ("?" + parts.query if parts.query else "")
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        assert isinstance(body, bytes)
        timestamp = str(time.time_ns() // 1_000_000)
        text = timestamp.encode() + (request.method or "").encode() + target.encode() + body
        request.headers["X-API-Key"] = self.key
        request.headers["X-Timestamp"] = timestamp
        request.headers["X-Signature"] = hmac.new(self.secret.encode(), text, hashlib.sha256).hexdigest()
        return request


class Session(AuthBase):
    """Sends a session's cookies and its CSRF token."""

    def __init__(self, *, session: str, csrf: str) -> None:
        self.session = session
        self.csrf = csrf

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the cookies and the token."""
        request.headers["Cookie"] = f"sessionid={self.session}; csrftoken={self.csrf}"
        request.headers["X-CSRFToken"] = self.csrf
        return request


if "BOURSE_TEST_KEY" in os.environ:
    GLOBAL_AUTH_STORAGE.set_from_requests(
        Signature(key=os.environ["BOURSE_TEST_KEY"], secret=os.environ["BOURSE_TEST_SECRET"])
    )
else:
    GLOBAL_AUTH_STORAGE.set_from_requests(
        Session(session=os.environ["BOURSE_TEST_SESSION"], csrf=os.environ["BOURSE_TEST_CSRF"])
    )
