"""The feed's messages as JSON text: integers become decimals here, once for all readers."""

from collections.abc import Iterable
from typing import Any

import msgspec

from marketdata.candles import Candle
from marketdata.changes import PublicTrade
from marketdata.depth import CHECKSUM_LEVELS, Depth, Level, checksum
from marketdata.feed import DepthUpdate, TradesUpdate
from marketdata.queries import MarketFormat
from marketdata.scale import text_from_units
from matching.engine.messages import MarketState
from trading.gateway.encode import time_text

_encode = msgspec.json.Encoder().encode


def message(channel: str, kind: str, **fields: Any) -> str:
    """A message of a channel; `kind` is snapshot, update or heartbeat."""
    return _encode({"channel": channel, "type": kind, **fields}).decode()


def heartbeat(channel: str, told: int) -> str:
    """Nothing has happened since `told`."""
    return message(channel, "heartbeat", last_sequence=told)


def depth_snapshot(channel: str, market: MarketFormat, depth: Depth, told: int, at: int) -> str:
    """Every level, best first."""
    bids, asks = (_levels(side.levels(), market) for side in (depth.bids, depth.asks))
    return message(
        channel,
        "snapshot",
        last_sequence=told,
        bids=bids,
        asks=asks,
        checksum=checksum(bids[:CHECKSUM_LEVELS], asks[:CHECKSUM_LEVELS]),
        time=time_text(at),
    )


def depth_update(channel: str, market: MarketFormat, update: DepthUpdate, depth_checksum: int, at: int) -> str:
    """The levels that changed, with the checksum of the depth after the update."""
    return message(
        channel,
        "update",
        first_sequence=update.after + 1,
        last_sequence=update.last_sequence,
        bids=_levels(update.bids, market),
        asks=_levels(update.asks, market),
        checksum=depth_checksum,
        time=time_text(at),
    )


def checksum_of(depth: Depth, market: MarketFormat) -> int:
    """The checksum of the best levels, as they are written."""
    return checksum(*(_levels(side.levels(CHECKSUM_LEVELS), market) for side in (depth.bids, depth.asks)))


def trades_snapshot(channel: str, market: MarketFormat, trades: Iterable[PublicTrade], told: int) -> str:
    """The latest trades, oldest first."""
    return message(channel, "snapshot", last_sequence=told, trades=[_trade(trade, market) for trade in trades])


def trades_update(channel: str, market: MarketFormat, update: TradesUpdate) -> str:
    """New trades, oldest first."""
    return message(
        channel,
        "update",
        first_sequence=update.after + 1,
        last_sequence=update.last_sequence,
        trades=[_trade(trade, market) for trade in update.trades],
    )


def ticker(
    channel: str,
    market: MarketFormat,
    told: int,
    *,
    state: MarketState,
    last: int | None,
    best_bid: int | None,
    best_ask: int | None,
    day: Candle | None,
) -> str:
    """The market at a glance; `day`: what was traded within 24 hours."""
    change = None if day is None or last is None else last - day.open
    return message(
        channel,
        "snapshot",
        last_sequence=told,
        state=state,
        last=_price(last, market),
        best_bid=_price(best_bid, market),
        best_ask=_price(best_ask, market),
        open=_price(day.open if day else None, market),
        high=_price(day.high if day else None, market),
        low=_price(day.low if day else None, market),
        change=_price(change, market),
        change_rate=None if day is None or change is None else fraction(change, day.open),
        volume=text_from_units(day.volume if day else 0, market.base_scale, market.quantity_decimals),
        quote_volume=text_from_units(day.quote_volume if day else 0, market.quote_scale, market.price_decimals),
    )


def candles(channel: str, market: MarketFormat, found: Iterable[Candle], told: int, after: int | None) -> str:
    """Candles, oldest first; `after` None makes it a snapshot."""
    texts = [_candle(candle, market) for candle in found]
    if after is None:
        return message(channel, "snapshot", last_sequence=told, candles=texts)
    return message(channel, "update", first_sequence=after + 1, last_sequence=told, candles=texts)


def fraction(change: int, base: int) -> str:
    """`change` / `base` with six decimals, cut towards zero."""
    millionths = abs(change) * 1_000_000 // base
    return f"{'-' if change < 0 and millionths else ''}{millionths // 1_000_000}.{millionths % 1_000_000:06}"


def _levels(levels: Iterable[Level], market: MarketFormat) -> list[list[str]]:
    base_scale, quote_scale = market.base_scale, market.quote_scale
    price_decimals, quantity_decimals = market.price_decimals, market.quantity_decimals
    return [
        [
            text_from_units(price, quote_scale, price_decimals),
            text_from_units(quantity, base_scale, quantity_decimals) if quantity else "0",
        ]
        for price, quantity in levels
    ]


def _trade(trade: PublicTrade, market: MarketFormat) -> dict[str, Any]:
    return {
        "id": trade.id,
        "price": _price(trade.price, market),
        "quantity": text_from_units(trade.quantity, market.base_scale, market.quantity_decimals),
        "taker_side": trade.taker_side,
        "executed_at": time_text(trade.executed_at),
    }


def _candle(candle: Candle, market: MarketFormat) -> dict[str, Any]:
    return {
        "open_time": time_text(candle.open_time),
        "open": _price(candle.open, market),
        "high": _price(candle.high, market),
        "low": _price(candle.low, market),
        "close": _price(candle.close, market),
        "volume": text_from_units(candle.volume, market.base_scale, market.quantity_decimals),
        "quote_volume": text_from_units(candle.quote_volume, market.quote_scale, market.price_decimals),
        "trades": candle.trades,
        "taker_buy_volume": text_from_units(candle.taker_buy_volume, market.base_scale, market.quantity_decimals),
    }


def _price(price: int | None, market: MarketFormat) -> str | None:
    return None if price is None else text_from_units(price, market.quote_scale, market.price_decimals)
