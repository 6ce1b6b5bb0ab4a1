"""The page of API keys: make one (its secret is shown in that answer only), see them, revoke them.

The rules are those of the API (trading/api/keys.py, trading/api_keys.py); only the way to say them differs.
"""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from trading import demo
from trading.api.keys import KEYS_PER_USER_MAX
from trading.api_keys import InvalidApiKey, issue_api_key
from trading.models import ApiKey, User
from trading.pages.forms import ApiKeyForm
from trading.pages.guards import guarded

ENDED_KEYS_SHOWN_MAX = 20

_FIELDS = {"invalid_scopes": "scopes", "invalid_networks": "networks", "invalid_public_key": "public_key"}


@guarded
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def api_keys(request: HttpRequest) -> HttpResponse:
    """The list and the form; a POST makes a key."""
    user = request.user
    assert isinstance(user, User)
    form = ApiKeyForm(request.POST or None, user=user, initial={"account": "main"})
    if request.method == "POST" and form.is_valid():
        made = _make(user, form)
        if made is not None:
            return _show(request, *made)
    return render(request, "account/api_keys.html", {"tab": "api-keys", "form": form, **_keys_of(user)})


@guarded
@login_required
@require_POST
def revoke(request: HttpRequest, key_id: int) -> HttpResponse:
    """From now on the key signs nothing."""
    key = get_object_or_404(ApiKey, pk=key_id, user=request.user)
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
    messages.success(request, f"{key.label or key.key} is revoked: it signs nothing any more.")
    return redirect("account_api_keys")


def _make(user: User, form: ApiKeyForm) -> tuple[ApiKey, str | None] | None:
    """The new key and its secret; None with the reason in the form."""
    given = form.cleaned_data
    if ApiKey.objects.filter(user=user, revoked_at=None).count() >= KEYS_PER_USER_MAX:
        form.add_error(None, f"You have {KEYS_PER_USER_MAX} keys, which is as many as there can be. Revoke one first.")
        return None
    try:
        return issue_api_key(
            account=given["account"],
            scopes=given["scopes"],
            networks=given["networks"],
            expires_at=given["expires_on"],
            public_key=given["public_key"].encode() or None,
            label=given["label"],
        )
    except InvalidApiKey as error:
        form.add_error(_FIELDS.get(error.code), str(error))
        return None


def _show(request: HttpRequest, key: ApiKey, secret: str | None) -> HttpResponse:
    base_url = request.build_absolute_uri("/").rstrip("/")
    commands = []
    if secret is not None and "read" in key.scopes:
        commands.append(("See your balances", _signed_get(base_url=base_url, key=key.key, secret=secret)))
    if secret is not None and "trade" in key.scopes:
        order = demo.first_order(base_url=base_url, key=key.key, secret=secret)
        commands.append(("Place an order: this one buys 0.015 BTC for at most 43,000 USDT each", order))
    context = {"tab": "api-keys", "key": key, "secret": secret, "commands": commands}
    return render(request, "account/api_key_made.html", context)


def _signed_get(*, base_url: str, key: str, secret: str) -> str:
    """One line of shell that signs and sends a question."""
    return (
        f"key={key} secret={secret} ts=$(date +%s%3N); "
        """sig=$(printf '%s' "${ts}GET/api/v1/balances" | openssl dgst -sha256 -hmac "$secret" | sed 's/.* //'); """
        f'curl -sS {base_url}/api/v1/balances -H "X-API-Key: $key" -H "X-Timestamp: $ts" -H "X-Signature: $sig"; echo'
    )


def _keys_of(user: User) -> dict[str, Any]:
    keys = ApiKey.objects.filter(user=user).select_related("account").order_by("-id")
    ended = Q(revoked_at__isnull=False) | Q(expires_at__lte=timezone.now())
    return {"keys": keys.exclude(ended), "ended_keys": keys.filter(ended)[:ENDED_KEYS_SHOWN_MAX]}
