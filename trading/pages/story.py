"""An order's life as a few steps: placed, filled, and how it ended; trades of one moment are one step."""

from dataclasses import dataclass
from itertools import groupby

from marketdata.scale import text_from_units, units_from_text
from marketdata.shapes import TimeText
from matching.engine.messages import Reason
from orders.queries import FilledOrder, OrderFill
from trading.pages.filters import group

_REASON_TEXTS = {reason.value: reason.text for reason in Reason}


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to an order; `kind` is the colour of its dot: good, warn, bad, info or none."""

    at: TimeText
    title: str
    text: str
    kind: str


def steps(order: FilledOrder) -> list[Step]:
    """What happened, oldest first."""
    base, quote = order.market.split("-")
    told = [Step(order.created_at, "Placed", _wish(order, base, quote), "")]
    for at, fills in groupby(order.fills, key=lambda fill: fill.executed_at):
        met = list(fills)
        complete = order.status == "filled" and met[-1] is order.fills[-1]
        told.append(Step(at, "Filled" if complete else "Partly filled", _trades(met, base, quote), "good"))
    if order.status == "open":
        rests = f"{group(order.remaining_quantity)} {base} in the book"
        told.append(Step(order.updated_at, "Waits", rests, "info"))
    elif order.status != "filled":
        kind = "bad" if order.status == "rejected" else "warn"
        why = _REASON_TEXTS.get(order.reason or "", "")
        told.append(Step(order.updated_at, order.status.capitalize(), why, kind))
    return told


def _wish(order: FilledOrder, base: str, quote: str) -> str:
    wanted = f"for {group(order.quote_amount)} {quote}" if order.quantity is None else f"{group(order.quantity)} {base}"
    at = f"at {group(order.price)} {quote}" if order.price else "at the market"
    return f"{order.side.capitalize()} {wanted} {at}"


def _trades(met: list[OrderFill], base: str, quote: str) -> str:
    decimals = len(met[0].quantity.partition(".")[2])
    quantity = text_from_units(sum(units_from_text(fill.quantity, decimals) for fill in met), decimals)
    first, last = group(met[0].price), group(met[-1].price)
    prices = f"at {first}" if first == last else f"from {first} to {last}"
    trades = "" if len(met) == 1 else f" in {len(met)} trades"
    return f"{group(quantity)} {base}{trades} {prices} {quote}, as {met[0].liquidity}"
