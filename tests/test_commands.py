"""Control commands on the command line: what they do, what they print, and how they are refused."""

import io
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from fees.models import FeeOverride, FeeTier
from marketdata.models import Asset, Market
from matching.engine.messages import Deposit, Limits, MarketParameters, OrderRejected, Reason
from matching.models import EngineState, InboxCommand
from risk.models import Account, Balance, Withdrawal
from risk.models import Deposit as DepositRow
from tests.builders import RunningExchange, running_exchange
from trading import control, demo
from trading.models import User

BTC = 10**8
USDT = 10**8


@pytest.fixture(scope="module")
def exchange(fresh_database: str) -> Iterator[RunningExchange]:
    with running_exchange() as running:
        demo.seed_demo(base_url="http://127.0.0.1:8000")
        yield running


@pytest.fixture
def carol(exchange: RunningExchange) -> str:
    """A user of this test alone, with 10 BTC and 1,000,000 USDT."""
    name = f"carol{User.objects.count()}"
    btc, usdt = asset_ids("BTC", "USDT")
    exchange.open_account(name, {btc: 10 * BTC, usdt: 1_000_000 * USDT})
    return name


def asset_ids(*symbols: str) -> list[int]:
    return [Asset.objects.get(symbol=symbol).id for symbol in symbols]


def run(*words: str) -> tuple[int, str]:
    """The exit status of `manage.py WORDS` and what it prints (on stderr, when it fails)."""
    out = io.StringIO()
    try:
        call_command(*words, stdout=out)
    except CommandError as error:
        return error.returncode, str(error)
    return 0, out.getvalue()


def balance(username: str, symbol: str, account: str = "main") -> tuple[str, str]:
    """(available, held)"""
    row = Balance.objects.get(account__user__username=username, account__name=account, asset__symbol=symbol)
    return f"{row.available.normalize():f}", f"{row.held.normalize():f}"


def sequence() -> int:
    return EngineState.objects.get().sequence


def place(exchange: RunningExchange, username: str, market: str = "BTC-USDT", **fields: Any) -> Reason | None:
    """Place a small buy order that rests; the reason if it is rejected."""
    account = Account.objects.get(user__username=username, name="main")
    order = {"price": 30_000 * USDT, "quantity": BTC // 100} | fields
    event = exchange.place(account.id, Market.objects.get(symbol=market).id, "buy", **order).events[0]
    return event.order.reason if isinstance(event, OrderRejected) else None


# ---------------------------------------------------------------------------------------------- money


def test_a_deposit_credits_the_account_and_keeps_its_reference(exchange: RunningExchange, carol: str) -> None:
    status, text = run("deposit", carol, "btc", "1.50", "--reference", "transaction 7")
    assert (status, text) == (0, f"Deposited 1.5 BTC to {carol} (main): deposit {sequence()}.\n")
    assert balance(carol, "BTC") == ("11.5", "0")
    assert DepositRow.objects.get(id=sequence()).reference == "transaction 7"


def test_the_inbox_says_who_asked(exchange: RunningExchange, carol: str) -> None:
    run("deposit", carol, "BTC", "1")
    assert InboxCommand.objects.latest("id").actor.startswith("manage.py deposit by ")


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ("deposit nobody BTC 1", "unknown_user: There is no user 'nobody'."),
        ("deposit alice BTC 1 --account savings", "unknown_account: alice has no account 'savings'."),
        ("deposit alice XRP 1", "unknown_asset: There is no asset 'XRP'."),
        ("deposit alice BTC 0", "invalid_amount: "),
        ("deposit alice BTC 1e5", "invalid_decimal: '1e5': "),
        ("deposit alice BTC NaN", "invalid_decimal: 'NaN': "),
        ("deposit alice BTC ٣", "invalid_decimal: '٣': "),
        ("deposit alice BTC 0.123456789", "too_many_decimals: '0.123456789': At most 8 decimals"),
        ("deposit al\udc80ice BTC 1", "invalid_text: An argument is no valid UTF-8."),
        ("deposit alice BTC 1 --note why", "Error: unrecognized arguments: --note why"),
        ("deposit alice BTC 1 --timeout nan", "Error: argument --timeout: from 0 to 86400 seconds"),
        ("deposit house:fees BTC 1", "house_account: "),
        ("withdraw request alice BTC 99999", "insufficient_balance: The available balance does not cover"),
        ("withdraw approve 999999999", "unknown_withdrawal: "),
        ("withdraw refuse 999999999", "unknown_withdrawal: "),
        ("correct alice BTC -99999 --note less", "insufficient_balance: "),
        ("correct alice BTC 0 --note nothing", "invalid_amount: "),
        ("freeze nobody", "unknown_user: "),
        ("unfreeze alice --account savings", "unknown_account: "),
        ("open_account alice", "already_exists: "),
        ("asset create BTC Bitcoin --scale 8", "already_exists: "),
        ("asset create xrp Ripple --scale 6", "invalid_parameters: "),
        ("asset create XRP Ripple --scale 19", "invalid_parameters: "),
        ("market XRP-USDT halt", "unknown_market: There is no market 'XRP-USDT'."),
        ("market BTC-USDT closed", "invalid_parameters: these words and options do not go together."),
        ("market BTC-USDT halt --tick 1", "invalid_parameters: these words and options do not go together."),
        ("market set BTC-USDT", "invalid_parameters: these words and options do not go together."),
        ("market set BTC-USDT --tick 0.02 --note x", "invalid_parameters: these words and options do not go together."),
        ("market set BTC-USDT --tick 0.02", "invalid_parameters: Steps can only become finer divisors"),
        ("market set BTC-USDT --breaker-pause 1.5", "too_many_decimals: "),
        ("market all post_only", "invalid_parameters: The whole exchange can be halted or open."),
        ("market create BTC ETH --tick 0.1", "invalid_parameters: a new market needs --lot."),
        ("market create BTC ETH", "invalid_parameters: a new market needs --lot and --tick."),
        ("market create BTC USDT --tick 0.01 --lot 0.01", "already_exists: "),
        ("limits alice --reset --max-open-orders 5", "invalid_parameters: --reset goes with no other change."),
        ("limits alice --max-position BTC", "invalid_parameters: 'BTC': expected ASSET=AMOUNT"),
        ("limits alice --max-open-orders -5", "invalid_parameters: "),
        ("fees tiers 0:0.1", "invalid_parameters: '0:0.1': expected VOLUME:MAKER:TAKER."),
        ("fees tiers 0:0.1:50 --valuation USDT", "invalid_parameters: "),
        ("fees tiers 0:0.1:0.2 --valuation BTC", "invalid_parameters: Volumes are counted in the valuation asset"),
        ("fees override --user alice --maker 0.1", "invalid_parameters: give --maker and --taker, or --remove."),
        ("fees override --maker 0.1 --taker 0.1", "invalid_parameters: "),
        ("fees override --market BTC-USDT --maker=-0.2 --taker 0.1", "invalid_parameters: "),
    ],
)
def test_a_refusal_is_named_and_the_exit_status_is_1(exchange: RunningExchange, words: str, refusal: str) -> None:
    status, text = run(*words.split())
    assert status == 1
    assert text.startswith(refusal)


def test_a_withdrawal_is_held_until_it_is_approved(exchange: RunningExchange, carol: str) -> None:
    status, text = run("withdraw", "request", carol, "BTC", "4", "--to", "bc1q")
    withdrawal = Withdrawal.objects.latest("id")
    assert (status, text) == (0, f"Withdrawal {withdrawal.id} of 4 BTC by {carol}: pending.\n")
    assert balance(carol, "BTC") == ("6", "4")
    listed = run("withdraw", "list")[1].splitlines()[-1]
    assert listed.startswith(f"{withdrawal.id}  ")
    assert listed.endswith(f"  {carol} (main)  4 BTC  bc1q")

    status, text = run("withdraw", "approve", str(withdrawal.id), "--note", "paid by hand")
    assert (status, text) == (0, f"Withdrawal {withdrawal.id} of 4 BTC by {carol}: paid.\n")
    assert balance(carol, "BTC") == ("6", "0")
    assert run("withdraw", "list")[1] == "No withdrawal is pending.\n"
    assert run("withdraw", "approve", str(withdrawal.id))[1].startswith("unknown_withdrawal: ")


def test_a_refused_withdrawal_is_given_back(exchange: RunningExchange, carol: str) -> None:
    run("withdraw", "request", carol, "BTC", "4")
    withdrawal = Withdrawal.objects.latest("id")
    status, text = run("withdraw", "refuse", str(withdrawal.id), "--note", "unknown address")
    assert (status, text) == (0, f"Withdrawal {withdrawal.id} of 4 BTC by {carol}: refused.\n")
    assert balance(carol, "BTC") == ("10", "0")
    withdrawal.refresh_from_db()
    assert withdrawal.note == "unknown address"


def test_without_approval_a_withdrawal_is_paid_at_once(
    exchange: RunningExchange, carol: str, settings: Settings
) -> None:
    settings.WITHDRAWAL_APPROVAL = False
    assert run("withdraw", "request", carol, "BTC", "4")[1].endswith("paid.\n")
    assert balance(carol, "BTC") == ("6", "0")


def test_a_correction_may_take_away_also_from_the_fees_account(exchange: RunningExchange, carol: str) -> None:
    status, text = run("correct", carol, "BTC", "-0.25", "--note", "credited twice")
    assert (status, text) == (0, f"Corrected {carol} (main) by -0.25 BTC: sequence {sequence()}.\n")
    assert balance(carol, "BTC") == ("9.75", "0")
    assert run("correct", "house:fees", "BTC", "2", "--note", "opening balance")[0] == 0
    assert Balance.objects.get(account__name="fees", account__user=None, asset__symbol="BTC").available == 2


def test_a_correction_needs_a_note(exchange: RunningExchange) -> None:
    status, text = run("correct", "alice", "BTC", "1")
    assert status == 1
    assert "--note" in text
    assert run("correct", "alice", "BTC", "1", "--note", " ")[1].startswith("invalid_parameters: A correction needs")


def test_a_sub_account_has_funds_of_its_own(exchange: RunningExchange, carol: str) -> None:
    status, text = run("open_account", carol, "savings")
    account = Account.objects.get(user__username=carol, name="savings")
    assert (status, text) == (0, f"Opened account {account.id} (savings) for {carol}.\n")
    assert run("deposit", carol, "BTC", "3", "--account", "savings")[0] == 0
    assert balance(carol, "BTC", "savings") == ("3", "0")
    assert balance(carol, "BTC") == ("10", "0")


# ---------------------------------------------------------------------------------------------- rules


def test_freezing_cancels_the_orders_and_stops_everything_until_unfrozen(exchange: RunningExchange, carol: str) -> None:
    assert place(exchange, carol) is None
    assert place(exchange, carol) is None
    status, text = run("freeze", carol, "--cancel-orders", "--note", "a court asks")
    account = Account.objects.get(user__username=carol)
    assert (status, text) == (0, f"Froze {carol} (main, account {account.id}), open orders canceled: 2.\n")
    assert balance(carol, "USDT") == ("1000000", "0")
    assert place(exchange, carol) is Reason.ACCOUNT_FROZEN
    assert run("withdraw", "request", carol, "BTC", "1")[1].startswith("account_frozen: ")

    status, text = run("unfreeze", carol)
    assert (status, text) == (0, f"Unfroze {carol} (main, account {account.id}).\n")
    assert place(exchange, carol) is None


def test_freezing_a_user_freezes_all_accounts_unless_one_is_named(exchange: RunningExchange, carol: str) -> None:
    def frozen() -> list[str]:
        return list(
            Account.objects.filter(user__username=carol, frozen=True).order_by("id").values_list("name", flat=True)
        )

    run("open_account", carol, "savings")
    assert run("freeze", carol)[0] == 0
    assert frozen() == ["main", "savings"]
    assert run("unfreeze", carol, "--account", "main")[0] == 0
    assert frozen() == ["savings"]


def test_a_halted_market_takes_no_orders_until_it_is_open(exchange: RunningExchange, carol: str) -> None:
    assert run("market", "btc-usdt", "halt", "--note", "an upgrade") == (0, "BTC-USDT (market 1) is halted.\n")
    assert Market.objects.get(symbol="BTC-USDT").note == "an upgrade"
    assert place(exchange, carol) is Reason.MARKET_HALTED
    assert run("market", "BTC-USDT", "cancel_only")[0] == 0
    assert place(exchange, carol) is Reason.MARKET_CANCEL_ONLY
    assert run("market", "BTC-USDT", "post_only")[0] == 0
    assert place(exchange, carol) is Reason.MARKET_POST_ONLY
    assert run("market", "BTC-USDT", "open") == (0, "BTC-USDT (market 1) is open.\n")
    assert place(exchange, carol) is None


def test_the_whole_exchange_is_halted_and_opened(exchange: RunningExchange, carol: str) -> None:
    assert run("market", "all", "halt", "--note", "fire") == (0, "The exchange is halted: no market trades.\n")
    assert place(exchange, carol) is Reason.EXCHANGE_HALTED
    assert " BOURSE  HALTED  fire " in run("status")[1]
    assert run("market", "all", "open") == (0, "The exchange is open.\n")
    assert place(exchange, carol) is None


def test_an_asset_and_a_market_are_created_and_the_filters_changed_one_by_one(exchange: RunningExchange) -> None:
    assert run("asset", "create", "LTC", "Litecoin", "--scale", "8")[0] == 0
    ltc = Asset.objects.get(symbol="LTC")
    assert (ltc.name, ltc.scale) == ("Litecoin", 8)
    status, text = run("market", "create", "ltc", "usdt", "--tick", "0.01", "--lot", "0.001", "--max-notional", "50000")
    market = Market.objects.get(symbol="LTC-USDT")
    assert (status, text) == (0, f"LTC-USDT (market {market.id}) is open.\n")
    before = filters(market)
    assert before == {
        "tick_size": "0.01", "lot_size": "0.001", "min_quantity": "0.001", "max_quantity": "1000",
        "min_notional": "0", "max_notional": "50000", "reference_price": None,
        "price_band": 200_000, "breaker_move": 100_000, "breaker_window": 300, "breaker_pause": 300,
    }  # fmt: skip

    changes = ["--reference-price", "80", "--price-band", "12.5%", "--breaker-pause", "60"]
    assert run("market", "set", "LTC-USDT", *changes)[0] == 0
    market.refresh_from_db()
    assert filters(market) == before | {"reference_price": "80", "price_band": 125_000, "breaker_pause": 60}


def filters(market: Market) -> dict[str, Any]:
    names = MarketParameters.__struct_fields__
    values = {name: getattr(market, name) for name in names}
    return {
        name: value if value is None or isinstance(value, int) else f"{value.normalize():f}"
        for name, value in values.items()
    }


def test_limits_are_shown_changed_one_by_one_and_reset(exchange: RunningExchange, carol: str) -> None:
    shown = run("limits", carol)[1]
    assert shown.startswith(f"Limits of {carol} (main): default\n")
    assert run("limits", carol, "--max-open-orders", "1", "--max-position", "BTC=12")[0] == 0
    btc = Asset.objects.get(symbol="BTC").id
    account = Account.objects.get(user__username=carol)
    assert limits_of(account) == Limits(max_open_orders=1, max_positions={btc: 12 * BTC})
    assert place(exchange, carol) is None
    assert place(exchange, carol) is Reason.TOO_MANY_OPEN_ORDERS

    status, text = run("limits", carol, "--orders-per-second", "none", "--max-position", "BTC=none")
    assert limits_of(account) == Limits(max_open_orders=1, orders_per_second=None)
    assert (status, text.splitlines()[1:]) == (
        0,
        ["  open orders on one market  1", "  orders per second          no limit"],
    )
    assert run("limits", carol, "--reset") == (0, shown)


def limits_of(account: Account) -> Limits:
    account.refresh_from_db()
    return msgspec.json.decode(account.limit.limits, type=Limits)


def test_default_limits_hold_for_everyone_without_their_own(exchange: RunningExchange, carol: str) -> None:
    assert run("limits", "default", "--max-open-orders", "1")[0] == 0
    assert place(exchange, carol) is None
    assert place(exchange, carol) is Reason.TOO_MANY_OPEN_ORDERS
    assert run("limits", "default", "--reset")[0] == 0
    assert place(exchange, carol) is None


def test_fee_tiers_are_replaced(exchange: RunningExchange) -> None:
    status, text = run("fees", "tiers", "0:0.2:0.3", "1000.5:-0.01%:0.25%", "--valuation", "USDT")
    assert status == 0
    assert text.splitlines()[:2] == [
        "from 0 USDT: maker 0.20 %, taker 0.30 %",
        "from 1000.5 USDT: maker -0.01 %, taker 0.25 %",
    ]
    rows = FeeTier.objects.order_by("volume").values_list("maker_rate", "taker_rate")
    assert list(rows) == [(2_000, 3_000), (-100, 2_500)]
    assert run("fees", "show") == (0, text)


def test_a_fee_override_is_set_and_removed(exchange: RunningExchange, carol: str) -> None:
    target = ["fees", "override", "--user", carol, "--market", "BTC-USDT"]
    status, text = run(*target, "--maker", "0", "--taker", "0.05")
    assert status == 0
    assert f"{carol} (main) on BTC-USDT: maker 0.00 %, taker 0.05 %\n" in text
    account = Account.objects.get(user__username=carol)
    assert FeeOverride.objects.get(account_id=account.id).taker_rate == 500
    assert carol not in run(*target, "--remove")[1]
    assert not FeeOverride.objects.filter(account_id=account.id).exists()


# ---------------------------------------------------------------------------------------------- waiting


def test_no_wait_only_files_the_command(exchange: RunningExchange, carol: str) -> None:
    status, text = run("deposit", carol, "BTC", "1", "--no-wait")
    row = InboxCommand.objects.latest("id")
    assert (status, text) == (0, f"Filed as inbox command {row.id}.\n")
    done = control.wait_for(inbox_id=row.id)
    assert DepositRow.objects.get(id=done.sequence).amount == 1


def test_with_no_wait_a_refusal_is_left_in_the_inbox(exchange: RunningExchange) -> None:
    assert run("withdraw", "request", "alice", "BTC", "99999", "--no-wait")[0] == 0
    with pytest.raises(control.inbox.Refused) as refused:
        control.wait_for(inbox_id=InboxCommand.objects.latest("id").id)
    assert refused.value.reason is Reason.INSUFFICIENT_BALANCE


def test_the_first_refusal_is_told_and_the_commands_behind_it_are_still_executed(
    exchange: RunningExchange, carol: str
) -> None:
    (btc,) = asset_ids("BTC")
    account = Account.objects.get(user__username=carol)
    commands = [Deposit(account.id, btc, 0), Deposit(account.id, btc, 5 * BTC), Deposit(account.id, 999, BTC)]
    with pytest.raises(control.inbox.Refused) as refused:
        control.execute_all(commands=commands, actor="test")
    assert refused.value.reason is Reason.INVALID_AMOUNT
    assert balance(carol, "BTC") == ("15", "0")
