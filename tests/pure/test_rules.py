"""The life of an order and the rules it can be judged by alone."""

import itertools

import msgspec
import pytest

from matching.engine.messages import Limits, OrderStatus, PlaceOrder, Reason
from orders.rules import TRANSITIONS, LiveOrder, request_digest
from risk.checks import limits_are_sound, open_orders_refusal, order_rate_refusal, position_refusal
from risk.ledger import Account

ENDS: tuple[OrderStatus, ...] = ("filled", "canceled", "expired", "rejected")


def _order() -> LiveOrder:
    return LiveOrder(PlaceOrder(3, 1, "buy", "limit", 5, 10, client_order_id="x"), 7, 70, 30, 123)


def test_an_order_that_has_ended_stays_as_it_is():
    assert set(TRANSITIONS) == {"pending", "open", *ENDS}
    for end, after in itertools.product(ENDS, TRANSITIONS):
        order = _order()
        order.become(end)
        with pytest.raises(AssertionError):
            order.become(after)


def test_an_open_order_is_never_pending_or_rejected_again():
    for after in ("pending", "rejected"):
        order = _order()
        order.become("open")
        with pytest.raises(AssertionError):
            order.become(after)


def test_an_order_is_restored_with_every_field():
    order = _order()
    for number, field in enumerate(
        (
            "filled_quantity",
            "filled_notional",
            "remaining",
            "prevented_quantity",
            "held",
            "maker_rate",
            "taker_rate",
            "priority",
        )
    ):
        setattr(order, field, 100 + number)
    order.status, order.reason = "canceled", Reason.USER_CANCELED
    again = LiveOrder.restored(order.state(99), 30)
    for field in (*LiveOrder.__slots__, "id", "owner", "side", "price", "remaining", "self_trade_prevention"):
        assert getattr(again, field) == getattr(order, field), field


def test_a_digest_is_the_same_on_any_day_and_fits_a_bigint():
    command = PlaceOrder(3, 1, "buy", "limit", 5, 10, client_order_id="x")
    assert request_digest(command) == request_digest(msgspec.structs.replace(command)) == 5790937326977784263
    digests = {request_digest(msgspec.structs.replace(command, quantity=quantity)) for quantity in range(1_000)}
    assert len(digests) == 1_000
    assert all(0 <= digest < 2**63 for digest in digests)


def test_limits():
    account = Account(3, 30, "a", 0)
    account.open_orders = {1: 2}
    assert open_orders_refusal(account=account, limits=Limits(max_open_orders=3), market_id=1) is None
    assert open_orders_refusal(account=account, limits=Limits(max_open_orders=2), market_id=1) == "too_many_open_orders"
    assert open_orders_refusal(account=account, limits=Limits(max_open_orders=2), market_id=2) is None
    assert open_orders_refusal(account=account, limits=Limits(max_open_orders=None), market_id=1) is None
    assert order_rate_refusal(limits=Limits(orders_per_second=2), placed=2) is None
    assert order_rate_refusal(limits=Limits(orders_per_second=2), placed=3) == "order_rate_exceeded"
    assert order_rate_refusal(limits=Limits(orders_per_second=None), placed=10**9) is None
    balance = account.balance(1)
    balance.available, balance.held = 1, 2
    limits = Limits(max_positions={1: 10})
    assert position_refusal(account=account, limits=limits, asset_id=1, incoming=3, receiving=4) is None
    assert position_refusal(account=account, limits=limits, asset_id=1, incoming=3, receiving=5) == "position_limit"
    assert position_refusal(account=account, limits=limits, asset_id=2, incoming=3, receiving=5) is None
    assert limits_are_sound(Limits(0, 0, {1: 0}))
    assert limits_are_sound(Limits(None, None))
    assert not any(map(limits_are_sound, (Limits(-1), Limits(0, -1), Limits(0, 0, {1: -1}))))
