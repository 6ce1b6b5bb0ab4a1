"""How values look in every JSON answer: decimals as text, times in ISO 8601, lists in pages.

The dataclasses that queries return use these types, so they describe themselves: the OpenAPI document is generated
from them, and what is described is what is sent.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta

from marketdata.scale import text_from_units, units_from_numeric

ID_MAX = 2**63 - 1
LIMIT_MAX = 500
LIMIT_DEFAULT = 100

DecimalText = Annotated[
    str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="An exact decimal number as text.", examples=["0.015"])
]
TimeText = Annotated[
    str,
    Meta(
        description="ISO 8601, UTC, microseconds.",
        examples=["2026-01-31T12:00:00.000000Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
Id = Annotated[int, Meta(ge=1, le=ID_MAX)]
Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="How many at most.")]
Cursor = Annotated[
    str,
    Meta(
        pattern=r"^[1-9][0-9]{0,18}$",
        description="Where to go on: `next` of the page before, or the last id one knows.",
        examples=["10000"],
    ),
]
Order = Annotated[
    Literal["newest", "oldest"],
    Meta(description="What comes first. A cursor goes on in the same order, `oldest` beyond the latest one known."),
]
AssetSymbol = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,16}$", description="An asset.", examples=["BTC"])]
MarketSymbol = Annotated[
    str, Meta(pattern=r"^[A-Z0-9]{1,16}-[A-Z0-9]{1,16}$", description="A market.", examples=["BTC-USDT"])
]
Interval = Annotated[
    Literal["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"],
    Meta(description="A candle's interval, in UTC: weeks begin on Monday, 3d counts from 1970-01-01, 1M is a month."),
]
MOMENT_PATTERN = (
    r"^([0-9]{1,15}"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?)$"
)
_MOMENT_FORMS = "Milliseconds since 1970, or ISO 8601 (in UTC unless it says otherwise)."
Start = Annotated[
    str,
    Meta(
        pattern=MOMENT_PATTERN,
        description="Only from this moment on. " + _MOMENT_FORMS,
        examples=["2026-01-31T12:00:00Z"],
    ),
]
End = Annotated[
    str,
    Meta(pattern=MOMENT_PATTERN, description="Only before this moment. " + _MOMENT_FORMS, examples=["1769860800000"]),
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some results in the order asked for, and the cursor of those after them (null: there are no more).

    With a filter that little fits, a page can have fewer results than asked for, even none, and still a next one.
    """

    results: list[T]
    next: str | None


def page_of(*, rows: list[T], ids: list[int], limit: int, floor: int | None = None) -> Page[T]:
    """The page of `limit` rows out of up to `limit` + 1 read; `ids` are theirs, the last one shown is the cursor.

    `floor`: the id at which the reading stopped, to be read next; None: it went on to the end.
    """
    if len(rows) > limit:
        return Page(rows[:limit], str(ids[limit - 1]))
    return Page(rows, None if floor is None else str(floor + 1))


def cursor_id(cursor: str | None) -> int | None:
    """The id that a cursor stands for: what comes after it has lower ids."""
    return None if cursor is None else min(int(cursor), ID_MAX)


def amount_text(value: Decimal, scale: int, decimals: int | None = None) -> str:
    """A NUMERIC in human units as text with `decimals` decimals (default: all `scale`; more where that would round)."""
    return text_from_units(units_from_numeric(format(value, "f"), scale), scale, decimals)


def optional_amount_text(value: Decimal | None, scale: int, decimals: int | None = None) -> str | None:
    """As `amount_text`; None stays None."""
    return None if value is None else amount_text(value, scale, decimals)


def time_text(moment: datetime) -> str:
    """A moment in UTC with microseconds, however round it is."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def optional_time_text(moment: datetime | None) -> str | None:
    """As `time_text`; None stays None."""
    return None if moment is None else time_text(moment)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_of(microseconds: int) -> datetime:
    """The moment so many microseconds after 1970."""
    return EPOCH + timedelta(microseconds=microseconds)


def microseconds_of(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def rate_text(millionths: int) -> str:
    """A rate as a fraction: 1,500 millionths (0.15 %) are "0.0015"."""
    return text_from_units(millionths, 6, 0)
