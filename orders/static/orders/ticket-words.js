// What the ticket says of an order, and how it reads what people type.

import { group, percent, price as priceText } from "../trading/format.js";
import { textOf, unitsOf } from "./amounts.js";
import { market } from "./filters.js";

const { base, quote } = market;

const amount = (units) => `${group(textOf(units))} ${base}`;

/** An amount as the summary shows it: base as exact as it is, quote with the price's decimals. */
export function amountText(units, asset) {
  return asset === base ? group(textOf(units)) : priceText(textOf(units), market.price_decimals);
}

/** What the button will do: "Buy 0.015 BTC". */
export function says({ side, quantity, quoteAmount }) {
  const verb = side === "buy" ? "Buy" : "Sell";
  if (quantity) return `${verb} ${amount(quantity)}`;
  if (quoteAmount) return `${verb} ${base} for ${group(textOf(quoteAmount, market.price_decimals))} ${quote}`;
  return `${verb} ${base}`;
}

/** In one line what happens at once; empty while there is nothing to say. `own`: the account's open orders by id. */
export function note(order, estimated, own) {
  if (!estimated) return "";
  const { traded, resting } = estimated;
  if (order.postOnly && traded.quantity) return "At this price it would trade at once, and be refused.";
  if (!traded.quantity) {
    if (order.timeInForce === "fok") return "The book cannot fill all of it: it would be canceled.";
    return resting ? "Waits in the book." : "The book has nothing to trade with at this price.";
  }
  if (meetsOwn(order, traded.last, own)) return "Meets an order of your own on the other side.";
  if (resting) return `${amount(traded.quantity)} trade at once, the rest waits in the book.`;
  if (!traded.complete) return `The book has only ${amount(traded.quantity)} for it; the rest is canceled.`;
  return "Trades at once.";
}

/** True if one of the account's own orders stands between here and the worst price. */
function meetsOwn({ side }, worst, own) {
  for (const { market: symbol, side: its, price } of own?.values() ?? []) {
    if (symbol !== market.market || its === side) continue;
    if (side === "buy" ? unitsOf(price) <= worst : unitsOf(price) >= worst) return true;
  }
  return false;
}

/** "Fee, taker 0.15 %", or both when a part of the order waits. */
export function feeName({ maker, taker }, estimated) {
  const rate = (units) => percent(textOf(units)).replace("+", "");
  if (!estimated) return "Fee";
  const { traded, resting } = estimated;
  if (traded.quantity && resting) return "Fee, taker and maker";
  return traded.quantity ? `Fee, taker ${rate(taker)}` : `Fee, maker ${rate(maker)}`;
}

/** A number as people type or paste it: without spaces and thousands separators; a lone comma is a point. */
export function plain(text) {
  const tight = text.trim().replaceAll(/[\s_]/g, "");
  return /^\d+,\d*$/.test(tight) && !/^\d{1,3},\d{3}$/.test(tight)
    ? tight.replace(",", ".")
    : tight.replaceAll(",", "");
}
