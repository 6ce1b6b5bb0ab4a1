"""The ledger by itself: the worked example of its docstring, and what it calls a bug."""

import pytest

from matching.engine.messages import BalanceChanged, EntryPosted
from risk.ledger import Account, Balance, Ledger

USDT, BTC = 1, 2


def _ledger() -> tuple[Ledger, Account, Account]:
    ledger = Ledger()
    a, b = Account(3, 30, "a", 0), Account(4, 40, "b", 0)
    ledger.accounts |= {3: a, 4: b}
    return ledger, a, b


def _funds(balance: Balance) -> tuple[int, int]:
    return balance.available, balance.held


def test_the_example_of_the_docstring():
    ledger, a, b = _ledger()
    usdt = a.balance(USDT)
    ledger.begin(7, 70)
    ledger.pay(ledger.external(USDT), usdt, 100, "deposit", 7)
    assert ledger.finish() == [
        EntryPosted(1, 7, 1, USDT, -100, -100, "deposit", 7, 70),
        EntryPosted(2, 7, 3, USDT, 100, 100, "deposit", 7, 70),
        BalanceChanged(1, USDT, -100, 0),
        BalanceChanged(3, USDT, 100, 0),
    ]
    ledger.begin(8, 80)
    ledger.hold(usdt, 60)
    assert ledger.finish() == [BalanceChanged(3, USDT, 40, 60)], "a hold is no entry"
    ledger.begin(9, 90)
    ledger.pay_held(usdt, b.balance(USDT), 50, "trade", 1)
    ledger.pay(b.balance(USDT), ledger.fees(USDT), 1, "fee", 1)
    ledger.release(usdt, 10)
    events = ledger.finish()
    assert [(e.account_id, e.amount, e.balance) for e in events if isinstance(e, EntryPosted)] == [
        (3, -50, 50),
        (4, 50, 50),
        (4, -1, 49),
        (2, 1, 1),
    ]
    assert [e for e in events if isinstance(e, BalanceChanged)] == [
        BalanceChanged(3, USDT, 50, 0),
        BalanceChanged(4, USDT, 49, 0),
        BalanceChanged(2, USDT, 1, 0),
    ]
    assert ledger.finish() == [], "every command starts afresh"
    assert ledger.entry_id == 6


def test_a_rebate_is_a_payment_the_other_way_and_nothing_is_no_payment():
    ledger, a, _ = _ledger()
    ledger.pay(a.balance(USDT), ledger.fees(USDT), -5, "fee", 1)
    assert _funds(a.balance(USDT)) == (5, 0)
    assert _funds(ledger.fees(USDT)) == (-5, 0)
    ledger.finish()
    ledger.pay(a.balance(USDT), ledger.fees(USDT), 0, "fee", 1)
    assert ledger.finish() == []


def test_what_is_not_there_cannot_be_moved():
    ledger, a, b = _ledger()
    usdt = a.balance(USDT)
    ledger.pay(ledger.external(USDT), usdt, 10, "deposit", 1)
    ledger.hold(usdt, 4)
    for move in (
        lambda: ledger.hold(usdt, 7),
        lambda: ledger.hold(usdt, -1),
        lambda: ledger.release(usdt, 5),
        lambda: ledger.release(usdt, -1),
        lambda: ledger.pay_held(usdt, b.balance(USDT), 5, "trade", 1),
        lambda: ledger.pay_held(usdt, b.balance(USDT), 0, "trade", 1),
    ):
        with pytest.raises(AssertionError):
            move()
        assert _funds(usdt) == (6, 4)
    with pytest.raises(AssertionError):
        ledger.pay(usdt, b.balance(USDT), 7, "fee", 1)
    with pytest.raises(AssertionError):
        ledger.pay(a.balance(BTC), b.balance(BTC), 1, "fee", 1)
