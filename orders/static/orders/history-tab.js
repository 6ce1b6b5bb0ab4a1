// The Order history tab: orders that have ended, newest first; those that end now appear at once.

import { group, trimmed } from "../trading/format.js";
import { account } from "./account.js";
import { make } from "./dom.js";
import { read } from "./order-entry.js";
import { reasonText } from "./reasons.js";
import { KeyedTable, Pages, Tab, cell, sideElement, timeElement } from "./table.js";

const PAGE = 50;
const LOOKS_MAX = 5;
const NOTHING = "\u2013";
const STATUS = { filled: "good", canceled: "", expired: "", rejected: "bad" };

export class HistoryTab extends Tab {
  #orders = null;
  #onlyMarket;
  #table = new KeyedTable({
    name: "history",
    label: "Order history",
    columns: [
      ["Time"],
      ["Market"],
      ["Side"],
      ["Type"],
      ["Price", "number"],
      ["Average", "number"],
      ["Amount", "number"],
      ["Filled", "number"],
      ["Status"],
    ],
    row,
    empty: { title: "No orders have ended yet.", text: "Filled and canceled orders are kept here." },
  });
  #pages = new Pages({ load: (cursor) => this.#load(cursor), take: (orders) => this.#take(orders) });

  constructor({ signal, onlyMarket }) {
    super("history", "Order history");
    this.#onlyMarket = onlyMarket;
    this.panel.append(this.#table.element, this.#pages.element);
    account.addEventListener("order", ({ detail: { order } }) => this.#heard(order), { signal });
    account.addEventListener("missed", () => this.filtered(), { signal });
  }

  toggled(isShown) {
    super.toggled(isShown);
    if (isShown && !this.#orders) this.filtered();
  }

  filtered() {
    this.#orders = null;
    if (this.isShown) this.#pages.restart();
  }

  draw() {
    const orders = [...(this.#orders?.values() ?? [])].sort((a, b) => b.id - a.id);
    this.#table.show(
      orders.map((order) => [order.id, order]),
      { loading: !this.#orders },
    );
  }

  /** A page of ended orders; pages on which all are open are passed over. */
  async #load(cursor) {
    for (let look = 1; ; look++) {
      const { results, next } = await read("/orders", { limit: PAGE, market: this.#onlyMarket(), cursor });
      const ended = results.filter(({ status }) => status !== "open");
      if (ended.length || !next || look === LOOKS_MAX) return { results: ended, next };
      cursor = next;
    }
  }

  #heard(order) {
    if (!this.#orders || order.status === "open" || ![null, order.market].includes(this.#onlyMarket())) return;
    this.#take([order]);
  }

  #take(orders) {
    this.#orders ??= new Map();
    for (const order of orders) this.#orders.set(order.id, order);
    this.changed();
  }
}

/** An order that has ended never changes. */
function row(order) {
  const { status, reason } = order;
  const badge = make(
    "span",
    { class: `badge ${STATUS[status] ?? ""}`, title: reason ? reasonText(reason) : null },
    status,
  );
  const text =
    reason && reason !== "user_canceled" ? make("span", { class: "row-reason muted" }, reasonText(reason)) : null;
  const element = make(
    "tr",
    {},
    cell("Time", "card-time", timeElement(order.created_at)),
    cell("Market", "card-market", order.market),
    cell("Side", "card-side", sideElement(order.side)),
    cell("Type", "", typeText(order)),
    cell("Price", "number", order.price ? group(order.price) : NOTHING),
    cell("Average", "number", order.average_price ? group(trimmedTo(order.average_price, order.price)) : NOTHING),
    cell(
      "Amount",
      "number",
      order.quantity ? group(order.quantity) : `${group(trimmed(order.quote_amount))} ${order.market.split("-")[1]}`,
    ),
    cell("Filled", "number", group(order.filled_quantity)),
    cell("Status", "row-status", badge, text),
  );
  return { element, update: () => undefined };
}

/** "Limit", "Limit, post-only", "Market": what kind of order it is, and its time in force where that is unusual. */
export function typeText({ type, post_only: postOnly, time_in_force: time }) {
  const usual = type === "limit" ? "gtc" : "ioc";
  const name = type === "limit" ? "Limit" : "Market";
  if (postOnly) return `${name}, post-only`;
  return time === usual ? name : `${name}, ${time.toUpperCase()}`;
}

/** An average without the zeros of its six more decimals. */
function trimmedTo(average, price) {
  const decimals = price?.split(".")[1]?.length ?? 0;
  const [whole, fraction = ""] = average.split(".");
  const kept = fraction.replace(/0+$/, "").padEnd(decimals, "0");
  return kept ? `${whole}.${kept}` : whole;
}
