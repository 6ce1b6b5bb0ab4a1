"""Is it running, and what was announced: for everyone, without numbers that are nobody's business."""

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from marketdata.queries import announcements, markets
from trading import health
from trading.pages import context

ANNOUNCEMENTS_MAX = 20


@never_cache
@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """/status: 200 when orders can be taken, else 503; it is shown without the database too."""
    found = health.readiness()
    code = 200 if found.ready else 503
    try:
        shown = {"readiness": found, "markets": markets(), "news": announcements(limit=ANNOUNCEMENTS_MAX).results}
    except DatabaseError:
        alone = {**context.page(request), "without_user": True, "readiness": found, "markets": None}
        return HttpResponse(render_to_string("status.html", alone), status=code)
    return render(request, "status.html", shown, status=code)
