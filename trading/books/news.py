"""Tells people that their fee tier has changed, in the transaction that writes it into the rate history."""

from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone

from fees.books import TierChange
from fees.shapes import percent_text
from marketdata.shapes import microseconds_of
from notifications.recording import News, record_all
from risk.models import Account

NEWS_AGE_MAX = timedelta(days=1)
"""What happened longer ago, when the books read an old journal for the first time, is no news."""


def tell(*, changes: Sequence[TierChange]) -> None:
    """Tell the owners; of several changes of an account the last one, and not what a new account begins with."""
    oldest = microseconds_of(timezone.now() - NEWS_AGE_MAX)
    last = {each.account_id: each for each in changes if each.previous_tier is not None and each.since >= oldest}
    owners = Account.objects.filter(id__in=last, user__isnull=False).values_list("id", "user_id")
    record_all(
        News(
            user_id=user_id,
            account_id=account_id,
            kind="fee_tier_changed",
            key=f"{account_id}.{last[account_id].since}",
            figures={
                "tier": f"tier {last[account_id].tier}",
                "maker_rate": percent_text(last[account_id].maker_rate),
                "taker_rate": percent_text(last[account_id].taker_rate),
            },
            at=last[account_id].since,
        )
        for account_id, user_id in owners
        if user_id is not None
    )
