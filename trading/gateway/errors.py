"""Every answer that is not a success: one exception, one shape, and what each of the exchange's reasons means in HTTP.

ApiError carries the status, the stable code and the text for people; the core's `Reason` becomes one here, with the
market's numbers in its text.
"""

from collections.abc import Callable

from marketdata.scale import AmountError
from matching.engine.messages import Reason
from matching.lanes import CommandFailed, LaneError, LaneFull, OutcomeUnknown
from trading.gateway.directory import MarketEntry
from trading.gateway.messages import ErrorAnswer, ErrorBody

RETRY_AFTER_SECONDS = 1

Headers = tuple[tuple[bytes, bytes], ...]


class ApiError(Exception):
    """An answer other than success: HTTP status, stable code, text for people, the field at fault, extra headers."""

    def __init__(self, status: int, code: str, message: str, field: str | None = None, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.headers = headers

    def body(self) -> ErrorBody:
        """The error as it stands in an answer."""
        return ErrorBody(self.code, self.message, self.field)

    def answer(self) -> ErrorAnswer:
        """The whole answer's body."""
        return ErrorAnswer(self.body())


def retry_after(seconds: int) -> tuple[bytes, bytes]:
    """The header that says when to try again."""
    return (b"retry-after", str(seconds).encode())


STATUS_OF_REASON: dict[Reason, int] = {
    Reason.UNKNOWN_ORDER: 404,
    Reason.UNKNOWN_MARKET: 404,
    Reason.UNKNOWN_ACCOUNT: 404,
    Reason.UNKNOWN_ASSET: 404,
    Reason.UNKNOWN_WITHDRAWAL: 404,
    Reason.CLIENT_ORDER_ID_CONFLICT: 409,
    Reason.ORDER_RATE_EXCEEDED: 429,
}
"""Reasons that are not 422."""

_FIELD_OF_REASON: dict[Reason, str] = {
    Reason.UNKNOWN_MARKET: "market",
    Reason.PRICE_REQUIRED: "price",
    Reason.PRICE_NOT_ALLOWED: "price",
    Reason.PRICE_OFF_TICK: "price",
    Reason.PRICE_OUTSIDE_BAND: "price",
    Reason.POST_ONLY_NOT_ALLOWED: "post_only",
    Reason.POST_ONLY_WOULD_TRADE: "price",
    Reason.TIME_IN_FORCE_NOT_ALLOWED: "time_in_force",
    Reason.QUANTITY_REQUIRED: "quantity",
    Reason.QUANTITY_OFF_LOT: "quantity",
    Reason.QUANTITY_TOO_SMALL: "quantity",
    Reason.QUANTITY_TOO_LARGE: "quantity",
    Reason.QUANTITY_BELOW_FILLED: "quantity",
    Reason.QUOTE_AMOUNT_NOT_ALLOWED: "quote_amount",
    Reason.CLIENT_ORDER_ID_CONFLICT: "client_order_id",
}

_NUMBERS_OF_REASON: dict[Reason, Callable[[MarketEntry], str]] = {
    Reason.PRICE_OFF_TICK: lambda m: f"The price must be a positive multiple of {m.tick_size} {m.quote}.",
    Reason.QUANTITY_OFF_LOT: lambda m: f"The quantity must be a positive multiple of {m.lot_size} {m.base}.",
    Reason.QUANTITY_TOO_SMALL: lambda m: f"The quantity must be at least {m.min_quantity} {m.base}.",
    Reason.QUANTITY_TOO_LARGE: lambda m: f"The quantity must be at most {m.max_quantity} {m.base}.",
    Reason.NOTIONAL_TOO_SMALL: lambda m: f"Price times quantity must be at least {m.min_notional} {m.quote}.",
    Reason.NOTIONAL_TOO_LARGE: lambda m: f"Price times quantity must be at most {m.max_notional} {m.quote}.",
}


def refusal(reason: Reason, market: MarketEntry | None = None) -> ApiError:
    """The exchange's refusal as an answer; with `market`, its limits are named in the text."""
    status = STATUS_OF_REASON.get(reason, 422)
    numbers = _NUMBERS_OF_REASON.get(reason)
    text = reason.text if numbers is None or market is None else numbers(market)
    headers = (retry_after(RETRY_AFTER_SECONDS),) if status == 429 else ()
    return ApiError(status, reason.value, text, _FIELD_OF_REASON.get(reason), headers)


def not_carried(error: LaneError) -> ApiError:
    """What the lane's failure means for the caller."""
    headers = (retry_after(RETRY_AFTER_SECONDS),)
    if isinstance(error, LaneFull):
        return ApiError(503, "overloaded", "Too many orders are waiting; nothing happened. Try again.", None, headers)
    if isinstance(error, OutcomeUnknown):
        return ApiError(
            503,
            "outcome_unknown",
            "The commit failed: the command may or may not have happened. Ask for the order by its client_order_id, "
            "or list your orders, before you send it again.",
            None,
            headers,
        )
    if isinstance(error, CommandFailed):
        return internal_error()
    return unavailable("The exchange takes no orders at the moment; nothing happened. Try again.")


def unavailable(message: str) -> ApiError:
    """Something that we depend on is not there; to be tried again."""
    return ApiError(503, "unavailable", message, None, (retry_after(RETRY_AFTER_SECONDS),))


def unread() -> ApiError:
    """The change is made and durable, but the order as it is now cannot be told."""
    return ApiError(
        503,
        "outcome_unknown",
        "The order was changed, but cannot be read at the moment. Ask for it before you change it again.",
        None,
        (retry_after(RETRY_AFTER_SECONDS),),
    )


def internal_error() -> ApiError:
    """A fault of ours; the log says which."""
    return ApiError(500, "internal_error", "Something is wrong on our side; it is in our log.")


def wrong_amount(error: AmountError, field: str) -> ApiError:
    """Text that is no amount, in `field`."""
    return ApiError(422, error.code, str(error), field)
