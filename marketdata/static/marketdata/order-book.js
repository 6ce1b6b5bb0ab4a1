// <order-book>: the ladder. Asks above, the last price and the spread between, bids below, from a fixed pool of rows of
// which only what changed is touched. Emits "pick-price" and "pick-level"; hears "own-orders".

import { group, subtractDecimals } from "../trading/format.js";
import { book, textOf } from "./book.js";
import { oncePerFrame } from "./frame.js";
import { LadderRow } from "./ladder-row.js";
import { grouped, shownPrice, stepsOf } from "./ladder.js";
import { market } from "./market.js";
import { ticker } from "./ticker.js";

const VIEWS = { both: "Asks and bids", buy: "Bids only", sell: "Asks only" };
const STEP_KEY = `bourse.step.${market.market}`;
const ROWS_MAX = 60;

class OrderBook extends HTMLElement {
  #view = "both";
  #steps = stepsOf(market, market.reference_price);
  #step = this.#steps.find(({ text }) => text === localStorage.getItem(STEP_KEY)) ?? this.#steps[0];
  #rows = { sell: [], buy: [] };
  #seen = { sell: new Map(), buy: new Map() };
  #orders = [];
  #own = new Map();
  #focused = null;
  #parts = {};
  #draw = oncePerFrame(() => this.#render());

  connectedCallback() {
    this.#build();
    new ResizeObserver(() => this.#fit()).observe(this.#parts.grid);
    book.addEventListener("change", this.#draw);
    ticker.addEventListener("change", this.#draw);
    document.addEventListener("own-orders", ({ detail }) => {
      this.#orders = detail.orders.filter((order) => order.market === market.market && order.price);
      this.#markOwn();
    });
    this.#parts.grid.addEventListener("click", (event) => this.#pick(event.target.closest("[role=gridcell]")));
    this.#parts.grid.addEventListener("keydown", (event) => this.#move(event));
  }

  #build() {
    this.innerHTML = `
      <div class="ladder-tools">
        <div class="views" role="group" aria-label="Sides shown"></div>
        <label class="step"><span>Step</span> <select></select></label>
      </div>
      <div class="ladder" role="grid" aria-label="Order book. Enter on a price fills the order ticket.">
        <div role="rowgroup"><div class="ladder-head" role="row">
          <span role="columnheader"></span><span role="columnheader"></span><span role="columnheader"></span>
        </div></div>
        <div class="ladder-rows live-data" role="none">
          <div class="side asks" role="rowgroup" aria-label="Asks"></div>
          <div class="middle" role="rowgroup"><div role="row">
            <strong class="number last" role="gridcell">\u2013</strong>
            <span class="spread number" role="gridcell"></span>
          </div></div>
          <div class="side bids" role="rowgroup" aria-label="Bids"></div>
          <p class="ladder-empty empty" aria-hidden="true">Loading the book\u2026</p>
        </div>
      </div>`;
    const find = (selector) => this.querySelector(selector);
    this.#parts = {
      grid: find(".ladder-rows"),
      sell: find(".asks"),
      buy: find(".bids"),
      middle: find(".middle"),
      last: find(".last"),
      spread: find(".spread"),
      empty: find(".ladder-empty"),
      views: find(".views"),
      step: find("select"),
    };
    const heads = [`Price, ${market.quote}`, `Quantity, ${market.base}`, "Total"];
    this.querySelectorAll("[role=columnheader]").forEach((head, index) => (head.textContent = heads[index]));
    this.#buildTools();
  }

  #buildTools() {
    for (const [view, label] of Object.entries(VIEWS)) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.view = view;
      button.title = label;
      button.setAttribute("aria-label", label);
      button.setAttribute("aria-pressed", view === this.#view);
      button.addEventListener("click", () => this.#show(view));
      this.#parts.views.append(button);
    }
    this.#parts.step.setAttribute("aria-label", "Price step");
    this.#parts.step.append(...this.#steps.map(({ text }) => new Option(group(text), text)));
    this.#parts.step.value = this.#step.text;
    this.#parts.step.addEventListener("change", () => this.#group(this.#parts.step.value));
  }

  #show(view) {
    this.#view = view;
    for (const button of this.#parts.views.children) button.setAttribute("aria-pressed", button.dataset.view === view);
    this.#fit();
  }

  #group(text) {
    this.#step = this.#steps.find((step) => step.text === text);
    localStorage.setItem(STEP_KEY, text);
    for (const side of ["sell", "buy"]) this.#seen[side].clear();
    this.#markOwn();
  }

  /** As many rows as there is room for; rows are made once and then only hidden. */
  #fit() {
    const styles = getComputedStyle(this);
    const height = parseFloat(styles.getPropertyValue("--row"));
    const room = this.#parts.grid.clientHeight - this.#parts.middle.offsetHeight;
    const all = Math.max(0, Math.floor(room / height));
    const count = { both: Math.floor(all / 2), buy: all, sell: all }[this.#view];
    for (const side of ["sell", "buy"]) {
      const wanted = this.#view === "both" || this.#view === side ? Math.min(count, ROWS_MAX) : 0;
      this.#resize(side, wanted);
    }
    this.#render();
  }

  #resize(side, count) {
    const rows = this.#rows[side];
    while (rows.length > count) rows.pop().element.remove();
    while (rows.length < count) {
      const row = new LadderRow({ side });
      rows.push(row);
      if (side === "sell") this.#parts.sell.prepend(row.element);
      else this.#parts.buy.append(row.element);
    }
  }

  #render() {
    if (!book.loaded) return;
    const sides = {};
    for (const side of ["sell", "buy"]) {
      sides[side] = grouped({
        levels: book.levels(side),
        side,
        step: this.#step.units,
        decimals: market.price_decimals,
        count: this.#rows[side].length,
      });
    }
    const most = Math.max(1, ...Object.values(sides).map((rows) => rows.at(-1)?.total ?? 0));
    for (const side of ["sell", "buy"]) this.#renderSide(side, sides[side], most);
    this.#renderMiddle();
    this.#parts.empty.hidden = true;
    if (!this.#focused?.isConnected) this.#focus((this.#rows.buy[0] ?? this.#rows.sell[0])?.cells[0]);
  }

  #renderSide(side, levels, most) {
    const rows = this.#rows[side];
    const seen = this.#seen[side];
    const now = new Map();
    for (const level of levels) level.shown = shownPrice(level.price, this.#step);
    rows.forEach((row, index) => {
      const level = levels[index];
      if (!level) return row.clear();
      now.set(level.key, level.quantity);
      row.show({
        price: level.price,
        shown: level.shown,
        above: (side === "sell" ? levels[index + 1] : levels[index - 1])?.shown ?? "",
        quantity: textOf(BigInt(level.quantity), market.quantity_decimals),
        total: textOf(BigInt(level.total), market.quantity_decimals),
        share: level.total / most,
        own: this.#own.get(side + level.key) ?? 0,
        changed: seen.size > 0 && seen.get(level.key) !== level.quantity,
      });
    });
    this.#seen[side] = now;
  }

  #renderMiddle() {
    const last = ticker.now?.last ?? null;
    put(this.#parts.last, last === null ? "\u2013" : group(last));
    this.#parts.last.classList.toggle("rises", ticker.direction > 0);
    this.#parts.last.classList.toggle("falls", ticker.direction < 0);
    const { bid, ask } = book.best();
    put(this.#parts.spread, this.#spread(bid, ask));
  }

  #spread(bid, ask) {
    if (bid === null && ask === null) return "The book is empty";
    if (bid === null || ask === null) return bid === null ? "No bids" : "No asks";
    const spread = subtractDecimals(ask, bid);
    return `Spread ${group(spread)} (${((Number(spread) / Number(ask)) * 100).toFixed(2)}\u00a0%)`;
  }

  /** Own open orders by side and step: how many there are. */
  #markOwn() {
    this.#own.clear();
    for (const { side, price } of this.#orders) {
      const units = Math.round(Number(price) * 10 ** market.price_decimals);
      const step = this.#step.units;
      const key = side + (side === "buy" ? Math.floor(units / step) : Math.ceil(units / step)) * step;
      this.#own.set(key, (this.#own.get(key) ?? 0) + 1);
    }
    this.#draw();
  }

  #pick(cell) {
    const row = cell && this.#rowOf(cell);
    if (!row?.price) return;
    const { side, price } = row;
    this.#focus(cell);
    if (cell.classList.contains("price")) emit("pick-price", { price });
    else emit("pick-level", { side, price, quantity: book.quantityUpTo(side, price) });
  }

  #rowOf(cell) {
    return [...this.#rows.sell, ...this.#rows.buy].find((row) => row.element === cell.parentElement);
  }

  /** Arrow keys move within the ladder, which is one stop of the Tab key; Enter and Space pick. */
  #move(event) {
    const cell = event.target.closest("[role=gridcell]");
    const row = cell && this.#rowOf(cell);
    if (!row) return;
    const order = [...this.#rows.sell.toReversed(), ...this.#rows.buy];
    const [at, column] = [order.indexOf(row), [...row.element.querySelectorAll("[role=gridcell]")].indexOf(cell)];
    const to = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (to) this.#focus(order[at + to[0]]?.cells[column + to[1]], true);
    else if (event.key === "Enter" || event.key === " ") this.#pick(cell);
    else return;
    event.preventDefault();
  }

  #focus(cell, now = false) {
    if (!cell) return;
    if (this.#focused) this.#focused.tabIndex = -1;
    this.#focused = cell;
    cell.tabIndex = 0;
    if (now) cell.focus();
  }
}

function emit(name, detail) {
  document.dispatchEvent(new CustomEvent(name, { detail }));
}

/** Set an element's text if it is another one. */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

customElements.define("order-book", OrderBook);
