"""Answers as JSON bytes: dataclasses and msgspec structs straight from the queries, through msgspec.

The API speaks JSON only, so nothing is negotiated; OPTIONS tells the methods in its Allow header and nothing else.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from rest_framework.metadata import BaseMetadata
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

_encode = msgspec.json.Encoder().encode


class StructRenderer(BaseRenderer):
    """application/json, whatever Accept asks for."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """The body; empty for no data."""
        return b"" if data is None else _encode(data)


class AlwaysJson(BaseContentNegotiation):
    """Answers are JSON: Accept and ?format= have no say."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """The one parser."""
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """The view's first renderer."""
        return renderers[0], renderers[0].media_type


class AllowOnly(BaseMetadata):
    """OPTIONS has an empty body."""

    def determine_metadata(self, request: Request, view: Any) -> None:
        """Nothing beside the Allow header."""
