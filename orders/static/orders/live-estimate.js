// What an order on this page's market would do right now: `estimate` asked with the live book and the account's rates.

import { book } from "../marketdata/book.js";
import { account, signedUnits } from "./account.js";
import { dividedBy, least, roundedDown, stepOf, textOf, unitsOf } from "./amounts.js";
import { estimate, walk } from "./estimate.js";
import { market } from "./filters.js";
import { read } from "./order-entry.js";

const feeSteps = new Map();

/** Learn in which steps fees are charged; until then they are computed exactly. */
export async function loadFeeSteps() {
  for (const { asset, scale } of await read("/assets")) feeSteps.set(asset, stepOf(scale));
}

/** {maker, taker} in units: the account's, or those of everyone. */
export function rates() {
  const own = account.rates.get(market.market);
  return own ?? { maker: signedUnits(market.maker_rate), taker: signedUnits(market.taker_rate) };
}

/** The best prices {bid, ask} in units, null where a side is empty. */
export function best() {
  const { bid, ask } = book.best();
  return { bid: bid && unitsOf(bid), ask: ask && unitsOf(ask) };
}

/** The price (text) at which an order of `side` would trade at once, or else the best of its own side; null: none. */
export function touchPrice(side) {
  const { bid, ask } = book.best();
  return side === "buy" ? (ask ?? bid) : (bid ?? ask);
}

/** What `order` would do, or null while there is nothing to say. */
export function estimated(order) {
  const { type, price, quantity, quoteAmount, side } = order;
  if (type === "limit" ? !price || !quantity : !quantity && !quoteAmount) return null;
  return estimate({ order, rates: rates(), ...walked(side) });
}

/** The amount (text) for `order` that takes `percentage` of what is `available`; null while no price is known. */
export function shareOf({ order, percentage, available }) {
  const share = (available * BigInt(percentage)) / 100n;
  const budget = least(share, market.mostNotional);
  if (order.byAmount) return textOf(roundedDown(budget, stepOf(market.price_decimals)));
  if (order.type === "market") return lots(order.side === "sell" ? share : bought(budget));
  if (!order.price) return null;
  const payable = dividedBy(budget, order.price);
  return lots(order.side === "buy" ? payable : least(share, dividedBy(market.mostNotional, order.price)));
}

function lots(quantity) {
  return textOf(roundedDown(least(quantity, market.mostQuantity), market.lot));
}

/** What a market buy gets for `budget` as the book stands. */
function bought(budget) {
  return walk({ ...walked("buy"), limit: null, budget, rate: 0n }).quantity;
}

/** What the walk through the other side of the book needs to know. */
function walked(side) {
  const feeStep = feeSteps.get(side === "buy" ? market.base : market.quote) ?? 1n;
  return { side, levels: levelsOf(side === "buy" ? "sell" : "buy"), lot: market.lot, feeStep };
}

/** [price, quantity] of one side of the book in units, best first, as far as anyone asks. */
function* levelsOf(side) {
  for (const { price, quantity } of book.levels(side)) yield [unitsOf(price), unitsOf(quantity)];
}
