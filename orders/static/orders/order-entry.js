// Sends orders: over the page's socket while it is live, otherwise by REST, with the same bodies and refusals.
// An order carries an id of its own, so sending it again after a lost answer can never place it twice.

import { feed } from "../marketdata/feed.js";

const API = "/api/v1";
const ANSWER_MS = 10_000;

/** A refusal (status >= 400), or no answer at all (status 0): then the order may or may not have arrived. */
export class OrderError extends Error {
  constructor({ code, message, field = null }, status = 0) {
    super(message);
    this.name = "OrderError";
    this.code = code;
    this.field = field;
    this.status = status;
  }

  /** True if nobody knows whether it happened. */
  get isUnanswered() {
    return this.status === 0 || this.code === "outcome_unknown";
  }
}

let unanswered = null;

/** Place an order (the body of POST /orders). The same order again after a lost answer is the same order. */
export async function place(order) {
  const body = JSON.stringify(order);
  const again = unanswered?.body === body;
  const named = { ...order, client_order_id: again ? unanswered.id : crypto.randomUUID() };
  unanswered = { body, id: named.client_order_id };
  try {
    const placed = await ask("order.place", { order: named }, () => rest("POST", "/orders", named));
    unanswered = null;
    return placed;
  } catch (error) {
    if (!error.isUnanswered) unanswered = null;
    throw error;
  }
}

/** Change an open order's price, its total quantity, or both. */
export function amend(id, changes) {
  return ask("order.amend", { order_id: id, ...changes }, () => rest("PATCH", `/orders/${id}`, changes));
}

/** Cancel one order. */
export function cancel(id) {
  return ask("order.cancel", { order_id: id }, () => rest("DELETE", `/orders/${id}`));
}

/** Cancel all open orders, or those of one market; the ids of those canceled. */
export async function cancelAll(market = null) {
  const fields = market ? { market } : {};
  const { canceled } = await ask("order.cancel_all", fields, () => rest("DELETE", `/orders${query(fields)}`));
  return canceled;
}

/** Read from the REST API. */
export function read(path, parameters = {}) {
  return rest("GET", path + query(parameters));
}

/** The token that a form or request of this page must carry. */
export function csrfToken() {
  const cookie = document.cookie.split("; ").find((one) => one.startsWith("csrftoken="));
  return cookie?.slice("csrftoken=".length) ?? document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
}

async function ask(op, fields, byRest) {
  if (feed.status.state !== "live") return byRest();
  try {
    return await feed.request(op, fields);
  } catch (error) {
    if (error.status && error.status !== 401) throw new OrderError(error, error.status);
    return byRest();
  }
}

async function rest(method, path, body) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  if (body) headers["Content-Type"] = "application/json";
  let response;
  let answer;
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    response = await fetch(API + path, { method, headers, body: body && JSON.stringify(body), signal });
    answer = await response.json();
  } catch {
    throw new OrderError({
      code: "connection_lost",
      message: "No answer came: it may or may not have happened. Trying again is safe, nothing happens twice.",
    });
  }
  if (!response.ok) throw new OrderError(answer.error, response.status);
  return answer;
}

function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value != null);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}
