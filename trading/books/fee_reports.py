"""The subcommands of `manage.py fees` that read the fee books or plan promotions; `--csv` writes for spreadsheets."""

import csv
import dataclasses
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.management import get_system_username
from django.core.management.base import CommandError
from django.utils import timezone

from fees import ledger_reports, reports, what_if_report
from fees.models import Promotion
from fees.reports import Period
from fees.shapes import percent_text
from marketdata.exports import cell
from trading import control
from trading.books.check import check_books
from trading.books.promotions import Plan, PromotionRefused, cancel_promotion, plan_promotion

Options = dict[str, Any]
Say = Callable[[str], None]


def add_arguments(actions: Any) -> None:
    """A parser for each action."""
    report = _with_period(actions.add_parser("report", help="fees by day, market, tier and role"))
    report.add_argument("--market", metavar="SYMBOL")
    _with_period(actions.add_parser("balance", help="the trial balance"))
    income = _with_period(actions.add_parser("income", help="the income statement"))
    income.add_argument("--by", choices=("day", "month", "period"), default="month")
    what_if = _with_period(actions.add_parser("what-if", help="what other rules would have earned"))
    what_if.add_argument("tiers", nargs="*", metavar="VOLUME:MAKER:TAKER", help="default: the tiers in force")
    what_if.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="ACCOUNT:MARKET:MAKER:TAKER",
        help="rates of their own, * for all; with one of these those in force do not count",
    )
    actions.add_parser("check", help="compare the fee books with the trades, entries and orders")
    actions.add_parser("promotions", help="list promotions, the newest first")
    promote = actions.add_parser("promote", help="plan a promotion")
    promote.add_argument("--user")
    promote.add_argument("--account", default="main", metavar="NAME", help="which of the user's (default: main)")
    promote.add_argument("--market", metavar="SYMBOL", help="default: all markets")
    promote.add_argument("--maker", required=True, metavar="PERCENT")
    promote.add_argument("--taker", required=True, metavar="PERCENT")
    promote.add_argument("--starts", type=_moment, metavar="TIME", help="UTC, like 2026-12-24T18:00; default: now")
    promote.add_argument("--ends", type=_moment, required=True, metavar="TIME")
    promote.add_argument("--note", required=True)
    end = actions.add_parser("end-promotion", help="drop a planned promotion, end a running one")
    end.add_argument("promotion", type=int)


def report(options: Options, say: Say) -> None:
    """Fees of a period."""
    period, symbol = _period(options), None
    if options["market"]:
        symbol = control.find_market(symbol=options["market"]).symbol
    if options["csv"]:
        read = reports.fee_rows(period=period, market=symbol)
        cursor: int | None = None
        page = read(cursor)
        _write_csv(reports.FeeRow, page.results)
        while page.next is not None:
            page = read(int(page.next))
            _write_csv(reports.FeeRow, page.results, header=False)
        return
    found = reports.fee_report(period=period, market=symbol)
    say(f"Fees from {period.start} to {period.end} in {found.asset}")
    for title, lines in (
        ("market", found.by_market),
        ("tier", found.by_tier),
        ("role", found.by_role),
        ("", [found.total]),
    ):
        for line in lines:
            say(f"{title:7} {line.name:12} net {line.net:>16}  rebates {line.rebates:>14}  {line.rate} of traded")
    if found.unpriced:
        say(f"Not counted, as nothing says what they are worth: fees on markets quoted in {', '.join(found.unpriced)}")


def balance(options: Options, say: Say) -> None:
    """The trial balance; fails when it does not balance."""
    found = ledger_reports.trial_balance(period=_period(options))
    lines = [line for asset in found for line in asset.lines]
    if options["csv"]:
        _write_csv(ledger_reports.BalanceLine, lines)
    else:
        for line in lines:
            say(
                f"{line.asset:8} {line.account_class:14} before {line.opening}  debits {line.debits}  "
                f"credits {line.credits}  after {line.closing}"
            )
    if unsound := [asset.asset for asset in found if not asset.sound]:
        raise CommandError(f"It does not balance in {', '.join(unsound)}.")


def income(options: Options, say: Say) -> None:
    """The income statement."""
    found = ledger_reports.income_statement(period=_period(options), by=options["by"])
    if options["csv"]:
        _write_csv(ledger_reports.IncomeLine, found)
        return
    for line in found:
        say(
            f"{line.period}  {line.asset:8} fees {line.fees}  rebates {line.rebates}  "
            f"corrections {line.corrections}  net {line.net}"
        )


def what_if(options: Options, say: Say) -> None:
    """What other rules would have earned; as CSV the accounts."""
    present, asset = what_if_report.present_rules()
    tiers, overrides = what_if_report.rules_text(present, asset)
    try:
        proposed = what_if_report.rules_from_text(
            tiers=_as_lines(options["tiers"]) or tiers,
            overrides=_as_lines(options["override"]) or overrides,
            asset=asset,
        )
    except what_if_report.BadRules as error:
        raise control.BadRequest("invalid_parameters", str(error)) from error
    found = what_if_report.run_what_if(period=_period(options), proposed=proposed)
    if options["csv"]:
        _write_csv(what_if_report.AccountLine, found.accounts)
        return
    say(f"From {found.period.start} to {found.period.end} in {found.asset}")
    for line in (*found.markets, found.total):
        say(
            f"{line.name:12} taken {line.actual:>14}  today's rules {line.present:>14}  these rules "
            f"{line.proposed:>14}  change {line.change} ({line.change_rate} %)"
        )
    for account in found.accounts:
        if account.moves:
            say(f"account {account.account_id}: tier {account.tier_before} -> {account.tier_after}, {account.change}")
    say(f"{found.moving} of {len(found.accounts)} accounts change tier.")


def check(options: Options, say: Say) -> None:
    """Whether the books are what they were made from."""
    found = check_books()
    if found.finding is not None:
        raise CommandError(f"The fee books are wrong: {found.finding}.")
    say(f"The fee books equal trades, entries and orders up to command {found.cursor} of {found.journal_end}.")


def promotions(options: Options, say: Say) -> None:
    """The newest hundred."""
    for row in Promotion.objects.select_related("market").order_by("-id")[:100]:
        who = "everyone" if row.account_id is None else f"account {row.account_id}"
        rates = f"{percent_text(row.maker_rate)} / {percent_text(row.taker_rate)}"
        say(
            f"{row.id}  {row.state}  {row.starts_at:%Y-%m-%d %H:%M} to {row.ends_at:%Y-%m-%d %H:%M}  {who} on "
            f"{row.market or 'all markets'}  {rates}  {row.note}"
        )


def promote(options: Options, say: Say) -> None:
    """Plan a promotion."""
    now = timezone.now()
    user, symbol = options["user"], options["market"]
    plan = Plan(
        account_id=None if user is None else control.find_account(username=user, name=options["account"]).id,
        market_id=None if symbol is None else control.find_market(symbol=symbol).id,
        maker_rate=control.millionths(percent=options["maker"]),
        taker_rate=control.millionths(percent=options["taker"]),
        starts_at=options["starts"] or now,
        ends_at=options["ends"],
        note=options["note"],
    )
    try:
        made = plan_promotion(plan=plan, actor=_actor(), now=now)
    except PromotionRefused as refused:
        raise control.BadRequest(refused.code, str(refused)) from refused
    say(f"Planned as promotion {made.id}.")


def end_promotion(options: Options, say: Say) -> None:
    """Drop or end it."""
    try:
        made = cancel_promotion(promotion_id=options["promotion"], actor=_actor(), now=timezone.now())
    except Promotion.DoesNotExist as error:
        raise control.BadRequest("unknown_promotion", f"There is no promotion {options['promotion']}.") from error
    except PromotionRefused as refused:
        raise control.BadRequest(refused.code, str(refused)) from refused
    say("It ends with the next pass." if made.state == "running" else "It is canceled.")


ACTIONS: dict[str, Callable[[Options, Say], None]] = {
    "report": report,
    "balance": balance,
    "income": income,
    "what-if": what_if,
    "check": check,
    "promotions": promotions,
    "promote": promote,
    "end-promotion": end_promotion,
}


def _with_period(parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument("--from", dest="start", metavar="DATE", help="a UTC day (default: 30 days)")
    parser.add_argument("--to", dest="end", metavar="DATE", help="included (default: today)")
    parser.add_argument("--csv", action="store_true", help="as CSV on the standard output")
    return parser


def _period(options: Options) -> Period:
    return reports.period_of(start=options["start"], end=options["end"], today=timezone.now().date())


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _as_lines(texts: Iterable[str]) -> str:
    return "\n".join(text.replace(":", " ") for text in texts)


def _actor() -> str:
    return f"manage.py fees by {get_system_username() or 'unknown'}"


def _write_csv(columns: type, rows: Iterable[Any], *, header: bool = True) -> None:
    names = [field.name for field in dataclasses.fields(columns)]
    writer = csv.writer(sys.stdout)
    if header:
        writer.writerow(names)
    writer.writerows([cell(getattr(row, name)) for name in names] for row in rows)
