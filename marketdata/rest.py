"""What the REST views of every app share: strict parameters and bodies, named errors, and their documentation.

Parameters and bodies are msgspec structs, answers are dataclasses: each type is the only description of its part of
the API, checked when it comes in and rendered into the OpenAPI document by trading/api/schema.py.
"""

import re
import time
import typing
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from marketdata import replica
from marketdata.exports import PAGE_ROWS, csv_response
from marketdata.shapes import ID_MAX, LIMIT_DEFAULT, Cursor, End, Limit, Order, Page, Start, cursor_id, microseconds_of

T = TypeVar("T")
View = TypeVar("View", bound=Callable[..., Any])

_WHOLE_NUMBER = re.compile(r"(0|[1-9][0-9]{0,18})", re.ASCII)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`(?: - at `\$.*`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>\w+)`")
_PATH = re.compile(r"(?P<text>.*) - at `\$\.?(?P<field>\w+).*`", re.DOTALL)
_NAME_LENGTH_MAX = 64


class ApiError(APIException):
    """An answer other than success: HTTP status, stable code, text for people, and the field or parameter it is about.

    `headers` go into the answer, for instance Retry-After.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status_code: int,
        field: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, code)
        self.status_code = status_code
        self.code = code
        self.message = message
        self.field = field
        self.headers = headers or {}


class Error(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong: a stable code for programs, a message for people, the field it is about."""

    code: str
    message: str
    field: str | None = None


class ErrorResponse(msgspec.Struct, frozen=True):
    """Every answer other than success."""

    error: Error


class NoParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No query parameters."""


def query(request: Request, parameters: type[T] = NoParameters) -> T:  # type: ignore[assignment]
    """The query parameters as a struct. Raises ApiError 422 naming an unknown, repeated or invalid parameter."""
    hints = typing.get_type_hints(parameters)
    values: dict[str, object] = {}
    for name, given in request.query_params.lists():
        if len(given) > 1:
            raise _invalid("invalid_field", f"Give {_shortened(name)} once.", _shortened(name))
        whole = _takes_whole_number(hints.get(name)) and _WHOLE_NUMBER.fullmatch(given[0])
        values[name] = int(given[0]) if whole else given[0]
    try:
        return msgspec.convert(values, parameters)
    except msgspec.ValidationError as error:
        raise _refused(error, "parameter") from None


def body(request: Request, fields: type[T]) -> T:
    """The JSON body as a struct. Raises ApiError: 415 if it is no JSON, 400 or 422 naming what is wrong with it."""
    content_type = (request.content_type or "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise ApiError(
            "unsupported_media_type",
            "Send JSON: Content-Type: application/json.",
            status_code=status.HTTP_415_UNSUPPORTED_MEDIA_TYPE,
        )
    try:
        return msgspec.json.decode(request._request.body, type=fields)
    except msgspec.ValidationError as error:
        raise _refused(error, "field") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ApiError(
            "malformed_json", "The body is not well-formed JSON.", status_code=status.HTTP_400_BAD_REQUEST
        ) from None


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which time of a history, and what of it comes first."""

    start: Start | None = None
    end: End | None = None
    order: Order = "newest"


class PagedSelection(Selection, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which page of a history."""

    limit: Limit = LIMIT_DEFAULT
    cursor: Cursor | None = None


def asked_page(asked: PagedSelection) -> dict[str, Any]:
    """The page's arguments for a query: limit, before or after, start, end. Raises ApiError 422."""
    return _page_arguments(
        asked, limit=asked.limit, cursor=cursor_id(asked.cursor), period=period(asked.start, asked.end)
    )


def listed(asked: PagedSelection, query: Callable[..., Page[Any]], *, table: str, **filters: Any) -> Page[Any]:
    """The page that is asked of a query (with its `filters`) on `table`. Raises ApiError 422, and what it raises."""
    return replica.read_on(query, table=table, **filters, **asked_page(asked))


def export(
    *, filename: str, asked: Selection, columns: type, query: Callable[..., Page[Any]], **filters: Any
) -> StreamingHttpResponse:
    """All pages of a query (with its `filters`) as a CSV file. Raises ApiError 422, and what the query raises.

    Oldest first it ends with what was there when it began.
    """
    start, end = period(asked.start, asked.end)
    if asked.order == "oldest" and end is None:
        end = time.time_ns() // 1_000

    pages = replica.Export()

    def read(cursor: int | None) -> Page[Any]:
        page = _page_arguments(asked, limit=PAGE_ROWS, cursor=cursor, period=(start, end))
        return pages.read(lambda: query(**filters, **page))

    return csv_response(filename=filename, columns=columns, read=read)


def _page_arguments(
    asked: Selection, *, limit: int, cursor: int | None, period: tuple[int | None, int | None]
) -> dict[str, Any]:
    place = {"after": cursor or 0} if asked.order == "oldest" else {"before": cursor}
    return {"limit": limit, "start": period[0], "end": period[1], **place}


def period(start: str | None, end: str | None) -> tuple[int | None, int | None]:
    """The parameters `start` and `end` in microseconds since 1970. Raises ApiError 422: no moment, or end first."""
    begin, until = _moment(start, "start"), _moment(end, "end")
    if begin is not None and until is not None and begin >= until:
        raise _invalid("invalid_range", "start must be before end.", "start")
    return begin, until


def _moment(text: str | None, field: str) -> int | None:
    """Text that fits MOMENT_PATTERN; what was before 1970 is as good as 1970."""
    if text is None:
        return None
    if text.isdigit():
        return int(text) * 1_000
    try:
        moment = datetime.fromisoformat(text)
        return max(microseconds_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC)), 0)
    except ValueError:
        raise _invalid("invalid_field", "There is no such date or time.", field) from None


def account_of(request: Request) -> int:
    """The id of the account the caller acts for (the authentication classes put it there)."""
    return int(request.auth.account_id)  # type: ignore[union-attr]


def market_in_path() -> OpenApiParameter:
    """The path's `{market}`, for `documented`."""
    return OpenApiParameter(
        "market", {"type": "string", "examples": ["BTC-USDT"]}, OpenApiParameter.PATH, description="The market."
    )


def id_in_path(name: str, description: str) -> OpenApiParameter:
    """A whole number in the path, for `documented`."""
    return OpenApiParameter(
        name, {"type": "integer", "minimum": 1, "maximum": ID_MAX}, OpenApiParameter.PATH, description=description
    )


def documented(
    *,
    tag: str,
    operation: str,
    summary: str,
    returns: Any,
    status_code: int = 200,
    parameters: type = NoParameters,
    path: Iterable[OpenApiParameter] = (),
    takes: type | None = None,
    refuses: Iterable[int] = (),
    public: bool = False,
    media_type: str = "application/json",
) -> Callable[[View], View]:
    """Describe a view's method in the OpenAPI document. `refuses`: the statuses that only some endpoints answer."""
    always = (400, 422, 429, 503) if public else (400, 401, 403, 404, 422, 429, 503)
    named = [*path]
    errors = sorted({*always, *refuses, *((404,) if named else ())})
    described = [*named, *_parameters(parameters)]
    success = OpenApiResponse(schema_of(returns) if returns else None, description="Success.")
    answers: dict[Any, OpenApiResponse] = {(status_code, media_type) if returns else status_code: success}
    answers |= {error: OpenApiResponse(schema_of(ErrorResponse), description=ERROR_MEANINGS[error]) for error in errors}
    return extend_schema(
        operation_id=operation,
        summary=summary,
        parameters=described,
        request={"application/json": schema_of(takes)} if takes else None,
        responses=answers,
        auth=[] if public else None,
        tags=[tag],
    )


ERROR_MEANINGS = {
    400: "The request is malformed.",
    401: "Nobody is signed in, or the signature is wrong.",
    403: "The caller may not do this.",
    404: "It does not exist, or is not the caller's.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A parameter or field is unknown or invalid, or the exchange refused; the code is the reason.",
    429: "Too many requests; Retry-After says when to try again.",
    503: "The database or the matching worker does not answer at the moment.",
}

_described: list[Any] = []


def schema_of(described: Any) -> dict[str, Any]:
    """A schema that refers to the type's component; `components` collects them."""
    _described.append(described)
    (schema,), _ = msgspec.json.schema_components([described], ref_template="#/components/schemas/{name}")
    return schema


def components() -> dict[str, Any]:
    """The schemas of every type that a documented view takes or returns, by name."""
    _, schemas = msgspec.json.schema_components(_described, ref_template="#/components/schemas/{name}")
    return schemas


def _parameters(described: type) -> list[OpenApiParameter]:
    _, schemas = msgspec.json.schema_components([described], ref_template="#/components/schemas/{name}")
    found = []
    for name, schema in schemas[described.__name__]["properties"].items():
        choices = [choice for choice in schema.get("anyOf", [schema]) if choice.get("type") != "null"]
        assert len(choices) == 1, f"{described.__name__}.{name}: a parameter has one type"
        shown = {key: value for key, value in choices[0].items() if key != "description"}
        if schema.get("default") is not None:
            shown["default"] = schema["default"]
        required = name in schemas[described.__name__].get("required", ())
        found.append(OpenApiParameter(name, shown, required=required, description=choices[0].get("description", "")))
    return found


def _takes_whole_number(hint: Any) -> bool:
    return hint is int or int in typing.get_args(hint)


def _invalid(code: str, message: str, field: str | None) -> ApiError:
    return ApiError(code, message, status_code=status.HTTP_422_UNPROCESSABLE_ENTITY, field=field)


def _refused(error: msgspec.ValidationError, part: str) -> ApiError:
    """Name what msgspec found; its texts are part of its documented behaviour and held by our tests."""
    text = str(error)
    if unknown := _UNKNOWN.fullmatch(text):
        field = _shortened(unknown["field"])
        return _invalid(f"unknown_{part}", f"There is no {part} {field!r} here.", field)
    if missing := _MISSING.match(text):
        return _invalid(f"missing_{part}", f"The {part} {missing['field']} is required.", missing["field"])
    if located := _PATH.fullmatch(text):
        return _invalid("invalid_field", f"{located['text'].replace('`', '')}.", located["field"])
    return _invalid("invalid_body", "The body must be one JSON object.", None)


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH_MAX else name[:_NAME_LENGTH_MAX] + "..."
