"""What a committed batch changed that everyone may see: the message from the matching worker to every web process.

Levels are absolute (price, quantity after the batch), so applying a change twice, or one that a snapshot contained
already, does no harm. Nobody's account or order is in it.
"""

import msgspec

from marketdata.depth import Level
from matching.engine.messages import Side


class PublicTrade(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A trade without its owners; integer units, `executed_at` in microseconds since 1970."""

    id: int
    sequence: int
    price: int
    quantity: int
    notional: int
    taker_side: Side
    executed_at: int


class MarketChange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a batch changed in one market: levels by price, and its trades, oldest first."""

    market_id: int
    bids: list[Level]
    asks: list[Level]
    trades: list[PublicTrade]
