// What one does to open orders: amend, cancel, cancel all, cancel the last. Asks where much is at stake and tells the
// outcome; the panel, the shortcuts and the chart ("amend-order" on document) all come here.

import { group, trimmed } from "../trading/format.js";
import { account } from "./account.js";
import { unitsOf } from "./amounts.js";
import { confirmed } from "./confirm-dialog.js";
import { baseOf, market } from "./filters.js";
import { best } from "./live-estimate.js";
import { toast } from "./news.js";
import { amend, cancel, cancelAll } from "./order-entry.js";
import { warning } from "./risk.js";

/** "Buy 0.015 BTC at 43,000.00". */
export function orderText({ side, price, market: symbol, remaining_quantity: quantity }) {
  return `${side === "buy" ? "Buy" : "Sell"} ${group(trimmed(quantity))} ${baseOf(symbol)} at ${group(price)}`;
}

/** Amend an order; false if the person thought better of it. Rejects with an OrderError. */
export async function amendOrder(order, changes) {
  const risky = changes.price && farPrice(order, changes.price);
  if (risky && !(await confirmed({ ...risky, agree: "Amend anyway", kind: order.side }))) return false;
  account.take(await amend(order.id, changes));
  return true;
}

function farPrice({ market: symbol, side }, text) {
  const price = unitsOf(text);
  if (symbol !== market.market || !price) return null;
  return warning({ order: { type: "limit", side, price }, best: best(), market });
}

/** Cancel an order; a refusal becomes a toast. */
export async function cancelOrder(order) {
  try {
    account.take(await cancel(order.id));
    toast("info", "Order canceled", orderText(order));
  } catch (error) {
    tellError("The order was not canceled", error);
  }
}

/** Ask, then cancel all open orders, or all on `symbol`. */
export async function cancelAllOrders(symbol) {
  const orders = [...account.orders.values()].filter((order) => symbol === null || order.market === symbol);
  if (!orders.length) return;
  const all = account.complete ? orders.length : "all";
  const count = all === 1 ? "1 order" : `${all} orders`;
  const agreed = await confirmed({
    title: `Cancel ${count}?`,
    lines: [`All open orders on ${symbol ?? "every market"} are taken out of the book. What is filled stays filled.`],
    agree: `Cancel ${count}`,
    refuse: "Keep them",
  });
  if (!agreed) return;
  try {
    const canceled = await cancelAll(symbol);
    toast("info", canceled.length === 1 ? "1 order canceled" : `${canceled.length} orders canceled`);
    await account.catchUp();
  } catch (error) {
    tellError("The orders were not canceled", error);
  }
}

/** Cancel the newest open order on this page's market. */
export async function cancelLast() {
  const here = [...(account.orders?.values() ?? [])].filter((order) => order.market === market.market);
  if (!here.length) return toast("info", `No open orders on ${market.market}`);
  await cancelOrder(here.reduce((last, order) => (order.id > last.id ? order : last)));
}

function tellError(title, error) {
  if (!error.code) throw error;
  toast("error", title, error.message);
}

document.addEventListener("amend-order", async ({ detail: { id, price } }) => {
  const order = account.orders?.get(id);
  if (!order) return;
  try {
    if (await amendOrder(order, { price })) toast(order.side, "Order amended", orderText({ ...order, price }));
  } catch (error) {
    tellError("The order was not amended", error);
  }
});
