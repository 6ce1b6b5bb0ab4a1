// <trade-tape>: the latest trades, newest first. Rows are made once; a new trade takes the last row and puts it first.

import { dateTime, group, timeOfDay } from "../trading/format.js";
import { feed } from "./feed.js";
import { oncePerFrame } from "./frame.js";
import { market } from "./market.js";

const KEPT = 60;

class TradeTape extends HTMLElement {
  #trades = []; // newest last
  #rows = []; // as shown, newest first
  #fresh = 0;
  #latest = 0;
  #body = null;
  #empty = null;
  #draw = oncePerFrame(() => this.#render());

  connectedCallback() {
    this.innerHTML = `
      <div class="tape" role="table" aria-label="Latest trades, newest first">
        <div role="rowgroup"><div class="tape-head" role="row">
          <span role="columnheader"></span><span role="columnheader"></span><span role="columnheader">Time</span>
        </div></div>
        <div class="tape-rows live-data" role="rowgroup"></div>
      </div>
      <p class="empty tape-empty">Loading trades\u2026</p>`;
    const heads = this.querySelectorAll("[role=columnheader]");
    heads[0].textContent = `Price, ${market.quote}`;
    heads[1].textContent = `Quantity, ${market.base}`;
    heads[2].title = `Local time (${Intl.DateTimeFormat().resolvedOptions().timeZone})`;
    this.#body = this.querySelector(".tape-rows");
    this.#empty = this.querySelector(".tape-empty");
    feed.subscribe(`trades.${market.market}`, (message) => this.#take(message));
  }

  #take(message) {
    if (message.type === "refused") return;
    if (message.type === "snapshot") {
      this.#trades = [];
      this.#latest = 0;
      this.#fresh = KEPT;
    }
    const news = message.trades.filter(({ id }) => id > this.#latest);
    if (news.length) this.#latest = news.at(-1).id;
    this.#trades.push(...news);
    if (this.#trades.length > KEPT) this.#trades.splice(0, this.#trades.length - KEPT);
    this.#fresh = Math.min(KEPT, this.#fresh + news.length);
    this.#draw();
  }

  #render() {
    const count = this.#trades.length;
    while (this.#rows.length < count) this.#rows.push(this.#makeRow());
    while (this.#rows.length > count) this.#rows.pop().element.remove();
    const fresh = Math.min(this.#fresh, count);
    for (let index = count - fresh; index < count; index++) {
      const row = this.#rows.pop();
      row.show(this.#trades[index]);
      this.#rows.unshift(row);
      this.#body.prepend(row.element);
    }
    this.#fresh = 0;
    this.#empty.hidden = count > 0;
    this.#empty.textContent = "No trades yet. Each trade of this market is told here as it happens.";
  }

  #makeRow() {
    const row = new TapeRow();
    this.#body.append(row.element);
    return row;
  }
}

class TapeRow {
  #cells = [];
  #side = null;
  #time = null;

  constructor() {
    this.element = document.createElement("div");
    this.element.setAttribute("role", "row");
    for (const name of ["price", "quantity", "time"]) {
      const cell = document.createElement("span");
      cell.className = name;
      cell.setAttribute("role", "cell");
      cell.append("");
      this.#cells.push(cell);
    }
    this.element.append(...this.#cells);
  }

  show({ price, quantity, taker_side, executed_at }) {
    const [first, second, third] = this.#cells;
    first.firstChild.data = group(price);
    second.firstChild.data = quantity;
    if (this.#time !== executed_at.slice(0, 19)) {
      this.#time = executed_at.slice(0, 19);
      third.firstChild.data = timeOfDay(executed_at);
      third.title = dateTime(executed_at);
    }
    if (this.#side === taker_side) return;
    this.#side = taker_side;
    this.element.className = taker_side;
    first.title = taker_side === "buy" ? "A buyer took" : "A seller took";
  }
}

customElements.define("trade-tape", TradeTape);
