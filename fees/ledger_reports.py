"""The trial balance and the income statement, from the sums of the ledger's entries by day.

A credit adds to what an account is owed, a debit takes from it. Every command's entries sum to zero, so do the balances
of users, fees and the outside world in every asset.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Literal

from django.db.models import Q, Sum

from fees.models import LedgerDay
from fees.reports import Period, exact_text
from marketdata.models import Asset
from marketdata.shapes import DecimalText

CLASSES = ("users", "fees", "external")
CLASS_NAMES = {"users": "Users", "fees": "Fees", "external": "Outside world"}

By = Literal["day", "month", "period"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceLine:
    """An account class in an asset: its balance before the period, what came and went, its balance after it."""

    asset: str
    account_class: str
    opening: DecimalText
    debits: DecimalText
    credits: DecimalText
    closing: DecimalText


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetBalance:
    """The classes in one asset; `sound`: debits equal credits, and the balances sum to zero."""

    asset: str
    lines: list[BalanceLine]
    debits: DecimalText
    credits: DecimalText
    closing: DecimalText
    sound: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomeLine:
    """What the fees account earned of an asset in a part of the period."""

    period: str
    asset: str
    fees: DecimalText
    rebates: DecimalText
    corrections: DecimalText
    net: DecimalText


def trial_balance(*, period: Period) -> list[AssetBalance]:
    """The trial balance of a period, an asset after the other."""
    before, within = Q(day__lt=period.start), Q(day__range=(period.start, period.end))
    rows = (
        LedgerDay.objects.filter(day__lte=period.end)
        .values_list("asset_id", "account_class")
        .annotate(
            credits_before=Sum("credits", filter=before),
            debits_before=Sum("debits", filter=before),
            debits_within=Sum("debits", filter=within),
            credits_within=Sum("credits", filter=within),
        )
    )
    sums = {(row[0], row[1]): [Fraction(value or 0) for value in row[2:]] for row in rows}
    found = []
    for asset in Asset.objects.filter(id__in={key[0] for key in sums}).order_by("id"):
        values = {name: sums.get((asset.id, name), [Fraction()] * 4) for name in CLASSES}
        closings = {name: each[0] - each[1] - each[2] + each[3] for name, each in values.items()}
        debits, credits = (sum((each[at] for each in values.values()), Fraction()) for at in (2, 3))
        closing = sum(closings.values(), Fraction())
        found.append(
            AssetBalance(
                asset=asset.symbol,
                lines=[
                    BalanceLine(
                        asset=asset.symbol,
                        account_class=CLASS_NAMES[name],
                        opening=exact_text(each[0] - each[1], asset.scale),
                        debits=exact_text(each[2], asset.scale),
                        credits=exact_text(each[3], asset.scale),
                        closing=exact_text(closings[name], asset.scale),
                    )
                    for name, each in values.items()
                ],
                debits=exact_text(debits, asset.scale),
                credits=exact_text(credits, asset.scale),
                closing=exact_text(closing, asset.scale),
                sound=debits == credits and not closing,
            )
        )
    return found


def income_statement(*, period: Period, by: By) -> list[IncomeLine]:
    """What was earned of each asset, by day, month, or over the whole period."""
    sums: dict[tuple[str, str], list[Fraction]] = defaultdict(lambda: [Fraction()] * 3)
    scales: dict[str, int] = {}
    rows = LedgerDay.objects.filter(account_class="fees", day__range=(period.start, period.end))
    for row in rows.select_related("asset").order_by("day", "asset_id"):
        earned, paid, corrected = sums[_part(row.day, period, by), row.asset.symbol]
        if row.entry_type == "fee":
            earned, paid = earned + Fraction(row.credits), paid + Fraction(row.debits)
        else:
            corrected += Fraction(row.credits) - Fraction(row.debits)
        sums[_part(row.day, period, by), row.asset.symbol] = [earned, paid, corrected]
        scales[row.asset.symbol] = row.asset.scale
    return [
        IncomeLine(
            period=part,
            asset=symbol,
            fees=exact_text(earned, scales[symbol]),
            rebates=exact_text(paid, scales[symbol]),
            corrections=exact_text(corrected, scales[symbol]),
            net=exact_text(earned - paid + corrected, scales[symbol]),
        )
        for (part, symbol), (earned, paid, corrected) in sums.items()
    ]


def _part(day: date, period: Period, by: By) -> str:
    if by == "day":
        return day.isoformat()
    if by == "month":
        return f"{day:%Y-%m}"
    return f"{period.start} to {period.end}"
