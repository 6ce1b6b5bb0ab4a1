"""Orders fresh from matching as the API tells them: units and microseconds become text.

`orders.queries` tells the same orders from the database; a test holds the two to the same text.
"""

import time

from marketdata.scale import text_from_units
from matching.engine.messages import OrderPreviewed, OrderState, Side, TradeExecuted
from orders.average import average_price_text
from trading.gateway.directory import MarketEntry
from trading.gateway.messages import FillAnswer, OrderAnswer, TestAnswer

RATE_DECIMALS = 6
_SECOND_TEXTS_MAX = 10_000

_second_texts: dict[int, str] = {}


def time_text(microseconds: int) -> str:
    """ISO 8601 in UTC with microseconds, from microseconds since 1970."""
    second, rest = divmod(microseconds, 1_000_000)
    text = _second_texts.get(second)
    if text is None:
        if len(_second_texts) >= _SECOND_TEXTS_MAX:
            _second_texts.clear()
        text = _second_texts[second] = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
    return f"{text}{rest:06d}Z"


def fill_answer(*, trade: TradeExecuted, market: MarketEntry) -> FillAnswer:
    """The taker's half of `trade`; its fee is in the asset the taker received."""
    buying = trade.taker_side == "buy"
    return FillAnswer(
        trade.id,
        text_from_units(trade.price, market.quote_scale, market.price_decimals),
        text_from_units(trade.quantity, market.base_scale, market.quantity_decimals),
        text_from_units(trade.taker_fee, market.base_scale if buying else market.quote_scale, 0),
        market.base if buying else market.quote,
        "taker",
        time_text(trade.executed_at),
    )


def order_answer(*, order: OrderState, market: MarketEntry, fills: list[FillAnswer]) -> OrderAnswer:
    """The order as it stands, with the fills it has had."""
    base_scale, quote_scale = market.base_scale, market.quote_scale
    price_decimals, quantity_decimals = market.price_decimals, market.quantity_decimals
    price, quantity, quote_amount = order.price, order.quantity, order.quote_amount
    created = time_text(order.created_at)
    return OrderAnswer(
        order.id,
        order.client_order_id,
        market.symbol,
        order.side,
        order.order_type,
        order.time_in_force,
        order.post_only,
        None if price is None else text_from_units(price, quote_scale, price_decimals),
        None if quantity is None else text_from_units(quantity, base_scale, quantity_decimals),
        None if quote_amount is None else text_from_units(quote_amount, quote_scale, price_decimals),
        text_from_units(order.filled_quantity, base_scale, quantity_decimals),
        text_from_units(order.filled_notional, quote_scale, price_decimals),
        average_price_text(
            notional=order.filled_notional,
            quantity=order.filled_quantity,
            base_scale=base_scale,
            quote_scale=quote_scale,
            price_decimals=price_decimals,
        ),
        text_from_units(order.remaining, base_scale, quantity_decimals),
        text_from_units(order.prevented_quantity, base_scale, quantity_decimals),
        order.status,
        order.reason,
        order.self_trade_prevention,
        created,
        created if order.updated_at == order.created_at else time_text(order.updated_at),
        fills,
    )


def test_answer(*, preview: OrderPreviewed, side: Side, market: MarketEntry) -> TestAnswer:
    """What an order would do; costs and fees in the assets paid and received."""
    base, quote = (market.base, market.base_scale), (market.quote, market.quote_scale)
    paid, received = (quote, base) if side == "buy" else (base, quote)
    return TestAnswer(
        market=market.symbol,
        worst_case_cost=text_from_units(preview.worst_case_cost, paid[1], 0),
        cost_asset=paid[0],
        worst_case_fee=text_from_units(preview.worst_case_fee, received[1], 0),
        fee_asset=received[0],
        expected_quantity=text_from_units(preview.expected_quantity, base[1], market.quantity_decimals),
        expected_notional=text_from_units(preview.expected_notional, quote[1], market.price_decimals),
        maker_rate=text_from_units(preview.maker_rate, RATE_DECIMALS, 0),
        taker_rate=text_from_units(preview.taker_rate, RATE_DECIMALS, 0),
    )
