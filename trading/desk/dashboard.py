"""The dashboard's figures as JSON, which its page asks for every few seconds."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from trading.desk import figures


@never_cache
@require_safe
def figures_json(request: HttpRequest) -> JsonResponse:
    """Every operator may see how the exchange does."""
    return JsonResponse(figures.figures())
