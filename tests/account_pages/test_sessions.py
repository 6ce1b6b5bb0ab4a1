"""Sessions: listed with device, address and times, and gone for pages, API and order entry once they are ended."""

import re
from datetime import timedelta

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from tests.account_pages.people import FIREFOX, IPHONE, Visitor
from tests.builders import RunningExchange
from trading import sessions
from trading.gateway.errors import ApiError
from trading.gateway.sessions import authenticate_session
from trading.models import Session, User


def end_button(page_html: str, device: str) -> str:
    """Where the button that ends the session of `device` posts to."""
    found = re.search(rf'action="([^"]+)">(?:(?!</form>).)*aria-label="Log out {device}', page_html, re.DOTALL)
    assert found is not None, page_html
    return found[1]


def order_entry_knows(visitor: Visitor) -> bool:
    """Whether order entry takes the visitor's session (the gateway does not pass through Django's handler)."""
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in visitor.client.cookies.items())
    token = visitor.client.cookies["csrftoken"].value
    scope = {
        "type": "http", "method": "POST", "path": "/api/v1/orders", "query_string": b"", "scheme": "http",
        "headers": [(b"host", b"testserver"), (b"cookie", cookies.encode()), (b"x-csrftoken", token.encode())],
    }  # fmt: skip
    try:
        authenticate_session(scope=scope, body=b"{}")
    except ApiError as error:
        return error.status != 401
    return True


def test_a_session_is_listed_with_device_address_and_times(exchange: RunningExchange):
    phone = Visitor(address="10.7.0.1", agent=IPHONE)
    phone.sign_up("ann")
    desk = Visitor(address="10.7.0.2", agent=FIREFOX)
    desk.log_in("ann")
    page = desk.get("/account/security")
    rows = re.findall(r"<tr>(.*?)</tr>", page.html, re.DOTALL)[1:]
    assert [("this browser" in row, "Log out" in row) for row in rows] == [(True, False), (False, True)]
    assert "Firefox on Windows" in rows[0]
    assert "10.7.0.2" in rows[0]
    assert "Safari on iPhone" not in rows[0]
    assert "10.7.0.1" in rows[1]
    assert "iPhone" in rows[1]
    assert timezone.now().strftime("%Y-%m-%d") in rows[1]
    assert desk.session_key not in page.html
    assert phone.session_key not in page.html


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Windows"),
        (IPHONE, "Safari on iPhone"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36", "Chrome on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/141.0 Safari/537.36 Edg/141.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/141.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 15_5) AppleWebKit/605 Version/18.5 Safari/605", "Safari on Mac"),
        ("python-httpx/0.28.1", "python-httpx"),
        ("", "Unknown device"),
    ],
)  # fmt: skip
def test_a_user_agent_in_words(agent: str, name: str):
    assert sessions.device_name(user_agent=agent) == name


def test_an_ended_session_is_over_everywhere(visitor: Visitor):
    visitor.sign_up("bea")
    other = Visitor(agent=IPHONE)
    other.log_in("bea")
    assert other.is_signed_in()
    assert order_entry_knows(other)
    button = end_button(visitor.get("/account/security").html, "Safari on iPhone")
    assert visitor.post(button).to == "/account/security"
    assert not order_entry_knows(other)
    assert not other.is_signed_in()
    assert visitor.is_signed_in()
    assert order_entry_knows(visitor)
    assert visitor.post(button).status == 404


def test_all_others_are_ended_with_one_click(visitor: Visitor):
    visitor.sign_up("cleo")
    others = [Visitor(), Visitor()]
    for other in others:
        other.log_in("cleo")
    stranger = Visitor()
    stranger.sign_up("stranger")
    assert visitor.post("/account/security/sessions/end-others").to == "/account/security"
    assert "2 other sessions are signed out." in visitor.get("/account/security").words
    assert [browser.is_signed_in() for browser in (visitor, *others, stranger)] == [True, False, False, True]


def test_nobody_ends_the_sessions_of_others(visitor: Visitor):
    victim = Visitor()
    victim.sign_up("dan")
    visitor.sign_up("eve")
    public_id = Session.objects.get(user__username="dan").public_id
    assert visitor.post(f"/account/security/sessions/{public_id}/end").status == 404
    assert victim.is_signed_in()
    assert Visitor().post(f"/account/security/sessions/{public_id}/end").to.startswith("/login?next=")  # type: ignore[union-attr]
    assert victim.is_signed_in()


def test_a_request_that_was_under_way_does_not_bring_an_ended_session_back(visitor: Visitor):
    visitor.sign_up("finn")
    under_way = visitor.client.session
    under_way["something"] = "new"
    sessions.end_sessions(user=User.objects.get(username="finn"))
    with pytest.raises(UpdateError):
        under_way.save()
    assert not visitor.is_signed_in()


def test_the_last_use_is_noted_once_a_minute(visitor: Visitor):
    visitor.sign_up("gail")
    long_ago = timezone.now() - timedelta(days=1)
    row = Session.objects.filter(user__username="gail")
    row.update(seen_at=long_ago)
    visitor.get("/account")
    assert row.get().seen_at == long_ago
    cache.delete(f"session-use:{visitor.session_key}")  # as if the minute had passed
    with CaptureQueriesContext(connection) as queries:
        visitor.get("/account")
    assert timezone.now() - row.get().seen_at < timedelta(minutes=1)
    assert sum('UPDATE "trading_session"' in query["sql"] for query in queries) == 1


def test_saving_a_session_leaves_its_device_and_times_alone(visitor: Visitor):
    visitor.sign_up("hugo")
    before = (
        Session.objects.filter(user__username="hugo").values("public_id", "address", "user_agent", "created_at").get()
    )
    session = visitor.client.session
    session["something"] = "new"
    session.save()
    after = (
        Session.objects.filter(user__username="hugo").values("public_id", "address", "user_agent", "created_at").get()
    )
    assert after == before
    assert before["address"] == visitor.address
    assert before["user_agent"] == FIREFOX


def test_the_address_is_the_clients_behind_a_trusted_proxy(exchange: RunningExchange, settings: Settings):
    settings.TRUSTED_PROXIES = ["10.6.0.1"]
    believed = Visitor(address="10.6.0.1", **{"X-Forwarded-For": "203.0.113.5"})
    believed.sign_up("iris")
    liar = Visitor(address="10.6.0.2", **{"X-Forwarded-For": "203.0.113.6"})
    liar.log_in("iris")
    addresses = Session.objects.filter(user__username="iris").order_by("created_at").values_list("address", flat=True)
    assert list(addresses) == ["203.0.113.5", "10.6.0.2"]


def test_strange_headers_do_no_harm(exchange: RunningExchange, settings: Settings):
    settings.TRUSTED_PROXIES = ["10.6.0.3"]
    visitor = Visitor(
        address="10.6.0.3", agent="<script>alert(1)</script>" + "x" * 5_000, **{"X-Forwarded-For": "y" * 500}
    )
    visitor.sign_up("jack")
    page = visitor.get("/account/security")
    assert page.status == 200
    assert "<script>alert" not in page.html
    row = Session.objects.get(user__username="jack")
    assert (len(row.user_agent), len(row.address)) == (256, 45)


def test_sessions_that_have_expired_are_neither_listed_nor_kept(visitor: Visitor):
    visitor.sign_up("kurt")
    other = Visitor()
    other.log_in("kurt")
    Session.objects.filter(session_key=other.session_key).update(expire_date=timezone.now() - timedelta(seconds=1))
    assert not other.is_signed_in()
    page = visitor.get("/account/security")
    assert len(re.findall(r"<tr>", page.html)) == 2
    assert Session.objects.filter(user__username="kurt").count() == 1
