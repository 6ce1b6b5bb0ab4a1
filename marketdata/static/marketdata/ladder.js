// What a ladder shows: the levels of one side grouped by a price step, with running totals. Pure functions.

import { group } from "../trading/format.js";
import { textOf, unitsOf } from "./book.js";

const STEPS = 6;

/** The price steps to choose from, finest first: the tick size times powers of ten, {text, units}, at most a tenth of
    `price` (text, or null when nothing is known). */
export function stepsOf({ tick_size, price_decimals }, price) {
  const tick = unitsOf(tick_size, price_decimals);
  const limit = price === null ? null : unitsOf(price, price_decimals) / 10n;
  const steps = [];
  for (let step = tick; steps.length < STEPS; step *= 10n) {
    if (steps.length && limit !== null && step > limit) break;
    const text = textOf(step, price_decimals);
    steps.push({ text: text.includes(".") ? text.replace(/\.?0+$/, "") : text, units: Number(step) });
  }
  return steps;
}

/**
 * At most `count` rows, best first: {key, price, shown, quantity, total} where `quantity` and `total` (cumulative) are
 * units. A bid belongs to the step at or below it, an ask to the one at or above: a group never looks better than it is.
 */
export function grouped({ levels, side, step, decimals, count }) {
  const rows = [];
  let row = null;
  let total = 0;
  for (const level of levels) {
    const at = (side === "buy" ? Math.floor(level.priceUnits / step) : Math.ceil(level.priceUnits / step)) * step;
    if (row?.key !== at) {
      if (rows.length === count) break;
      row = { key: at, price: textOf(BigInt(at), decimals), quantity: 0, total: 0 };
      rows.push(row);
    }
    row.quantity += level.quantityUnits;
    total += level.quantityUnits;
    row.total = total;
  }
  return rows;
}

/** A price of the ladder as shown: thousands apart, no decimals that the step makes meaningless. */
export function shownPrice(price, step) {
  const decimals = step.text.split(".")[1]?.length ?? 0;
  const [whole, fraction = ""] = price.split(".");
  return group(decimals ? `${whole}.${fraction.slice(0, decimals)}` : whole);
}

/** How many characters at the beginning two texts share. */
export function sharedLength(a, b) {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}
