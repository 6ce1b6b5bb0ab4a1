"""Promotions on the operator's desk: plan one, approve another operator's, drop or end one, see what became of it."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from fees.models import FeeTier, Promotion
from fees.schedule import DEFAULT_TIERS
from fees.shapes import percent_text, rate_from_text
from marketdata.admin import ReadOnlyAdmin, recent
from marketdata.models import Market
from marketdata.scale import AmountError
from matching.models import InboxCommand
from trading.books.promotions import (
    NOTE_LENGTH_MAX,
    Plan,
    PromotionRefused,
    approve_promotion,
    cancel_promotion,
    plan_promotion,
)
from trading.desk import acts, audit

FIELDS = {
    "invalid_note": "note",
    "unknown_account": "account",
    "unknown_market": "market",
    "invalid_time": "ends_at",
    "invalid_rates": "taker",
}
"""Where a refusal's text goes."""

MOMENT = "%Y-%m-%dT%H:%M"


def _moment(help_text: str) -> forms.DateTimeField:
    widget = UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"})
    widget.input_type = "datetime-local"
    return forms.DateTimeField(widget=widget, input_formats=[MOMENT, "%Y-%m-%d %H:%M"], help_text=help_text)


class PromotionForm(forms.Form):
    """A plan, typed."""

    note = forms.CharField(widget=UnfoldAdminTextInputWidget(), max_length=NOTE_LENGTH_MAX, help_text="What it is for.")
    account = forms.IntegerField(
        widget=UnfoldAdminIntegerFieldWidget(),
        required=False,
        min_value=1,
        help_text="An account's number; empty: everyone.",
    )
    market = forms.ModelChoiceField(
        queryset=Market.objects.order_by("symbol"),
        widget=UnfoldAdminSelectWidget(),
        required=False,
        empty_label="All markets",
        help_text="All: every market that there is when it starts.",
    )
    maker = forms.CharField(widget=UnfoldAdminTextInputWidget(), help_text="Percent; negative: a rebate.")
    taker = forms.CharField(widget=UnfoldAdminTextInputWidget(), help_text="Percent.")
    starts_at = _moment("UTC.")
    ends_at = _moment("UTC. What was before comes back then.")

    def clean_maker(self) -> int:
        """Millionths."""
        return self._rate("maker")

    def clean_taker(self) -> int:
        """Millionths."""
        return self._rate("taker")

    def plan(self) -> Plan:
        """What was typed, of a valid form."""
        given = self.cleaned_data
        return Plan(
            account_id=given["account"],
            market_id=given["market"].id if given["market"] else None,
            maker_rate=given["maker"],
            taker_rate=given["taker"],
            starts_at=given["starts_at"],
            ends_at=given["ends_at"],
            note=given["note"],
        )

    def _rate(self, name: str) -> int:
        try:
            return rate_from_text(self.cleaned_data[name])
        except AmountError as error:
            raise forms.ValidationError(str(error)) from error


@admin.register(Promotion)
class PromotionAdmin(ReadOnlyAdmin):
    """Promotions."""

    list_display = ("id", "note", "target", "rates", "starts_at", "ends_at", "state", "created_by")
    list_select_related = ("market",)
    list_filter = (recent("state", *Promotion.State.values),)
    exact_numbers = ("id", "account_id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Those who may plan."""
        return bool(request.user.has_perm("fees.add_promotion"))

    @admin.display(description="for")
    def target(self, row: Promotion) -> str:
        """Whom and where."""
        who = "everyone" if row.account_id is None else f"account {row.account_id}"
        return f"{who} on {row.market.symbol if row.market else 'all markets'}"

    @admin.display(description="maker / taker")
    def rates(self, row: Promotion) -> str:
        """Rates in percent."""
        return f"{percent_text(row.maker_rate)} / {percent_text(row.taker_rate)}"

    def get_urls(self) -> list[URLPattern]:
        """Also the decisions."""
        decide = self.admin_site.admin_view(self.decide)
        return [path("<int:promotion_id>/decide/", decide, name="fees_promotion_decide"), *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        """The form; a good plan is written down with its line in the audit log."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = PromotionForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                return self._plan(request, form.plan())
            except PromotionRefused as refused:
                form.add_error(FIELDS.get(refused.code), str(refused))
        context = {
            "title": "Plan a promotion",
            "form": form,
            "two": acts.rule_holds(kind="fee_override"),
            "cheapest": _cheapest(),
        }
        return self._shown(request, "admin/books/promotion_form.html", context, status=400 if form.errors else 200)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        """What became of it, and what can be decided."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        promotion = self._found(object_id)
        steps = list(promotion.steps.select_related("market").order_by("id"))
        ids = [each for step in steps for each in (step.start_inbox_id, step.end_inbox_id) if each]
        commands = InboxCommand.objects.in_bulk(ids)
        may = bool(request.user.has_perm("fees.change_promotion"))
        context = {
            "title": f"Promotion {promotion.id}",
            "promotion": promotion,
            "target": self.target(promotion),
            "rates": self.rates(promotion),
            "steps": [
                (
                    step.market.symbol if step.market else "all markets",
                    (commands.get(step.start_inbox_id), commands.get(step.end_inbox_id or 0)),
                )
                for step in steps
            ],
            "may_approve": may and promotion.state == "waiting" and promotion.created_by != request.user.get_username(),
            "may_cancel": may and promotion.state in ("waiting", "planned"),
            "may_end": may and promotion.state == "running" and promotion.ends_at > timezone.now(),
        }
        return self._shown(request, "admin/books/promotion.html", context)

    def decide(self, request: HttpRequest, promotion_id: int) -> HttpResponse:
        """Approve, drop, or end early."""
        if request.method != "POST" or not request.user.has_perm("fees.change_promotion"):
            raise PermissionDenied
        promotion = self._found(str(promotion_id))
        decision = request.POST.get("decision")
        act = approve_promotion if decision == "approve" else cancel_promotion
        actor = request.user.get_username()
        try:
            with transaction.atomic():
                before = {"state": promotion.state}
                promotion = act(promotion_id=promotion_id, actor=actor, now=timezone.now())
                self._record(request, promotion, f"promotion_{decision}", before)
        except PromotionRefused as refused:
            messages.error(request, str(refused))
        else:
            text = "It ends within seconds." if promotion.state == "running" else f"It is {promotion.state} now."
            messages.success(request, text)
        return redirect("admin:fees_promotion_change", promotion_id)

    def _plan(self, request: HttpRequest, plan: Plan) -> HttpResponse:
        waits = acts.rule_holds(kind="fee_override")
        with transaction.atomic():
            promotion = plan_promotion(plan=plan, actor=request.user.get_username(), now=timezone.now(), waits=waits)
            self._record(request, promotion, "promotion_plan", None)
        messages.success(request, "Planned; another operator has to approve it." if waits else "Planned.")
        return redirect("admin:fees_promotion_change", promotion.pk)

    def _record(self, request: HttpRequest, promotion: Promotion, action: str, before: Any) -> None:
        audit.record(
            request=request,
            action=action,
            subject=f"promotion {promotion.pk}",
            text=f"{self.rates(promotion)} for {self.target(promotion)}: {promotion.note}",
            before=before,
            after=audit.snapshot(promotion) if before is None else {"state": promotion.state},
        )

    def _found(self, object_id: str) -> Promotion:
        rows = Promotion.objects.select_related("market")
        found = rows.filter(pk=int(object_id)).first() if object_id.isascii() and object_id.isdigit() else None
        if found is None:
            raise Http404
        return found

    def _shown(self, request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
        whole = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return render(request, template, whole, status=status)


def _cheapest() -> str:
    """The lowest rates of the tiers, to tell promotions that would be dearer for some."""
    rates = list(FeeTier.objects.values_list("maker_rate", "taker_rate"))
    rates = rates or [(tier.maker_rate, tier.taker_rate) for tier in DEFAULT_TIERS]
    makers, takers = zip(*rates, strict=True)
    return f"{percent_text(min(makers))} / {percent_text(min(takers))}"
