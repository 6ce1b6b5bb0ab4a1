// The market of this page with its order filters in units (amounts.js).

import { market as parameters } from "../marketdata/market.js";
import { unitsOf } from "./amounts.js";

/** Everything that the page says of its market, and in units: tick, lot and the least and most of an order. */
export const market = {
  ...parameters,
  tick: unitsOf(parameters.tick_size),
  lot: unitsOf(parameters.lot_size),
  leastQuantity: unitsOf(parameters.min_quantity),
  mostQuantity: unitsOf(parameters.max_quantity),
  leastNotional: unitsOf(parameters.min_notional),
  mostNotional: unitsOf(parameters.max_notional),
};

/** The base asset of a market: BASE-QUOTE says it, but this page's market may be named otherwise. */
export function baseOf(symbol) {
  return symbol === market.market ? market.base : symbol.split("-")[0];
}
