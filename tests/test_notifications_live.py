"""Notifications over the private stream of a real server, recorded by other processes: a command, and Celery itself."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.gateway_client import Signer
from tests.harness import ServerProcess
from tests.socket_client import Message, Socket, calm_server
from tests.test_stream import key_of, sign_in

CELERY_SECONDS_MAX = 60

RECORD = """
import time
from notifications.recording import News, record_all
from risk.models import Account
account = Account.objects.get(user__username="{user}", name="{account}")
record_all(
    News(
        user_id=account.user_id, account_id=account.id, kind="deposit_credited", key=f"test {{number}}",
        figures={{"amount": str(number), "asset": "ETH"}}, at=time.time_ns() // 1000)
    for number in range({first}, {first} + {count}))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with calm_server(BACKGROUND="on") as running:
        yield running


@pytest.fixture(scope="module")
def alice(server: ServerProcess) -> Signer:
    return key_of(server, "alice", "read")


def record(server: ServerProcess, first: int, count: int = 1, *, user: str = "alice", account: str = "main") -> None:
    script = RECORD.format(first=first, count=count, user=user, account=account)
    done = server.manage("shell", "--no-imports", "-c", script)
    assert done.returncode == 0, done.stderr


def listening(server: ServerProcess, signer: Signer) -> tuple[Socket, Message]:
    """A socket that follows the notifications, and its snapshot."""
    socket = Socket(server.base_url)
    assert socket.login(signer)["ok"]
    assert socket.ask("subscribe", channels=["notifications"])["ok"]
    return socket, socket.message("notifications", type="snapshot")


def test_what_another_process_records_is_told_and_joins_on(server, alice):
    socket, snapshot = listening(server, alice)
    with socket:
        mine, unread = snapshot["last_sequence"], snapshot["unread"]
        record(server, 1_000, 5)
        told: list[Message] = []
        while len(told) < 5:
            update = socket.message("notifications")
            assert update["type"] == "update"
            assert update["first_sequence"] == mine + 1
            mine = update["last_sequence"]
            told += update["notifications"]
        assert [news["title"] for news in told] == [f"{number:,} ETH was deposited" for number in range(1_000, 1_005)]
        assert update["unread"] == unread + 5
        assert not any(news["read"] for news in told)
        assert socket.message("notifications", type="heartbeat")["last_sequence"] == mine


def test_who_comes_later_finds_the_latest(server, alice):
    record(server, 2_000, 25)
    socket, snapshot = listening(server, alice)
    with socket:
        assert len(snapshot["notifications"]) == 20
        assert snapshot["notifications"][-1]["title"] == "2,024 ETH was deposited"
        assert snapshot["last_sequence"] == snapshot["notifications"][-1]["sequence"]


def test_too_many_at_once_become_a_snapshot(server, alice):
    socket, _ = listening(server, alice)
    with socket:
        record(server, 3_000, 60)
        message = socket.message("notifications")
        assert message["type"] == "snapshot"
        assert message["notifications"][-1]["title"] == "3,059 ETH was deposited"


def test_reading_in_one_place_is_told_in_the_others(server):
    with httpx.Client(base_url=server.base_url) as browser:
        token = sign_in(browser, "alice")
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)
        record(server, 4_000, 2)
        with Socket(server.base_url, origin=server.base_url, additional_headers={"Cookie": cookies}) as socket:
            assert socket.ask("login")["ok"]
            assert socket.ask("subscribe", channels=["notifications"])["ok"]
            snapshot = socket.message("notifications", type="snapshot")
            newest = snapshot["notifications"][-1]
            headers = {"X-CSRFToken": token, "Referer": server.base_url}
            answer = browser.post("/api/v1/notifications/read", json={"ids": [newest["id"]]}, headers=headers)
            assert answer.json() == {"unread": snapshot["unread"] - 1}
            told = socket.message("notifications")
            assert (told["type"], told["unread"]) == ("snapshot", snapshot["unread"] - 1)
            assert told["notifications"][-1]["read"]
            assert told["last_sequence"] == snapshot["last_sequence"] + 1
            assert browser.post("/api/v1/notifications/read", json={}, headers=headers).json() == {"unread": 0}
            assert socket.message("notifications")["unread"] == 0


def test_a_key_hears_of_its_own_account_only(server):
    with httpx.Client(base_url=server.base_url) as browser:
        token = sign_in(browser, "bob")
        headers = {"X-CSRFToken": token, "Referer": server.base_url}
        assert browser.post("/api/v1/accounts", json={"name": "bot-1"}, headers=headers).status_code == 201
    made = server.manage("create_api_key", "bob", "--scopes", "read", "--account", "bot-1", "--json")
    key = json.loads(made.stdout)
    signer = Signer(key=key["key"], account_id=0, secret=key["secret"])
    record(server, 5_000, 1, user="bob")
    socket, snapshot = listening(server, signer)
    with socket:
        assert [news["kind"] for news in snapshot["notifications"]] == ["api_key_created"]
        record(server, 5_001, 1, user="bob")
        record(server, 5_002, 1, user="bob", account="bot-1")
        (news,) = socket.message("notifications")["notifications"]
        assert news["title"] == "5,002 ETH was deposited"


def test_a_deposit_comes_through_the_journal_the_follower_and_celery(server, alice):
    socket, _ = listening(server, alice)
    with socket:
        assert server.manage("deposit", "alice", "ETH", "1.5").returncode == 0
        told = socket.receive(
            lambda message: any(news["title"] == "1.5 ETH was deposited" for news in message.get("notifications", ())),
            timeout=CELERY_SECONDS_MAX,
        )
        assert told["type"] == "update"
