// What the signed-in person has on the exchange: open orders, fills, balances and fee rates, kept by the private stream,
// or by asking every few seconds while there is no live connection. One object for the whole page.

import { feed } from "../marketdata/feed.js";
import { unitsOf } from "./amounts.js";
import { read } from "./order-entry.js";

const POLL_MS = 3_000;
const PATIENCE_MS = 2_500; // how long the socket has for its first word before REST is asked
const ENDED_MAX = 1_000;
const FILLS_MAX = 1_000;
const RATES_MS = 60_000;

/**
 * Events: "orders" (something changed), "order" (detail {order, before}: one order was told), "missed" (orders have
 * ended unheard), "fills" (detail: fills that are news, oldest first), "balances", "notifications" (detail: those that
 * are news, as the API tells them), "rates".
 */
export class Account extends EventTarget {
  user = document.body.dataset.user ?? null;
  /** Open orders by id; null until they are known. */
  orders = null;
  /** False when there are more open orders than these, the newest. */
  complete = true;
  /** The latest fills, newest first; null until they are known. */
  fills = null;
  /** Balances by asset; null until they are known. */
  balances = null;
  /** {maker, taker} by market, in units. */
  rates = new Map();

  #ended = new Set();
  #latestTrade = null;
  #ratesAt = 0;
  #polling = false;

  constructor() {
    super();
    if (!this.user) return;
    feed.subscribe("orders", (message) => this.#hearOrders(message));
    feed.subscribe("fills", (message) => message.fills && this.#takeFills(message.fills));
    feed.subscribe("balances", (message) => message.balances && this.#takeBalances(message.balances));
    feed.subscribe("notifications", ({ type, notifications }) => {
      if (type === "update") this.#tell("notifications", notifications);
    });
    feed.addEventListener("status", () => this.#watch());
    this.addEventListener("fills", () => this.#loadRates());
    setTimeout(() => this.#watch(), PATIENCE_MS);
    this.#loadRates();
  }

  /** What is available of an asset in units; null while it is not known. */
  available(asset) {
    if (!this.balances) return null;
    return unitsOf(this.balances.get(asset)?.available ?? "0");
  }

  /** Take an order as an answer told it; what the stream said meanwhile is not overwritten. */
  take(order) {
    if (this.#learn(order)) this.#tell("orders");
    this.catchUp();
  }

  /** After a change of one's own: the stream tells the rest, and where there is none, ask. */
  async catchUp() {
    if (feed.status.state !== "live") await this.refresh().catch(() => undefined); // it is asked again soon
  }

  /** Ask the REST API for everything. */
  async refresh() {
    const [open, fills, balances] = await Promise.all([
      read("/orders", { status: "open", limit: 500 }),
      read("/fills", { limit: 100 }),
      read("/balances"),
    ]);
    this.#replaceOrders(open.results, !open.next);
    this.#takeFills(fills.results.reverse());
    this.#takeBalances(balances);
  }

  #hearOrders({ type, orders, complete }) {
    if (type === "snapshot") this.#replaceOrders(orders, complete);
    else if (type === "update" && orders.filter((order) => this.#learn(order)).length) this.#tell("orders");
  }

  #replaceOrders(open, complete) {
    this.complete = complete;
    const before = this.orders ?? new Map();
    const still = open.filter(({ id }) => !this.#ended.has(id));
    this.orders = new Map(still.map((order) => [order.id, this.#newest(order, before.get(order.id))]));
    if ([...before.keys()].some((id) => !this.orders.has(id))) this.#tell("missed");
    this.#tell("orders");
  }

  #newest(order, known) {
    return known && known.updated_at > order.updated_at ? known : order;
  }

  /** Keep what is told of one order; false if it is older than what is known. */
  #learn(order) {
    this.orders ??= new Map();
    const before = this.orders.get(order.id) ?? null;
    if (this.#ended.has(order.id) || (before && before.updated_at > order.updated_at)) return false;
    if (order.status === "open") this.orders.set(order.id, order);
    else this.#end(order);
    this.dispatchEvent(new CustomEvent("order", { detail: { order, before } }));
    return true;
  }

  #end({ id }) {
    this.orders.delete(id);
    this.#ended.add(id);
    if (this.#ended.size > ENDED_MAX) this.#ended.delete(this.#ended.values().next().value);
  }

  /** `fills` oldest first; those after the latest known trade are news, unless none was known. */
  #takeFills(fills) {
    const latest = this.#latestTrade;
    const news = latest === null ? fills : fills.filter(({ trade_id }) => trade_id > latest);
    this.#latestTrade = Math.max(latest ?? 0, ...news.map((fill) => fill.trade_id));
    this.fills = [...news.toReversed(), ...(this.fills ?? [])].slice(0, FILLS_MAX);
    if (latest === null) this.#tell("fills", []);
    else if (news.length) this.#tell("fills", news);
  }

  #takeBalances(balances) {
    this.balances ??= new Map();
    for (const balance of balances) this.balances.set(balance.asset, balance);
    this.#tell("balances");
  }

  async #loadRates() {
    if (this.#ratesAt && performance.now() - this.#ratesAt < RATES_MS) return;
    this.#ratesAt = performance.now();
    const { markets } = await read("/fees");
    for (const { market, maker_rate, taker_rate } of markets)
      this.rates.set(market, { maker: signedUnits(maker_rate), taker: signedUnits(taker_rate) });
    this.#tell("rates");
  }

  /** While the socket is not live, ask every few seconds. */
  async #watch() {
    if (this.#polling) return;
    this.#polling = true;
    while (feed.status.state !== "live") {
      if (document.visibilityState === "visible") await this.refresh().catch(() => undefined); // the next time, then
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    this.#polling = false;
  }

  #tell(type, detail = null) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
    if (type === "orders") announce("own-orders", { orders: [...this.orders.values()] });
    if (type === "fills") announce("own-fills", { fills: this.fills });
  }
}

/** Tell the rest of the page, the chart for one. */
function announce(type, detail) {
  document.dispatchEvent(new CustomEvent(type, { detail }));
}

/** Units of a rate, which may be negative (a rebate). */
export function signedUnits(text) {
  return text.startsWith("-") ? -unitsOf(text.slice(1)) : unitsOf(text);
}

export const account = new Account();
