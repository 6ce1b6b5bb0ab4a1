"""One market in the feed: its channels, kept current by committed changes and told at their own pace."""

import time

from marketdata.candles import Candle
from marketdata.changes import MarketChange, PublicTrade
from marketdata.feed import CandleFeed, DayTicker, DepthFeed, TradesFeed
from matching.engine.messages import MarketState
from trading.stream import render
from trading.stream.channels import CandlesChannel, Channel, DepthChannel, Position, TickerChannel, TradesChannel
from trading.stream.loading import LoadedMarket
from trading.stream.pace import Pace

DEPTH_SECONDS = 0.05
TICKER_SECONDS = 0.2


class MarketStream:
    """The channels of a market. `position` is how far the process has followed."""

    def __init__(self, loaded: LoadedMarket, position: Position) -> None:
        self.id = loaded.id
        self.format = loaded.format
        self.state: MarketState = loaded.state
        self._position = position
        self._depth_feed = DepthFeed(loaded.depth, position.sequence)
        self._trades_feed = TradesFeed(loaded.trades, position.sequence)
        self._ticker_feed = DayTicker(loaded.minutes, loaded.last_price)
        self._candle_feeds: dict[str, CandleFeed] = {}
        self._last_trade_id = loaded.trades[-1].id if loaded.trades else 0
        self.depth = DepthChannel(loaded.format, self._depth_feed, position)
        self.trades = TradesChannel(loaded.format, self._trades_feed, position)
        self.ticker = TickerChannel(loaded.format, self._show_ticker, position)
        self.candles: dict[str, CandlesChannel] = {}
        self._depth_pace = Pace(DEPTH_SECONDS, self._tell_depth_and_trades)
        self._ticker_pace = Pace(TICKER_SECONDS, self._tell_ticker_and_candles)

    @property
    def channels(self) -> list[Channel]:
        """All channels that exist so far."""
        return [self.depth, self.trades, self.ticker, *self.candles.values()]

    def apply(self, change: MarketChange) -> None:
        """Take what a committed batch has changed."""
        self._depth_feed.apply(change.bids, change.asks)
        self._take_trades(change.trades)
        self.ask()

    def ask(self) -> None:
        """Have told what is new, as soon as it may be."""
        self._depth_pace.ask()
        self._ticker_pace.ask()

    def catch_up(self, loaded: LoadedMarket) -> None:
        """Take what was loaded as the truth, and tell the difference as if it had just happened."""
        depth = self._depth_feed.depth
        self._depth_feed.apply(
            depth.bids.changes_to(loaded.depth.bids),
            depth.asks.changes_to(loaded.depth.asks),
        )
        new = [trade for trade in loaded.trades if trade.id > self._last_trade_id]
        self._trades_feed.apply(new)
        self._last_trade_id = max([self._last_trade_id, *(trade.id for trade in new)])
        self._ticker_feed = DayTicker(loaded.minutes, loaded.last_price)
        self.state = loaded.state
        self.ask()

    def take_candle(self, interval: str, candle: Candle | None, loaded: int) -> bool:
        """Follow an interval from what was loaded, as of the sequence `loaded`, on. False: that is too long ago."""
        later = self._trades_feed.known_since(loaded)
        if later is None:
            return False
        feed = self._candle_feeds.get(interval)
        if feed is None:
            feed = self._candle_feeds[interval] = CandleFeed(interval, candle, loaded)
        else:
            feed.replace(candle, loaded)
        feed.apply(later)
        feed.roll(now())
        if interval in self.candles:
            self._ticker_pace.ask()
        else:
            feed.tell()
            self.candles[interval] = CandlesChannel(self.format, feed, self._position)
        return True

    def roll(self) -> None:
        """Begin new intervals as the clock reaches them."""
        for feed in self._candle_feeds.values():
            feed.roll(now())
            if feed.pending:
                self._ticker_pace.ask()

    def hand_over(self, other: "MarketStream") -> None:
        """Let the readers go on with `other`, the same market written in another way; candles begin when asked for."""
        self.close()
        for mine, theirs in ((self.depth, other.depth), (self.trades, other.trades), (self.ticker, other.ticker)):
            for reader in mine.everyone():
                mine.leave(reader)
                theirs.join(reader)

    def close(self) -> None:
        """Tell no more."""
        self._depth_pace.cancel()
        self._ticker_pace.cancel()

    def _take_trades(self, trades: list[PublicTrade]) -> None:
        if trades:
            self._trades_feed.apply(trades)
            self._ticker_feed.apply(trades)
            self._last_trade_id = trades[-1].id
            for feed in self._candle_feeds.values():
                feed.apply(trades)

    def _tell_depth_and_trades(self) -> None:
        self.trades.tell()
        self.depth.tell()

    def _tell_ticker_and_candles(self) -> None:
        self.ticker.tell()
        for channel in self.candles.values():
            channel.tell()

    def _show_ticker(self, name: str, told: int) -> str:
        depth = self._depth_feed.depth
        return render.ticker(
            name,
            self.format,
            told,
            state=self.state,
            last=self._ticker_feed.last_price,
            best_bid=depth.bids.best(),
            best_ask=depth.asks.best(),
            day=self._ticker_feed.day(now()),
        )


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000
