"""The OpenAPI 3.1 document at /api/schema/: Django's endpoints by drf-spectacular, order entry's by the gateway.

The hook at the end of the generation merges the two, adds the schemas of the types, and describes what every endpoint
has in common.
"""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny

from marketdata import rest
from trading.api.authentication import BrowserSession, SignedRequest
from trading.gateway.openapi import gateway_schema

ORDERS = "/api/v1/orders"
ORDER_LINKS = {
    f"{operation}{suffix}": {"operationId": f"{operation}{suffix}", "parameters": {name: f"$response.body#/{field}"}}
    for operation in ("get_order", "amend_order", "cancel_order")
    for suffix, name, field in (("", "order_id", "id"), ("_by_client_id", "client_order_id", "client_order_id"))
}
"""What can be done with the order that was just placed."""


class Schema(SpectacularJSONAPIView):
    """The document, for everyone."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class Documentation(SpectacularSwaggerSplitView):
    """Swagger UI, served from here, for everyone."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class SignedRequestScheme(OpenApiAuthenticationExtension):
    """The three headers of a signed request in the OpenAPI document (trading/api/schema.py puts them together)."""

    target_class = SignedRequest
    name = ["apiKey", "apiTimestamp", "apiSignature"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        """One definition for each header."""
        return [
            {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The key's name."},
            {
                "type": "apiKey",
                "in": "header",
                "name": "X-Timestamp",
                "description": "Milliseconds since 1970, within 5 s of the server's clock (X-Window: up to 60 s).",
            },
            {
                "type": "apiKey",
                "in": "header",
                "name": "X-Signature",
                "description": "Of timestamp + METHOD + path with query + body: hex HMAC-SHA256 or base64 Ed25519.",
            },
        ]


class BrowserSessionScheme(OpenApiAuthenticationExtension):
    """The session cookie in the OpenAPI document."""

    target_class = BrowserSession
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """The cookie; unsafe methods need X-CSRFToken as well."""
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "A browser's session; unsafe methods need X-CSRFToken, X-Account names another account.",
        }


def whole_document(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """drf-spectacular's post-processing hook."""
    for operations in result["paths"].values():
        for operation in operations.values():
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
    order_entry = gateway_schema()
    for path, operations in order_entry["paths"].items():
        result["paths"].setdefault(path, {}).update(operations)
    result["paths"][ORDERS]["post"]["responses"]["201"]["links"] = ORDER_LINKS
    result["paths"] = dict(sorted(result["paths"].items()))
    for kind, components in order_entry.get("components", {}).items():
        result["components"].setdefault(kind, {}).update(components)
    schemas = result["components"].setdefault("schemas", {})
    schemas.update(rest.components())
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = " ".join(schema["description"].split())
    return result
