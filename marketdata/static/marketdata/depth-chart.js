// <depth-chart>: how much could be bought or sold up to each price, drawn on a canvas around the middle of the book.
// The pointer shows a price with the quantity and amount up to it; a click emits "pick-level".

import { group } from "../trading/format.js";
import { book, textOf } from "./book.js";
import { colours, faded } from "./chart-style.js";
import { atMostEvery } from "./frame.js";
import { market } from "./market.js";
import { compact } from "./ticker-bar.js";

const REDRAW_MS = 150;
const SPOKEN_MS = 10_000;
const SPANS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5];
const FIRST_SPAN = 3;
const LEVELS_MIN = 12; // a first span that shows fewer levels is too narrow
const FOOT = 22;
const HEAD = 0.12;

class DepthChart extends HTMLElement {
  #span = null;
  #canvas = null;
  #context = null;
  #parts = {};
  #pointer = null;
  #shape = null;
  #colour = colours();
  #spokenAt = -Infinity;
  #draw = atMostEvery(REDRAW_MS, () => this.#render());

  connectedCallback() {
    this.innerHTML = `
      <div class="depth-tools">
        <span class="number live-data depth-sum bid"></span>
        <div class="zoom" role="group" aria-label="Range around the middle price">
          <button type="button" aria-label="Narrower range">+</button>
          <output class="number"></output>
          <button type="button" aria-label="Wider range">\u2212</button>
        </div>
        <span class="number live-data depth-sum ask"></span>
      </div>
      <div class="depth-area live-data">
        <canvas role="img" aria-label="Market depth"></canvas>
        <p class="depth-tip number" hidden></p>
        <p class="empty">Loading the book\u2026</p>
      </div>`;
    const find = (selector) => this.querySelector(selector);
    this.#canvas = find("canvas");
    this.#context = this.#canvas.getContext("2d");
    this.#parts = { tip: find(".depth-tip"), empty: find(".empty"), range: find("output"), bid: find(".bid"), ask: find(".ask") };
    const [narrower, wider] = this.querySelectorAll(".zoom button");
    narrower.addEventListener("click", () => this.#zoom(-1));
    wider.addEventListener("click", () => this.#zoom(1));
    new ResizeObserver(() => this.#render()).observe(find(".depth-area"));
    book.addEventListener("change", this.#draw);
    document.addEventListener("appearance", () => {
      this.#colour = colours();
      this.#draw();
    });
    this.#listen();
  }

  #listen() {
    this.#canvas.addEventListener("pointermove", (event) => {
      this.#pointer = event.offsetX;
      this.#draw();
    });
    this.#canvas.addEventListener("pointerleave", () => {
      this.#pointer = null;
      this.#draw();
    });
    this.#canvas.addEventListener("click", (event) => {
      const found = this.#at(event.offsetX);
      if (found) document.dispatchEvent(new CustomEvent("pick-level", { detail: found.pick }));
    });
  }

  #zoom(by) {
    this.#span = Math.min(SPANS.length - 1, Math.max(0, (this.#span ?? FIRST_SPAN) + by));
    this.#draw();
  }

  /** The narrowest usual span in which there is something to see. */
  #firstSpan(middle) {
    const [bids, asks] = [book.levels("buy"), book.levels("sell")];
    const far = (levels) => levels[Math.min(LEVELS_MIN, levels.length) - 1]?.priceUnits ?? middle;
    const needed = Math.max(middle - far(bids), far(asks) - middle) / middle;
    const found = SPANS.findIndex((span, index) => index >= FIRST_SPAN && span >= needed);
    return found < 0 ? SPANS.length - 1 : found;
  }

  #render() {
    const { clientWidth: width, clientHeight: height } = this.#canvas.parentElement;
    if (!width || !height || !book.loaded) return;
    const { bid, ask } = book.best();
    this.#parts.empty.hidden = bid !== null || ask !== null;
    if (bid === null && ask === null) return this.#nothing();
    const units = (side) => book.levels(side)[0]?.priceUnits;
    const middle = bid === null || ask === null ? (units("buy") ?? units("sell")) : (units("buy") + units("sell")) / 2;
    this.#span ??= this.#firstSpan(middle);
    this.#shape = this.#measure(middle, width, height);
    this.#paint(this.#shape);
    this.#tell(this.#shape);
  }

  #nothing() {
    this.#parts.empty.textContent = "The book is empty. Resting orders show here as they come.";
    this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    this.#shape = null;
  }

  /** Cumulative levels within the span, and the scales that bring them onto the canvas. */
  #measure(middle, width, height) {
    const reach = middle * SPANS[this.#span];
    const sums = { buy: this.#sums("buy", middle - reach), sell: this.#sums("sell", middle + reach) };
    const most = Math.max(1, sums.buy.at(-1)?.total ?? 0, sums.sell.at(-1)?.total ?? 0);
    const floor = height - FOOT;
    return {
      width, height, floor, middle, reach, sums,
      x: (price) => ((price - middle + reach) / (2 * reach)) * width,
      y: (total) => floor - (total / most) * floor * (1 - HEAD),
      priceAt: (x) => middle - reach + (x / width) * 2 * reach,
    }; // prettier-ignore
  }

  #sums(side, limit) {
    const found = [];
    let [total, amount] = [0, 0];
    for (const { price, priceUnits, quantityUnits } of book.levels(side)) {
      if (side === "buy" ? priceUnits < limit : priceUnits > limit) break;
      total += quantityUnits;
      amount += quantityUnits * Number(price);
      found.push({ price, priceUnits, total, amount });
    }
    return found;
  }

  #paint(shape) {
    const { width, height, floor } = shape;
    const ratio = devicePixelRatio;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.#canvas.width !== wide || this.#canvas.height !== high) Object.assign(this.#canvas, { width: wide, height: high });
    const context = this.#context;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.#side(shape, "buy", this.#colour.buy, 0);
    this.#side(shape, "sell", this.#colour.sell, width);
    context.strokeStyle = this.#colour.line;
    context.lineWidth = 1;
    line(context, 0, Math.round(floor) + 0.5, width, Math.round(floor) + 0.5);
    this.#labels(shape);
    this.#cross(shape);
  }

  /** A staircase from the best price out to the edge, filled below. */
  #side({ sums, floor, x, y }, side, colour, edge) {
    const levels = sums[side];
    if (!levels.length) return;
    const context = this.#context;
    context.beginPath();
    context.moveTo(x(levels[0].priceUnits), floor);
    levels.forEach((level, index) => {
      context.lineTo(x(level.priceUnits), y(level.total));
      const next = levels[index + 1];
      context.lineTo(next ? x(next.priceUnits) : edge, y(level.total));
    });
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.stroke();
    context.lineTo(edge, floor);
    context.closePath();
    context.fillStyle = faded(colour, 0.16);
    context.fill();
  }

  #labels({ width, height, middle, reach }) {
    const context = this.#context;
    context.font = `12px ${this.#colour.font}`;
    context.fillStyle = this.#colour.muted;
    context.textBaseline = "middle";
    for (const [price, x, align] of [
      [middle - reach, 6, "left"],
      [middle, width / 2, "center"],
      [middle + reach, width - 6, "right"],
    ]) {
      context.textAlign = align;
      context.fillText(this.#price(price), x, height - FOOT / 2 + 1);
    }
  }

  #price(units) {
    const text = textOf(BigInt(Math.max(0, Math.round(units))), market.price_decimals);
    return group(units > 1e6 ? text.replace(/\.\d+$/, "") : text);
  }

  /** What the pointer at `x` means: the level reached, and what "pick-level" would say. */
  #at(x) {
    const shape = this.#shape;
    if (!shape) return null;
    const price = shape.priceAt(x);
    const side = price < shape.middle ? "buy" : "sell";
    const level = shape.sums[side].findLast(({ priceUnits }) => (side === "buy" ? priceUnits >= price : priceUnits <= price));
    if (!level) return null;
    return { side, level, pick: { side, price: level.price, quantity: book.quantityUpTo(side, level.price) } };
  }

  #cross(shape) {
    const found = this.#pointer === null ? null : this.#at(this.#pointer);
    this.#parts.tip.hidden = !found;
    if (!found) return;
    const { side, level } = found;
    const context = this.#context;
    context.strokeStyle = this.#colour.muted;
    context.setLineDash([3, 3]);
    line(context, this.#pointer, 0, this.#pointer, shape.floor);
    context.setLineDash([]);
    context.fillStyle = side === "buy" ? this.#colour.buy : this.#colour.sell;
    context.beginPath();
    context.arc(this.#pointer, shape.y(level.total), 4, 0, 2 * Math.PI);
    context.fill();
    this.#tip(shape, found);
  }

  #tip({ width, middle }, { side, level, pick }) {
    const away = ((level.priceUnits - middle) / middle) * 100;
    const lines = [
      `${side === "buy" ? "Bids down to" : "Asks up to"} ${group(level.price)}`,
      `${group(pick.quantity)} ${market.base}`,
      `${group(level.amount ? (level.amount / 10 ** market.quantity_decimals).toFixed(2) : "0")} ${market.quote}`,
      `${away > 0 ? "+" : "\u2212"}${Math.abs(away).toFixed(2)}\u00a0% from the middle`,
    ];
    const { tip } = this.#parts;
    tip.replaceChildren(...lines.flatMap((text, index) => (index ? [document.createElement("br"), text] : [text])));
    const left = this.#pointer > width / 2 ? this.#pointer - tip.offsetWidth - 12 : this.#pointer + 12;
    tip.style.transform = `translateX(${Math.max(4, Math.min(left, width - tip.offsetWidth - 4))}px)`;
  }

  #tell({ sums }) {
    const sum = (side) => compact(textOf(BigInt(sums[side].at(-1)?.total ?? 0), market.quantity_decimals));
    const range = `\u00b1${+(SPANS[this.#span] * 100).toFixed(2)}\u00a0%`;
    const texts = { range, bid: `${sum("buy")} bid`, ask: `${sum("sell")} ask` };
    for (const [name, text] of Object.entries(texts)) if (this.#parts[name].textContent !== text) this.#parts[name].textContent = text;
    if (performance.now() - this.#spokenAt < SPOKEN_MS) return;
    this.#spokenAt = performance.now();
    const told = `Market depth within ${range}: ${sum("buy")} ${market.base} bid, ${sum("sell")} ${market.base} asked`;
    this.#canvas.setAttribute("aria-label", told);
  }
}

function line(context, fromX, fromY, toX, toY) {
  context.beginPath();
  context.moveTo(fromX, fromY);
  context.lineTo(toX, toY);
  context.stroke();
}

customElements.define("depth-chart", DepthChart);
