"""Every path that Django answers; order entry is routed before Django, in `trading/asgi.py`."""

from django.contrib import admin
from django.urls import path

from trading import health

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("admin/", admin.site.urls),
]
