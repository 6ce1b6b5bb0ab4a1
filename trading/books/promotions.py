"""Promotions: overrides that are set at a moment and taken back at another, each exactly once.

A pass locks a promotion, files its commands in the control lane and keeps their inbox ids in one transaction, so a
crash leaves all or nothing. What an override was before is not remembered but read from the rate history, which knows
it as of the very command; an override that somebody has changed meanwhile is left as it is.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from fees.models import FeeOverride, Promotion, PromotionStep, RateChange
from fees.schedule import rates_are_sound
from marketdata.models import Market
from matching import inbox
from matching.engine.messages import SetFeeOverride
from matching.models import FollowerCursor, InboxCommand
from risk.models import Account

LENGTH_MAX = timedelta(days=366)
NOTE_LENGTH_MAX = 200
State = Promotion.State


class PromotionRefused(Exception):
    """It cannot be. `code` is the stable name.

    Codes: invalid_rates, invalid_time, invalid_note, unknown_account, unknown_market, overlapping, already_over,
    not_waiting, own_plan.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A promotion to be: an account or everyone (None), a market or all (None), rates in millionths, its time."""

    account_id: int | None
    market_id: int | None
    maker_rate: int
    taker_rate: int
    starts_at: datetime
    ends_at: datetime
    note: str


def plan_promotion(*, plan: Plan, actor: str, now: datetime, waits: bool = False) -> Promotion:
    """Write a promotion down; a pass starts it when it is time, with `waits` only if somebody else has approved it.

    Raises PromotionRefused.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('bourse promotions'))")
        if refusal := _refusal(plan, now):
            raise refusal
        return Promotion.objects.create(
            account_id=plan.account_id,
            market_id=plan.market_id,
            maker_rate=plan.maker_rate,
            taker_rate=plan.taker_rate,
            starts_at=plan.starts_at,
            ends_at=plan.ends_at,
            note=plan.note.strip(),
            created_by=actor,
            state=State.WAITING if waits else State.PLANNED,
        )


def approve_promotion(*, promotion_id: int, actor: str, now: datetime) -> Promotion:
    """Let a promotion that another operator has planned go ahead. Raises PromotionRefused."""
    with transaction.atomic():
        promotion = Promotion.objects.select_for_update().get(id=promotion_id)
        if promotion.state != State.WAITING:
            raise PromotionRefused("not_waiting", f"The promotion is {promotion.state}: nobody has to approve it.")
        if promotion.created_by == actor:
            raise PromotionRefused("own_plan", "Another operator has to approve what you have planned.")
        if promotion.ends_at <= now:
            raise PromotionRefused("invalid_time", "Its time has passed.")
        promotion.state = State.PLANNED
        promotion.approved_by = actor
        promotion.save()
        return promotion


def cancel_promotion(*, promotion_id: int, actor: str, now: datetime) -> Promotion:
    """Drop a planned promotion, or let a running one end with the next pass. Raises PromotionRefused."""
    with transaction.atomic():
        promotion = Promotion.objects.select_for_update().get(id=promotion_id)
        if promotion.state in (State.ENDED, State.CANCELED):
            raise PromotionRefused("already_over", f"The promotion is {promotion.state} already.")
        if promotion.state != State.RUNNING:
            promotion.state = State.CANCELED
            promotion.result = f"Canceled by {actor} before it started."
        elif promotion.ends_at > now:
            promotion.ends_at = now
            promotion.result = f"Ended early by {actor}."
        promotion.save()
        return promotion


def run_due_promotions(*, now: datetime) -> int:
    """End what is over and start what is due at `now`; how many promotions changed. For every second or so.

    Ends come first: a promotion that begins when another one of its target ends finds that one taken back.
    """
    changed = 0
    for promotion_id in _ids(state=State.RUNNING, ends_at__lte=now):
        changed += _end(promotion_id, now)
    for promotion_id in _ids(state=State.PLANNED, starts_at__lte=now):
        changed += _start(promotion_id, now)
    return changed


# ---------------------------------------------------------------------------------------------- one promotion


def _refusal(plan: Plan, now: datetime) -> PromotionRefused | None:
    if not rates_are_sound(plan.maker_rate, plan.taker_rate):
        return PromotionRefused("invalid_rates", "Rates are at most 10 %, and a rebate at most what the taker pays.")
    if plan.starts_at >= plan.ends_at or plan.ends_at <= now or plan.ends_at - plan.starts_at > LENGTH_MAX:
        return PromotionRefused("invalid_time", "It must end after it starts, in the future, and within 366 days.")
    if not plan.note.strip() or len(plan.note.strip()) > NOTE_LENGTH_MAX or not plan.note.isprintable():
        return PromotionRefused("invalid_note", f"A note of up to {NOTE_LENGTH_MAX} characters says what it is for.")
    if plan.account_id is not None and not Account.objects.filter(id=plan.account_id, user__isnull=False).exists():
        return PromotionRefused("unknown_account", f"There is no account {plan.account_id} of a user.")
    if plan.market_id is not None and not Market.objects.filter(id=plan.market_id).exists():
        return PromotionRefused("unknown_market", f"There is no market {plan.market_id}.")
    alive = _clashing(plan.account_id, plan.market_id).filter(state__in=(State.WAITING, State.PLANNED, State.RUNNING))
    other = alive.filter(starts_at__lt=plan.ends_at, ends_at__gt=plan.starts_at).order_by("starts_at").first()
    if other is not None:
        when = f"{other.starts_at:%Y-%m-%d %H:%M} to {other.ends_at:%Y-%m-%d %H:%M} UTC"
        text = f"Promotion {other.id} ({other.note}) sets the same rates from {when}."
        return PromotionRefused("overlapping", text)
    return None


def _clashing(account_id: int | None, market_id: int | None) -> QuerySet[Promotion]:
    """Promotions that set an override which one of this target would set too."""
    same = Q(account_id=account_id)
    if account_id is None and market_id is not None:
        same &= Q(market_id=market_id) | Q(market_id=None)
    elif account_id is not None:
        same &= Q(market_id=market_id)
    return Promotion.objects.filter(same)


def _ids(**conditions: Any) -> list[int]:
    return list(Promotion.objects.filter(**conditions).order_by("starts_at", "id").values_list("id", flat=True))


def _locked(promotion_id: int, state: str) -> Promotion | None:
    """The promotion, unless another pass has it or was faster."""
    rows = Promotion.objects.select_for_update(skip_locked=True)
    return rows.filter(id=promotion_id, state=state).first()


def _start(promotion_id: int, now: datetime) -> bool:
    with transaction.atomic():
        promotion = _locked(promotion_id, State.PLANNED)
        if promotion is None or promotion.starts_at > now:
            return False
        clashing = _clashing(promotion.account_id, promotion.market_id)
        if clashing.filter(state=State.RUNNING).exists():
            return False  # the one before is about to end
        if promotion.ends_at <= now:
            promotion.state = State.CANCELED
            promotion.result = "Not started: its time had passed."
        else:
            _file_start(promotion)
            promotion.state = State.RUNNING
        promotion.save()
        return True


def _file_start(promotion: Promotion) -> None:
    for account_id, market_id in _targets(promotion):
        command = SetFeeOverride(account_id, market_id, promotion.maker_rate, promotion.taker_rate)
        PromotionStep.objects.create(
            promotion=promotion,
            account_id=account_id,
            market_id=market_id,
            start_inbox_id=inbox.file_command(command=command, actor=f"promotion {promotion.id}"),
        )


def _targets(promotion: Promotion) -> list[tuple[int | None, int | None]]:
    """The overrides it sets: the exchange has none for everyone on every market, so that is one a market."""
    if promotion.account_id is not None or promotion.market_id is not None:
        return [(promotion.account_id, promotion.market_id)]
    return [(None, market_id) for market_id in Market.objects.order_by("id").values_list("id", flat=True)]


def _end(promotion_id: int, now: datetime) -> bool:
    with transaction.atomic():
        promotion = _locked(promotion_id, State.RUNNING)
        if promotion is None or promotion.ends_at > now:
            return False
        steps = list(promotion.steps.select_related("market").order_by("id"))
        if not _is_known(steps):
            return False  # the worker or the books are not that far yet: with a later pass
        for step in steps:
            if remark := _file_end(promotion, step):
                promotion.result = f"{promotion.result} {remark}".strip()
        promotion.state = State.ENDED
        promotion.save()
        return True


def _is_known(steps: list[PromotionStep]) -> bool:
    """Whether every start was executed, and is in the rate history."""
    started = InboxCommand.objects.filter(id__in=[step.start_inbox_id for step in steps])
    if started.filter(done_at=None).exists():
        return False
    last = max((row.sequence or 0 for row in started), default=0)
    return FollowerCursor.objects.filter(name="fee_books", sequence__gte=last).exists()


def _file_end(promotion: Promotion, step: PromotionStep) -> str:
    """Put back what was before; a remark if there is nothing to put back."""
    where = step.market.symbol if step.market else "every market"
    try:
        started = inbox.wait_for(inbox_id=step.start_inbox_id, timeout=0)
    except (inbox.Refused, inbox.CommandFailed) as error:
        return f"It could not be started on {where}: {error}"
    current = FeeOverride.objects.filter(**_target(step)).first()
    if current is None or (current.maker_rate, current.taker_rate) != (promotion.maker_rate, promotion.taker_rate):
        return f"The rates on {where} were changed meanwhile and left as they are."
    before = _rates_before(step, started.sequence)
    command = SetFeeOverride(step.account_id, step.market_id, *before)
    step.end_inbox_id = inbox.file_command(command=command, actor=f"promotion {promotion.id}")
    step.save()
    return ""


def _rates_before(step: PromotionStep, sequence: int) -> tuple[int | None, int | None]:
    """The override of the step's target when the command `sequence` came; None: there was none."""
    changes = RateChange.objects.filter(**_target(step), tier=None)
    before = changes.filter(sequence__lte=sequence).order_by("-sequence", "-id").first()
    return (None, None) if before is None else (before.maker_rate, before.taker_rate)


def _target(step: PromotionStep) -> dict[str, int | None]:
    return {"account_id": step.account_id, "market_id": step.market_id}
