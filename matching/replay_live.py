"""A recorded order flow played into a market at its recorded pace, or faster, while people watch and trade along.

The market is made if there is none of that name; the orders belong to two fresh accounts of the users replay-buyer and
replay-seller. At the end, or when it is interrupted, what still rests of them is canceled.
"""

import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from marketdata.models import Asset, Market, Trade
from matching.engine.messages import AssetCreated, CancelOrders, CreateAsset, CreateMarket, MarketChanged
from matching.recording import read
from matching.replay_feed import (
    BASE_SCALE,
    QUOTE_SCALE,
    WIDE,
    Place,
    Progress,
    ReplayError,
    execute,
    feeding,
    next_number,
    open_accounts,
)

MARKET = "BTC-USD"
NAMES = {"BTC": "Bitcoin", "USD": "US dollar"}
IN_CENTS = msgspec.structs.replace(WIDE, tick_size=10 ** (QUOTE_SCALE - 2))


class Played(NamedTuple):
    """What came of it: how many commands and trades in how many seconds, and how many orders were canceled at last."""

    market: str
    commands: int
    trades: int
    seconds: float
    canceled: int
    interrupted: bool


def play(*, folder: Path, market: str, speed: float, limit: int | None = None, progress: Progress) -> Played:
    """Play the recording in `folder` at `speed` times its own pace; returns early on KeyboardInterrupt.

    `limit`: only so many steps. Raises ReplayError, RecordingError.
    """
    done = 0
    interrupted = False

    def count(steps: int) -> None:
        nonlocal done
        done = steps
        progress(steps)

    with feeding() as feeder:
        found = _find_or_create(market)
        tick_size = int(found.tick_size.scaleb(found.quote.scale))
        recording = read(
            folder=folder, base_scale=found.base.scale, quote_scale=found.quote.scale, tick_size=tick_size, limit=limit
        )
        place = open_accounts(market=found, steps=recording.steps, number=next_number())
        began = time.monotonic()
        try:
            feeder.feed(steps=recording.steps, place=place, speed=speed, progress=count)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            canceled = _cancel_all(place)
    seconds = time.monotonic() - began
    return Played(found.symbol, done, _trades_of(place), seconds, canceled, interrupted)


def _find_or_create(symbol: str) -> Market:
    markets = Market.objects.select_related("base", "quote")
    found = markets.filter(symbol=symbol).first()
    if found is not None:
        return found
    base, separator, quote = symbol.partition("-")
    if not separator:
        raise ReplayError(f"A market is named BASE-QUOTE, not {symbol}.")
    created = execute(CreateMarket(_asset_id(base, BASE_SCALE), _asset_id(quote, QUOTE_SCALE), IN_CENTS))
    assert isinstance(created, MarketChanged)
    return markets.get(id=created.market_id)


def _asset_id(symbol: str, scale: int) -> int:
    found = Asset.objects.filter(symbol=symbol).first()
    if found is not None:
        return found.id
    created = execute(CreateAsset(symbol, NAMES.get(symbol, symbol), scale))
    assert isinstance(created, AssetCreated)
    return created.asset_id


def _cancel_all(place: Place) -> int:
    """Cancel what rests of both accounts, after everything that is still on its way; how many orders it were."""
    canceled = 0
    for account_id in (place.buyer_id, place.seller_id):
        event = execute(CancelOrders(account_id, place.market.id))
        canceled += len(getattr(event, "order_ids", ()))
    return canceled


def _trades_of(place: Place) -> int:
    accounts = (place.buyer_id, place.seller_id)
    return Trade.objects.filter(market=place.market, taker_account_id__in=accounts).count()
