"""The paths of signing up, signing in, and a person's own account."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
