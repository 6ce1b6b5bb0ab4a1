"""The proof finds nothing on what the worker has written, and names what anybody has tampered with.

Tampering happens past the triggers, as only a superuser can, in a transaction that is proved and then rolled back.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.core.management import call_command

from marketdata.models import Trade
from matching import audit, store
from matching.engine.messages import (
    AmendOrder,
    ApproveWithdrawal,
    CancelOrders,
    CorrectBalance,
    FeeTier,
    FreezeAccount,
    Limits,
    MarketParameters,
    PlaceOrder,
    RefuseWithdrawal,
    RequestWithdrawal,
    SetFeeOverride,
    SetFeeTiers,
    SetLimits,
    SetMarketParameters,
    SetMarketState,
    UnfreezeAccount,
)
from matching.prove import Differs, prove, prove_database
from tests.builders import RunningExchange, running_exchange

BTC, USD = 10**8, 10**2
LOT, TICK = BTC // 100, USD
PARAMETERS = MarketParameters(
    tick_size=TICK, lot_size=LOT, min_quantity=LOT, max_quantity=1_000 * BTC, min_notional=USD, max_notional=10**12
)


@pytest.fixture(scope="module")
def traded(fresh_database: str) -> SimpleNamespace:
    """A day at the exchange in which a bit of everything happened, and the ids it left; the worker has stopped."""
    with running_exchange() as exchange:
        ids = SimpleNamespace()
        ids.btc, ids.usd = exchange.create_asset("BTC", 8), exchange.create_asset("USD", 2)
        ids.market = exchange.create_market(ids.btc, ids.usd, tick_size=TICK, lot_size=LOT)
        ids.parameters = exchange.execute(SetMarketParameters(ids.market, PARAMETERS)).sequence
        ids.tiers = exchange.execute(
            SetFeeTiers((FeeTier(0, 1_000, 1_500), FeeTier(100 * USD, 900, 1_400)), ids.usd)
        ).sequence
        ids.alice = exchange.open_account("alice", {ids.usd: 10_000 * USD})
        ids.bob = exchange.open_account("bob", {ids.btc: 50 * BTC})
        ids.carol = exchange.open_account("carol")
        rule_the_accounts(exchange, ids)
        trade(exchange, ids)
        move_money(exchange, ids)
    ids.midnight = f"{Trade.objects.latest('id').executed_at:%Y-%m-%dT00:00:00Z}"
    return ids


def rule_the_accounts(exchange: RunningExchange, ids: SimpleNamespace) -> None:
    ids.override = exchange.execute(SetFeeOverride(ids.bob, ids.market, -500, 700)).sequence
    ids.limits = exchange.execute(SetLimits(ids.alice, Limits(max_open_orders=500))).sequence
    exchange.execute(SetMarketState("halted", ids.market, "lunch"))
    exchange.execute(SetMarketState("open", ids.market))
    ids.freeze = exchange.execute(FreezeAccount(ids.carol, note="on holiday")).sequence
    ids.bob_freeze = exchange.execute(FreezeAccount(ids.bob)).sequence
    ids.bob_unfreeze = exchange.execute(UnfreezeAccount(ids.bob)).sequence


def trade(exchange: RunningExchange, ids: SimpleNamespace) -> None:
    def place(account_id: int, side: Any, **fields: Any) -> int:
        return exchange.place(account_id, ids.market, side, **fields).sequence

    ids.sold_first = place(ids.bob, "sell", price=101 * USD, quantity=BTC // 2, client_order_id="first")
    ids.sold_second = place(ids.bob, "sell", price=101 * USD, quantity=BTC // 2)
    ids.asked = place(ids.bob, "sell", price=102 * USD, quantity=BTC)
    ids.taker = place(ids.alice, "buy", price=101 * USD, quantity=7 * LOT * 10)
    place(ids.bob, "sell", price=101 * USD, quantity=BTC // 2, client_order_id="first")
    ids.bid_first = place(ids.alice, "buy", price=99 * USD, quantity=BTC)
    ids.bid_second = place(ids.alice, "buy", price=99 * USD, quantity=2 * BTC)
    ids.canceled = place(ids.alice, "buy", price=90 * USD, quantity=BTC)
    exchange.cancel(ids.alice, ids.canceled)
    ids.refused = place(ids.bob, "sell", price=99 * USD, quantity=BTC, post_only=True)
    exchange.send(AmendOrder(ids.bob, ids.asked, quantity=BTC // 2))
    ids.amend = exchange.send(AmendOrder(ids.bob, ids.asked, price=103 * USD))[0].sequence
    ids.market_taker = place(ids.alice, "buy", quote_amount=20 * USD)
    exchange.send(*[PlaceOrder(ids.alice, ids.market, "buy", price=n * USD, quantity=BTC) for n in range(50, 60)])
    exchange.send(CancelOrders(ids.alice, ids.market, "sell"))
    for number in range(20):
        place(ids.bob, "sell", price=99 * USD, quantity=BTC, post_only=True, client_order_id=f"refused {number}")
    ids.duplicate = place(ids.bob, "sell", price=101 * USD, quantity=BTC // 2, client_order_id="first")


def move_money(exchange: RunningExchange, ids: SimpleNamespace) -> None:
    ids.pending = exchange.execute(RequestWithdrawal(ids.bob, ids.btc, BTC, "bc1q")).sequence
    ids.refused_withdrawal = exchange.execute(RequestWithdrawal(ids.bob, ids.btc, BTC)).sequence
    exchange.execute(RefuseWithdrawal(ids.refused_withdrawal, "no"))
    ids.paid = exchange.execute(RequestWithdrawal(ids.bob, ids.btc, 2 * BTC)).sequence
    ids.approval = exchange.execute(ApproveWithdrawal(ids.paid)).sequence
    ids.correction = exchange.execute(CorrectBalance(ids.alice, ids.usd, 5 * USD, "gift")).sequence


@pytest.fixture
def superuser(traded: SimpleNamespace) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that triggers and foreign keys do not stop, rolled back at the end."""
    with store.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL session_replication_role = replica")
        yield connection


@pytest.fixture
def client(traded: SimpleNamespace) -> Iterator[psycopg.Connection[Any]]:
    """A transaction as any program has one, rolled back at the end."""
    with store.connect() as connection, connection.transaction(force_rollback=True):
        yield connection


def test_what_the_worker_has_written_is_proved(traded: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("prove")
    report = capsys.readouterr().out
    assert report.startswith("Proved: ")
    assert "The same 39 orders, 3 trades, 30 entries, 2 deposits and 3 withdrawals," in report
    assert "BTC  users 47.998665  fees 0.001335  outside    -48" in report


def test_the_proof_asks_the_database_for_client_order_ids_that_its_memory_has_let_go(
    traded: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matching.state.CLIENT_ORDER_IDS_MAX", 1)
    monkeypatch.setattr("matching.prove.STRETCH_COMMANDS", 1)
    stretches: list[int] = []
    assert prove_database(progress=lambda done, total: stretches.append(done)).orders == 39
    assert stretches == list(range(1, traded.correction + 1))


TAMPERING = {
    "a balance": (
        "UPDATE risk_balance SET available = available + 1 WHERE account_id = {alice} AND asset_id = {usd}",
        "Command {correction} (correct_balance, account {alice}): balance {alice}, {usd}: available is",
    ),
    "a hold": (
        "UPDATE risk_balance SET held = held - 1, available = available + 1 "
        "WHERE account_id = {bob} AND asset_id = {btc}",
        "balance {bob}, {btc}: available is",
    ),
    "a balance that is gone": (
        "DELETE FROM risk_balance WHERE account_id = {alice} AND asset_id = {btc}",
        "Command {market_taker} (place_order, account {alice}): balance {alice}, {btc} is missing",
    ),
    "part of a unit": (
        "UPDATE risk_balance SET available = available + 0.000000001 WHERE account_id = {alice} AND asset_id = {usd}",
        "but the balances of asset USD sum to 0.000000001 instead of 0.",
    ),
    "a trade's price": (
        "UPDATE marketdata_trade SET price = 100 WHERE id = 2",
        "Command {taker} (place_order, account {alice}): trade 2: price is 10000 in the database, 10100 by the journal",
    ),
    "a trade's quantity": (
        "UPDATE marketdata_trade SET quantity = quantity / 2 WHERE id = 1",
        "Command {taker} (place_order, account {alice}): trade 1: quantity is 25000000 in the database, 50000000",
    ),
    "a trade's fee": (
        "UPDATE marketdata_trade SET taker_fee = taker_fee + 0.000000000001 WHERE id = 1",
        "Command {taker} (place_order, account {alice}): trade 1: taker_fee is",
    ),
    "a deleted trade": (
        "DELETE FROM marketdata_trade WHERE id = 2",
        "Command {taker} (place_order, account {alice}): trade 2 is missing",
    ),
    "an added trade": (
        "CREATE TEMP TABLE added ON COMMIT DROP AS SELECT * FROM marketdata_trade WHERE id = 3; "
        "UPDATE added SET id = 4; INSERT INTO marketdata_trade SELECT * FROM added",
        "trade 4 is stored, and no command made it",
    ),
    "a pair of entries": (
        "UPDATE risk_entry SET amount = amount * 2 WHERE sequence = {correction}",
        "Command {correction} (correct_balance, account {alice}): entry",
    ),
    "a deleted pair of entries": (
        "DELETE FROM risk_entry WHERE sequence = {correction}",
        "Command {correction} (correct_balance, account {alice}): entry",
    ),
    "an added pair of entries": (
        "CREATE TEMP TABLE added ON COMMIT DROP AS SELECT * FROM risk_entry WHERE sequence = {correction}; "
        "UPDATE added SET id = id + 1000; INSERT INTO risk_entry SELECT * FROM added",
        "is stored, and no command made it",
    ),
    "an order's place": (
        "UPDATE orders_order SET priority = {bid_second} + 1 WHERE id = {bid_first}",
        "Command {bid_first} (place_order, account {alice}): order {bid_first}: priority is",
    ),
    "an amended order's place": (
        "UPDATE orders_order SET priority = id WHERE id = {asked}",
        "Command {amend} (amend_order, account {bob}): order {asked}: priority is {asked} in the database, {amend} by",
    ),
    "an order's filled quantity": (
        "UPDATE orders_order SET filled_quantity = quantity WHERE id = {sold_second}",
        "Command {market_taker} (place_order, account {alice}): order {sold_second}: filled_quantity is 50000000 in",
    ),
    "an order's status": (
        "UPDATE orders_order SET status = 'filled' WHERE id = {canceled}",
        "(cancel_order, account {alice}): order {canceled}: status is filled in the database, canceled by the journal",
    ),
    "an open order that is closed": (
        "UPDATE orders_order SET status = 'canceled', held = 0 WHERE id = {bid_first}",
        "Command {bid_first} (place_order, account {alice}): order {bid_first}: held is 0 in the database",
    ),
    "a closed order that is open": (
        "UPDATE orders_order SET status = 'open' WHERE id = {canceled}",
        "order {canceled}: status is open in the database, canceled by the journal",
    ),
    "a refused order that is gone": (
        "DELETE FROM orders_order WHERE id = {refused}",
        "Command {refused} (place_order, account {bob}): order {refused} is missing",
    ),
    "an order under another id": (
        "UPDATE orders_order SET id = {correction}, status = 'filled', held = 0 WHERE id = {bid_second}",
        "Command {bid_second} (place_order, account {alice}): order {bid_second} is missing",
    ),
    "a client order id": (
        "UPDATE orders_order SET client_order_id = 'other' WHERE id = {sold_first}",
        "Command {sold_first} (place_order, account {bob}): order {sold_first}: client_order_id is other in",
    ),
    "an order's rate": (
        "UPDATE orders_order SET taker_rate = 0 WHERE id = {taker}",
        "Command {taker} (place_order, account {alice}): order {taker}: taker_rate is 0 in the database, 1500",
    ),
    "a deleted journal row": (
        "DELETE FROM matching_journalentry WHERE sequence = {canceled}",
        "Command {canceled}: it is missing in the journal",
    ),
    "the last journal row deleted": (
        "DELETE FROM matching_journalentry WHERE sequence = {correction}",
        "Command {correction}: it is missing at the end of the journal",
    ),
    "a journal payload": (
        "UPDATE matching_journalentry SET payload = replace(payload, '9900', '9800') WHERE sequence = {bid_first}",
        "Command {bid_first} (place_order, account {alice}): order {bid_first}: price is 9900 in the database, 9800",
    ),
    "a journal payload that is nonsense": (
        "UPDATE matching_journalentry SET payload = 'null' WHERE sequence = {taker}",
        "Command {taker} (place_order, account {alice}): its payload in the journal is no command",
    ),
    "a journal row's account": (
        "UPDATE matching_journalentry SET account_id = {bob} WHERE sequence = {bid_first}",
        "Command {bid_first} (place_order, account {bob}): the journal's columns say",
    ),
    "a journal row's time": (
        "UPDATE matching_journalentry SET received_at = received_at - interval '1 day' WHERE sequence = {taker}",
        "Command {taker} (place_order, account {alice}): it was received at",
    ),
    "a tick size": (
        "UPDATE marketdata_market SET tick_size = 0.5",
        "market {market}: parameters is",
    ),
    "a fee tier": (
        "UPDATE fees_feetier SET taker_rate = 0 WHERE volume = 0",
        "Command {tiers} (set_fee_tiers): the fee tiers is",
    ),
    "a fee override": (
        "UPDATE fees_feeoverride SET maker_rate = -200",
        "Command {override} (set_fee_override, account {bob}): fee override {bob}, {market}: maker_rate is -200",
    ),
    "limits": (
        "DELETE FROM risk_limit WHERE account_id = {alice}",
        "Command {limits} (set_limits, account {alice}): limits {alice} is missing",
    ),
    "a volume": (
        "UPDATE fees_dailyvolume SET volume = volume + 1 WHERE account_id = {alice}",
        "Command {market_taker} (place_order, account {alice}): volume of day, account",
    ),
    "a volume of an old day": (
        "INSERT INTO fees_dailyvolume (account_id, day, volume) VALUES ({alice}, 1, 5)",
        "volume of day, account 1, {alice} is stored, but no command made it",
    ),
    "an account that is unfrozen": (
        "UPDATE risk_account SET frozen = false WHERE id = {carol}",
        "Command {freeze} (freeze_account, account {carol}): account {carol}: frozen is False in the database, True",
    ),
    "an account's owner": (
        "UPDATE risk_account SET user_id = (SELECT user_id FROM risk_account WHERE id = {alice}), name = 'second' "
        "WHERE id = {bob}",
        "Command {bob_unfreeze} (unfreeze_account, account {bob}): account {bob}: user_id is",
    ),
    "a pending withdrawal's amount": (
        "UPDATE risk_withdrawal SET amount = amount * 2 WHERE id = {pending}",
        "Command {pending} (request_withdrawal, account {bob}): withdrawal {pending}: amount is 200000000",
    ),
    "a paid withdrawal's status": (
        "UPDATE risk_withdrawal SET status = 'pending' WHERE id = {paid}",
        "Command {approval} (approve_withdrawal): withdrawal {paid}: status is pending in the database, paid",
    ),
    "a deposit's amount": (
        "UPDATE risk_deposit SET amount = amount + 1 WHERE account_id = {bob}",
        "(deposit, account {bob}): deposit",
    ),
    "the exchange's halt": (
        "UPDATE matching_enginestate SET halted = true",
        "the exchange's halted is True in the database, False by the journal",
    ),
    "a candle": (
        "UPDATE marketdata_candle SET taker_buy_volume = 0 WHERE seconds = 86400",
        "but the 1d candle of market BTC-USD from {midnight} has taker_buy_volume 0 instead of 0.89.",
    ),
    "an announcement": (
        "DELETE FROM notifications_announcement WHERE sequence = {parameters}",
        "Command {parameters} (set_market_parameters): announcement {parameters} is missing",
    ),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_is_found_and_named(superuser: psycopg.Connection[Any], traded: SimpleNamespace, what: str) -> None:
    statement, message = TAMPERING[what]
    superuser.execute(statement.format(**vars(traded)))
    with pytest.raises(Differs) as differs:
        prove(connection=superuser)
    assert message.format(**vars(traded)) in str(differs.value)


INSERT_ENTRIES = """INSERT INTO risk_entry
    (id, sequence, account_id, asset_id, amount, balance, entry_type, reference, posted_at) VALUES """
REFUSED = {
    "a negative balance": "UPDATE risk_balance SET available = -1 WHERE account_id = {alice}",
    "a negative hold": "UPDATE risk_balance SET held = -1 WHERE account_id = {alice}",
    "an ended order that holds": "UPDATE orders_order SET held = 1 WHERE id = {canceled}",
    "two orders with one client order id": "UPDATE orders_order SET account_id = {bob}, client_order_id = 'first' "
    "WHERE id = {taker}",
    "entries that do not sum to zero": INSERT_ENTRIES
    + "(1001, 99, {alice}, {usd}, -5, 0, 'deposit', 0, now()), (1002, 99, {bob}, {usd}, 4, 0, 'deposit', 0, now())",
    "a lonely entry": INSERT_ENTRIES + "(1001, 99, {alice}, {usd}, 5, 0, 'deposit', 0, now())",
    "a changed entry": "UPDATE risk_entry SET amount = 1",
    "a deleted entry": "DELETE FROM risk_entry WHERE id = 1",
    "no more entries": "TRUNCATE risk_entry",
    "a changed trade": "UPDATE marketdata_trade SET price = 1",
    "a deleted trade": "DELETE FROM marketdata_trade WHERE id = 1",
    "no more trades": "TRUNCATE marketdata_trade",
    "a changed journal": "UPDATE matching_journalentry SET payload = ''",
    "a deleted command": "DELETE FROM matching_journalentry WHERE sequence = 1",
    "no more journal": "TRUNCATE matching_journalentry",
}


@pytest.mark.parametrize("what", REFUSED)
def test_the_database_itself_refuses(client: psycopg.Connection[Any], traded: SimpleNamespace, what: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        client.execute(REFUSED[what].format(**vars(traded)))
    assert isinstance(refused.value, (psycopg.IntegrityError, psycopg.errors.RaiseException))


AUDIT = {
    "the entries of asset USD sum to 1 instead of 0": "UPDATE risk_entry SET amount = amount + 1 WHERE id = "
    "(SELECT max(id) FROM risk_entry WHERE asset_id = {usd})",
    "the balances of asset BTC sum to 1 instead of 0": "UPDATE risk_balance SET available = available + 1 "
    "WHERE account_id = {bob} AND asset_id = {btc}",
    "account {alice} has": "UPDATE risk_entry SET balance = balance + 1 WHERE id = "
    "(SELECT max(id) FROM risk_entry WHERE account_id = {alice})",
    "account {bob} holds": "UPDATE risk_balance SET held = held - 0.5, available = available + 0.5 "
    "WHERE account_id = {bob} AND asset_id = {btc}",
    "the book of market BTC-USD is crossed: bid 200, ask 101": "UPDATE orders_order SET price = 200 "
    "WHERE id = {bid_first}",
    "market BTC-USD has an amount that is no whole number of units": "UPDATE marketdata_market SET tick_size = 0.001",
    "the 1s candle of market BTC-USD from": "UPDATE marketdata_candle SET volume = volume + 1 WHERE seconds = 1",
    "the 1m candle of market BTC-USD from": "UPDATE marketdata_candle SET high = high + 5 WHERE seconds = 60",
    "the 15m candle of market BTC-USD from": "DELETE FROM marketdata_candle WHERE seconds = 900",
    "the 1h candle of market BTC-USD from": "UPDATE marketdata_candle "
    "SET open_time = open_time - interval '1000 hours' WHERE seconds = 3600",
    "the 1d candle of market 77 from": "UPDATE marketdata_candle SET market_id = 77, "
    "open_time = open_time - interval '9 days' WHERE seconds = 86400",
    "market BTC-USD has a candle of an interval that is not stored: 61 seconds": "UPDATE marketdata_candle "
    "SET seconds = 61 WHERE seconds = 60",
    "the fee tier from volume 100.001 is no whole number of units": "UPDATE fees_feetier SET volume = 100.001 "
    "WHERE volume = 100",
}


@pytest.mark.parametrize("finding", AUDIT)
def test_the_audit_finds(superuser: psycopg.Connection[Any], traded: SimpleNamespace, finding: str) -> None:
    assert audit.first_finding(superuser) is None
    superuser.execute(AUDIT[finding].format(**vars(traded)))
    assert (audit.first_finding(superuser) or "").startswith(finding.format(**vars(traded)))
