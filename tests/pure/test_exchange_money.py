"""Deposits, withdrawals, corrections and accounts at a whole exchange; and what operators may create."""

from typing import Any

import pytest

from matching.engine import messages
from matching.engine.messages import (
    ApproveWithdrawal,
    CorrectBalance,
    CreateAsset,
    CreateMarket,
    Deposit,
    OpenAccount,
    RefuseWithdrawal,
    RequestWithdrawal,
    SetMarketParameters,
    WithdrawalChanged,
)
from tests.pure.builders import BTC, ETH, START, USDT, Session, parameters, trade

# ---------------------------------------------------------------------------------------------- in and out


def test_a_deposit_comes_from_the_outside_world():
    session = Session(funds={"BTC": "2"})
    session.account("A")
    events = session.deposit("A", "0.5", "USDT")
    assert isinstance(events[0], messages.DepositCredited)
    assert [(event.account_id, event.amount, event.balance) for event in _entries(events)] == [
        (1, -50, -50),
        (3, 50, 50),
    ]
    session.play("A has -> 2 BTC, 0.5 USDT\nexternal has -> -2 BTC, -0.5 USDT")
    for command, reason in (
        (Deposit(3, BTC, 0), "invalid_amount"),
        (Deposit(3, BTC, -1), "invalid_amount"),
        (Deposit(3, BTC, 10**24), "invalid_amount"),
        (Deposit(9, BTC, 1), "unknown_account"),
        (Deposit(3, 9, 1), "unknown_asset"),
        (Deposit(1, BTC, 1), "house_account"),
        (Deposit(2, BTC, 1), "house_account"),
        (Deposit(3, BTC, 1, "x" * 129), "invalid_parameters"),
        (Deposit(3, BTC, 1, "\x00"), "invalid_parameters"),
    ):
        assert session.refused(command) == reason
    assert not session.refused(Deposit(3, BTC, 10**24 - 20_000)), "10^20 whole units may be inside, not one unit more"
    assert session.refused(Deposit(3, BTC, 1)) == "invalid_amount"


def test_a_withdrawal_is_held_until_it_is_paid_or_refused():
    session = Session(funds={"BTC": "10"})
    account = session.account("A")
    first = _withdraw(session, account, 4_0000)
    session.play("A has -> 6 + 4 BTC\nA sell 7@1 -> rejected insufficient_balance\nA sell 6@1 ->")
    assert session.refused(RequestWithdrawal(account, BTC, 1)) == "insufficient_balance"
    assert not session.refused(ApproveWithdrawal(first, "done"))
    session.play("A has -> 0 + 6 BTC\nexternal has -> -6 BTC\nA2 cancel -> canceled 6 user_canceled")
    assert session.refused(ApproveWithdrawal(first)) == "unknown_withdrawal"
    assert session.refused(RefuseWithdrawal(first)) == "unknown_withdrawal"
    second = _withdraw(session, account, 6_0000)
    session.play("A has -> 0 + 6 BTC\nfreeze A cancel ->")
    assert session.refused(ApproveWithdrawal(second)) == "account_frozen"
    assert session.refused(RequestWithdrawal(account, BTC, 1)) == "account_frozen"
    assert session.refused(RefuseWithdrawal(second, "\x00")) == "invalid_parameters"
    assert not session.refused(RefuseWithdrawal(second, "no"))
    session.play("A has -> 6 BTC\nunfreeze A ->")
    events = session.apply(RequestWithdrawal(account, BTC, 1_0000, "there", approved=True))
    assert isinstance(events[0], WithdrawalChanged)
    assert (events[0].status, events[0].destination) == ("paid", "there")
    session.play("A has -> 5 BTC\nexternal has -> -5 BTC")
    for command, reason in (
        (RequestWithdrawal(account, BTC, 0), "invalid_amount"),
        (RequestWithdrawal(account, BTC, -1), "invalid_amount"),
        (RequestWithdrawal(9, BTC, 1), "unknown_account"),
        (RequestWithdrawal(account, 9, 1), "unknown_asset"),
        (RequestWithdrawal(1, BTC, 1), "house_account"),
        (RequestWithdrawal(2, BTC, 1), "house_account"),
        (RequestWithdrawal(account, BTC, 1, "x" * 257), "invalid_parameters"),
    ):
        assert session.refused(command) == reason


def test_a_correction_needs_a_reason_and_moves_only_what_is_available():
    session = Session(funds={"BTC": "10"})
    session.play("A sell 4@100 ->")
    account = session.account("A")
    assert session.refused(CorrectBalance(account, BTC, -6_0001, "theft")) == "insufficient_balance"
    assert not session.refused(CorrectBalance(account, BTC, -6_0000, "theft"))
    assert not session.refused(CorrectBalance(account, USDT, 5_00, "gift"))
    session.play("A has -> 0 + 4 BTC, 5 USDT\nexternal has -> -4 BTC, -5 USDT")
    assert not session.refused(CorrectBalance(2, USDT, -2_00, "the house pays, though it has nothing"))
    session.play("fees has -> -2 USDT\nexternal has -> -4 BTC, -3 USDT")
    for command, reason in (
        (CorrectBalance(account, BTC, 0, "x"), "invalid_amount"),
        (CorrectBalance(account, BTC, 10**25, "x"), "invalid_amount"),
        (CorrectBalance(account, BTC, 1, "  "), "invalid_parameters"),
        (CorrectBalance(account, BTC, 1, "x" * 1001), "invalid_parameters"),
        (CorrectBalance(1, BTC, 1, "x"), "house_account"),
        (CorrectBalance(9, BTC, 1, "x"), "unknown_account"),
        (CorrectBalance(account, 9, 1, "x"), "unknown_asset"),
    ):
        assert session.refused(command) == reason


def test_a_users_accounts_have_different_names():
    session = Session()
    events = session.apply(OpenAccount(7))
    assert events == [messages.AccountOpened(3, 7, "main", START)]
    assert session.refused(OpenAccount(7)) == "already_exists"
    assert not session.refused(OpenAccount(7, "bots"))
    assert not session.refused(OpenAccount(8))
    for command in (OpenAccount(0), OpenAccount(-1), OpenAccount(2**31), OpenAccount(9, ""), OpenAccount(9, "x" * 33)):
        assert session.refused(command) == "invalid_parameters"
    assert session.exchange.state.accounts.keys() == {1, 2, 3, 4, 5}


# ---------------------------------------------------------------------------------------------- assets and markets


def test_an_asset_has_an_upper_case_symbol_a_name_and_a_scale():
    session = Session()
    for command, reason in (
        (CreateAsset("BTC", "again", 8), "already_exists"),
        (CreateAsset("", "x", 8), "invalid_parameters"),
        (CreateAsset("btc", "x", 8), "invalid_parameters"),
        (CreateAsset("B-C", "x", 8), "invalid_parameters"),
        (CreateAsset("\uff21", "x", 8), "invalid_parameters"),
        (CreateAsset("A" * 17, "x", 8), "invalid_parameters"),
        (CreateAsset("SOL", "", 8), "invalid_parameters"),
        (CreateAsset("SOL", "x" * 65, 8), "invalid_parameters"),
        (CreateAsset("SOL", "\x00", 8), "invalid_parameters"),
        (CreateAsset("SOL", "x", -1), "invalid_parameters"),
        (CreateAsset("SOL", "x", 19), "invalid_parameters"),
        (CreateAsset("SOL", "x", 18), ""),
        (CreateAsset("1INCH", "x", 0), ""),
    ):
        assert session.refused(command) == reason


def test_a_market_has_two_assets_and_a_symbol_of_its_own():
    session = Session()
    for command, reason in (
        (CreateMarket(BTC, USDT, parameters()), "already_exists"),
        (CreateMarket(BTC, BTC, parameters()), "invalid_parameters"),
        (CreateMarket(BTC, 9, parameters()), "unknown_asset"),
        (CreateMarket(9, USDT, parameters()), "unknown_asset"),
        (CreateMarket(BTC, USDT, parameters(), "BTCUSDT"), "invalid_parameters"),
        (CreateMarket(BTC, USDT, parameters(), "btc-usdt"), "invalid_parameters"),
        (CreateMarket(BTC, USDT, parameters(), "A-B-C"), "invalid_parameters"),
        (CreateMarket(BTC, USDT, parameters(), "-B"), "invalid_parameters"),
        (CreateMarket(BTC, USDT, parameters(), "REPLAY-USDT"), ""),
        (CreateMarket(ETH, USDT, parameters()), ""),
    ):
        assert session.refused(command) == reason
    assert [market.symbol for market in session.exchange.state.markets.values()] == [
        "BTC-USDT",
        "REPLAY-USDT",
        "ETH-USDT",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"tick_size": 0},
        {"tick_size": -100},
        {"lot_size": 0},
        {"tick_size": 99},  # x 100 units of lot is no whole number of cents
        {"lot_size": 50, "min_quantity": 50},
        {"min_quantity": 0},
        {"min_quantity": 150},
        {"min_quantity": 300, "max_quantity": 200},
        {"min_notional": -1},
        {"min_notional": 6, "max_notional": 5},
        {"max_quantity": 10**24 + 1},
        {"max_notional": 10**22 + 1},
        {"tick_size": 10**22 + 100},
        {"reference_price": 0},
        {"reference_price": 10**22 + 1},
        {"price_band": -1},
        {"price_band": 1_000_001},
        {"breaker_move": -1},
        {"breaker_move": 1_000_001},
        {"breaker_window": 0},
        {"breaker_window": 86_401},
        {"breaker_pause": 0},
        {"breaker_pause": 86_401},
    ],
)
def test_parameters_must_make_sense(changes: dict[str, Any]):
    session = Session()
    assert session.refused(CreateMarket(ETH, USDT, parameters(**changes))) == "invalid_parameters"
    assert session.refused(SetMarketParameters(1, parameters(**changes))) == "invalid_parameters"


def test_parameters_can_be_replaced_by_finer_steps_only():
    session = trade("A sell 1@100 -> open 1")
    for changes, reason in (
        ({"tick_size": "2"}, "invalid_parameters"),
        ({"lot_size": "0.02", "min_quantity": "0.02"}, "invalid_parameters"),
        ({"tick_size": "2", "lot_size": "0.005"}, "invalid_parameters"),
        ({"lot_size": "0.005", "min_quantity": "0.01", "tick_size": "1"}, "invalid_parameters"),
        ({"min_quantity": "2"}, ""),
        ({"max_quantity": 10**24, "max_notional": 10**22, "price_band": 1_000_000, "breaker_window": 86_400}, ""),
    ):
        assert session.refused(SetMarketParameters(1, parameters(**changes))) == reason
    assert session.refused(SetMarketParameters(9, parameters())) == "unknown_market"
    session.play("B buy 1@100 -> A1 1@100, filled")


def _entries(events: list[messages.AnyEvent]) -> list[messages.EntryPosted]:
    return [event for event in events if isinstance(event, messages.EntryPosted)]


def _withdraw(session: Session, account: int, amount: int) -> int:
    (event, *_) = session.apply(RequestWithdrawal(account, BTC, amount, "somewhere"))
    assert isinstance(event, WithdrawalChanged)
    assert event.status == "pending"
    return event.id
