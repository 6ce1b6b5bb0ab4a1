"""The words in which halts, reopenings and circuit breakers are announced to everyone."""

from marketdata.scale import text_from_units
from matching.engine.messages import BreakerTripped, ExchangeStateChanged, MarketChanged


def market_text(event: MarketChanged) -> str:
    """A market is there, or in another state, or has other parameters."""
    text = f"{event.symbol} is {event.state.replace('_', ' ')}"
    return f"{text}: {event.note}" if event.note else text


def breaker_text(event: BreakerTripped, *, quote_scale: int) -> str:
    """A circuit breaker has tripped, with the numbers; `quote_scale` is that of the prices."""
    price, low, high = (text_from_units(units, quote_scale, 0) for units in (event.price, event.low, event.high))
    return (
        f"Circuit breaker: a trade at {price} would be more than {text_from_units(event.move, 4, 0)} % away from "
        f"the prices of the last {event.window} s, which were between {low} and {high}."
    )


def exchange_text(event: ExchangeStateChanged) -> str:
    """The whole exchange is halted, or open again."""
    text = "Trading is halted on every market" if event.halted else "Trading is open again"
    return f"{text}: {event.note}" if event.note else text
