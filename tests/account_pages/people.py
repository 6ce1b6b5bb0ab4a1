"""People in front of browsers, for tests of the pages: Django's test client with CSRF checks on, filling in forms.

with running_exchange() as exchange:                       # needs the fixture `fresh_database`
    browser = Visitor()
    browser.sign_up("ann")
    assert browser.is_signed_in()
"""

import base64
import hmac
import html
import itertools
import re
import struct
import time
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.hashers import Argon2PasswordHasher
from django.test import Client

from risk.models import Balance
from tests.builders import RunningExchange

PASSWORD = "correct-horse-7"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)
STEP_SECONDS = 30

FLOOR = "/trade/BTC-USDT"
TEST_FUNDS = {"BTC": "2.00000000", "ETH": "20.00000000", "USDT": "100000.00000000"}

_addresses = (f"10.1.{high}.{low}" for high, low in itertools.product(range(256), range(1, 255)))


@dataclass(frozen=True)
class Page:
    """An answer: its status, headers in lower case, where it sends one, its HTML, and the words in that."""

    status: int
    headers: dict[str, str]
    html: str

    @property
    def to(self) -> str | None:
        """Where a redirect goes."""
        return self.headers.get("location")

    @property
    def words(self) -> str:
        """The text without tags."""
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.html)).split())

    def errors_of(self, field_id: str) -> str:
        """What is said to be wrong with a field."""
        found = re.search(rf'<ul[^>]*id="{field_id}_error"[^>]*>(.*?)</ul>', self.html, re.DOTALL)
        return "" if found is None else html.unescape(re.sub(r"<[^>]+>", " ", found[1]))

    def text_of(self, element_id: str) -> str:
        """The text of the element with that id."""
        found = re.search(rf'id="{element_id}"[^>]*>(.*?)</', self.html, re.DOTALL)
        assert found is not None, f"there is no {element_id} on the page"
        return html.unescape(found[1]).strip()


class Visitor:
    """One browser; from an address of its own unless given, so that nobody shares another's limits."""

    def __init__(self, *, address: str | None = None, agent: str = FIREFOX, **headers: str) -> None:
        self.address = address or next(_addresses)
        self.client = Client(
            enforce_csrf_checks=True, headers={"User-Agent": agent} | headers, REMOTE_ADDR=self.address
        )

    def get(self, path: str, **parameters: str) -> Page:
        """Open a page."""
        return _page(self.client.get(path, parameters))

    def post(self, path: str, **fields: Any) -> Page:
        """Send a form of a page that was opened before, with its CSRF token."""
        if "csrftoken" not in self.client.cookies:
            self.get("/login")
        token = self.client.cookies["csrftoken"].value
        return _page(self.client.post(path, fields | {"csrfmiddlewaretoken": token}))

    def sign_up(self, username: str, password: str = PASSWORD, **fields: str) -> Page:
        """Fill in the sign-up form."""
        given = {"username": username, "email": f"{username}@example.org", "password": password}
        return self.post("/signup", **given, **fields)

    def log_in(self, username: str, password: str = PASSWORD, **fields: str) -> Page:
        """Fill in the login form."""
        return self.post("/login", username=username, password=password, **fields)

    def is_signed_in(self) -> bool:
        """Whether pages and API both know who this is (they must agree)."""
        page, api = self.get("/account").status == 200, self.get("/api/v1/accounts").status == 200
        assert page == api
        return page

    def turn_on_two_factor(self, password: str = PASSWORD) -> tuple[str, list[str]]:
        """Set up an authenticator app; the key that it was told and the recovery codes."""
        secret = self.get("/account/security/two-factor").text_of("secret")
        shown = self.post("/account/security/two-factor", code=app_code(secret), password=password)
        assert "Keep your recovery codes" in shown.words
        return secret, shown.text_of("codes").split()

    @property
    def session_key(self) -> str:
        """The cookie."""
        return str(self.client.cookies["sessionid"].value)


class QuickHasher(Argon2PasswordHasher):
    """Argon2 at the smallest cost it has."""

    time_cost, memory_cost, parallelism = 1, 8, 1


QUICK_HASHER = "tests.account_pages.people.QuickHasher"
"""For PASSWORD_HASHERS: passwords then do not take the tenth of a second that they should."""


def app_code(secret: str, *, steps: int = 0) -> str:
    """What an authenticator app shows that was told `secret` (base32), `steps` of 30 s from now; RFC 6238."""
    key = base64.b32decode(secret.replace(" ", ""))
    digest = hmac.digest(key, struct.pack(">Q", int(time.time()) // STEP_SECONDS + steps), "sha1")
    offset = digest[-1] & 15
    return f"{(struct.unpack_from('>I', digest, offset)[0] & 0x7FFFFFFF) % 10**6:06}"


def make_demo_assets(exchange: RunningExchange) -> None:
    """The assets that test funds are in."""
    for symbol in ("BTC", "ETH", "USDT"):
        exchange.create_asset(symbol, 8)


def funds_of(username: str) -> dict[str, str]:
    """What is available in the main account of a user, by asset."""
    rows = Balance.objects.filter(account__user__username=username).select_related("asset")
    return {row.asset.symbol: f"{row.available:.8f}" for row in rows}


def _page(response: Any) -> Page:
    return Page(
        response.status_code,
        {name.lower(): value for name, value in response.headers.items()},
        response.content.decode(),
    )
