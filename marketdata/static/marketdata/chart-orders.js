// The visitor's own orders and fills on the chart: a line for each open order, which can be dragged to another price
// ("amend-order" is emitted), and a mark at each candle in which something of his was filled.

import {
  createSeriesMarkers,
  LineStyle,
} from "../vendor/lightweight-charts/lightweight-charts.standalone.production.mjs";
import { unitsOf, textOf } from "./book.js";
import { market } from "./market.js";

const LINES_MAX = 100;
const NEAR_PX = 6;
const NEAR_TOUCH_PX = 16;
const SETTLE_MS = 4_000; // an amend that nobody confirms goes back to where it was

/** The nearest price on the market's tick, as text. */
export function onTick(number) {
  const tick = unitsOf(market.tick_size, market.price_decimals);
  const ticks = Math.max(1, Math.round(number / Number(market.tick_size)));
  return textOf(BigInt(ticks) * tick, market.price_decimals);
}

export class ChartOrders {
  #chart;
  #series;
  #container;
  #colour;
  #lines = new Map(); // order id: {order, line}
  #fills = [];
  #markers;
  #dragged = null;

  constructor({ chart, series, container, colour }) {
    this.#chart = chart;
    this.#series = series;
    this.#container = container;
    this.#colour = colour;
    this.#markers = createSeriesMarkers(series, []);
    document.addEventListener("own-orders", ({ detail }) => this.#takeOrders(detail.orders));
    document.addEventListener("own-fills", ({ detail }) => this.#takeFills(detail.fills));
    container.addEventListener("pointerdown", (event) => this.#grab(event), { capture: true });
    container.addEventListener("pointermove", (event) => this.#hover(event));
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.#dragged && this.#drop(false));
  }

  /** Colours or candles are other ones now. */
  redraw({ colour, candles }) {
    this.#colour = colour;
    for (const { order, line } of this.#lines.values()) line.applyOptions(this.#look(order));
    this.#mark(candles);
  }

  #takeOrders(orders) {
    const mine = orders.filter((order) => order.market === market.market && order.price).slice(0, LINES_MAX);
    const ids = new Set(mine.map(({ id }) => id));
    for (const [id, { line }] of this.#lines) {
      if (ids.has(id)) continue;
      this.#series.removePriceLine(line);
      this.#lines.delete(id);
      if (this.#dragged?.id === id) this.#drop(false);
    }
    for (const order of mine) {
      const known = this.#lines.get(order.id);
      if (!known) this.#lines.set(order.id, { order, line: this.#series.createPriceLine(this.#look(order)) });
      else if (this.#dragged?.id !== order.id) {
        known.order = order;
        known.line.applyOptions(this.#look(order));
      }
    }
  }

  #look({ side, price, quantity, filled_quantity }) {
    const decimals = market.quantity_decimals;
    const left = textOf(unitsOf(quantity, decimals) - unitsOf(filled_quantity ?? "0", decimals), decimals);
    return {
      price: Number(price),
      color: side === "buy" ? this.#colour.buy : this.#colour.sell,
      lineWidth: 1,
      lineStyle: LineStyle.Dashed,
      axisLabelVisible: true,
      title: `${side === "buy" ? "Buy" : "Sell"} ${left}`,
    };
  }

  #takeFills(fills) {
    this.#fills = fills
      .filter((fill) => fill.market === market.market)
      .map(({ side, executed_at }) => ({ side, time: Date.parse(executed_at) / 1000 }));
    this.onfills?.();
  }

  /** One mark per candle and side, however many fills it has had. */
  #mark(candles) {
    const marks = new Map();
    for (const { side, time } of this.#fills) {
      const candle = lastBefore(candles, time);
      if (candle) marks.set(`${candle.time}${side}`, this.#markOf(candle.time, side));
    }
    this.#markers.setMarkers([...marks.values()].sort((a, b) => a.time - b.time));
  }

  #markOf(time, side) {
    return side === "buy"
      ? { time, position: "belowBar", shape: "arrowUp", color: this.#colour.buy, text: "B" }
      : { time, position: "aboveBar", shape: "arrowDown", color: this.#colour.sell, text: "S" };
  }

  #lineAt(event) {
    const near = event.pointerType === "touch" ? NEAR_TOUCH_PX : NEAR_PX;
    const y = event.clientY - this.#container.getBoundingClientRect().top;
    let [best, distance] = [null, near + 1];
    for (const [id, { line }] of this.#lines) {
      const away = Math.abs((this.#series.priceToCoordinate(line.options().price) ?? Infinity) - y);
      if (away < distance) [best, distance] = [id, away];
    }
    return best;
  }

  #hover(event) {
    if (this.#dragged) this.#drag(event);
    else this.#container.classList.toggle("on-line", this.#lines.size > 0 && this.#lineAt(event) !== null);
  }

  #grab(event) {
    const id = event.button === 0 ? this.#lineAt(event) : null;
    if (id === null) return;
    event.preventDefault();
    this.#dragged = { id, price: null };
    this.#chart.applyOptions({ handleScroll: false, handleScale: false });
    this.#container.setPointerCapture(event.pointerId);
    const release = () => this.#dragged && this.#drop(true);
    this.#container.addEventListener("pointerup", release, { once: true });
    this.#container.addEventListener("pointercancel", () => this.#dragged && this.#drop(false), { once: true });
  }

  #drag(event) {
    const y = event.clientY - this.#container.getBoundingClientRect().top;
    const price = this.#series.coordinateToPrice(y);
    if (price === null) return;
    this.#dragged.price = onTick(price);
    this.#lines.get(this.#dragged.id).line.applyOptions({ price: Number(this.#dragged.price) });
  }

  #drop(meant) {
    const { id, price } = this.#dragged;
    this.#dragged = null;
    this.#chart.applyOptions({ handleScroll: true, handleScale: true });
    const known = this.#lines.get(id);
    if (!known) return;
    const settle = () => this.#lines.get(id) === known && known.line.applyOptions(this.#look(known.order));
    if (!meant || price === null || price === known.order.price) return settle();
    document.dispatchEvent(new CustomEvent("amend-order", { detail: { id, price } }));
    setTimeout(settle, SETTLE_MS);
  }
}

/** The last candle that begins at or before `time`; null when that is before all of them. */
function lastBefore(candles, time) {
  let [low, high] = [0, candles.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (candles[middle].time <= time) low = middle + 1;
    else high = middle;
  }
  return low ? candles[low - 1] : null;
}
