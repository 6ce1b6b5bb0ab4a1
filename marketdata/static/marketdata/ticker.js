// The ticker of this page's market, one subscription for every element that shows a part of it.

import { feed } from "./feed.js";
import { oncePerFrame } from "./frame.js";
import { market } from "./market.js";

/** Event "change" at most once a frame; `now` is the latest message of the ticker channel (null before the first). */
class Ticker extends EventTarget {
  now = null;
  /** 1, -1 or 0: where the last price has moved to since it was another one. */
  direction = 0;
  #changed = oncePerFrame(() => this.dispatchEvent(new Event("change")));

  take(message) {
    if (message.type === "refused") return;
    const before = this.now?.last;
    if (before && message.last && before !== message.last)
      this.direction = Number(message.last) > Number(before) ? 1 : -1;
    this.now = message;
    this.#changed();
  }
}

/** This page's ticker. */
export const ticker = new Ticker();
if (market) feed.subscribe(`ticker.${market.market}`, (message) => ticker.take(message));
