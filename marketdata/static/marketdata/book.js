// The order book of this page's market, rebuilt from the depth channel and checked against each message's checksum.
// Prices and quantities are the server's texts; sums that decide anything are made of BigInts.

import { crc32 } from "./crc32.js";
import { feed } from "./feed.js";
import { oncePerFrame } from "./frame.js";
import { market } from "./market.js";

const CHECKED_LEVELS = 10;

/** Below 0 when decimal text a is below b (both not negative), 0 when they are the same text. */
export function comparePrices(a, b) {
  const whole = (text) => (text.indexOf(".") + 1 || text.length + 1) - 1;
  return whole(a) - whole(b) || (a < b ? -1 : a > b ? 1 : 0);
}

/** Units of 10^-decimals of a decimal text with at most that many decimals. */
export function unitsOf(text, decimals) {
  const [whole, fraction = ""] = text.split(".");
  return BigInt(whole + fraction.padEnd(decimals, "0"));
}

/** The decimal text of units of 10^-decimals. */
export function textOf(units, decimals) {
  const digits = units.toString().padStart(decimals + 1, "0");
  return decimals ? `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}` : digits;
}

/**
 * Both sides of a market. `bids` and `asks` map price to quantity; `levels(side)` is sorted, best first. Event "change"
 * comes at most once a frame. `loaded` is false until the first snapshot.
 */
export class LiveBook extends EventTarget {
  bids = new Map();
  asks = new Map();
  loaded = false;
  sequence = null;

  #name;
  #priceDecimals;
  #quantityDecimals;
  #sorted = { buy: null, sell: null };
  #changed = oncePerFrame(() => this.dispatchEvent(new Event("change")));

  constructor({ market, price_decimals, quantity_decimals }) {
    super();
    this.#name = market;
    this.#priceDecimals = price_decimals;
    this.#quantityDecimals = quantity_decimals;
  }

  /** Keep up with the market through `feed`; returns the way to stop. */
  follow(feed) {
    const channel = `depth.${this.#name}`;
    return feed.subscribe(channel, (message) => {
      if (message.type === "refused") return;
      this.apply(message);
      if (message.checksum !== this.checksum()) feed.restart(channel);
    });
  }

  /** Apply a snapshot or an update. */
  apply(message) {
    if (message.type === "snapshot") {
      this.bids = new Map(message.bids);
      this.asks = new Map(message.asks);
      this.#sorted = { buy: null, sell: null };
      this.loaded = true;
    } else {
      this.#put("buy", this.bids, message.bids);
      this.#put("sell", this.asks, message.asks);
    }
    this.sequence = message.last_sequence;
    this.#changed();
  }

  /** One side's levels, best first: {price, quantity} as text, priceUnits and quantityUnits as numbers for drawing. */
  levels(side) {
    return (this.#sorted[side] ??= [...(side === "buy" ? this.bids : this.asks)]
      .map(([price, quantity]) => this.#level(price, quantity))
      .sort((a, b) => this.#order(side, a.price, b.price)));
  }

  /** The best prices, {bid, ask}; null where a side is empty. */
  best() {
    return { bid: this.levels("buy")[0]?.price ?? null, ask: this.levels("sell")[0]?.price ?? null };
  }

  /**
   * What an order of `side` for `quantity` (text) would meet now: {quantity, amount, worstPrice, complete}, where
   * quantity is what the book can fill, amount its exact cost in quote, worstPrice the last price reached (or null).
   */
  cost(side, quantity) {
    const decimals = Math.max(this.#quantityDecimals, quantity.split(".")[1]?.length ?? 0);
    let wanted = unitsOf(quantity, decimals);
    let [filled, amount, worstPrice] = [0n, 0n, null];
    for (const level of this.levels(side === "buy" ? "sell" : "buy")) {
      if (wanted <= 0n) break;
      const there = unitsOf(level.quantity, decimals);
      const taken = there < wanted ? there : wanted;
      filled += taken;
      wanted -= taken;
      amount += taken * unitsOf(level.price, this.#priceDecimals);
      worstPrice = level.price;
    }
    return {
      quantity: textOf(filled, decimals),
      amount: textOf(amount, decimals + this.#priceDecimals),
      worstPrice,
      complete: wanted === 0n,
    };
  }

  /** The quantity (text) of one side from its best price to `price`, that price included. */
  quantityUpTo(side, price) {
    let sum = 0n;
    for (const level of this.levels(side)) {
      if (this.#order(side, level.price, price) > 0) break;
      sum += unitsOf(level.quantity, this.#quantityDecimals);
    }
    return textOf(sum, this.#quantityDecimals);
  }

  /** The checksum that docs/websocket.md defines, of the ten best levels of each side. */
  checksum() {
    const text = (side) =>
      this.levels(side)
        .slice(0, CHECKED_LEVELS)
        .map(({ price, quantity }) => `${price}:${quantity}`)
        .join("|");
    return crc32(`${text("buy")}#${text("sell")}`);
  }

  #put(side, map, changes) {
    const sorted = this.levels(side);
    for (const [price, quantity] of changes) {
      const at = this.#place(side, sorted, price);
      const present = sorted[at]?.price === price;
      if (/^0(\.0*)?$/.test(quantity)) {
        map.delete(price);
        if (present) sorted.splice(at, 1);
      } else {
        map.set(price, quantity);
        sorted.splice(at, present ? 1 : 0, this.#level(price, quantity));
      }
    }
  }

  /** Where `price` stands in `sorted`, or would stand. */
  #place(side, sorted, price) {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#order(side, sorted[middle].price, price) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #order(side, a, b) {
    return side === "buy" ? comparePrices(b, a) : comparePrices(a, b);
  }

  #level(price, quantity) {
    const priceUnits = Math.round(Number(price) * 10 ** this.#priceDecimals);
    const quantityUnits = Math.round(Number(quantity) * 10 ** this.#quantityDecimals);
    return { price, quantity, priceUnits, quantityUnits };
  }
}

/** This page's book, or null on a page without a market. */
export const book = market && new LiveBook(market);
book?.follow(feed);
