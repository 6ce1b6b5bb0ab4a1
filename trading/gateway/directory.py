"""The markets as order entry needs them, in memory: how to read and write their numbers.

Markets rarely change: the directory is read again every few seconds of use, and at most once a second when somebody
names a market it does not have.
"""

import asyncio
import time
from collections.abc import Iterable

import msgspec

from marketdata.scale import decimals_of, text_from_units, units_from_numeric
from marketdata.shapes import amount_text

REFRESH_SECONDS = 5.0
UNKNOWN_REFRESH_SECONDS = 1.0


class MarketEntry(msgspec.Struct, frozen=True, gc=False):
    """A market's names and scales; `price_decimals` and `quantity_decimals` are those of a tick and a lot.

    The texts are the filters for people, in decimals.
    """

    id: int
    symbol: str
    base: str
    quote: str
    base_scale: int
    quote_scale: int
    price_decimals: int
    quantity_decimals: int
    tick_size: str
    lot_size: str
    min_quantity: str
    max_quantity: str
    min_notional: str
    max_notional: str


class Directory:
    """Markets by symbol and by id. `refresh` reads the database; the rest looks things up in memory."""

    def __init__(self) -> None:
        self._by_symbol: dict[str, MarketEntry] = {}
        self._by_id: dict[int, MarketEntry] = {}
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._refreshing: asyncio.Future[None] | None = None

    async def by_symbol(self, symbol: str) -> MarketEntry | None:
        """The market named `symbol`, None when there is none."""
        now = time.monotonic()
        market = self._by_symbol.get(symbol)
        if now - self._read_at > REFRESH_SECONDS or (market is None and now - self._tried_at > UNKNOWN_REFRESH_SECONDS):
            await self._refresh_beside(now, wait=market is None)
            return self._by_symbol.get(symbol)
        return market

    async def by_id(self, market_id: int) -> MarketEntry:
        """The market with that id, which must exist."""
        if market_id not in self._by_id:
            await self._refresh_beside(time.monotonic(), wait=True)
        return self._by_id[market_id]

    def refresh(self) -> None:
        """Read all markets from the database; for threads."""
        entries = list(_read_markets())
        self._by_symbol = {entry.symbol: entry for entry in entries}
        self._by_id = {entry.id: entry for entry in entries}
        self._read_at = time.monotonic()

    def forget(self) -> None:
        """Start anew, as after a change of database."""
        self.__init__()  # type: ignore[misc]

    async def _refresh_beside(self, now: float, *, wait: bool) -> None:
        """Have one thread read the markets; those who have an old entry go on with it meanwhile."""
        from trading.gateway.database import READERS

        if self._refreshing is None or self._refreshing.done():
            self._tried_at = now
            self._refreshing = asyncio.wrap_future(READERS.submit(self.refresh))
            self._refreshing.add_done_callback(_seen)
        if wait:
            await asyncio.shield(self._refreshing)


DIRECTORY = Directory()
"""The directory of this process."""


def _seen(done: "asyncio.Future[None]") -> None:
    if not done.cancelled():
        done.exception()  # who waits gets it; if nobody does, the next use tries again


def _read_markets() -> Iterable[MarketEntry]:
    from marketdata.models import Market

    for market in Market.objects.select_related("base", "quote"):
        base_scale, quote_scale = market.base.scale, market.quote.scale
        tick = units_from_numeric(f"{market.tick_size:f}", quote_scale)
        lot = units_from_numeric(f"{market.lot_size:f}", base_scale)
        price_decimals, quantity_decimals = decimals_of(tick, quote_scale), decimals_of(lot, base_scale)

        yield MarketEntry(
            id=market.id,
            symbol=market.symbol,
            base=market.base.symbol,
            quote=market.quote.symbol,
            base_scale=base_scale,
            quote_scale=quote_scale,
            price_decimals=price_decimals,
            quantity_decimals=quantity_decimals,
            tick_size=text_from_units(tick, quote_scale, price_decimals),
            lot_size=text_from_units(lot, base_scale, quantity_decimals),
            min_quantity=amount_text(market.min_quantity, base_scale, quantity_decimals),
            max_quantity=amount_text(market.max_quantity, base_scale, quantity_decimals),
            min_notional=amount_text(market.min_notional, quote_scale, price_decimals),
            max_notional=amount_text(market.max_notional, quote_scale, price_decimals),
        )
