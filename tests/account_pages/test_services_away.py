"""While Redis is away nobody signs in or changes anything uncounted, what only reads goes on; then all is as before."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from pytest_django.fixtures import Settings

from marketdata.models import Asset
from risk.models import Balance, Deposit
from tests.account_pages.people import PASSWORD, Visitor
from tests.api import SignedClient
from tests.builders import RunningExchange
from tests.redis_server import RedisServer
from tests.redis_services import until
from trading.models import User

WITHDRAWAL = {"asset": "USDT", "amount": "1", "destination": "somewhere"}


@pytest.fixture
def redis(settings: Settings) -> Iterator[RedisServer]:
    """The Redis that requests are counted in."""
    server = RedisServer()
    shared = {"BACKEND": "trading.shared_cache.SharedCache", "LOCATION": server.url}
    settings.CACHES = {**settings.CACHES, "shared": shared}
    settings.RATELIMIT_USE_CACHE = "shared"
    server.start()
    yield server
    server.stop()


def test_nobody_signs_in_uncounted(exchange: RunningExchange, redis: RedisServer) -> None:
    Visitor().sign_up("ann")
    redis.stop()
    visitor = Visitor()
    assert visitor.get("/login").status == 200
    page = visitor.log_in("ann")
    assert (page.status, page.headers["retry-after"]) == (503, "5")
    assert "Not available at the moment" in page.words
    assert not visitor.is_signed_in()
    assert Visitor().sign_up("eve").status == 503
    assert not User.objects.filter(username="eve").exists()
    redis.start()
    until(lambda: visitor.log_in("ann").status == 302, "nobody can sign in again")
    assert visitor.is_signed_in()


def test_who_is_signed_in_reads_but_changes_nothing(exchange: RunningExchange, redis: RedisServer) -> None:
    visitor = Visitor()
    visitor.sign_up("bob")
    redis.stop()
    assert visitor.get("/portfolio").status == 200
    assert visitor.post("/portfolio/deposit", asset="USDT", amount="5").status == 503
    assert not Deposit.objects.filter(account__user__username="bob", amount=5).exists()


def test_the_api_answers_reads_and_refuses_changes(exchange: RunningExchange, redis: RedisServer) -> None:
    usdt = Asset.objects.get(symbol="USDT").id
    account = exchange.open_account("cid", {usdt: 100 * 10**8})
    client = SignedClient(account)
    counted = client.get("/balances")
    assert (counted.status, "x-ratelimit-remaining" in counted.headers) == (200, True)
    redis.stop()
    assert [client.get(path).status for path in ("/assets", "/balances")] == [200, 200]
    refused = client.post("/withdrawals", WITHDRAWAL)
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "unavailable", "1")
    assert Balance.objects.get(account_id=account, asset_id=usdt).available == Decimal(100)
    redis.start()
    until(lambda: client.post("/withdrawals", WITHDRAWAL).status < 300, "no change is taken")


def test_tries_to_sign_in_count_in_redis(exchange: RunningExchange, redis: RedisServer, settings: Settings) -> None:
    settings.LOGIN_RATE_USERNAME = "2/10m"
    Visitor().sign_up("dan")
    assert [Visitor().log_in("dan", "wrong-horse-7").status for _ in range(3)] == [200, 200, 429]
    settings.RATELIMIT_USE_CACHE = "default"  # only what Redis knows has kept it out
    assert Visitor().log_in("dan", PASSWORD).status == 302
