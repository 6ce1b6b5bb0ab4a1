// What is wrong with an order before it is sent, in the exchange's own words: the texts of the refusals that name a
// field. The exchange has the last word; this only spares a question whose answer is known.

import { group } from "../trading/format.js";
import { textOf, times } from "./amounts.js";

/** Refusals of `order` (amounts in units, null where nothing readable was entered), the first of each field. */
export function problems({ order, market, available }) {
  const found = [priceProblem(order, market), amountProblem(order, market, available)];
  if (order.postOnly && order.type === "limit" && order.timeInForce !== "gtc")
    found.push({ field: "post_only", text: "Only a gtc limit order can be post-only." });
  return found.filter(Boolean);
}

function priceProblem({ type, price }, market) {
  if (type !== "limit") return null;
  if (price === null) return { field: "price", text: "A limit order needs a price." };
  if (price <= 0n || price % market.tick)
    return { field: "price", text: `The price must be a positive multiple of ${market.tick_size} ${market.quote}.` };
  return null;
}

function amountProblem(order, market, available) {
  if (order.byAmount) return budgetProblem(order, market, available);
  const field = "quantity";
  const { base, quote } = market;
  const quantity = order.quantity;
  if (quantity === null) return { field, text: `Enter how much ${base} to ${order.side}.` };
  if (quantity <= 0n || quantity % market.lot)
    return { field, text: `The quantity must be a positive multiple of ${market.lot_size} ${base}.` };
  if (quantity < market.leastQuantity)
    return { field, text: `The quantity must be at least ${group(market.min_quantity)} ${base}.` };
  if (quantity > market.mostQuantity)
    return { field, text: `The quantity must be at most ${group(market.max_quantity)} ${base}.` };
  if (order.side === "sell" && available !== null && quantity > available)
    return { field, text: `Only ${group(textOf(available))} ${base} are available.` };
  if (order.type !== "limit" || order.price === null) return null;
  const notional = times(order.price, quantity);
  if (notional < market.leastNotional)
    return { field, text: `Price times quantity must be at least ${group(market.min_notional)} ${quote}.` };
  if (notional > market.mostNotional)
    return { field, text: `Price times quantity must be at most ${group(market.max_notional)} ${quote}.` };
  if (order.side === "buy" && available !== null && notional > available)
    return {
      field,
      text: `This costs ${group(textOf(notional))} ${quote}; ${group(textOf(available))} ${quote} are available.`,
    };
  return null;
}

function budgetProblem({ quoteAmount }, market, available) {
  const field = "quote_amount";
  const { quote } = market;
  if (quoteAmount === null) return { field, text: `Enter how much ${quote} to spend.` };
  if (quoteAmount < market.leastNotional)
    return { field, text: `The amount must be at least ${group(market.min_notional)} ${quote}.` };
  if (quoteAmount > market.mostNotional)
    return { field, text: `The amount must be at most ${group(market.max_notional)} ${quote}.` };
  if (available !== null && quoteAmount > available)
    return { field, text: `Only ${group(textOf(available))} ${quote} are available.` };
  return null;
}
