"""What makes Bourse installable: the manifest, the service worker, and the page shown when there is no network."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from trading.pages import context

STYLES = ("tokens", "base", "forms", "tables", "header", "toasts")
MODULES = ("theme", "header", "toasts")
ICONS = ("bourse.svg", "bourse-192.png")


@require_safe
@cache_control(max_age=3600)
def manifest(request: HttpRequest) -> JsonResponse:
    """/manifest.webmanifest"""
    icons = [_icon("bourse-192.png", 192), _icon("bourse-512.png", 512), _icon("bourse-maskable-512.png", 512)]
    body = {
        "name": "Bourse demo" if settings.DEMO else "Bourse",
        "short_name": "Bourse",
        "description": "A self-hosted crypto spot exchange.",
        "id": "/",
        "start_url": "/trade/",
        "scope": "/",
        "display": "standalone",
        "background_color": "#0e1116",
        "theme_color": "#151a21",
        "icons": icons,
    }
    return JsonResponse(body, content_type="application/manifest+json")


@require_safe
@cache_control(no_cache=True)
def service_worker(request: HttpRequest) -> HttpResponse:
    """/sw.js"""
    files = [
        *(static(f"trading/{name}.css") for name in STYLES),
        *(static(f"trading/{name}.js") for name in MODULES),
        *(static(f"trading/icons/{name}") for name in ICONS),
    ]
    text = render_to_string("sw.js", {"files": files})
    return HttpResponse(text, content_type="text/javascript; charset=utf-8")


@require_safe
def offline(request: HttpRequest) -> HttpResponse:
    """/offline: kept by the service worker, so it must know nothing about the visitor."""
    return render(None, "offline.html", {**context.page(request), "theme": "", "without_user": True})


def _icon(name: str, size: int) -> dict[str, str]:
    purpose = "maskable" if "maskable" in name else "any"
    return {
        "src": static(f"trading/icons/{name}"),
        "sizes": f"{size}x{size}",
        "type": "image/png",
        "purpose": purpose,
    }
