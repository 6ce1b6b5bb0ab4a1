"""Rate limits of order entry: counted per address, key and account, told in headers, 429 when it is too much."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis

from matching import worker
from tests.gateway_client import LIMIT_BUY, ORDERS, Answer, Floor, Signer, trading_floor
from tests.redis_server import RedisServer, redis_server
from trading.gateway.app import Gateway
from trading.gateway.limits import LoopStorage, RateLimits, Unlimited, limits_from_settings

GENEROUS: dict[str, Any] = {
    "redis_url": "",
    "per_key": 1000,
    "per_account": 1000,
    "per_address": 1000,
    "failures_per_minute": 1000,
}


@pytest.fixture(scope="module")
def floor(fresh_database: str) -> Iterator[Floor]:
    with trading_floor() as floor:
        yield floor


def limited(**limits: Any) -> Gateway:
    return Gateway(lane=worker.order_lane(), limits=RateLimits(**GENEROUS | limits))


def long_limited(**limits: Any) -> Gateway:
    """The same with windows of ten minutes, for tests that must not meet the end of one."""
    found = RateLimits(**GENEROUS | limits)
    for name in ("address_rule", "key_rule", "account_rule", "failure_rule"):
        setattr(found, name, msgspec.structs.replace(getattr(found, name), seconds=600))
    return Gateway(lane=worker.order_lane(), limits=found)


def cancel_all(floor: Floor, gateway: Gateway, signer: Signer, address: str = "127.0.0.1") -> Answer:
    return floor.call("DELETE", ORDERS, signer=signer, gateway=gateway, address=address)


def wait_for_a_new_second() -> None:
    """So that a window of a second does not end in the middle of a test."""
    time.sleep(1.02)


def test_a_key_that_asks_too_often_is_told_when_to_go_on(floor: Floor) -> None:
    gateway = limited(per_key=2)
    answers = [cancel_all(floor, gateway, floor.alice) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"2"}
    assert 0 <= int(answers[2].headers["x-ratelimit-reset"]) - time.time() <= 2
    assert (answers[2].code, answers[2].headers["retry-after"]) == ("rate_limited", "1")
    assert cancel_all(floor, gateway, floor.bob).status == 200
    wait_for_a_new_second()
    assert cancel_all(floor, gateway, floor.alice).status == 200


def test_all_keys_of_an_account_count_together(floor: Floor) -> None:
    gateway, second_key = limited(per_account=2), floor.signer(floor.alice.account_id)
    assert [cancel_all(floor, gateway, signer).status for signer in (floor.alice, second_key, floor.alice)] == [
        200, 200, 429,
    ]  # fmt: skip


def test_an_address_counts_before_anybody_is_known(floor: Floor) -> None:
    gateway = limited(per_address=2)
    answers = [floor.call("POST", ORDERS, LIMIT_BUY, gateway=gateway, address="10.0.0.1") for _ in range(3)]
    assert [answer.status for answer in answers] == [401, 401, 429]
    assert cancel_all(floor, gateway, floor.alice, address="10.0.0.2").status == 200


def test_a_batch_costs_its_orders(floor: Floor) -> None:
    gateway = limited(per_key=10)
    order = LIMIT_BUY | {"price": "1.00", "quantity": "2"}

    def batch(count: int) -> Answer:
        return floor.call("POST", ORDERS + "/batch", {"orders": [order] * count}, signer=floor.alice, gateway=gateway)

    assert (batch(7).headers["x-ratelimit-remaining"], batch(4).status) == ("3", 429)
    assert len(cancel_all(floor, limited(), floor.alice).json["canceled"]) == 7


def test_failed_sign_ins_are_counted_but_shut_nobody_else_out(floor: Floor) -> None:
    gateway = limited(failures_per_minute=2)
    wrong = Signer(floor.alice.key, floor.alice.account_id, "wrong")
    answers = [cancel_all(floor, gateway, wrong) for _ in range(3)]
    assert [answer.status for answer in answers] == [401, 401, 429]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert cancel_all(floor, gateway, floor.alice).status == 200
    assert cancel_all(floor, gateway, wrong, address="10.0.0.9").status == 401


def test_without_limits_there_are_no_headers(floor: Floor, settings: Any) -> None:
    settings.RATE_LIMITS = False
    assert type(limits_from_settings()) is Unlimited
    answer = cancel_all(floor, Gateway(lane=worker.order_lane()), floor.alice)
    assert not any(name.startswith("x-ratelimit") for name in answer.headers)


def test_the_settings_are_the_limits(floor: Floor, settings: Any) -> None:
    settings.RATE_LIMITS, settings.RATE_LIMIT_KEY, settings.RATE_LIMIT_ACCOUNT = True, 3, 5
    answer = cancel_all(floor, Gateway(lane=worker.order_lane()), floor.alice)
    assert (answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]) == ("3", "2")


def test_limits_that_cannot_be_counted_stop_orders_until_they_can(floor: Floor) -> None:
    server = RedisServer()
    gateway = limited(redis_url=server.url)
    try:
        answer = cancel_all(floor, gateway, floor.alice)
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "unavailable", "1")
        server.start()
        assert cancel_all(floor, gateway, floor.alice).status == 200
    finally:
        floor.runner.run(gateway.limits.close())
        server.stop()


def test_processes_with_one_redis_count_together_in_one_round_trip_an_order(floor: Floor) -> None:
    with redis_server() as url:
        gateways = [long_limited(redis_url=url, per_key=5, per_account=6) for _ in range(2)]
        answers = [cancel_all(floor, gateways[number % 2], floor.alice) for number in range(6)]
        told = [(answer.status, answer.headers["x-ratelimit-remaining"]) for answer in answers]
        assert told == [(200, "4"), (200, "3"), (200, "2"), (200, "1"), (200, "0"), (429, "0")]
        assert redis.Redis.from_url(url).info("commandstats")["cmdstat_eval"]["calls"] == 6
        for gateway in gateways:
            floor.runner.run(gateway.limits.close())


def test_an_address_and_its_failures_count_in_redis_too(floor: Floor) -> None:
    wrong = Signer(floor.alice.key, floor.alice.account_id, "wrong")
    with redis_server() as url:
        gateway = long_limited(redis_url=url, per_address=4, failures_per_minute=1)
        codes = [cancel_all(floor, gateway, signer).status for signer in (wrong, wrong, floor.alice)]
        assert codes == [401, 429, 200]
        malformed = [floor.call("POST", ORDERS, b"{", signer=floor.alice, gateway=gateway).status for _ in range(2)]
        assert malformed == [400, 429]
        floor.runner.run(gateway.limits.close())


def test_counters_begin_anew_and_are_forgotten() -> None:
    storage = LoopStorage()
    assert [storage.incr("a", 0.05, 3), storage.incr("a", 0.05), storage.incr("b", 60.0)] == [3, 4, 1]
    time.sleep(0.06)
    assert storage.incr("a", 0.05) == 1
    time.sleep(0.06)
    storage._sweep_at = 0.0
    assert storage.incr("c", 60.0) == 1
    assert set(storage.storage) == set(storage.expirations) == {"b", "c"}
