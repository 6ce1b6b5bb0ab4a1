"""What operators see of fee rules and the fee books: reports in place of lists. Rates are millionths: 1,500: 0.15 %."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from unfold.widgets import UnfoldAdminDateWidget, UnfoldAdminTextareaWidget

from fees import charts, ledger_reports, reports, what_if_report
from fees.models import AccountDay, FeeDay, FeeOverride, FeeTier, LedgerDay, RateChange
from fees.reports import Period
from fees.shapes import percent_text, tier_text
from marketdata import exports
from marketdata.admin import ReadOnlyAdmin, recent
from marketdata.models import Market
from marketdata.shapes import Page

ACCOUNTS_SHOWN = 100


@admin.register(FeeTier)
class FeeTierAdmin(ReadOnlyAdmin):
    """The tier table in force."""

    list_display = ("volume", "maker_rate", "taker_rate", "valuation_asset")
    list_select_related = ("valuation_asset",)
    ordering = ("volume",)


@admin.register(FeeOverride)
class FeeOverrideAdmin(ReadOnlyAdmin):
    """Rates of an account, a market, or an account on a market."""

    list_display = ("id", "account_id", "market", "maker_rate", "taker_rate")
    list_select_related = ("market",)
    exact_numbers = ("account_id",)


@admin.register(RateChange)
class RateChangeAdmin(ReadOnlyAdmin):
    """The history of every account's rates; search by the number of an account."""

    list_display = ("since", "who", "where", "tier_name", "rates", "volume", "reason", "sequence")
    list_select_related = ("market",)
    list_filter = (recent("reason", *RateChange.Reason.values),)
    exact_numbers = ("account_id", "sequence")

    @admin.display(description="account")
    def who(self, row: RateChange) -> str:
        """The account, or everyone."""
        return "everyone" if row.account_id is None else str(row.account_id)

    @admin.display(description="market")
    def where(self, row: RateChange) -> str:
        """The market, or all."""
        return "all" if row.market is None else row.market.symbol

    @admin.display(description="tier")
    def tier_name(self, row: RateChange) -> str:
        """The tier, or that it is an exception."""
        return tier_text(row.tier)

    @admin.display(description="maker / taker")
    def rates(self, row: RateChange) -> str:
        """Rates in percent."""
        if row.maker_rate is None or row.taker_rate is None:
            return "removed"
        return f"{percent_text(row.maker_rate)} / {percent_text(row.taker_rate)}"


class ReportAdmin(ReadOnlyAdmin):
    """A report in the place of a list."""

    title = ""
    template = ""

    def report(self, request: HttpRequest) -> dict[str, Any] | HttpResponseBase:
        """What the template shows, or another answer, such as a CSV file."""
        raise NotImplementedError

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The report, to those who may view its model."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.report(request)
        if isinstance(found, HttpResponseBase):
            return found
        context = {
            **self.admin_site.each_context(request),
            "title": self.title,
            "opts": self.opts,
            **found,
            **(extra_context or {}),
        }
        return render(request, self.template, context)


@admin.register(FeeDay)
class FeeReportAdmin(ReportAdmin):
    """Fees of a period by day, market, tier and role."""

    title = "Fee report"
    template = "admin/books/fees.html"

    def report(self, request: HttpRequest) -> dict[str, Any] | HttpResponseBase:
        """The report, or all of its rows as CSV."""
        period = _period(request)
        symbols = list(Market.objects.order_by("id").values_list("symbol", flat=True))
        market = request.GET.get("market")
        market = market if market in symbols else None
        if "csv" in request.GET:
            return exports.csv_response(
                filename=f"fees-{period.start}-{period.end}.csv",
                columns=reports.FeeRow,
                read=reports.fee_rows(period=period, market=market),
            )
        report = reports.fee_report(period=period, market=market)
        return {
            "period": period,
            "report": report,
            "chart": _fee_chart(report),
            "symbols": symbols,
            "market": market,
            "csv": _query(request, csv="1"),
            "tables": (("By market", report.by_market), ("By tier", report.by_tier), ("By role", report.by_role)),
        }


@admin.register(LedgerDay)
class LedgerReportAdmin(ReportAdmin):
    """The trial balance and the income statement of a period."""

    title = "Trial balance and income"
    template = "admin/books/ledger.html"

    def report(self, request: HttpRequest) -> dict[str, Any] | HttpResponseBase:
        """Both, or one of them as CSV."""
        period = _period(request)
        by = request.GET.get("by")
        income = ledger_reports.income_statement(
            period=period, by="day" if by == "day" else "period" if by == "period" else "month"
        )
        balances = ledger_reports.trial_balance(period=period)
        if request.GET.get("csv") == "income":
            return _csv(f"income-{period.start}-{period.end}.csv", ledger_reports.IncomeLine, income)
        if request.GET.get("csv") == "balance":
            lines = [line for asset in balances for line in asset.lines]
            return _csv(f"trial-balance-{period.start}-{period.end}.csv", ledger_reports.BalanceLine, lines)
        return {
            "period": period,
            "balances": balances,
            "sound": all(asset.sound for asset in balances),
            "income": income,
            "periods": ("day", "month", "period"),
            "by": by if by in ("day", "period") else "month",
            "csv_balance": _query(request, csv="balance"),
            "csv_income": _query(request, csv="income"),
        }


class WhatIfForm(forms.Form):
    """Rules to try out, and the days to try them on."""

    start = forms.DateField(widget=UnfoldAdminDateWidget(), label="From", required=False)
    end = forms.DateField(widget=UnfoldAdminDateWidget(), label="To", required=False)
    tiers = forms.CharField(
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 6, "spellcheck": "false"}),
        help_text="One line a tier: 30-day volume, maker percent, taker percent, like 1000000 0.08 0.12.",
        max_length=10_000,
    )
    overrides = forms.CharField(
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 6, "spellcheck": "false"}),
        required=False,
        help_text="One line an exception: account, market, maker and taker percent; * for all, like * ETH-USDT 0 0.1.",
        max_length=10_000,
    )


@admin.register(AccountDay)
class WhatIfAdmin(ReportAdmin):
    """Other fee rules on what was traded: which revenue, and who changes tier."""

    title = "What if: other fee rules on what was traded"
    template = "admin/books/what_if.html"

    def report(self, request: HttpRequest) -> dict[str, Any] | HttpResponseBase:
        """The form, and with rules in the address their outcome or its CSV."""
        period = _period(request)
        present, asset = what_if_report.present_rules()
        tiers, overrides = what_if_report.rules_text(present, asset)
        initial = {"start": period.start, "end": period.end, "tiers": tiers, "overrides": overrides}
        asked = "tiers" in request.GET
        form = WhatIfForm({**initial, **request.GET.dict()} if asked else None, initial=initial)
        context: dict[str, Any] = {"form": form, "period": period, "asset": asset, "asked": asked}
        if not asked or not form.is_valid():
            return context
        try:
            proposed = what_if_report.rules_from_text(
                tiers=form.cleaned_data["tiers"], overrides=form.cleaned_data["overrides"], asset=asset
            )
        except what_if_report.BadRules as error:
            form.add_error(None, str(error))
            return context
        found = what_if_report.run_what_if(period=period, proposed=proposed)
        if request.GET.get("csv") == "accounts":
            return _csv("what-if-accounts.csv", what_if_report.AccountLine, found.accounts)
        if request.GET.get("csv") == "days":
            return _csv("what-if-days.csv", what_if_report.RevenueLine, found.days)
        return context | {
            "found": found,
            "accounts": found.accounts[:ACCOUNTS_SHOWN],
            "moves": [each for each in found.accounts if each.moves][:ACCOUNTS_SHOWN],
            "chart": _what_if_chart(found),
            "csv_accounts": _query(request, csv="accounts"),
            "csv_days": _query(request, csv="days"),
        }


# ---------------------------------------------------------------------------------------------- pieces


def _period(request: HttpRequest) -> Period:
    today = timezone.now().date()
    return reports.period_of(start=request.GET.get("start"), end=request.GET.get("end"), today=today)


def _query(request: HttpRequest, **changes: str) -> str:
    """The address's query with changes."""
    return f"?{urlencode({**request.GET.dict(), **changes})}"


def _csv(filename: str, columns: type, rows: list[Any]) -> HttpResponseBase:
    return exports.csv_response(filename=filename, columns=columns, read=lambda _: Page(rows, None))


def _fee_chart(report: reports.FeeReport) -> str:
    """Net fees by day, of makers and takers."""
    days = list(report.by_day)
    nets = {role: [report.by_day[day][role].net for day in days] for role in ("maker", "taker")}
    unit = reports.TINY // 10**reports.MONEY_DECIMALS
    return charts.bars(
        title=f"Fees by day in {report.asset}",
        days=[day.isoformat() for day in days],
        series=[charts.Series(role, [value // unit for value in values]) for role, values in nets.items()],
        texts=[
            f"makers {reports.tiny_money(maker)}, takers {reports.tiny_money(taker)} {report.asset}"
            for maker, taker in zip(nets["maker"], nets["taker"], strict=True)
        ],
        decimals=reports.MONEY_DECIMALS,
    )


def _what_if_chart(found: what_if_report.WhatIf) -> str:
    """What the proposal adds or takes, by day."""
    unit = reports.TINY // 10**reports.MONEY_DECIMALS
    return charts.bars(
        title=f"Change of fees by day in {found.asset}",
        days=[line.name for line in found.days],
        series=[charts.Series("change", [revenue.change // unit for revenue in found.outcome.days.values()])],
        texts=[f"{line.present} would be {line.proposed}: {line.change} {found.asset}" for line in found.days],
        decimals=reports.MONEY_DECIMALS,
    )
