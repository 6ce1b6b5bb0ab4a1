// <order-ticket>: writes an order, says what it would do as the book stands, and sends it. Enter sends, Escape clears.
// It hears "pick-price" and "pick-level" from the book, and tells "order-placed" on document.

import { group, percent, trimmed } from "../trading/format.js";
import { book } from "../marketdata/book.js";
import { feed } from "../marketdata/feed.js";
import { oncePerFrame } from "../marketdata/frame.js";
import { account } from "./account.js";
import { textOf, unitsOf } from "./amounts.js";
import { confirmed } from "./confirm-dialog.js";
import { setText } from "./dom.js";
import { market } from "./filters.js";
import { best, estimated, loadFeeSteps, rates, shareOf, touchPrice } from "./live-estimate.js";
import { toast } from "./news.js";
import { place } from "./order-entry.js";
import { reasonText } from "./reasons.js";
import { warning } from "./risk.js";
import { ticketView } from "./ticket-view.js";
import { amountText, feeName, note, plain, says } from "./ticket-words.js";
import { problems } from "./validation.js";

const ANSWER_SHOWN_MS = 1_600;
const NOTHING = "\u2013";
const { base, quote } = market;

export class OrderTicket extends HTMLElement {
  #parts = null;
  #state = market.state;
  #touched = new Set();
  #refused = new Map();
  #answer = null; // {kind, text} on the button, for a moment
  #sending = false;
  #stop = new AbortController();
  #draw = oncePerFrame(() => this.isConnected && this.#render());

  connectedCallback() {
    const signedIn = Boolean(account.user);
    this.#parts = ticketView(this, { signedIn, demo: "demo" in document.body.dataset });
    const { signal } = (this.#stop = new AbortController());
    this.addEventListener("input", (event) => this.#edited(event.target), { signal });
    this.addEventListener("focusout", (event) => this.#left(event.target), { signal });
    this.addEventListener("keydown", (event) => this.#key(event), { signal });
    this.#parts.form.addEventListener("submit", (event) => this.#submitted(event));
    this.#parts.available.addEventListener("click", () => this.#share(100));
    this.#parts.touch.addEventListener("click", () => this.pick({ price: touchPrice(this.side) }));
    for (const button of this.#parts.shares)
      button.addEventListener("click", () => this.#share(Number(button.dataset.share)));
    document.addEventListener("pick-price", ({ detail }) => this.pick(detail), { signal });
    document.addEventListener("pick-level", ({ detail }) => this.pick(detail), { signal });
    book.addEventListener("change", this.#draw, { signal });
    for (const type of ["balances", "rates", "orders"]) account.addEventListener(type, this.#draw, { signal });
    signal.addEventListener(
      "abort",
      feed.subscribe(`ticker.${market.market}`, (message) => this.#heardTicker(message)),
    );
    this.#render();
    loadFeeSteps().then(this.#draw);
  }

  disconnectedCallback() {
    this.#stop.abort();
  }

  /** "buy" or "sell". */
  get side() {
    return this.#parts.sides.inputs.buy.checked ? "buy" : "sell";
  }

  set side(side) {
    this.#parts.sides.inputs[side].checked = true;
    this.#edited(this.#parts.sides.inputs[side]);
  }

  /** "limit" or "market". */
  get type() {
    return this.#parts.types.inputs.limit.checked ? "limit" : "market";
  }

  set type(type) {
    this.#parts.types.inputs[type].checked = true;
    this.#edited(this.#parts.types.inputs[type]);
  }

  /** Take a price, and a quantity if there is one, from the book. */
  pick({ price, quantity }) {
    if (!price) return;
    if (this.type === "market") this.type = "limit";
    this.#parts.price.input.value = price;
    if (quantity) this.#parts.quantity.input.value = trimmed(quantity);
    this.#flash(quantity ? ["price", "quantity"] : ["price"]);
    this.#edited(this.#parts.price.input);
  }

  /** Empty the fields. */
  clear() {
    this.#parts.price.input.value = this.#parts.quantity.input.value = "";
    this.#forget();
    this.#draw();
  }

  focus() {
    (this.type === "limit" && !this.#parts.price.input.value ? this.#parts.price : this.#parts.quantity).input.focus();
  }

  // ---------------------------------------------------------------------------------------------- what is entered

  /** The order as it stands, amounts in units (null: nothing readable), not yet judged. */
  #order() {
    const { price, quantity, unit, time, postOnly, selfTrade } = this.#parts;
    const type = this.type;
    const byAmount = type === "market" && this.side === "buy" && unit.value === "quote";
    const amount = unitsOf(plain(quantity.input.value));
    return {
      side: this.side,
      type,
      byAmount,
      price: type === "limit" ? unitsOf(plain(price.input.value)) : null,
      quantity: byAmount ? null : amount,
      quoteAmount: byAmount ? amount : null,
      timeInForce: time.value,
      postOnly: type === "limit" && postOnly.input.checked,
      selfTrade: selfTrade.input.value,
    };
  }

  /** The body of POST /orders. */
  #body(order) {
    const text = (units) => (units === null ? undefined : textOf(units));
    return {
      market: market.market,
      side: order.side,
      type: order.type,
      time_in_force: order.timeInForce,
      ...(order.postOnly && { post_only: true }),
      price: text(order.price),
      quantity: text(order.quantity),
      quote_amount: text(order.quoteAmount),
      self_trade_prevention: order.selfTrade,
    };
  }

  #edited(target) {
    if (target.name === "type") this.#parts.time.allow(this.type === "limit" ? ["gtc", "ioc", "fok"] : ["ioc", "fok"]);
    if (target.name === "side" || target.name === "type" || target === this.#parts.unit) this.#forget();
    this.#refused.delete(target.name);
    this.#refused.delete("");
    if (this.#refused.delete("quantity")) this.#touched.add("quantity");
    this.#draw();
  }

  #left(target) {
    if (!target.value || !["price", "quantity"].includes(target.name)) return;
    this.#touched.add(target.name);
    this.#draw();
  }

  #hasText() {
    return Boolean(this.#parts.price.input.value || this.#parts.quantity.input.value);
  }

  #forget() {
    this.#touched.clear();
    this.#refused.clear();
  }

  #key(event) {
    if (event.key === "Escape" && this.#hasText()) {
      this.clear();
      event.preventDefault(); // the next one may close what the ticket stands in
    }
    const up = event.key === "ArrowUp";
    const step = { price: market.tick, quantity: market.lot }[event.target.name];
    if (!step || (!up && event.key !== "ArrowDown") || this.#order().byAmount) return;
    event.preventDefault();
    const by = event.shiftKey ? step * 10n : step;
    const now = unitsOf(plain(event.target.value)) ?? 0n;
    const next = up ? now + by : now > by ? now - by : 0n;
    event.target.value = textOf(next, event.target.name === "price" ? market.price_decimals : 0);
    this.#edited(event.target);
  }

  /** Take a share (percent) of what is available. */
  #share(percentage) {
    const available = this.#available();
    const order = this.#order();
    if (order.type === "limit" && !order.price) {
      this.#parts.price.input.value = touchPrice(order.side) ?? "";
      order.price = unitsOf(this.#parts.price.input.value);
    }
    const amount = available === null ? null : shareOf({ order, percentage, available });
    if (amount === null) return;
    this.#parts.quantity.input.value = amount;
    this.#flash(["quantity"]);
    this.#touched.add("quantity");
    this.#edited(this.#parts.quantity.input);
  }

  // ---------------------------------------------------------------------------------------------- what it would do

  #available() {
    return account.available(this.side === "buy" ? quote : base);
  }

  /** Why no order is taken now; null when the market takes this one. */
  #closed(order) {
    if (this.#state === "open" || (this.#state === "post_only" && order.postOnly)) return null;
    return reasonText(`market_${this.#state}`);
  }

  #heardTicker({ state }) {
    if (!state || state === this.#state) return;
    this.#state = state;
    this.#draw();
  }

  // ---------------------------------------------------------------------------------------------- sending

  async #submitted(event) {
    event.preventDefault();
    if (this.#sending || !account.user) return;
    const order = this.#order();
    if (this.#closed(order)) return;
    const [first] = problems({ order, market, available: this.#available() });
    this.#touched = new Set(["price", "quantity", "post_only"]);
    this.#refused.clear();
    this.#render();
    if (first) return this.#fieldOf(first.field).input.focus();
    const risky = warning({ order, best: best(), estimated: estimated(order), market });
    const agree = `${says(order)} anyway`;
    if (risky && !(await confirmed({ ...risky, agree, kind: order.side }))) return;
    await this.#send(order);
  }

  async #send(order) {
    this.#sending = true;
    this.#render();
    try {
      const placed = await place(this.#body(order));
      account.take(placed);
      this.#placed(placed);
    } catch (error) {
      if (!error.code) throw error;
      this.#refuse(error);
    } finally {
      this.#sending = false;
      this.#render();
    }
  }

  #placed(order) {
    const filled = order.filled_quantity && unitsOf(order.filled_quantity) > 0n;
    const done = { open: filled ? "Partly filled" : "Placed", filled: "Filled" }[order.status];
    if (done) this.#show("done", done);
    else this.#show("refused", filled ? "Partly filled, rest canceled" : "Canceled");
    if (order.status === "open" && !filled) {
      const text = `${group(trimmed(order.quantity))} ${base} at ${group(order.price)} ${quote}`;
      toast(order.side, `${order.side === "buy" ? "Buy" : "Sell"} order placed`, text);
    }
    this.#parts.quantity.input.value = "";
    this.#forget();
    document.dispatchEvent(new CustomEvent("order-placed", { detail: { order } }));
  }

  #refuse(error) {
    const { field } = error;
    const name = field === "quote_amount" ? "quantity" : field;
    this.#refused.set(
      this.#fieldOf(name) ? name : "",
      error.status === 401 ? "Your session has ended: log in again." : error.message,
    );
    this.#show("refused", error.isUnanswered ? "No answer" : "Refused");
    toast("error", error.isUnanswered ? "No answer to the order" : "Order refused", error.message);
    this.#render();
    this.#fieldOf(name)?.input.focus();
  }

  #fieldOf(name) {
    const { price, quantity, time, selfTrade, postOnly } = this.#parts;
    const fields = { price, quantity, quote_amount: quantity, time_in_force: time, self_trade_prevention: selfTrade };
    return { ...fields, post_only: postOnly }[name];
  }

  #show(kind, text) {
    this.#answer = { kind, text };
    clearTimeout(this.answerTimer);
    this.answerTimer = setTimeout(() => {
      this.#answer = null;
      this.#draw();
    }, ANSWER_SHOWN_MS);
  }

  // ---------------------------------------------------------------------------------------------- showing

  #render() {
    const order = this.#order();
    const would = estimated(order);
    const limit = order.type === "limit";
    this.dataset.side = order.side;
    this.#renderFields(order, limit);
    this.#renderProblems(order);
    this.#renderSummary(order, would, limit);
    this.#renderSubmit(order);
    setText(this.#parts.note, note(order, would, account.orders));
  }

  #renderFields(order, limit) {
    const { unit, quantity, postOnly, available, touch, shares } = this.#parts;
    this.#parts.price.element.hidden = postOnly.element.hidden = !limit;
    const choosable = !limit && order.side === "buy";
    unit.hidden = !choosable;
    quantity.unitText.hidden = choosable;
    const asset = order.side === "buy" ? quote : base;
    const units = this.#available();
    setText(available, units === null ? NOTHING : `${amountText(units, asset)} ${asset}`);
    available.disabled = units === null;
    for (const button of shares) button.disabled = units === null;
    const price = touchPrice(order.side);
    touch.hidden = !price;
    if (price) setText(touch, `${price === book.best().ask ? "Ask" : "Bid"} ${group(price)}`);
  }

  #renderProblems(order) {
    const found = problems({ order, market, available: this.#available() });
    const texts = new Map(found.map(({ field, text }) => [field === "quote_amount" ? "quantity" : field, text]));
    for (const name of ["price", "quantity", "post_only", "time_in_force", "self_trade_prevention"]) {
      const { input, error } = this.#fieldOf(name);
      const text = this.#refused.get(name) ?? (this.#touched.has(name) ? texts.get(name) : null) ?? "";
      setText(error, text);
      error.hidden = !text;
      if (text) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
    const { message } = this.#parts;
    setText(message, this.#refused.get("") ?? "");
    message.hidden = !message.textContent;
  }

  #renderSummary(order, would, limit) {
    const { average, slippage, total, fee, receives, worst } = this.#parts.rows;
    const buying = order.side === "buy";
    average.element.hidden = slippage.element.hidden = limit;
    const show = (row, units, asset) =>
      setText(row.value, units === null ? NOTHING : `${amountText(units, asset)} ${asset}`);
    show(average, would?.average ?? null, quote);
    setText(slippage.value, would?.slippage == null ? NOTHING : percent(textOf(would.slippage)).replace("+", ""));
    show(total, would?.total ?? null, quote);
    setText(fee.name, feeName(rates(), would));
    show(fee, would?.fee ?? null, buying ? base : quote);
    show(receives, would?.receives ?? null, buying ? base : quote);
    show(worst, would?.cost ?? null, buying ? quote : base);
  }

  #renderSubmit(order) {
    const { submit, banner } = this.#parts;
    const closed = this.#closed(order);
    setText(banner, closed ?? "");
    banner.hidden = !closed;
    submit.disabled = Boolean(closed) || this.#sending;
    submit.setAttribute("aria-busy", this.#sending);
    submit.classList.toggle("buy", order.side === "buy");
    submit.classList.toggle("sell", order.side === "sell");
    submit.dataset.answer = this.#answer?.kind ?? "";
    setText(submit, this.#sending ? "Sending\u2026" : (this.#answer?.text ?? says(order)));
  }

  #flash(names) {
    for (const name of names) {
      const { box } = this.#parts[name];
      box.classList.remove("flash");
      requestAnimationFrame(() => box.classList.add("flash"));
    }
  }
}

customElements.define("order-ticket", OrderTicket);
