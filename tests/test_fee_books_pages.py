"""Reports of the fee books on the desk and on the command line: they add up, and only who may sees and plans."""

import asyncio
import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from fees import charts, ledger_reports, reports
from fees.models import FeeDay, LedgerDay, Promotion
from fees.reports import Period
from marketdata.models import Market, Trade
from matching.follower import Following
from matching.models import FollowerCursor
from risk.models import Balance, Entry
from tests.random_journal import write_journal
from trading.books.consumer import FeeBooks
from trading.models import AuditEntry, User

PAGES = ("feeday", "ledgerday", "accountday", "ratechange", "promotion")


@pytest.fixture(scope="module")
def period(fresh_database: str) -> Period:
    """A random journal in the books, and the days that it covers."""
    write_journal(seed=8, commands=500)
    with closing(Following(makers=(FeeBooks,))) as following:
        following.run(seconds=60)
    days = [*FeeDay.objects.order_by("day").values_list("day", flat=True)]
    return Period(days[0], days[-1])


@pytest.fixture
def clients(period: Period) -> Iterator[dict[str, Client]]:
    """Operators who have signed in, by their roles."""
    found = {}
    for role in ("support", "risk", "treasury", "admin"):
        user, _ = User.objects.get_or_create(username=role, is_staff=True)
        user.groups.set([Group.objects.get(name=role)])
        found[role] = Client()
        found[role].force_login(user)
    yield found
    Promotion.objects.all().delete()


def shown(client: Client, path: str, **query: Any) -> str:
    answer = client.get(f"/admin/fees/{path}/", query)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def table_of(client: Client, path: str, **query: Any) -> list[dict[str, str]]:
    """The rows of a CSV export."""
    answer = client.get(f"/admin/fees/{path}/", query)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(asyncio.run(whole(answer)))))


async def whole(answer: Any) -> str:
    """A streamed answer's text."""
    return b"".join([part async for part in answer.streaming_content]).decode()


def days(period: Period) -> dict[str, str]:
    return {"start": period.start.isoformat(), "end": period.end.isoformat()}


# ---------------------------------------------------------------------------------------------- figures


def test_the_trial_balance_sums_to_zero_and_ends_at_the_balances(period: Period) -> None:
    found = ledger_reports.trial_balance(period=Period(period.start, LedgerDay.objects.latest("day").day))
    balances: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in Balance.objects.select_related("asset", "account"):
        name = {1: "Outside world", 2: "Fees"}.get(row.account_id, "Users")
        balances[row.asset.symbol, name] += row.available + row.held
    assert len(found) == 3
    for asset in found:
        assert asset.sound
        assert asset.closing == "0"
        assert asset.debits == asset.credits
        for line in asset.lines:
            assert Decimal(line.closing) == balances[asset.asset, line.account_class]
            moved = Decimal(line.credits) - Decimal(line.debits)
            assert Decimal(line.opening) + moved == Decimal(line.closing)


def test_a_balance_that_was_tampered_with_is_told(period: Period) -> None:
    row = LedgerDay.objects.filter(account_class="users").latest("day")
    whole = Period(period.start, row.day)
    LedgerDay.objects.filter(id=row.id).update(credits=row.credits + 1)
    try:
        assert [asset.sound for asset in ledger_reports.trial_balance(period=whole)].count(False) == 1
        with pytest.raises(CommandError, match=f"does not balance in {row.asset.symbol}"):
            call_command("fees", "balance", "--from", str(whole.start), "--to", str(whole.end), stdout=io.StringIO())
    finally:
        LedgerDay.objects.filter(id=row.id).update(credits=row.credits)


@pytest.mark.parametrize("by", ["day", "month", "period"])
def test_income_is_what_the_entries_of_the_fees_account_say(period: Period, by: ledger_reports.By) -> None:
    lines = ledger_reports.income_statement(period=period, by=by)
    sums = {"fees": Decimal(), "rebates": Decimal(), "corrections": Decimal()}
    for entry in Entry.objects.filter(account_id=2, posted_at__date__range=(period.start, period.end)):
        kind = "corrections" if entry.entry_type == "correction" else "fees" if entry.amount > 0 else "rebates"
        sums[kind] += abs(entry.amount) if kind == "rebates" else entry.amount
    for name, total in sums.items():
        assert sum(Decimal(getattr(line, name)) for line in lines) == total, name
    assert sums["fees"] > 0
    assert sums["rebates"] > 0
    for line in lines:
        assert Decimal(line.net) == Decimal(line.fees) - Decimal(line.rebates) + Decimal(line.corrections)


def test_the_fee_report_is_worth_what_the_fees_of_trades_were_worth(period: Period) -> None:
    report = reports.fee_report(period=period)
    assert report.asset == "USDT"
    prices = reports.Prices(period)
    total = Fraction()
    for trade in Trade.objects.select_related("market"):
        price = prices.of(trade.market.quote_id, trade.executed_at.date())
        base_fee, quote_fee = (
            (trade.taker_fee, trade.maker_fee) if trade.taker_side == "buy" else (trade.maker_fee, trade.taker_fee)
        )
        total += (Fraction(base_fee) * Fraction(trade.price) + Fraction(quote_fee)) * price
    assert report.total.net == reports.money(total)
    for lines in (report.by_market, report.by_tier, report.by_role):
        assert abs(sum(Decimal(line.net) for line in lines) - Decimal(report.total.net)) < Decimal("0.05")
        assert sum(int(line.trades) for line in lines) == 2 * Trade.objects.count()
    by_day = sum(worth.net for day in report.by_day.values() for worth in day.values())
    assert abs(Fraction(by_day, reports.TINY) - total) < Fraction(1, 10**12)
    one = reports.fee_report(period=period, market="ETH-BTC")
    assert [line.name for line in one.by_market] == ["ETH-BTC"]


def test_what_is_quoted_in_another_asset_counts_at_the_days_last_price(period: Period) -> None:
    btc = Market.objects.get(symbol="BTC-USDT").base_id
    prices = reports.Prices(period)
    for day in period.days:
        last = Trade.objects.filter(market__symbol="BTC-USDT", executed_at__date__lte=day).order_by("-id").first()
        assert prices.of(btc, day) == (Fraction(last.price) if last else 0)


def test_an_axis_has_a_few_round_steps_and_room_for_every_value() -> None:
    for low, high in ((0, 0), (0, 1), (-7, 3), (0, 99), (-1_000_001, 0), (123_456, 999_999), (-5, 40)):
        axis = charts.axis_of(low=low, high=high)
        assert axis.low <= min(low, 0) <= max(high, 0) <= axis.high
        assert axis.low % axis.step == axis.high % axis.step == 0
        assert re.fullmatch("[125]0*", str(axis.step))
        assert 1 <= (axis.high - axis.low) // axis.step <= charts.STEPS + 2


# ---------------------------------------------------------------------------------------------- pages


@pytest.mark.parametrize("page", PAGES)
def test_every_role_may_look_and_strangers_may_not(clients: dict[str, Client], page: str) -> None:
    for role in ("support", "risk", "treasury", "admin"):
        shown(clients[role], page)
    user, _ = User.objects.get_or_create(username="newcomer", is_staff=True)
    newcomer = Client()
    newcomer.force_login(user)
    assert newcomer.get(f"/admin/fees/{page}/").status_code == 403
    assert Client().get(f"/admin/fees/{page}/").status_code == 302


def test_the_fee_report_shows_and_exports_what_the_books_have(clients: dict[str, Client], period: Period) -> None:
    html = shown(clients["support"], "feeday", **days(period))
    report = reports.fee_report(period=period)
    assert f'<p class="desk-value">{Decimal(report.total.net):,}</p>' in html
    assert html.count("<title>") >= len(period.days)
    rows = table_of(clients["support"], "feeday", csv="1", **days(period))
    assert len(rows) == FeeDay.objects.count()
    assert reports.money(sum((Fraction(row["valuation"]) for row in rows), Fraction())) == report.total.net
    only = table_of(clients["support"], "feeday", csv="1", market="BTC-USDT", **days(period))
    assert {row["market"] for row in only} == {"BTC-USDT"}


def test_periods_that_make_no_sense_are_the_last_thirty_days(clients: dict[str, Client]) -> None:
    today = timezone.now().date()
    for query in ({}, {"start": "soon"}, {"start": "0000-01-01", "end": "99999-01-01"}):
        html = shown(clients["support"], "feeday", **query)
        assert f'value="{today}"' in html
        assert f'value="{today - timedelta(days=29)}"' in html
        assert "Nothing was traded in these days." in html
    backwards = reports.period_of(start="2026-03-01", end="2026-01-01", today=today)
    assert (str(backwards.start), str(backwards.end)) == ("2026-01-01", "2026-03-01")
    assert len(reports.period_of(start="1999-01-01", end="2026-01-01", today=today).days) == reports.DAYS_MAX


def test_the_ledgers_page_says_that_it_balances_and_exports_both(clients: dict[str, Client], period: Period) -> None:
    html = shown(clients["support"], "ledgerday", by="day", **days(period))
    assert "debits equal credits, balances sum to zero" in html
    balance = table_of(clients["support"], "ledgerday", csv="balance", **days(period))
    assert sum(Decimal(row["closing"]) for row in balance) == 0
    income = table_of(clients["support"], "ledgerday", csv="income", by="period", **days(period))
    assert {row["period"] for row in income} == {f"{period.start} to {period.end}"}


def test_what_if_asks_changes_nothing_and_tells_who_moves(clients: dict[str, Client], period: Period) -> None:
    client = clients["support"]
    assert "Below are those in force." in shown(client, "accountday")
    form = re.search(r"<textarea[^>]*>([^<]*)</textarea>", shown(client, "accountday"))
    assert form is not None
    assert len(form.group(1).split("\n")) >= 3
    asked = {"tiers": "0 1 2\n0.01 0.5 0.6", "overrides": "3 * 0 0.1\n* ETH-BTC 0.1 0.2", **days(period)}
    html = shown(client, "accountday", **asked)
    assert "Change their tier" in html
    accounts = table_of(client, "accountday", csv="accounts", **asked)
    moved = [row for row in accounts if row["tier_before"] != row["tier_after"]]
    assert len(moved) == sum(row["moves"] == "true" for row in accounts)
    assert {row["rates_after"] for row in accounts if row["account_id"] == "3"} == {"0.00 % / 0.10 %"}
    by_day = table_of(client, "accountday", csv="days", **asked)
    by_days, by_accounts = (sum((Decimal(row["actual"]) for row in rows), Decimal()) for rows in (by_day, accounts))
    assert abs(by_days - by_accounts) < 1


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"tiers": "0 1"}, "expected 3 words, found 2"),
        ({"tiers": "0 x 1"}, "Line 1 of the tiers"),
        ({"tiers": "5 0.1 0.1"}, "The first tier is at volume 0"),
        ({"tiers": "0 11 11"}, "The first tier is at volume 0"),
        ({"tiers": "0 0.1 0.1", "overrides": "* * 0 0"}, "rates for everybody everywhere"),
        ({"tiers": "0 0.1 0.1", "overrides": "me * 0 0"}, "is no number of an account"),
        ({"tiers": "0 0.1 0.1", "overrides": "* DOGE-USDT 0 0"}, "there is no market DOGE-USDT"),
        ({"tiers": ""}, "This field is required"),
    ],
)
def test_rules_that_make_no_sense_are_told(clients: dict[str, Client], rules: dict[str, str], text: str) -> None:
    assert text in shown(clients["support"], "accountday", **rules)


# ---------------------------------------------------------------------------------------------- promotions

PLAN = {
    "note": "New Year", "account": "", "market": "", "maker": "0", "taker": "0.05",
    "starts_at": "2090-01-01T00:00", "ends_at": "2090-01-02T12:30",
}  # fmt: skip
ADD = "/admin/fees/promotion/add/"


def decide(client: Client, promotion: Promotion, decision: str) -> int:
    return client.post(f"/admin/fees/promotion/{promotion.pk}/decide/", {"decision": decision}).status_code


def test_one_operator_plans_and_another_approves(clients: dict[str, Client]) -> None:
    assert clients["treasury"].post(ADD, PLAN).status_code == 302
    promotion = Promotion.objects.get()
    assert (promotion.state, promotion.taker_rate, promotion.created_by) == ("waiting", 500, "treasury")
    assert f"{promotion.ends_at:%Y-%m-%d %H:%M}" == "2090-01-02 12:30"
    page = f"promotion/{promotion.pk}/change"
    assert "Approve" not in shown(clients["treasury"], page)
    decide(clients["treasury"], promotion, "approve")
    promotion.refresh_from_db()
    assert promotion.state == "waiting"
    assert "Approve" in shown(clients["admin"], page)
    assert decide(clients["admin"], promotion, "approve") == 302
    promotion.refresh_from_db()
    assert (promotion.state, promotion.approved_by) == ("planned", "admin")
    assert decide(clients["admin"], promotion, "cancel") == 302
    promotion.refresh_from_db()
    assert promotion.state == "canceled"
    actions = AuditEntry.objects.filter(subject=f"promotion {promotion.pk}").order_by("id")
    assert list(actions.values_list("operator__username", "action")) == [
        ("treasury", "promotion_plan"),
        ("admin", "promotion_approve"),
        ("admin", "promotion_cancel"),
    ]


def test_who_may_not_plan_cannot(clients: dict[str, Client]) -> None:
    for role in ("support", "risk"):
        assert clients[role].get(ADD).status_code == 403
        assert clients[role].post(ADD, PLAN).status_code == 403
    clients["treasury"].post(ADD, PLAN)
    promotion = Promotion.objects.get()
    for role in ("support", "risk"):
        assert decide(clients[role], promotion, "approve") == 403
        assert "Cancel it" not in shown(clients[role], f"promotion/{promotion.pk}/change")
    assert clients["admin"].get(f"/admin/fees/promotion/{promotion.pk}/decide/").status_code == 403
    assert clients["admin"].get("/admin/fees/promotion/999999/change/").status_code == 404


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"maker": "much"}, "Use a plain decimal number"),
        ({"maker": "-1"}, "Rates are at most 10 %"),
        ({"ends_at": "2089-01-01T00:00"}, "It must end after it starts"),
        ({"account": "77777"}, "There is no account 77777"),
        ({"note": " "}, "This field is required"),
        ({}, "sets the same rates from 2090-01-01"),
    ],
)
def test_a_plan_that_cannot_be_is_shown_again_with_the_reason(
    clients: dict[str, Client], changes: dict[str, str], text: str
) -> None:
    clients["treasury"].post(ADD, PLAN)
    answer = clients["treasury"].post(ADD, PLAN | changes)
    assert answer.status_code == 400
    assert text in answer.content.decode()
    assert Promotion.objects.count() == 1


# ---------------------------------------------------------------------------------------------- command line


def run(*words: str) -> str:
    output = io.StringIO()
    call_command("fees", *words, stdout=output)
    return output.getvalue()


def test_the_command_line_tells_the_same(period: Period, capsys: pytest.CaptureFixture[str]) -> None:
    dates = ("--from", str(period.start), "--to", str(period.end))
    report = reports.fee_report(period=period)
    assert report.total.net in run("report", *dates)
    assert "Outside world" in run("balance", *dates)
    assert "corrections" in run("income", "--by", "day", *dates)
    assert "accounts change tier." in run("what-if", "0:1:2", "0.01:0.5:0.6", *dates)
    end = FollowerCursor.objects.get(name="fee_books").sequence
    assert run("check") == f"The fee books equal trades, entries and orders up to command {end} of {end}.\n"
    capsys.readouterr()
    run("report", "--csv", *dates)
    assert len(capsys.readouterr().out.splitlines()) == FeeDay.objects.count() + 1
    with pytest.raises(CommandError, match="invalid_parameters: The first tier"):
        run("what-if", "1:1:2", *dates)


def test_promotions_can_be_planned_and_dropped_on_the_command_line(clients: dict[str, Client]) -> None:
    rates = ("--market", "BTC-USDT", "--maker=-0.01", "--taker", "0.1", "--note", "night", "--ends", "2090-01-01T06:00")
    assert run("promote", *rates, "--starts", "2090-01-01").startswith("Planned as promotion ")
    promotion = Promotion.objects.get()
    assert (promotion.state, promotion.maker_rate) == ("planned", -100)
    assert "2090-01-01 00:00 to 2090-01-01 06:00  everyone on BTC-USDT  -0.01 % / 0.10 %  night" in run("promotions")
    with pytest.raises(CommandError, match="overlapping: "):
        run("promote", *rates, "--starts", "2090-01-01T03:00")
    assert run("end-promotion", str(promotion.pk)) == "It is canceled.\n"
    with pytest.raises(CommandError, match="already_over: "):
        run("end-promotion", str(promotion.pk))
    with pytest.raises(CommandError, match="unknown_promotion: "):
        run("end-promotion", "999999")


def test_wrong_books_make_the_check_fail(period: Period) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE fees_feeday SET fees = fees + 1")
    try:
        with pytest.raises(CommandError, match="The fee books are wrong: the fees of"):
            run("check")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE fees_feeday SET fees = fees - 1")
