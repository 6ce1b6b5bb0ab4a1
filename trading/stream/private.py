"""What happens to an account, told to its owner: orders, fills and balances.

An account is followed while somebody listens: it is loaded from one snapshot of the database, and what was committed
since is applied to that in order. Holes in what this process heard are healed by loading it again.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

from django.db import connection
from msgspec.structs import replace

from marketdata.scale import text_from_units
from matching import committed
from matching.committed import Committed
from matching.engine.messages import (
    BalanceChanged,
    OrderPlaced,
    OrderRejected,
    OrderUpdated,
    TradeExecuted,
)
from orders import queries as order_queries
from orders.average import average_price_text
from risk import queries as risk_queries
from trading.gateway import stored
from trading.gateway.database import READERS
from trading.gateway.directory import DIRECTORY, MarketEntry
from trading.gateway.encode import order_answer, time_text
from trading.gateway.errors import ApiError, unavailable
from trading.gateway.messages import OrderAnswer
from trading.stream import render
from trading.stream.channels import Channel, Reader
from trading.stream.hub import Hub
from trading.stream.loading import one_snapshot

ACCOUNT_CHANNELS = ("orders", "fills", "balances")
PRIVATE_CHANNELS = (*ACCOUNT_CHANNELS, "notifications")
"""Those that take a login; notifications are a person's, and come from trading/notify/live.py."""

OPEN_ORDERS_MAX = 1_000
FILLS_SHOWN = 100
RETRY_SECONDS = 0.5
LOAD_SECONDS_MAX = 5.0
LINGER_SECONDS = 10.0

_logger = logging.getLogger(__name__)


class AccountChannel(Channel):
    """One of an account's channels; its name is the same for every account."""

    def __init__(self, name: str, stream: "AccountStream") -> None:
        super().__init__(name, stream.sequence)
        self._stream = stream

    def leave(self, reader: Reader) -> None:
        """Tell a reader no more; an account that nobody listens to is soon forgotten."""
        super().leave(reader)
        self._stream.release()

    def tell(self, found: list[Any], sequence: int) -> None:
        """Tell what is new, as of `sequence`."""
        since, self.told = self.told, sequence
        fields = {"first_sequence": since + 1, "last_sequence": sequence, self.name: found}
        self._broadcast(render.message(self.name, "update", **fields), since)

    def tell_everything(self) -> None:
        """Tell what there is now, to all."""
        since, self.told = self.told, self._stream.sequence
        self._broadcast(self.snapshot(), since)

    def snapshot(self) -> str:
        """What there is now."""
        return render.message(self.name, "snapshot", last_sequence=self.told, **self._stream.contents(self.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    sequence: int
    orders: list[OrderAnswer]
    complete: bool
    fills: list[order_queries.Fill]
    balances: list[risk_queries.Balance]
    assets: dict[int, tuple[str, int]]


class AccountStream:
    """An account as of `sequence`, and its channels."""

    def __init__(self, account_id: int, streams: "PrivateStreams") -> None:
        self.account_id = account_id
        self.sequence = 0
        self.ready = asyncio.Event()
        self.channels: dict[str, AccountChannel] = {name: AccountChannel(name, self) for name in ACCOUNT_CHANNELS}
        self._streams = streams
        self._orders: dict[int, OrderAnswer] = {}
        self._complete = True
        self._fills: deque[Any] = deque(maxlen=FILLS_SHOWN)
        self._balances: dict[str, Any] = {}
        self._assets: dict[int, tuple[str, int]] = {}
        self._batches: asyncio.Queue[Committed | None] = asyncio.Queue()
        self._batches.put_nowait(None)
        self._task = asyncio.create_task(self._follow())

    def take(self, batch: Committed | None) -> None:
        """A batch about this account was committed; None: something was missed."""
        self._batches.put_nowait(batch)

    def release(self) -> None:
        """Stop following soon, if nobody listens by then."""
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._streams.release, self)

    def close(self) -> None:
        """Stop following."""
        self._task.cancel()

    def heartbeat(self, now: float) -> None:
        """Tell listeners who have heard nothing for a while that there was nothing; `now`: the event loop's time."""
        for channel in self.channels.values():
            channel.heartbeat(now)

    @property
    def followed(self) -> bool:
        """Whether anybody listens."""
        return any(channel.readers for channel in self.channels.values())

    def contents(self, channel: str) -> dict[str, Any]:
        """What a snapshot of a channel holds."""
        if channel == "orders":
            return {"orders": list(self._orders.values()), "complete": self._complete}
        if channel == "fills":
            return {"fills": list(self._fills)}
        return {"balances": list(self._balances.values())}

    # ------------------------------------------------------------------------------------------ following

    async def _follow(self) -> None:
        while True:
            batch = await self._batches.get()
            try:
                if batch is None:
                    await self._load()
                elif batch.last_sequence > self.sequence:
                    await self._apply(batch)
            except ApiError:  # the database is away: begin again with what it knows once it is back
                await asyncio.sleep(RETRY_SECONDS)
                self._batches.put_nowait(None)
            except Exception:
                _logger.exception("The stream of account %d begins again after a fault of ours", self.account_id)
                await asyncio.sleep(RETRY_SECONDS)
                self._batches.put_nowait(None)

    async def _load(self) -> None:
        loaded = await READERS.run(_load, self.account_id)
        self.sequence = loaded.sequence
        self._orders = {order.id: order for order in reversed(loaded.orders)}
        self._complete = loaded.complete
        self._fills.clear()
        self._fills.extend(reversed(loaded.fills))
        self._balances = {balance.asset: balance for balance in loaded.balances}
        self._assets = loaded.assets
        for channel in self.channels.values():
            channel.tell_everything()
        self.ready.set()

    async def _apply(self, batch: Committed) -> None:
        changed: dict[int, OrderAnswer] = {}
        fills: list[Any] = []
        balances: dict[str, Any] = {}
        for event in committed.private_events(batch):
            if isinstance(event, TradeExecuted):
                fills += await self._fill(event)
            elif isinstance(event, OrderPlaced | OrderRejected):
                if event.order.account_id == self.account_id:
                    market = await DIRECTORY.by_id(event.order.market_id)
                    changed[event.order.id] = order_answer(order=event.order, market=market, fills=[])
            elif event.account_id != self.account_id:
                continue
            elif isinstance(event, OrderUpdated):
                changed[event.id] = await self._updated(changed.get(event.id), event)
            elif isinstance(event, BalanceChanged):
                balance = self._balance(event)
                balances[balance["asset"]] = balance
        self.sequence = batch.last_sequence
        self._keep(changed)
        self._fills.extend(fills)
        self._balances.update(balances)
        news = {"orders": list(changed.values()), "fills": fills, "balances": list(balances.values())}
        for name, found in news.items():
            if found:
                self.channels[name].tell(found, self.sequence)

    def _keep(self, changed: dict[int, OrderAnswer]) -> None:
        """Remember open orders; those that were not known before belong to the part that is not shown."""
        for order in changed.values():
            if order.status == "open":
                self._orders[order.id] = order
            else:
                self._orders.pop(order.id, None)

    async def _updated(self, known: OrderAnswer | None, update: OrderUpdated) -> OrderAnswer:
        order = known or self._orders.get(update.id)
        if order is None:
            read = await READERS.run(stored.answer, account_id=self.account_id, order_id=update.id)
            order = replace(read, fills=[])
        return _after(order, update, await DIRECTORY.by_id(update.market_id))

    async def _fill(self, trade: TradeExecuted) -> list[dict[str, Any]]:
        market = await DIRECTORY.by_id(trade.market_id)
        found = []
        taker_buys = trade.taker_side == "buy"
        if trade.taker_account_id == self.account_id:
            side: Literal["buy", "sell"] = "buy" if taker_buys else "sell"
            found.append(_fill(trade, market, trade.taker_order_id, side, trade.taker_fee, "taker"))
        if trade.maker_account_id == self.account_id:
            side = "sell" if taker_buys else "buy"
            found.append(_fill(trade, market, trade.maker_order_id, side, trade.maker_fee, "maker"))
        return found

    def _balance(self, event: BalanceChanged) -> dict[str, Any]:
        asset, scale = self._assets[event.asset_id]
        return {
            "asset": asset,
            "available": text_from_units(event.available, scale),
            "held": text_from_units(event.held, scale),
            "balance": text_from_units(event.available + event.held, scale),
        }


class PrivateStreams:
    """The accounts that this process follows."""

    def __init__(self, hub: Hub) -> None:
        self._accounts: dict[int, AccountStream] = {}
        hub.private = self

    async def channel(self, account_id: int, name: str) -> AccountChannel:
        """An account's channel, once the account is loaded. Raises ApiError 503 when that takes too long."""
        stream = self._accounts.get(account_id)
        if stream is None:
            stream = self._accounts[account_id] = AccountStream(account_id, self)
        try:
            async with asyncio.timeout(LOAD_SECONDS_MAX):
                await stream.ready.wait()
        except TimeoutError:
            raise unavailable("The account cannot be read at the moment. Try again.") from None
        return stream.channels[name]

    def take(self, batch: Committed) -> None:
        """A batch was committed."""
        for account_id in self._accounts.keys() & set(batch.accounts):
            self._accounts[account_id].take(batch)

    def missed(self) -> None:
        """Something may have been missed: every account is loaded again."""
        for stream in self._accounts.values():
            stream.take(None)

    def heartbeat(self, now: float) -> None:
        """Let quiet channels say so."""
        for stream in self._accounts.values():
            stream.heartbeat(now)

    def release(self, stream: AccountStream) -> None:
        """Forget an account that nobody listens to."""
        if not stream.followed and self._accounts.get(stream.account_id) is stream:
            del self._accounts[stream.account_id]
            stream.close()


def _after(order: OrderAnswer, update: OrderUpdated, market: MarketEntry) -> OrderAnswer:
    base, quote = market.base_scale, market.quote_scale
    prices, quantities = market.price_decimals, market.quantity_decimals
    return replace(
        order,
        price=text_from_units(update.price, quote, prices),
        quantity=text_from_units(update.quantity, base, quantities),
        filled_quantity=text_from_units(update.filled_quantity, base, quantities),
        filled_notional=text_from_units(update.filled_notional, quote, prices),
        average_price=average_price_text(
            notional=update.filled_notional,
            quantity=update.filled_quantity,
            base_scale=base,
            quote_scale=quote,
            price_decimals=prices,
        ),
        remaining_quantity=text_from_units(update.remaining, base, quantities),
        prevented_quantity=text_from_units(update.prevented_quantity, base, quantities),
        status=update.status,
        reason=update.reason,
        updated_at=time_text(update.updated_at),
    )


def _fill(
    trade: TradeExecuted,
    market: MarketEntry,
    order_id: int,
    side: Literal["buy", "sell"],
    fee: int,
    liquidity: Literal["maker", "taker"],
) -> dict[str, Any]:
    received, scale = (market.base, market.base_scale) if side == "buy" else (market.quote, market.quote_scale)
    return {
        "trade_id": trade.id,
        "order_id": order_id,
        "market": market.symbol,
        "side": side,
        "price": text_from_units(trade.price, market.quote_scale, market.price_decimals),
        "quantity": text_from_units(trade.quantity, market.base_scale, market.quantity_decimals),
        "notional": text_from_units(trade.notional, market.quote_scale, market.price_decimals),
        "fee": text_from_units(fee, scale, 0),
        "fee_asset": received,
        "liquidity": liquidity,
        "executed_at": time_text(trade.executed_at),
    }


def _load(account_id: int) -> _Loaded:
    with one_snapshot() as (sequence, _), connection.cursor() as cursor:
        orders = order_queries.orders(account_id=account_id, limit=OPEN_ORDERS_MAX, status="open")
        fills = order_queries.fills(account_id=account_id, limit=FILLS_SHOWN)
        balances = risk_queries.balances(account_id=account_id)
        cursor.execute("SELECT id, symbol, scale FROM marketdata_asset")
        assets = {id_: (symbol, scale) for id_, symbol, scale in cursor.fetchall()}
        return _Loaded(
            sequence=sequence,
            orders=[_listed(order) for order in orders.results],
            complete=orders.next is None,
            fills=fills.results,
            balances=balances,
            assets=assets,
        )


def _listed(order: order_queries.ListedOrder) -> OrderAnswer:
    fields = {name: getattr(order, name) for name in OrderAnswer.__struct_fields__ if hasattr(order, name)}
    return OrderAnswer(**fields, fills=[])
