"""GET /orders, /orders/{id}, /orders/by-client-id/{id} and /fills: an account sees its own and nothing else."""

from collections.abc import Iterator

import pytest

from marketdata import paging
from orders import queries
from tests.api import Scene, SignedClient, make_scene
from tests.builders import running_exchange

MANY = 25


@pytest.fixture(scope="module")
def scene(fresh_database: str) -> Iterator[Scene]:
    with running_exchange() as exchange:
        yield make_scene(exchange)


@pytest.fixture(scope="module")
def alice(scene: Scene) -> SignedClient:
    return SignedClient(scene.alice, "read")


@pytest.fixture(scope="module")
def bob(scene: Scene) -> SignedClient:
    return SignedClient(scene.bob, "read")


def test_orders_come_newest_first(scene: Scene, alice: SignedClient):
    answer = alice.get("/orders")
    assert answer.status == 200
    assert [order["id"] for order in answer.body["results"]] == scene.alice_orders[::-1]
    assert answer.body["next"] is None


def test_an_order_in_full(scene: Scene, alice: SignedClient):
    order = alice.get(f"/orders/{scene.alice_orders[0]}").body
    moments = order.pop("created_at"), order.pop("updated_at"), order["fills"][0].pop("executed_at")
    assert moments[0] < moments[1] == moments[2]
    assert order == {
        "id": scene.alice_orders[0],
        "client_order_id": None,
        "market": "BTC-USDT",
        "side": "sell",
        "type": "limit",
        "time_in_force": "gtc",
        "post_only": False,
        "price": "100.00",
        "quantity": "0.5000",
        "quote_amount": None,
        "filled_quantity": "0.2000",
        "filled_notional": "20.00",
        "average_price": "100.00",
        "remaining_quantity": "0.3000",
        "prevented_quantity": "0.0000",
        "status": "open",
        "reason": None,
        "self_trade_prevention": "cancel_taker",
        "fills": [
            {
                "trade_id": 1,
                "price": "100.00",
                "quantity": "0.2000",
                "fee": "0.02",
                "fee_asset": "USDT",
                "liquidity": "maker",
            }
        ],
    }


def test_the_listed_order_is_the_same_without_its_fills(scene: Scene, alice: SignedClient):
    one = alice.get(f"/orders/{scene.alice_orders[0]}").body
    del one["fills"]
    assert alice.get("/orders").body["results"][-1] == one


def test_a_client_order_id_may_have_a_slash(scene: Scene, alice: SignedClient):
    answer = alice.get("/orders/by-client-id/far/one")
    assert (answer.status, answer.body["id"], answer.body["client_order_id"]) == (200, scene.alice_orders[1], "far/one")


def test_a_rejected_order_is_kept_with_its_reason(scene: Scene, bob: SignedClient):
    (rejected,) = bob.get("/orders", status="rejected").body["results"]
    assert (rejected["id"], rejected["reason"]) == (scene.bob_orders[2], "insufficient_balance")


@pytest.mark.parametrize(
    ("filters", "places"),
    [
        ({"status": "open"}, [1]),
        ({"status": "filled"}, [0]),
        ({"status": "expired"}, []),
        ({"side": "buy"}, [2, 1, 0]),
        ({"side": "sell"}, []),
        ({"market": "BTC-USDT"}, [2, 1, 0]),
        ({"market": "BTC-USDT", "side": "buy", "status": "open"}, [1]),
    ],
)
def test_filters(scene: Scene, bob: SignedClient, filters: dict[str, str], places: list[int]):
    found = [order["id"] for order in bob.get("/orders", **filters).body["results"]]
    assert found == [scene.bob_orders[place] for place in places]


def test_another_accounts_orders_are_not_there(scene: Scene, bob: SignedClient):
    for path in [f"/orders/{scene.alice_orders[0]}", "/orders/by-client-id/far/one", f"/orders/{2**63}", "/orders/0"]:
        answer = bob.get(path)
        assert (path, answer.status, answer.code) == (path, 404, "unknown_order")
    assert bob.get("/fills", order_id=scene.alice_orders[0]).body["results"] == []


def test_both_halves_of_a_trade(scene: Scene, alice: SignedClient, bob: SignedClient):
    (made,), (taken,) = alice.get("/fills").body["results"], bob.get("/fills").body["results"]
    assert made.pop("executed_at") == taken.pop("executed_at")
    common = {"trade_id": 1, "market": "BTC-USDT", "price": "100.00", "quantity": "0.2000", "notional": "20.00"}
    assert made == common | {
        "order_id": scene.alice_orders[0],
        "side": "sell",
        "fee": "0.02",
        "fee_asset": "USDT",
        "liquidity": "maker",
    }
    assert taken == common | {
        "order_id": scene.bob_orders[0],
        "side": "buy",
        "fee": "0.0003",
        "fee_asset": "BTC",
        "liquidity": "taker",
    }


def test_fills_of_one_order_and_of_one_market(scene: Scene, alice: SignedClient):
    assert len(alice.get("/fills", order_id=scene.alice_orders[0]).body["results"]) == 1
    assert alice.get("/fills", order_id=scene.alice_orders[1]).body["results"] == []
    assert len(alice.get("/fills", market="BTC-USDT").body["results"]) == 1


@pytest.mark.parametrize("path", ["/orders", "/fills"])
def test_an_unknown_market_is_named(alice: SignedClient, path: str):
    answer = alice.get(path, market="BTC-EUR")
    assert (answer.status, answer.code, answer.field) == (404, "unknown_market", "market")


@pytest.mark.parametrize(
    ("parameters", "code", "field"),
    [
        ({"status": "closed"}, "invalid_field", "status"),
        ({"side": "long"}, "invalid_field", "side"),
        ({"market": "btc-usdt"}, "invalid_field", "market"),
        ({"limit": "0"}, "invalid_field", "limit"),
        ({"limit": "501"}, "invalid_field", "limit"),
        ({"limit": "1e1"}, "invalid_field", "limit"),
        ({"limit": "1.0"}, "invalid_field", "limit"),
        ({"limit": "٣"}, "invalid_field", "limit"),
        ({"limit": "null"}, "invalid_field", "limit"),
        ({"limit": ""}, "invalid_field", "limit"),
        ({"limit": ["1", "2"]}, "invalid_field", "limit"),
        ({"cursor": "abc"}, "invalid_field", "cursor"),
        ({"cursor": "0"}, "invalid_field", "cursor"),
        ({"cursor": "-1"}, "invalid_field", "cursor"),
        ({"cursor": "9" * 30}, "invalid_field", "cursor"),
        ({"page": "2"}, "unknown_parameter", "page"),
        ({"status\0": "open"}, "unknown_parameter", "status\0"),
        ({"x" * 1000: "1"}, "unknown_parameter", "x" * 64 + "..."),
    ],
)
def test_wrong_parameters_are_named(alice: SignedClient, parameters: dict[str, str], code: str, field: str):
    answer = alice.get("/orders", **parameters)
    assert (answer.status, answer.code, answer.field) == (422, code, field)


@pytest.mark.parametrize("path", ["/orders/1", "/orders/by-client-id/x"])
def test_single_reads_take_no_parameters(alice: SignedClient, path: str):
    assert alice.get(path, limit=1).code == "unknown_parameter"


def test_pages_join_without_gap_or_repetition(scene: Scene):
    """One account, many orders and fills, read three at a time, is what is read at once."""
    exchange = scene.exchange
    seller = exchange.open_account("carol", {scene.btc: 10 * 10**8})
    idle = exchange.open_account("dave")
    for _ in range(MANY):
        exchange.place(seller, scene.market, "sell", price=99 * 10**6, quantity=10**6)  # bob's bid of 1 takes it
    carol = SignedClient(seller, "read")
    for path, key in [("/orders", "id"), ("/fills", "trade_id")]:
        whole = carol.get(path, limit=500).body["results"]
        assert len(whole) == MANY
        assert carol.everything(path, limit=3) == whole
        assert [row[key] for row in whole] == sorted((row[key] for row in whole), reverse=True)
        exactly = carol.get(path, limit=MANY).body
        assert (len(exactly["results"]), exactly["next"]) == (MANY, None)
    assert SignedClient(idle, "read").get("/orders").body == {"results": [], "next": None}


def test_one_statement_each(scene: Scene, django_assert_num_queries):
    alice = scene.alice
    with django_assert_num_queries(1):
        queries.orders(account_id=alice, limit=500, status="open")
    with django_assert_num_queries(2):
        queries.orders(account_id=alice, limit=500, market="BTC-USDT", status="open")
    with django_assert_num_queries(1):
        queries.order(account_id=alice, order_id=scene.alice_orders[0])
    with django_assert_num_queries(1):
        queries.fills(account_id=alice, limit=500)
    with django_assert_num_queries(2):
        queries.fills(account_id=alice, limit=500, market="BTC-USDT")


def test_a_page_looks_only_so_far_for_what_fits(scene: Scene, alice: SignedClient, bob: SignedClient, monkeypatch):
    """A page may be short or empty, but following the cursor finds everything."""
    monkeypatch.setattr(paging, "SCAN_MAX", 1)
    first = bob.get("/orders", status="rejected", cursor=str(scene.bob_orders[2])).body
    assert (first["results"], first["next"] is None) == ([], False)
    rejected = [order["id"] for order in bob.everything("/orders", status="rejected")]
    assert rejected == scene.bob_orders[2:]
    everything = [order["id"] for order in alice.everything("/orders", side="sell", market="BTC-USDT")]
    assert everything == scene.alice_orders[::-1]
    assert bob.everything("/fills", market="BTC-USDT") == bob.get("/fills").body["results"]
    deposits = alice.get("/deposits").body["results"]
    found = [row for asset in ("USDT", "BTC") for row in alice.everything("/deposits", asset=asset)]
    assert found == deposits
    assert len(found) == 2
