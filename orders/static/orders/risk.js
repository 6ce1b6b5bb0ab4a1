// When a person should look twice: a limit price far from the market, or a market order that would move it.

import { textOf, unitsOf } from "./amounts.js";
import { moved } from "./estimate.js";
import { percent, price as priceText } from "../trading/format.js";

const FAR = unitsOf("0.05");
const DEEP = unitsOf("0.02");

/** {title, lines} to ask about, or null. `best`: {bid, ask} in units, null where a side of the book is empty. */
export function warning({ order, best, estimated, market }) {
  return order.type === "limit" ? farPrice(order, best, market) : deepOrder(order, estimated, market);
}

function farPrice({ side, price }, { bid, ask }, market) {
  const middle = bid && ask ? (bid + ask) / 2n : (bid ?? ask);
  if (!middle || moved(middle, price) <= FAR) return null;
  const above = price > middle;
  const shown = (units) => `${priceText(textOf(units), market.price_decimals)} ${market.quote}`;
  const waits = above === (side === "sell");
  const trades = side === "buy" ? "buy at any price up to" : "sell at any price down to";
  return {
    title: "This price is far from the market",
    lines: [
      `Your price is ${unsigned(moved(middle, price))} ${above ? "above" : "below"} the market, which is at ${shown(middle)}.`,
      waits
        ? `The order waits until the market comes to ${shown(price)}.`
        : `The order may ${trades} ${shown(price)}, as far as the book goes.`,
    ],
  };
}

function deepOrder({ side }, { traded, average }, market) {
  if (traded.first === null || moved(traded.first, traded.last) <= DEEP) return null;
  const shown = (units) => `${priceText(textOf(units), market.price_decimals)} ${market.quote}`;
  return {
    title: "This order moves the market",
    lines: [
      `It takes everything from ${shown(traded.first)} to ${shown(traded.last)}, ${unsigned(moved(traded.first, traded.last))} away.`,
      `On average you would ${side === "buy" ? "pay" : "get"} ${shown(average)}.`,
    ],
  };
}

function unsigned(fraction) {
  return percent(textOf(fraction)).replace("+", "");
}
