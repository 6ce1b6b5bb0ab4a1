// Toasts about what happened to one's orders: fills, ends that the exchange decided, notifications. Many at once become
// one toast, and the longer it goes on the rarer they are.

import { compareDecimals, group, price as priceText, trimmed } from "../trading/format.js";
import { feed } from "../marketdata/feed.js";
import { account } from "./account.js";
import { dividedBy, textOf, times, unitsOf } from "./amounts.js";
import { confirmed } from "./confirm-dialog.js";
import { baseOf } from "./filters.js";
import { reasonText } from "./reasons.js";

const FIRST_MS = 250;
const NEXT_MS = 4_000;
const EXPECTED = new Set(["user_canceled"]);
let loggedOut = false;

/** Show a toast: kind is info, success, warning, error, buy or sell. */
export function toast(kind, title, text = "") {
  document.querySelector("toast-stack")?.show({ kind, title, text });
}

/** Gathers what is `add`ed and hands all of it to `tell` a moment later; while it goes on, every few seconds. */
class Gathered {
  #waiting = new Map();
  #busy = new Set();

  constructor(tell) {
    this.tell = tell;
  }

  add(key, item) {
    if (this.#waiting.has(key)) return void this.#waiting.get(key).push(item);
    this.#waiting.set(key, [item]);
    setTimeout(() => this.#flush(key), this.#busy.has(key) ? NEXT_MS : FIRST_MS);
  }

  #flush(key) {
    const items = this.#waiting.get(key);
    this.#waiting.delete(key);
    this.#busy.add(key);
    setTimeout(() => this.#waiting.has(key) || this.#busy.delete(key), NEXT_MS);
    this.tell(items);
  }
}

const fillNews = new Gathered((fills) => {
  const { market, side } = fills[0];
  const base = baseOf(market);
  const quantity = fills.reduce((sum, fill) => sum + unitsOf(fill.quantity), 0n);
  const notional = fills.reduce((sum, fill) => sum + times(unitsOf(fill.price), unitsOf(fill.quantity)), 0n);
  const same = fills.every((fill) => compareDecimals(fill.price, fills[0].price) === 0);
  const decimals = fills[0].price.split(".")[1]?.length ?? 0;
  const average = priceText(textOf(dividedBy(notional, quantity)), decimals);
  const done = side === "buy" ? "Bought" : "Sold";
  const title = `${done} ${group(textOf(quantity))} ${base} at ${average}${same ? "" : " on average"}`;
  toast(side, title, fills.length > 1 ? `${fills.length} trades on ${market}` : feeText(fills[0]));
});

function feeText({ market, fee, fee_asset: asset, liquidity }) {
  if (fee.startsWith("-")) return `${market}, rebate ${trimmed(fee.slice(1))} ${asset}`;
  return `${market}, fee ${trimmed(fee)} ${asset} (${liquidity})`;
}

const endNews = new Gathered((orders) => {
  const [{ side, market, reason, quantity, price }] = orders;
  if (orders.length > 1) return toast("warning", `${orders.length} orders were canceled`, reasonText(reason));
  const base = baseOf(market);
  const what = quantity ? `${group(trimmed(quantity))} ${base}` : base;
  const title = `${side === "buy" ? "Buy" : "Sell"} ${what}${price ? ` at ${group(price)}` : ""} was canceled`;
  toast("warning", title, reasonText(reason));
});

account.addEventListener("fills", ({ detail }) => {
  for (const fill of detail) fillNews.add(`${fill.market} ${fill.side}`, fill);
});
account.addEventListener("order", ({ detail: { order } }) => {
  const ended = order.status === "canceled" || order.status === "expired";
  if (ended && order.reason && !EXPECTED.has(order.reason)) endNews.add(`${order.market} ${order.reason}`, order);
});
const KINDS = { success: "success", warning: "warning", danger: "error" };
account.addEventListener("notifications", ({ detail }) => {
  // What happened to orders was told above, as it happened.
  for (const { kind, level, title, text } of detail) if (!kind.startsWith("order_")) toast(KINDS[level] ?? "info", title, text);
});

// Signed out, here or on another device: nothing on this page is current any more, and nothing on it would work.
feed.addEventListener("refused", async ({ detail }) => {
  if (!account.user || loggedOut) return;
  loggedOut = true;
  if (detail.code === "unknown_account") {
    toast("info", "You have no account", "You can watch; to trade, a user needs an account.");
    return;
  }
  const again = await confirmed({
    title: "You are logged out",
    lines: ["Your session has ended, here or from another device. Your orders stay as they are."],
    agree: "Log in",
    refuse: "Just watch",
    kind: "primary",
  });
  if (again) location.assign(`/login?${new URLSearchParams({ next: location.pathname })}`);
  else location.reload();
});

// What the page before had to say. It comes as toasts, so that the floor stays where it is.
customElements.whenDefined("toast-stack").then(() => {
  for (const { textContent, classList } of document.querySelectorAll(".notices .notice")) {
    const [title, text] = textContent.split(/: (.*)/s);
    toast(["success", "warning", "error"].find((kind) => classList.contains(kind)) ?? "info", title, text);
  }
});
