"""The demo seed: everything is there after one start, nothing is added by the next, and its first order works."""

import subprocess
from collections.abc import Callable, Iterator

import httpx
import msgspec
import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker

from fees.models import FeeTier
from marketdata.models import Asset, Market
from matching import inbox
from matching.engine.messages import CreateAsset, Limits
from matching.models import EngineState
from risk.models import Balance, Deposit, Limit
from tests.databases import copied_database, default_database
from tests.harness import ServerProcess
from trading import demo
from trading.models import ApiKey, User

URL = "http://127.0.0.1:8000"

MakeServer = Callable[..., ServerProcess]


@pytest.fixture
def empty_exchange(migrated_database: str, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """A migrated database of this test alone, without any worker: the seed runs one itself."""
    with (
        django_db_blocker.unblock(),
        copied_database(source=migrated_database) as name,
        default_database(name=name),
    ):
        yield


def sequence() -> int:
    return EngineState.objects.get().sequence


def keys_in(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("API key of ")]


def test_the_seed_makes_markets_users_funds_and_keys(empty_exchange: None) -> None:
    lines = demo.seed_demo(base_url=URL)
    assert list(Asset.objects.order_by("id").values_list("symbol", flat=True)) == ["BTC", "ETH", "USDT"]
    assert list(Market.objects.order_by("id").values_list("symbol", flat=True)) == ["BTC-USDT", "ETH-USDT", "ETH-BTC"]
    base_tier = FeeTier.objects.order_by("volume")[0]
    assert (base_tier.maker_rate, base_tier.taker_rate, str(base_tier.valuation_asset)) == (1_000, 1_500, "USDT")
    for name in ("alice", "bob"):
        funds = Balance.objects.filter(account__user__username=name).order_by("asset_id")
        assert [row.available for row in funds] == [1_000, 10_000, 100_000_000]
        key = ApiKey.objects.get(user__username=name)
        assert key.scopes == ["read", "trade", "withdraw"]
        assert any(line.startswith(f"API key of {name}: {key.key}  secret: ") for line in lines)
        limits = Limit.objects.get(account__user__username=name).limits
        assert msgspec.json.decode(limits, type=Limits) == Limits(max_open_orders=200_000)
    for name in ("alice", "bob", "admin"):
        assert f"{name} / {name}-demo" in lines[0]
        user = authenticate(username=name, password=f"{name}-demo")
        assert isinstance(user, User)
        assert user.is_superuser == (name == "admin")


def test_a_second_seed_asks_one_question_changes_nothing_and_shows_the_same(empty_exchange: None) -> None:
    first, journal = demo.seed_demo(base_url=URL), sequence()
    with CaptureQueriesContext(connection) as queries:
        second = demo.seed_demo(base_url=URL)
    assert second == first
    assert len(queries) == 1
    assert sequence() == journal


def test_the_seed_goes_on_where_an_interrupted_one_stopped(empty_exchange: None) -> None:
    inbox.file_command(command=CreateAsset("BTC", "Bitcoin", 8), actor=demo.ACTOR)
    demo.seed_demo(base_url=URL)
    assert Asset.objects.filter(symbol="BTC").count() == 1
    ApiKey.objects.all().delete()
    journal = sequence()
    demo.seed_demo(base_url=URL)
    assert ApiKey.objects.count() == len(demo.TRADERS) + len(demo.FLOW)
    assert sequence() == journal
    assert Deposit.objects.filter(account__user__username="alice").count() == 3


def test_a_key_that_was_revoked_is_replaced(empty_exchange: None) -> None:
    before = keys_in(demo.seed_demo(base_url=URL))
    old = ApiKey.objects.get(user__username="alice")
    old.revoked_at = old.created_at
    old.save()
    after = keys_in(demo.seed_demo(base_url=URL))
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_keys_of_another_secret_key_are_replaced(empty_exchange: None, settings: Settings) -> None:
    before = keys_in(demo.seed_demo(base_url=URL))
    settings.SECRET_KEY = "another key than before, as long as it has to be for a server that means it"
    after = keys_in(demo.seed_demo(base_url=URL))
    assert not set(after) & set(before)
    assert keys_in(demo.seed_demo(base_url=URL)) == after


def test_rate_limits_off_lifts_orders_per_second_and_on_brings_them_back(
    empty_exchange: None, settings: Settings
) -> None:
    def orders_per_second() -> list[int | None]:
        rows = Limit.objects.order_by("account_id").values_list("limits", flat=True)
        return [msgspec.json.decode(limits, type=Limits).orders_per_second for limits in rows]

    demo.seed_demo(base_url=URL)
    before = sequence()
    assert orders_per_second() == [1_000, 1_000]
    settings.RATE_LIMITS = False
    for _ in range(2):
        demo.seed_demo(base_url=URL)
        assert orders_per_second() == [None, None, None]
        assert sequence() == before + 3
    settings.RATE_LIMITS = True
    for _ in range(2):
        demo.seed_demo(base_url=URL)
        assert orders_per_second() == [1_000, 1_000, 1_000]
        assert sequence() == before + 6


def test_limits_that_an_operator_has_set_stay(empty_exchange: None) -> None:
    demo.seed_demo(base_url=URL)
    call_command("limits", "alice", "--max-open-orders", "7", "--orders-per-second", "50")
    call_command("limits", "bob", "--reset")
    journal = sequence()
    demo.seed_demo(base_url=URL)
    assert sequence() == journal


def test_production_is_never_seeded(empty_exchange: None, settings: Settings) -> None:
    settings.DEMO = False
    with pytest.raises(CommandError, match=r"^demo_only: "):
        call_command("seed")
    assert not User.objects.exists()


def test_the_printed_curl_line_places_an_order_and_a_restart_finds_it(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    server.wait_ready()
    said = server.log().splitlines()
    line = next(line for line in said if line.startswith("key="))
    answer = subprocess.run(["bash", "-c", line + "; " + line], capture_output=True, text=True, timeout=30)
    first, second = (msgspec.json.decode(text) for text in answer.stdout.splitlines())
    assert (first["status"], first["market"], first["quantity"]) == ("open", "BTC-USDT", "0.01500")
    assert second["id"] == first["id"] + 1
    status = subprocess.run(
        ["bash", "-c", line.replace("curl -sS", "curl -sS -o /dev/null -w '%{http_code}'")],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert status.stdout.strip() == "201"
    journal = httpx.get(f"{server.base_url}/readyz").json()["sequence"]

    assert server.terminate() == 0
    server.start()
    server.wait_ready()
    said_again = server.log().splitlines()[len(said) :]
    assert keys_in(said_again) == keys_in(said)
    assert line in said_again
    assert said_again[-1] == "Bourse is ready"
    assert httpx.get(f"{server.base_url}/readyz").json()["sequence"] == journal


def test_commands_work_beside_a_server_and_without_one(make_server: MakeServer) -> None:
    server = make_server()
    assert server.manage("migrate").returncode == 0
    alone = server.manage("seed")
    assert alone.returncode == 0, alone.stderr
    assert len(keys_in(alone.stdout.splitlines())) == 2
    assert server.manage("deposit", "alice", "BTC", "1").stdout == "Deposited 1 BTC to alice (main): deposit 22.\n"
    assert server.manage("status").stdout.startswith(" BOURSE  NO LEADER ")

    server.start()
    server.wait_ready()
    assert keys_in(server.log().splitlines()) == keys_in(alone.stdout.splitlines())
    assert server.manage("deposit", "alice", "BTC", "1").stdout == "Deposited 1 BTC to alice (main): deposit 23.\n"
    refused = server.manage("withdraw", "request", "alice", "BTC", "5000")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Refused: insufficient_balance: The available balance does not cover")
    assert server.manage("deposit", "alice").returncode == 2
    assert server.manage("status").stdout.startswith(" BOURSE  OPEN ")
