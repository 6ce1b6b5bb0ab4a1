// The candles of one interval: the latest page, older pages on demand, and what happens now. A page says which
// sequence it belongs to, so that the channel's messages go on exactly where it ends.

import { feed } from "./feed.js";

const PAGE = 1000;
const FIRST_PAGE = 300; // a page comes up faster with what fits the screen, and a little more
const KEPT = 20_000;
const RETRY_MS = 3_000;

/**
 * Events: "reset" (all of `candles` is new), "older" (some were put before), "update" (detail: those that changed, in
 * order of time), "failed". A candle is {time (s), open, high, low, close, volume, quoteVolume, trades} in numbers.
 */
export class CandleHistory extends EventTarget {
  candles = [];
  /** True when there is nothing older than the first candle. */
  complete = false;

  #path;
  #interval;
  #stopFeed = null;
  #joined = false;
  #loading = false;
  #loadingOlder = false;
  #waiting = [];
  #stopped = false;

  constructor({ market, interval }) {
    super();
    this.#path = `/api/v1/markets/${market}/candles`;
    this.#interval = interval;
    this.#load();
    this.#stopFeed = feed.subscribe(`candles.${market}.${interval}`, (message) => this.#hear(message));
  }

  /** Hear and load nothing any more. */
  stop() {
    this.#stopped = true;
    this.#stopFeed();
  }

  /** Load the page before the first candle, if there is one. */
  async older() {
    if (this.#loadingOlder || this.#loading || this.complete || !this.candles.length || this.candles.length >= KEPT) return;
    this.#loadingOlder = true;
    try {
      const first = this.candles[0].time;
      const { candles } = await this.#read({ limit: PAGE, end: new Date(first * 1000 - 1).toISOString() });
      const before = candles.filter(({ time }) => time < first);
      this.complete = before.length === 0;
      this.candles = [...before, ...this.candles];
      if (before.length) this.#tell("older");
    } catch {
      // The next scroll asks again.
    } finally {
      this.#loadingOlder = false;
    }
  }

  #hear(message) {
    if (message.type === "refused") return this.#tell("failed");
    const missed = this.#joined && message.type === "snapshot";
    this.#joined = true;
    if (this.#loading) this.#waiting.push(message);
    else if (missed) this.#load();
    else this.#follow(message);
  }

  async #load() {
    this.#loading = true;
    try {
      const { candles, sequence } = await this.#read({ limit: this.candles.length ? PAGE : FIRST_PAGE });
      this.#merge(candles);
      const after = this.#waiting.filter((message) => message.last_sequence > sequence);
      this.#waiting = [];
      this.#loading = false;
      this.#tell("reset");
      for (const message of after) this.#follow(message);
    } catch {
      this.#tell("failed");
      setTimeout(() => !this.#stopped && this.#load(), RETRY_MS);
    }
  }

  /** What was heard after the page was read. A snapshot of a later candle may hide the end of the one before. */
  #follow(message) {
    const candles = message.candles.map(numbers);
    if (message.type === "snapshot" && candles.some(({ time }) => time > (this.candles.at(-1)?.time ?? 0))) this.#load();
    else this.#apply(candles);
  }

  /** The latest page, before it what is known already, if the two meet. */
  #merge(page) {
    const first = page[0]?.time ?? Infinity;
    const meets = this.candles.length > 0 && this.candles.at(-1).time >= first;
    if (!meets) this.complete = false;
    this.candles = [...(meets ? this.candles.filter(({ time }) => time < first) : []), ...page];
  }

  #apply(changes) {
    for (const candle of changes) {
      const last = this.candles.at(-1);
      if (!last || candle.time > last.time) this.candles.push(candle);
      else this.#replace(candle);
    }
    if (this.candles.length > KEPT + PAGE) this.#forget();
    else if (changes.length) this.#tell("update", changes);
  }

  /** A page that is open for days keeps what one may scroll to. */
  #forget() {
    this.candles = this.candles.slice(-KEPT);
    this.complete = false;
    this.#tell("reset");
  }

  #replace(candle) {
    let at = this.candles.length - 1;
    while (at > 0 && this.candles[at].time > candle.time) at--;
    if (this.candles[at].time === candle.time) this.candles[at] = candle;
  }

  async #read(parameters) {
    const query = new URLSearchParams({ interval: this.#interval, ...parameters });
    const response = await fetch(`${this.#path}?${query}`, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(`the candles were refused: ${response.status}`);
    const { results, sequence } = await response.json();
    return { candles: results.map(numbers), sequence };
  }

  #tell(type, detail = null) {
    if (!this.#stopped) this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** A candle of the API in numbers, for drawing. */
function numbers({ open_time, open, high, low, close, volume, quote_volume, trades }) {
  return {
    time: Date.parse(open_time) / 1000,
    open: Number(open),
    high: Number(high),
    low: Number(low),
    close: Number(close),
    volume: Number(volume),
    quoteVolume: Number(quote_volume),
    trades,
  };
}
